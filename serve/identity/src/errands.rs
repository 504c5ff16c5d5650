//! What is still to be done outside once something is committed: mail, and telling clients that a session has ended. Left in
//! the transaction of what it follows from, and tried until it is done or too old.

mod mail;
mod runner;

use foundation::write::Unit;
use foundation::write::transaction::Transaction;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

pub use mail::Letter;
pub use runner::{Counts, run};

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
        /// Which letter: a name of [`Letter`], whose words are in `texts/`.
        letter: String,
        /// What it says beside the text.
        values: serde_json::Map<String, serde_json::Value>,
    },
}

/// What kinds there are.
pub const KINDS: [&str; 2] = [BACK_CHANNEL_LOGOUT, MAIL];
const BACK_CHANNEL_LOGOUT: &str = "back_channel_logout";
const MAIL: &str = "mail";

impl Errand {
    /// What kind it is, as it is kept and counted.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BackChannelLogout { .. } => BACK_CHANNEL_LOGOUT,
            Self::Mail { .. } => MAIL,
        }
    }
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
    let kind = errand.kind();
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

/// Leaves an errand with the write, which it follows from.
pub fn leave_with(unit: &mut Unit, errand: &Errand) {
    let (id, now, request_id) = (unit.new_id(), unit.now(), unit.origin().request_id.clone());
    leave(&mut unit.transaction, id, errand, &request_id, now);
}
