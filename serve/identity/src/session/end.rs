//! Sessions of an account, ended: with what was handed out in them, and every client is told.

use foundation::audit::Event;
use foundation::problem::Problem;
use foundation::write::Unit;
use uuid::Uuid;

use crate::errands::{self, Errand};
use crate::settings::Settings;

// A client whose grant has ended, such as by a replay, knows the person all the same and wants to hear of the end.
const FIND: &str = "SELECT id, ARRAY(SELECT DISTINCT client_id FROM grants \
     WHERE session_id = browser_sessions.id ORDER BY client_id) AS clients \
     FROM browser_sessions WHERE account_id = $1 AND ($2::uuid IS NULL OR id = $2) \
     AND ($3::uuid IS NULL OR id <> $3) AND ($4::text IS NULL OR provider = $4) ORDER BY id FOR UPDATE";
// A client that may act while the person is away goes on, unless everything is to end.
const END_GRANTS: &str = "UPDATE grants SET ended_at = $2, ended_because = $3 WHERE session_id = ANY($1) \
     AND ended_at IS NULL AND ($4 OR NOT 'offline_access' = ANY(string_to_array(scope, ' ')))";
// What was given in sessions that are over already. Of one that does not say with which login provider, nobody knows.
const END_OFFLINE: &str = "UPDATE grants SET ended_at = $2, ended_because = 'revoked' \
     WHERE account_id = $1 AND ended_at IS NULL AND session_id IS NULL \
     AND ($3::text IS NULL OR coalesce(provider, $3) = $3)";
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
    /// Also what clients were given for the time when the person is away. Unless one session alone ends, that of earlier
    /// ones too.
    pub and_offline: bool,
}

/// Ends sessions of the account with the write; how many there were. Without `settings` every client is told that had
/// something of the session; with them, those that want to know.
///
/// # Errors
/// The problem of the database.
pub async fn end(
    unit: &mut Unit,
    settings: Option<&Settings>,
    account: Uuid,
    ending: Ending<'_>,
) -> Result<usize, Problem> {
    let rows =
        unit.transaction.query(FIND, &[&account, &ending.one, &ending.but, &ending.begun_with]).await?;
    let now = unit.now();
    if ending.one.is_none() && ending.and_offline {
        let begun_with = ending.begun_with.map(str::to_owned);
        unit.transaction.later(END_OFFLINE, vec![Box::new(account), Box::new(now), Box::new(begun_with)]);
    }
    let sessions: Vec<Uuid> = rows.iter().map(|row| row.get("id")).collect();
    if sessions.is_empty() {
        return Ok(0);
    }
    for row in &rows {
        let (session, clients): (Uuid, Vec<String>) = (row.get("id"), row.get("clients"));
        unit.audit(Event::new("session.end", "session").of(session));
        for client_id in clients.into_iter().filter(|client_id| listens(settings, client_id)) {
            let (id, request_id) = (unit.new_id(), unit.origin().request_id.clone());
            let errand = Errand::BackChannelLogout { client_id, account, session };
            errands::leave(&mut unit.transaction, id, &errand, &request_id, now);
        }
    }
    let because = if ending.and_offline { "revoked" } else { "signed-out" };
    // Now: a session that begins with the same write must not be one that is ending.
    unit.transaction.query(END_GRANTS, &[&sessions, &now, &because, &ending.and_offline]).await?;
    unit.transaction.query(END, &[&sessions]).await?;
    Ok(sessions.len())
}

fn listens(settings: Option<&Settings>, client_id: &str) -> bool {
    settings.is_none_or(|settings| {
        settings.client(client_id).is_some_and(|client| client.back_channel_logout_uri.is_some())
    })
}
