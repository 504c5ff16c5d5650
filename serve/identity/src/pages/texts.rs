//! What pages and letters say: one file a language, in which nothing may be missing and nothing left over.

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use super::language;

/// Each with the code by which people ask for it. The first is read by those who ask for none of them.
const FILES: [(&str, &str); 1] = [("en", include_str!("../../texts/en.toml"))];

static TEXTS: LazyLock<Vec<Texts>> = LazyLock::new(|| {
    let read = |(code, text): &(&str, &str)| {
        toml::from_str(text).unwrap_or_else(|error| panic!("texts/{code}.toml: {error}"))
    };
    FILES.iter().map(read).collect()
});

/// The texts in the language of the request that is worked for.
#[must_use]
pub fn current() -> &'static Texts {
    of(language::current())
}

/// The texts of this language, or the first ones.
#[must_use]
pub fn of(code: &str) -> &'static Texts {
    TEXTS.iter().find(|texts| texts.language.code() == code).unwrap_or_else(|| first())
}

/// The texts of those who ask for nothing that there is.
#[must_use]
pub fn first() -> &'static Texts {
    &TEXTS[0]
}

/// The languages that there are.
pub fn codes() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(code, _)| *code)
}

/// Something that is said; `{name}` in it stands for what is filled in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Phrase(String);

impl Phrase {
    /// With a name filled in.
    #[must_use]
    pub fn with(&self, name: &str, value: impl fmt::Display) -> Self {
        Self(self.0.replace(&format!("{{{name}}}"), &value.to_string()))
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The language of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Language(String);

impl Language {
    /// By which it is asked for, and by which programs that read pages aloud know it.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0
    }
}

macro_rules! texts {
    ($($(#[$about:meta])* $name:ident { $($key:ident: $kind:ty,)* })*) => {
        $($(#[$about])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs, reason = "a key says what it is, and the file what it says")]
        pub struct $name { $(pub $key: $kind,)* })*
    };
}

texts! {
    /// A file.
    Texts {
        language: Language,
        common: Common,
        sign_in: SignIn,
        failures: Failures,
        linking: Linking,
        account: Account,
        add: Add,
        delete: Delete,
        recover: Recover,
        logout: Logout,
        signed_out: SignedOut,
        problem: Problem,
        notices: Notices,
        letters: Letters,
    }

    /// What several pages say.
    Common {
        skip: Phrase,
        request: Phrase,
        unknown_device: Phrase,
        device: Phrase,
    }

    /// The page with the login providers' buttons.
    SignIn {
        to: Phrase,
        to_account: Phrase,
        again: Phrase,
        again_why: Phrase,
        with: Phrase,
        is_down: Phrase,
        fine: Phrase,
    }

    /// Why somebody is not signed in: in a few words, and what to do.
    Failures {
        go_back: Phrase,
        start: Phrase,
        expired: Failure,
        refused: Failure,
        provider_unavailable: Failure,
        not_believed: Failure,
        consent_needed: Failure,
        other_organization: Failure,
        too_many: Failure,
        unavailable: Failure,
    }

    /// One of them.
    Failure {
        title: Phrase,
        text: Phrase,
    }

    /// The question whether there is an account already.
    Linking {
        title: Phrase,
        came_with: Phrase,
        came_with_address: Phrase,
        not_yet: Phrase,
        yes: Phrase,
        yes_text: Phrase,
        with: Phrase,
        no: Phrase,
        no_text: Phrase,
        no_button: Phrase,
        unknown: Phrase,
    }

    /// The account's page.
    Account {
        title: Phrase,
        nameless: Phrase,
        vouched: Phrase,
        not_vouched: Phrase,
        sign_out: Phrase,
        identities: Phrase,
        identities_text: Phrase,
        since: Phrase,
        last_used: Phrase,
        without_address: Phrase,
        relay: Phrase,
        gone: Phrase,
        unlink: Phrase,
        unlink_named: Phrase,
        last_identity: Phrase,
        add: Phrase,
        sessions: Phrase,
        sessions_text: Phrase,
        this_one: Phrase,
        began: Phrase,
        seen: Phrase,
        by_recovery: Phrase,
        end: Phrase,
        end_named: Phrase,
        end_others: Phrase,
        grants: Phrase,
        grants_text: Phrase,
        no_grants: Phrase,
        granted: Phrase,
        while_away: Phrase,
        revoke: Phrase,
        revoke_named: Phrase,
        danger: Phrase,
        danger_text: Phrase,
        delete: Phrase,
    }

    /// The page on which another identity is added.
    Add {
        title: Phrase,
        text: Phrase,
        with: Phrase,
    }

    /// The page on which an account is deleted.
    Delete {
        title: Phrase,
        what: Phrase,
        clients: Phrase,
        kept: Phrase,
        label: Phrase,
        phrase: Phrase,
        hint: Phrase,
        wrong: Phrase,
        button: Phrase,
        back: Phrase,
        done_title: Phrase,
        done_text: Phrase,
    }

    /// The page of an operator's link.
    Recover {
        title: Phrase,
        text: Phrase,
        button: Phrase,
        ended_title: Phrase,
        ended_text: Phrase,
    }

    /// The question of somebody who is to be signed out.
    Logout {
        title: Phrase,
        asks: Phrase,
        somebody_asks: Phrase,
        text: Phrase,
        button: Phrase,
        stay: Phrase,
    }

    /// The page after signing out.
    SignedOut {
        title: Phrase,
        text: Phrase,
        again: Phrase,
    }

    /// What went wrong in other ways.
    Problem {
        title: Phrase,
        not_found: Phrase,
        not_found_text: Phrase,
        cross_site: Phrase,
        cross_site_text: Phrase,
        ended: Phrase,
        ended_text: Phrase,
        wait: Phrase,
        wait_text: Phrase,
        method: Phrase,
        method_text: Phrase,
        unavailable: Phrase,
        unavailable_text: Phrase,
        ours: Phrase,
        other: Phrase,
        again: Phrase,
        home: Phrase,
    }

    /// What was done just before.
    Notices {
        linked: Phrase,
        taken: Phrase,
        unlinked: Phrase,
        last: Phrase,
        ended: Phrase,
        revoked: Phrase,
    }

    /// What people are told by mail.
    Letters {
        look: Phrase,
        identity_joined: Letter,
        identity_left: Letter,
        address_changed: Letter,
        account_deleted: Letter,
        recovery_made: Letter,
        recovery_used: Letter,
    }

    /// One of those.
    Letter {
        subject: Phrase,
        paragraphs: Vec<Phrase>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_file_has_every_text_and_its_own_code() {
        assert_eq!(TEXTS.len(), FILES.len());
        for (texts, (code, _)) in TEXTS.iter().zip(FILES) {
            assert_eq!(texts.language.code(), code);
        }
    }

    fn source_of(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                source_of(&path, all);
            } else if !path.ends_with("texts.rs") {
                all.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    /// A text of which nobody reads anything would be translated for nobody.
    #[test]
    fn every_text_is_used() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut source = String::new();
        for folder in ["src", "templates"] {
            source_of(&root.join(folder), &mut source);
        }
        let table: toml::Table = toml::from_str(FILES[0].1).unwrap();
        let is_used = |key: &str| {
            source.match_indices(&format!(".{key}")).any(|(at, found)| {
                let next = source[at + found.len()..].chars().next().unwrap_or(' ');
                !next.is_alphanumeric() && next != '_'
            })
        };
        for (section, value) in &table {
            assert!(is_used(section), "{section}");
            for key in value.as_table().into_iter().flat_map(toml::Table::keys) {
                assert!(is_used(key), "{section}.{key}");
            }
        }
    }

    #[test]
    fn names_are_filled_in() {
        let phrase = Phrase("Sign in with {provider} at {site}".to_owned());
        assert_eq!(phrase.with("provider", "A").with("site", 1).to_string(), "Sign in with A at 1");
    }
}
