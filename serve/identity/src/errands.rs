//! What is still to be done outside once something is committed: mail, and telling clients that a session has ended. Left in
//! the transaction of what it follows from, and tried until it is done or too old.

use foundation::write::transaction::Transaction;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Errand {
    /// A client is told that a session has ended (OpenID Connect Back-Channel Logout 1.0).
    BackChannelLogout {
        /// The client.
        client_id: String,
        /// Whose session it was.
        account: Uuid,
        /// Which.
        session: Uuid,
    },
    /// A person is told that something happened to the account.
    Mail {
        /// To which address.
        to: String,
        /// Which letter: a name of `texts/`.
        letter: String,
        /// What it says beside the text.
        values: serde_json::Map<String, serde_json::Value>,
    },
}

const INSERT: &str =
    "INSERT INTO errands (id, kind, payload, request_id, created_at, due_at) VALUES ($1, $2, $3, $4, $5, $5)";

/// Leaves an errand with the transaction.
pub fn leave(
    transaction: &mut Transaction,
    id: Uuid,
    errand: &Errand,
    request_id: &str,
    now: OffsetDateTime,
) {
    let kind = match errand {
        Errand::BackChannelLogout { .. } => "back_channel_logout",
        Errand::Mail { .. } => "mail",
    };
    let payload = serde_json::to_value(errand).unwrap_or_default();
    let values = vec![
        Box::new(id) as _,
        Box::new(kind) as _,
        Box::new(payload) as _,
        Box::new(request_id.to_owned()) as _,
        Box::new(now) as _,
    ];
    transaction.later(INSERT, values);
}
