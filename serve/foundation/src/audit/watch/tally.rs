//! Counts what is the same: it is written at once and then, with how often it was repeated, at the end of its minute.

use std::collections::HashMap;
use std::net::IpAddr;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::super::{Event, Origin, Outcome};
use crate::auth::session::SessionKey;

/// For so long what is the same is counted.
const WINDOW: Duration = Duration::MINUTE;
/// Different things that one organization, or one session, is refused in a window and that are told apart.
pub const MOST_OF_ONE: usize = 50;
/// Different things that are counted at once.
const MOST: usize = 5_000;
/// Of these, so many of sessions that nobody has looked up: who makes them up must not take the room of the others.
const MOST_OF_SESSIONS: usize = 500;
/// Notices that wait to be written.
const MOST_READY: usize = 10_000;

/// Something to be written.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) origin: Origin,
    /// Whose origin is to be found out first.
    pub(super) session: Option<SessionKey>,
    pub(super) event: Event,
    pub(super) at: OffsetDateTime,
}

/// Whom something was refused: bounds are for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Organization(Option<Uuid>),
    Session(SessionKey),
}

/// What makes two refusals the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    subject: Subject,
    actor: Option<Uuid>,
    token: Option<Uuid>,
    address: Option<IpAddr>,
    problem: &'static str,
    operation: String,
}

impl Key {
    pub(super) fn of(
        origin: &Origin,
        session: Option<SessionKey>,
        problem: &'static str,
        operation: String,
    ) -> Self {
        let subject = session.map_or(Subject::Organization(origin.organization), Subject::Session);
        let (actor, token, address) = (origin.actor_id, origin.token_id, origin.address);
        Self { subject, actor, token, address, problem, operation }
    }

    /// All that is more than is told apart.
    fn rest(subject: Subject) -> Self {
        Self { subject, actor: None, token: None, address: None, problem: "", operation: String::new() }
    }
}

/// One thing that is counted.
#[derive(Debug)]
struct Open {
    since: OffsetDateTime,
    repeated: u64,
    last: Notice,
}

/// What was refused and is not written yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    open: HashMap<Key, Open>,
    of_one: HashMap<Subject, usize>,
    ready: Vec<Notice>,
}

impl Tally {
    /// Takes a notice in; false if there is no room for it.
    pub(super) fn note(&mut self, key: Key, notice: Notice) -> bool {
        if let Some(open) = self.open.get_mut(&key) {
            open.repeated += 1;
            open.last = notice;
            return true;
        }
        if self.open.len() >= MOST || self.ready.len() >= MOST_READY {
            return false;
        }
        let subject = key.subject;
        let of_session = |key: &Key| matches!(key.subject, Subject::Session(_));
        if of_session(&key) && self.open.keys().filter(|open| of_session(open)).count() >= MOST_OF_SESSIONS {
            return false;
        }
        let count = self.of_one.entry(subject).or_default();
        if *count < MOST_OF_ONE {
            *count += 1;
            self.begin(key, notice);
            return true;
        }
        let Subject::Organization(organization) = subject else { return false };
        self.note_rest(Key::rest(subject), rest(organization, &notice));
        true
    }

    fn note_rest(&mut self, key: Key, notice: Notice) {
        match self.open.get_mut(&key) {
            Some(open) => open.repeated += 1,
            None => self.begin(key, notice),
        }
    }

    fn begin(&mut self, key: Key, notice: Notice) {
        self.ready.push(notice.clone());
        self.open.insert(key, Open { since: notice.at, repeated: 0, last: notice });
    }

    /// What is to be written now. At the end, all.
    pub(super) fn take(&mut self, now: OffsetDateTime, at_the_end: bool) -> Vec<Notice> {
        let (ready, of_one) = (&mut self.ready, &mut self.of_one);
        self.open.retain(|key, open| {
            if !at_the_end && now - open.since < WINDOW {
                return true;
            }
            if open.repeated > 0 {
                let event = open.last.event.clone().changed("repeated", (), open.repeated);
                ready.push(Notice { event, ..open.last.clone() });
            }
            if let Some(count) = of_one.get_mut(&key.subject) {
                *count -= usize::from(!key.operation.is_empty()).min(*count);
            }
            false
        });
        of_one.retain(|_, count| *count > 0);
        std::mem::take(ready)
    }

    /// Whether something waits to be written.
    pub(super) fn has_more(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes back what could not be written; how many are lost because there is no room.
    pub(super) fn give_back(&mut self, mut notices: Vec<Notice>) -> usize {
        let room = MOST_READY.saturating_sub(self.ready.len());
        let lost = notices.len().saturating_sub(room);
        notices.truncate(room);
        notices.append(&mut self.ready);
        self.ready = notices;
        lost
    }
}

/// The notice that an organization is refused more than is told apart.
fn rest(organization: Option<Uuid>, of: &Notice) -> Notice {
    let origin = Origin::of_system(organization, of.origin.request_id.clone());
    let event = Event::new("request.deny", "operation").outcome(Outcome::Denied).changed(
        "detail",
        (),
        "More was refused than is told apart.",
    );
    Notice { origin, session: None, event, at: of.at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
    }

    fn note(tally: &mut Tally, organization: u128, operation: &str, seconds: i64) -> bool {
        let origin = Origin {
            actor_kind: "agent",
            actor_id: Some(Uuid::from_u128(1)),
            token_id: None,
            organization: Some(Uuid::from_u128(organization)),
            address: None,
            user_agent: None,
            request_id: format!("at-{seconds}"),
        };
        let key = Key::of(&origin, None, "insufficient-scope", operation.to_owned());
        let event = Event::new("request.deny", "operation").of(operation);
        tally.note(key, Notice { origin, session: None, event, at: at(seconds) })
    }

    fn shown(notices: &[Notice]) -> Vec<(String, String)> {
        notices
            .iter()
            .map(|notice| {
                let repeated = notice.event.changes.get("repeated").map(|value| value[1].to_string());
                (notice.origin.request_id.clone(), repeated.unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn what_is_the_same_is_written_once_and_counted() {
        let mut tally = Tally::default();
        for second in 0..10 {
            assert!(note(&mut tally, 1, "GET /", second));
        }
        assert_eq!(shown(&tally.take(at(10), false)), [("at-0".to_owned(), String::new())]);
        assert_eq!(shown(&tally.take(at(59), false)), []);
        assert_eq!(shown(&tally.take(at(60), false)), [("at-9".to_owned(), "9".to_owned())]);
        // A new window, with nothing repeated in it.
        note(&mut tally, 1, "GET /", 61);
        assert_eq!(shown(&tally.take(at(61), true)), [("at-61".to_owned(), String::new())]);
        assert!(tally.open.is_empty() && tally.of_one.is_empty());
    }

    #[test]
    fn sessions_that_somebody_makes_up_leave_room() {
        let mut tally = Tally::default();
        let made_up = |tally: &mut Tally, number: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            let session = SessionKey::of_cookie(&URL_SAFE_NO_PAD.encode(bytes)).unwrap();
            let origin = Origin::of_system(None, "r".to_owned());
            let key = Key::of(&origin, Some(session), "cross-site", "POST /".to_owned());
            let event = Event::new("request.deny", "operation");
            tally.note(key, Notice { origin, session: Some(session), event, at: at(0) })
        };
        let taken = (0..10_000).filter(|number| made_up(&mut tally, *number)).count();
        assert_eq!(taken, MOST_OF_SESSIONS);
        assert!(note(&mut tally, 1, "GET /", 0));
        tally.take(at(60), false);
        assert!(made_up(&mut tally, 10_000), "in the next minute there is room again");
    }

    #[test]
    fn one_organization_does_not_crowd_out_another() {
        let mut tally = Tally::default();
        for number in 0..1_000 {
            assert!(note(&mut tally, 1, &format!("GET /{number}"), 0));
        }
        assert!(note(&mut tally, 2, "GET /", 0));
        let written = tally.take(at(1), false);
        assert_eq!(written.len(), MOST_OF_ONE + 1 + 1);
        assert_eq!(written[MOST_OF_ONE].origin.actor_kind, "system");
        // All that was more is one count.
        assert_eq!(
            shown(&tally.take(at(60), false)),
            [("at-0".to_owned(), (1_000 - MOST_OF_ONE - 1).to_string())]
        );
        assert!(tally.open.is_empty() && tally.of_one.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_lost_and_said() {
        let mut tally = Tally::default();
        let room = (0..).take_while(|number| note(&mut tally, *number, "GET /", 0)).count();
        assert_eq!(room, MOST);
        let written = tally.take(at(0), false);
        assert_eq!(tally.give_back(written.clone()), 0);
        assert_eq!(tally.give_back(written.clone()), 0);
        assert_eq!(tally.give_back(written), MOST);
        assert_eq!(tally.ready.len(), MOST_READY);
    }
}
