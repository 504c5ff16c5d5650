//! Sessions of an account, ended: with what was handed out in them, and every client is told.

use foundation::audit::Event;
use foundation::problem::Problem;
use foundation::write::Unit;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::errands::{self, Errand};
use crate::settings::Settings;

const FIND: &str = "SELECT id FROM browser_sessions WHERE account_id = $1 AND ($2::uuid IS NULL OR id = $2) \
     AND ($3::uuid IS NULL OR id <> $3) AND ($4::text IS NULL OR provider = $4) ORDER BY id FOR UPDATE";
const CLIENTS: &str = "SELECT DISTINCT client_id, session_id FROM grants \
     WHERE session_id = ANY($1) AND ended_at IS NULL ORDER BY client_id, session_id";
// A client that may act while the person is away goes on, unless everything is to end.
const END_GRANTS: &str = "UPDATE grants SET ended_at = $2, ended_because = $3 WHERE session_id = ANY($1) \
     AND ended_at IS NULL AND ($4 OR NOT 'offline_access' = ANY(string_to_array(scope, ' ')))";
const END: &str = "DELETE FROM browser_sessions WHERE id = ANY($1)";

/// Which sessions end, and what of theirs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ending<'a> {
    /// Only this one.
    pub one: Option<Uuid>,
    /// All but this one.
    pub but: Option<Uuid>,
    /// Only those that began with this login provider.
    pub begun_with: Option<&'a str>,
    /// Also what clients were given for the time when the person is away.
    pub and_offline: bool,
}

/// Ends sessions of the account with the write; how many there were.
///
/// # Errors
/// The problem of the database.
pub async fn end(
    unit: &mut Unit,
    settings: &Settings,
    account: Uuid,
    ending: Ending<'_>,
) -> Result<usize, Problem> {
    let rows =
        unit.transaction.query(FIND, &[&account, &ending.one, &ending.but, &ending.begun_with]).await?;
    let sessions: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
    if sessions.is_empty() {
        return Ok(0);
    }
    let clients = unit.transaction.query(CLIENTS, &[&sessions]).await?;
    tell_clients(unit, settings, account, &clients);
    let (now, why) = (unit.now(), if ending.and_offline { "revoked" } else { "signed-out" });
    let values = vec![
        Box::new(sessions.clone()) as _,
        Box::new(now) as _,
        Box::new(why) as _,
        Box::new(ending.and_offline) as _,
    ];
    unit.transaction.later(END_GRANTS, values);
    for session in &sessions {
        unit.audit(Event::new("session.end", "session").of(session));
    }
    let count = sessions.len();
    unit.transaction.later(END, vec![Box::new(sessions)]);
    Ok(count)
}

/// Leaves an errand for every client that wants to know and every session: rows with `client_id` and `session_id`.
pub fn tell_clients(unit: &mut Unit, settings: &Settings, account: Uuid, rows: &[Row]) {
    for row in rows {
        let client_id: String = row.get("client_id");
        let listens =
            settings.client(&client_id).is_some_and(|client| client.back_channel_logout_uri.is_some());
        if let Some(session) = row.get::<_, Option<Uuid>>("session_id").filter(|_| listens) {
            errands::leave_with(unit, &Errand::BackChannelLogout { client_id, account, session });
        }
    }
}
