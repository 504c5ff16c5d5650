//! Letters: what each says is in `texts/`, how it looks in `templates/mail/`.

use askama::Template;
use foundation::mail::{Email, Mail};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::pages::texts::{self, Texts};
use crate::pages::words::moment;

/// What a letter is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// Another identity has joined the account.
    IdentityJoined,
    /// An identity has left the account.
    IdentityLeft,
    /// The account has another address.
    AddressChanged,
    /// The account is gone.
    AccountDeleted,
    /// An operator has made a way in.
    RecoveryMade,
    /// Somebody has come in by it.
    RecoveryUsed,
}

impl Letter {
    const ALL: [Self; 6] = [
        Self::IdentityJoined,
        Self::IdentityLeft,
        Self::AddressChanged,
        Self::AccountDeleted,
        Self::RecoveryMade,
        Self::RecoveryUsed,
    ];

    /// Its name, as errands carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IdentityJoined => "identity_joined",
            Self::IdentityLeft => "identity_left",
            Self::AddressChanged => "address_changed",
            Self::AccountDeleted => "account_deleted",
            Self::RecoveryMade => "recovery_made",
            Self::RecoveryUsed => "recovery_used",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|letter| letter.name() == name)
    }

    fn words(self, texts: &Texts) -> &texts::Letter {
        let letters = &texts.letters;
        match self {
            Self::IdentityJoined => &letters.identity_joined,
            Self::IdentityLeft => &letters.identity_left,
            Self::AddressChanged => &letters.address_changed,
            Self::AccountDeleted => &letters.account_deleted,
            Self::RecoveryMade => &letters.recovery_made,
            Self::RecoveryUsed => &letters.recovery_used,
        }
    }
}

/// Why a letter cannot be written, however often it is tried.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    /// Nobody can be told there.
    #[error("its address is none")]
    Address,
    /// An older or newer program has left it.
    #[error("there is no letter {0:?}")]
    Letter(String),
    /// The template fails.
    #[error("writing it: {0}")]
    Template(#[from] askama::Error),
}

/// What a letter says beside its words.
pub(super) struct Occasion<'a> {
    /// The errand: the same letter, sent again, is known by it.
    pub id: Uuid,
    /// When what it is about happened.
    pub at: OffsetDateTime,
    /// The site.
    pub site: &'a str,
    /// What was filled in when it was left.
    pub values: &'a Map<String, Value>,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Plain<'a> {
    content: &'a Content,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    content: &'a Content,
}

struct Content {
    language: &'static str,
    subject: String,
    paragraphs: Vec<String>,
    account: String,
    look: String,
}

/// The letter of this name to this address.
pub(super) fn write(to: &str, name: &str, occasion: &Occasion<'_>) -> Result<Mail, Unwritable> {
    let to = Email::parse(to).ok_or(Unwritable::Address)?;
    let letter = Letter::named(name).ok_or_else(|| Unwritable::Letter(name.to_owned()))?;
    let text = |name: &str| occasion.values.get(name).and_then(Value::as_str).unwrap_or_default();
    let texts = texts::of(text("language"));
    let words = letter.words(texts);
    let at = moment(occasion.at);
    let fill = |phrase: &texts::Phrase| {
        let phrase = phrase.with("site", occasion.site).with("at", &at).with("provider", text("provider"));
        phrase.to_string()
    };
    let content = Content {
        language: texts.language.code(),
        subject: fill(&words.subject),
        paragraphs: words.paragraphs.iter().map(fill).collect(),
        account: format!("https://{}/account", occasion.site),
        look: texts.letters.look.to_string(),
    };
    let (text, html) = (Plain { content: &content }.render()?, Html { content: &content }.render()?);
    Ok(Mail { id: occasion.id, at: occasion.at, to, subject: content.subject, text, html })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(letter: Letter, provider: &str) -> Mail {
        let values = json!({"provider": provider, "language": "en"});
        let occasion = Occasion {
            id: Uuid::nil(),
            at: OffsetDateTime::UNIX_EPOCH,
            site: "id.example.test",
            values: values.as_object().unwrap(),
        };
        write("ada@example.test", letter.name(), &occasion).unwrap()
    }

    #[test]
    fn every_letter_says_what_happened_when_and_where() {
        for letter in Letter::ALL {
            let mail = written(letter, "Google");
            for part in [&mail.subject, &mail.text, &mail.html] {
                assert!(!part.contains('{') && !part.contains('}'), "{letter:?}: {part}");
            }
            for part in [&mail.text, &mail.html] {
                assert!(part.contains("1 January 1970, 00:00 UTC"), "{letter:?}: {part}");
                assert!(part.contains("id.example.test"), "{letter:?}: {part}");
            }
            assert!(mail.subject.contains("id.example.test"), "{}", mail.subject);
        }
    }

    #[test]
    fn texts_stay_texts() {
        let mail = written(Letter::IdentityJoined, "A <b> & {at}");
        assert!(mail.text.contains("A <b> & {at}"), "{}", mail.text);
        assert!(mail.html.contains("A &#60;b&#62; &#38; {at}"), "{}", mail.html);
    }

    #[test]
    fn what_cannot_be_sent_is_known() {
        let values = Map::new();
        let occasion =
            Occasion { id: Uuid::nil(), at: OffsetDateTime::UNIX_EPOCH, site: "x.test", values: &values };
        assert!(matches!(write("nobody", "identity_left", &occasion), Err(Unwritable::Address)));
        assert!(matches!(write("a@x.test", "surprise", &occasion), Err(Unwritable::Letter(_))));
    }
}
