//! What an account has given to clients, taken back.

use foundation::audit::Event;
use foundation::problem::Problem;
use foundation::write::Unit;
use uuid::Uuid;

use crate::errands::{self, Errand};
use crate::settings::Settings;

const OF_CLIENT: &str = "SELECT DISTINCT session_id FROM grants \
     WHERE account_id = $1 AND client_id = $2 AND ended_at IS NULL ORDER BY session_id";
const END: &str = "UPDATE grants SET ended_at = $3, ended_because = 'revoked' \
     WHERE account_id = $1 AND client_id = $2 AND ended_at IS NULL";

/// Ends everything that was handed out to the client for this account, and tells the client.
///
/// # Errors
/// The problem of the database.
pub async fn revoke(
    unit: &mut Unit,
    settings: &Settings,
    account: Uuid,
    client_id: &str,
) -> Result<(), Problem> {
    let rows = unit.transaction.query(OF_CLIENT, &[&account, &client_id]).await?;
    if rows.is_empty() {
        return Ok(());
    }
    if settings.client(client_id).is_some_and(|client| client.back_channel_logout_uri.is_some()) {
        for session in rows.iter().filter_map(|row| row.get::<_, Option<Uuid>>("session_id")) {
            let client_id = client_id.to_owned();
            errands::leave_with(unit, &Errand::BackChannelLogout { client_id, account, session });
        }
    }
    unit.audit(Event::new("grant.revoke", "client").of(client_id));
    let now = unit.now();
    let values = vec![Box::new(account) as _, Box::new(client_id.to_owned()) as _, Box::new(now) as _];
    unit.transaction.later(END, values);
    Ok(())
}
