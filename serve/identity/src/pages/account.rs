//! The person's own page: how the account is entered, where it is open, and what it has given to whom.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use foundation::extract::Query;
use foundation::problem::{Problem, codes};
use foundation::write::transaction::Transaction;
use serde::Deserialize;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::buttons::look;
use super::notice::Notice;
use super::show;
use super::texts::{self, Phrase, Texts};
use super::visitor::{Away, Visitor};
use super::words::{day, device, moment};
use crate::accounts::profile::Profile;
use crate::accounts::recovery;
use crate::accounts::store::{Account, Identity};
use crate::state::Broker;

const SESSIONS: &str = "SELECT id, provider, authenticated_at, last_seen_at, address, user_agent FROM browser_sessions \
     WHERE account_id = $1 AND expires_at > $2 ORDER BY authenticated_at DESC, id LIMIT 100";
const GRANTS: &str = "SELECT client_id, min(created_at) AS since, \
     bool_or('offline_access' = ANY(string_to_array(scope, ' '))) AS while_away, \
     bool_or('upstream_tokens' = ANY(string_to_array(scope, ' '))) AS acts_for \
     FROM grants WHERE account_id = $1 AND ended_at IS NULL GROUP BY client_id ORDER BY client_id";

/// What the page says of what was done before.
#[derive(Debug, Deserialize)]
pub struct Said {
    notice: Option<String>,
}

struct ShownNotice {
    text: &'static Phrase,
    is_refusal: bool,
}

struct ShownIdentity {
    id: Uuid,
    label: String,
    look: &'static str,
    email: Option<String>,
    is_relay: bool,
    is_gone: bool,
    since: String,
    last_used: String,
}

struct ShownSession {
    id: Uuid,
    is_current: bool,
    device: String,
    label: String,
    began: String,
    seen: String,
    address: String,
}

struct ShownGrant {
    number: usize,
    client_id: String,
    name: String,
    since: String,
    while_away: bool,
    acts_for: bool,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    texts: &'static Texts,
    site: &'a str,
    csrf_token: &'a str,
    notice: Option<ShownNotice>,
    name: String,
    email: Option<String>,
    email_vouched: bool,
    identities: Vec<ShownIdentity>,
    is_last: bool,
    sessions: Vec<ShownSession>,
    grants: Vec<ShownGrant>,
}

/// `GET /account`
pub async fn show(
    State(broker): State<Arc<Broker>>,
    visitor: Visitor,
    Query(said): Query<Said>,
) -> Result<Response, Away> {
    Ok(page(&broker, &visitor, said.notice.as_deref().and_then(Notice::named)).await?)
}

async fn page(broker: &Broker, visitor: &Visitor, notice: Option<Notice>) -> Result<Response, Problem> {
    let texts = texts::current();
    let id = visitor.session.account;
    let request_id = &visitor.context.request_id;
    let (transaction, _) = Transaction::begin(&broker.database, None, request_id, None).await?;
    let account = Account::find(&transaction, id).await?;
    let account = account.ok_or_else(|| Problem::new(&codes::UNAUTHENTICATED))?;
    let identities = Identity::of(&transaction, id).await?;
    let sessions = transaction.query(SESSIONS, &[&id, &broker.clock.now()]).await?;
    let grants = transaction.query(GRANTS, &[&id]).await?;
    drop(transaction);
    let page = AccountPage {
        texts,
        site: broker.public_url.host_str().unwrap_or_default(),
        csrf_token: &visitor.csrf_token,
        notice: notice
            .map(|notice| ShownNotice { text: notice.text(texts), is_refusal: notice.is_refusal() }),
        name: name(&account.profile, texts),
        email: account.profile.email,
        email_vouched: account.profile.email_vouched,
        is_last: identities.len() == 1,
        identities: identities.into_iter().map(|identity| shown_identity(broker, identity)).collect(),
        sessions: sessions.iter().map(|row| shown_session(broker, visitor, row, texts)).collect(),
        grants: grants.iter().enumerate().map(|(number, row)| shown_grant(broker, number, row)).collect(),
    };
    show::page(&page)
}

fn name(profile: &Profile, texts: &Texts) -> String {
    let parts: Vec<&str> =
        [&profile.given_name, &profile.family_name].into_iter().filter_map(Option::as_deref).collect();
    match (parts.is_empty(), &profile.email) {
        (false, _) => parts.join(" "),
        (true, Some(email)) => email.clone(),
        (true, None) => texts.account.nameless.to_string(),
    }
}

fn shown_identity(broker: &Broker, identity: Identity) -> ShownIdentity {
    let provider = broker.settings.providers.iter().find(|provider| provider.name == identity.provider);
    ShownIdentity {
        id: identity.id,
        label: broker.label(&identity.provider).to_owned(),
        look: provider.map_or("other", |provider| look(&provider.kind)),
        email: identity.email,
        is_relay: identity.email_relay,
        is_gone: provider.is_none(),
        since: day(identity.created_at),
        last_used: day(identity.last_used_at),
    }
}

fn shown_session(broker: &Broker, visitor: &Visitor, row: &Row, texts: &Texts) -> ShownSession {
    let (id, provider): (Uuid, String) = (row.get("id"), row.get("provider"));
    let at = |column: &str| moment(row.get::<_, OffsetDateTime>(column));
    ShownSession {
        id,
        is_current: id == visitor.session.id,
        device: device(row.get::<_, Option<&str>>("user_agent")),
        label: match provider.as_str() {
            recovery::PROVIDER => texts.account.by_recovery.to_string(),
            provider => broker.label(provider).to_owned(),
        },
        began: at("authenticated_at"),
        seen: at("last_seen_at"),
        address: row.get("address"),
    }
}

fn shown_grant(broker: &Broker, number: usize, row: &Row) -> ShownGrant {
    let client_id: String = row.get("client_id");
    ShownGrant {
        number: number + 1,
        name: broker.client_name(&client_id).to_owned(),
        client_id,
        since: day(row.get("since")),
        while_away: row.get("while_away"),
        acts_for: row.get("acts_for"),
    }
}
