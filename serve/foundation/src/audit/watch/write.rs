//! Writes notices: an organization's together in one transaction.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::places::Use;
use super::tally::Notice;
use super::{Watch, lock};
use crate::audit::Event;
use crate::clock::new_id;
use crate::database::DatabaseError;
use crate::write::transaction::Transaction;

/// Notices of one transaction.
const TOGETHER: usize = 500;
/// What the transactions are called in the server's log.
const NAME: &str = "audit-watch";

/// Keeps a place of a token if it is new, for as long as the token is kept. How many there were before.
const NEW_PLACE: &str = "WITH before AS (\
        SELECT count(*) AS places FROM token_places WHERE organization_id = $1 AND token_id = $2), \
     made AS (\
        INSERT INTO token_places (organization_id, token_id, place, first_used_at) \
        SELECT $1, id, $3, $4 FROM tokens, before \
        WHERE organization_id = $1 AND id = $2 AND places < $5 ON CONFLICT DO NOTHING RETURNING token_id) \
     SELECT places FROM before, made";
/// Further places of a token are not told: it is used from everywhere.
const MOST_PLACES: i64 = 100;

/// What one organization's transaction has to write.
#[derive(Debug, Default)]
struct Share {
    notices: Vec<Notice>,
    uses: Vec<Use>,
}

impl Share {
    fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.uses.is_empty()
    }

    /// All uses, and as many notices.
    fn take(&mut self, most: usize) -> Self {
        let rest = self.notices.split_off(self.notices.len().min(most));
        Self { notices: std::mem::replace(&mut self.notices, rest), uses: std::mem::take(&mut self.uses) }
    }
}

impl Watch {
    /// Writes what there is to write. What cannot be written now is taken back, as far as there is room.
    pub(super) async fn write(&self, at_the_end: bool) {
        let notices = lock(&self.tally).take(self.clock.now(), at_the_end);
        let uses = lock(&self.places).take();
        let mut shares: BTreeMap<Option<Uuid>, Share> = BTreeMap::new();
        for notice in notices {
            if let Some(notice) = self.attributed(notice).await {
                shares.entry(notice.origin.organization).or_default().notices.push(notice);
            }
        }
        for used in uses {
            shares.entry(Some(used.organization)).or_default().uses.push(used);
        }
        // Where the database does not answer one of them, it is asked for the others another time.
        let mut unanswered = None;
        for (organization, mut share) in shares {
            while !share.is_empty() {
                let part = share.take(TOGETHER);
                let outcome = match unanswered.take() {
                    None => self.write_share(organization, &part).await,
                    Some(error) => Err(error),
                };
                if let Err(error) = outcome {
                    self.failed(&error, part);
                    unanswered = Some(error).filter(DatabaseError::passes);
                }
            }
        }
    }

    /// The notice with whose it is. None where its session has ended, or nobody can say.
    async fn attributed(&self, mut notice: Notice) -> Option<Notice> {
        let Some(key) = notice.session else { return Some(notice) };
        match self.sessions.peek(&key).await {
            Ok(session) => {
                let session = session?;
                notice.origin.actor_kind = "person";
                notice.origin.actor_id = Some(session.person);
                notice.origin.organization = session.organization;
                Some(notice)
            }
            Err(error) => {
                self.dropped.inc();
                tracing::debug!(%error, "a refusal is not audited: nobody can say whose session it was");
                None
            }
        }
    }

    async fn write_share(&self, organization: Option<Uuid>, share: &Share) -> Result<(), DatabaseError> {
        let (mut transaction, _) = Transaction::begin(&self.database, organization, NAME, None).await?;
        for used in &share.uses {
            let place = used.place.to_string();
            let rows = transaction
                .query(NEW_PLACE, &[&used.organization, &used.token_id, &place, &used.at, &MOST_PLACES])
                .await?;
            if let Some(row) = rows.first() {
                let event = use_event(used, &place, row.try_get(0)?);
                event.write_later(&mut transaction, self.new_id(), used.at, &used.origin);
            }
        }
        for notice in &share.notices {
            let event = notice.event.clone();
            event.write_later(&mut transaction, self.new_id(), notice.at, &notice.origin);
        }
        transaction.commit().await
    }

    fn new_id(&self) -> Uuid {
        new_id(&*self.clock, &*self.randomness)
    }

    /// What passes is tried again; what PostgreSQL refuses would be refused again.
    fn failed(&self, error: &DatabaseError, share: Share) {
        lock(&self.places).give_back(&share.uses);
        let notices = share.notices.len();
        let lost = if error.passes() { lock(&self.tally).give_back(share.notices) } else { notices };
        if lost > 0 {
            self.dropped.inc_by(u64::try_from(lost).unwrap_or(u64::MAX));
            tracing::error!(%error, notices, lost, "what was refused is not in the audit log");
        } else {
            tracing::debug!(%error, notices, "what was refused could not be audited; trying again");
        }
    }
}

fn use_event(used: &Use, place: &str, before: i64) -> Event {
    let event = Event::new("token.use", "token").of(used.token_id).changed("place", (), place);
    match before {
        0 => event.changed("first", (), true),
        // The last one that is told says so.
        before if before + 1 == MOST_PLACES => event.changed("further_places", (), "not told"),
        _ => event,
    }
}
