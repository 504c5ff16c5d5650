//! When keys follow each other: decided from what there is, so that every process comes to the same.

use std::time::Duration;

use time::OffsetDateTime;

use crate::settings::Algorithm;

/// How long a key signs.
const SIGNS: Duration = Duration::from_secs(30 * 86_400);
/// How long before it signs a key is published: longer than anybody keeps the key set.
pub const AHEAD: Duration = Duration::from_secs(86_400);
/// How long after its last signature a key stays published: longer than any token that it signed.
const AFTER: Duration = Duration::from_secs(86_400);

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// By which tokens name it.
    pub id: String,
    /// With what it signs.
    pub algorithm: Algorithm,
    /// From when on.
    pub signs_from: OffsetDateTime,
    /// Until when others may need it; unknown before there is a next one.
    pub published_until: Option<OffsetDateTime>,
    /// Whether this process can open it. One that nobody can open signs nothing, so another one takes its place.
    pub opens: bool,
}

impl Known {
    /// Whether others may need it.
    #[must_use]
    pub fn is_published(&self, now: OffsetDateTime) -> bool {
        self.published_until.is_none_or(|until| now < until)
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key is to be made.
    Make {
        /// With what it signs.
        algorithm: Algorithm,
        /// From when on.
        signs_from: OffsetDateTime,
    },
    /// Another one follows on this one.
    Retire {
        /// Which.
        id: String,
        /// Until when it is published.
        published_until: OffsetDateTime,
    },
    /// Nobody may believe it any more.
    Forget {
        /// Which.
        id: String,
    },
}

/// The key that signs now.
#[must_use]
pub fn signs<'a>(
    known: impl IntoIterator<Item = &'a Known>,
    algorithm: Algorithm,
    now: OffsetDateTime,
) -> Option<&'a Known> {
    let begun = known.into_iter().filter(|key| {
        key.algorithm == algorithm && key.signs_from <= now && key.is_published(now) && key.opens
    });
    // Of two that began at once, all processes choose the same.
    begun.max_by(|one, other| (one.signs_from, &one.id).cmp(&(other.signs_from, &other.id)))
}

/// What is to be done by now: the first key, or the next one in time.
#[must_use]
pub fn due(known: &[Known], algorithm: Algorithm, now: OffsetDateTime) -> Vec<Step> {
    let Some(current) = signs(known, algorithm, now) else {
        // Nobody has another one to wait for.
        return vec![Step::Make { algorithm, signs_from: now }];
    };
    let ends = current.signs_from + SIGNS;
    if now + AHEAD < ends || next(known, algorithm, now).is_some() {
        return Vec::new();
    }
    follow(current, ends.max(now + AHEAD))
}

/// What is to be done for another key to sign as soon as it was published long enough. Nothing where one is already.
#[must_use]
pub fn advance(known: &[Known], algorithm: Algorithm, now: OffsetDateTime) -> Vec<Step> {
    match signs(known, algorithm, now) {
        Some(_) if next(known, algorithm, now).is_some() => Vec::new(),
        Some(current) => follow(current, now + AHEAD),
        None => due(known, algorithm, now),
    }
}

/// What is to be done for another key to sign at once, and for nobody to believe the others any more.
#[must_use]
pub fn replace(known: &[Known], algorithm: Algorithm, now: OffsetDateTime) -> Vec<Step> {
    let forgotten = of(known, algorithm).map(|key| Step::Forget { id: key.id.clone() });
    std::iter::once(Step::Make { algorithm, signs_from: now }).chain(forgotten).collect()
}

fn follow(current: &Known, signs_from: OffsetDateTime) -> Vec<Step> {
    vec![
        Step::Make { algorithm: current.algorithm, signs_from },
        Step::Retire { id: current.id.clone(), published_until: signs_from + AFTER },
    ]
}

fn next(known: &[Known], algorithm: Algorithm, now: OffsetDateTime) -> Option<&Known> {
    of(known, algorithm).find(|key| key.signs_from > now && key.opens)
}

fn of(known: &[Known], algorithm: Algorithm) -> impl Iterator<Item = &Known> {
    known.iter().filter(move |key| key.algorithm == algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const ES: Algorithm = Algorithm::ES256;

    fn at(days: u32) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + DAY * 1_000 + DAY * days
    }

    fn key(id: &str, signs_from: OffsetDateTime, published_until: Option<OffsetDateTime>) -> Known {
        Known { id: id.to_owned(), algorithm: ES, signs_from, published_until, opens: true }
    }

    /// Does the steps, as a process would.
    fn step(known: &mut Vec<Known>, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Make { signs_from, .. } => known.push(key(&known.len().to_string(), signs_from, None)),
                Step::Retire { id, published_until } => {
                    let key = known.iter_mut().find(|key| key.id == id).unwrap();
                    key.published_until = Some(published_until);
                }
                Step::Forget { id } => known.retain(|key| key.id != id),
            }
        }
    }

    /// For a year, whenever somebody looks: one signs, it was published a day before, and what has signed is published for
    /// a day more.
    #[test]
    fn keys_follow_each_other_without_a_gap() {
        let mut known = Vec::new();
        let mut published_since = std::collections::BTreeMap::new();
        let mut signed: Vec<(String, OffsetDateTime)> = Vec::new();
        let mut now = at(0);
        while now < at(365) {
            let steps = due(&known, ES, now);
            step(&mut known, steps);
            assert_eq!(due(&known, ES, now), Vec::new(), "nothing is due twice");
            for key in known.iter().filter(|key| key.is_published(now)) {
                published_since.entry(key.id.clone()).or_insert(now);
            }
            let signs = signs(&known, ES, now).expect("one signs");
            assert!(signs.id == "0" || now - published_since[&signs.id] >= AHEAD, "{signs:?}");
            signed.push((signs.id.clone(), now));
            for (id, at) in signed.iter().filter(|(_, at)| now - *at < DAY) {
                let key = known.iter().find(|key| key.id == *id).unwrap();
                assert!(key.is_published(now), "{id} signed at {at} and is not published at {now}");
            }
            now += Duration::from_secs(3 * 3600);
        }
        assert_eq!(known.len(), 13);
        assert_eq!(known.iter().filter(|key| key.is_published(now)).count(), 1, "the old ones are gone");
    }

    #[test]
    fn whoever_slept_for_long_does_not_sign_with_what_nobody_knows() {
        let mut known = vec![key("0", at(0), None)];
        let now = at(90);
        let steps = due(&known, ES, now);
        step(&mut known, steps);
        assert_eq!(signs(&known, ES, now).unwrap().id, "0");
        assert_eq!(signs(&known, ES, now + AHEAD).unwrap().id, "1");
    }

    #[test]
    fn the_operator_is_earlier_than_time() {
        let mut known = vec![key("0", at(0), None)];
        let steps = advance(&known, ES, at(3));
        step(&mut known, steps);
        assert_eq!(advance(&known, ES, at(3)), Vec::new(), "one is coming already");
        assert_eq!(signs(&known, ES, at(3)).unwrap().id, "0");
        assert_eq!(signs(&known, ES, at(4)).unwrap().id, "1");
        assert!(known[0].is_published(at(4)) && !known[0].is_published(at(5)));
    }

    #[test]
    fn after_a_compromise_nothing_old_is_believed() {
        let mut known = vec![key("a", at(0), Some(at(31))), key("b", at(30), None)];
        let steps = replace(&known, ES, at(30));
        step(&mut known, steps);
        assert_eq!(known.len(), 1);
        assert_eq!(signs(&known, ES, at(30)), Some(&known[0]));
    }

    #[test]
    fn a_key_that_cannot_be_opened_is_replaced_at_once_and_forgotten_by_the_operator() {
        let mut known = vec![Known { opens: false, ..key("a", at(0), None) }];
        assert_eq!(signs(&known, ES, at(3)), None);
        assert_eq!(due(&known, ES, at(3)), [Step::Make { algorithm: ES, signs_from: at(3) }]);
        // Nor is one waited for that could not sign when its time comes.
        known = vec![key("b", at(0), None), Known { opens: false, ..key("c", at(30), None) }];
        assert_eq!(due(&known, ES, at(29)).len(), 2);
        let steps = replace(&known, ES, at(3));
        step(&mut known, steps);
        assert_eq!(known.len(), 1);
    }

    #[test]
    fn each_algorithm_has_keys_of_its_own() {
        let known = vec![key("0", at(0), None)];
        let first = Step::Make { algorithm: Algorithm::RS256, signs_from: at(1) };
        assert_eq!(due(&known, Algorithm::RS256, at(1)), vec![first]);
        assert_eq!(due(&known, ES, at(1)), Vec::new());
    }
}
