//! The letter that brings an invitation: left as a job with it, written and sent afterwards.
//!
//! The job has the secret, because only its hash is anywhere else; sealed, because jobs are read by whoever looks after
//! the queue. What else the letter says is looked up when it is written.

use std::fmt;
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foundation::audit::{Event, Origin, Outcome};
use foundation::clock::Clock;
use foundation::database::Database;
use foundation::jobs::{Failure, Handler, Job};
use foundation::outbox::NewJob;
use foundation::problem::{Problem, codes};
use foundation::seal::{KeyRing, Sealed};
use foundation::write::idempotency::Answer;
use foundation::write::transaction::Transaction;
use foundation::write::{Unit, Writes};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_postgres::Row;
use url::Url;
use uuid::Uuid;

use super::secret::Secret;
use super::state;
use crate::role::Role;
use crate::state::App;
use foundation::mail::{Email, Mail, Mailer};

/// With the waits between them, about six hours: mail servers are away for longer than others.
const ATTEMPTS: i32 = 16;
/// What the transaction is called in the server's log, where the job follows from no request.
const NAME: &str = "invitation-mail";

/// Nothing where the invitation is not open any more.
const FIND: &str = concat!(
    "SELECT i.email, i.role, i.expires_at, o.name AS organization, coalesce(nullif(p.name, ''), p.email, a.name) AS inviter \
     FROM invitations i JOIN organizations o ON o.id = i.organization_id \
     LEFT JOIN people p ON p.id = i.created_by \
     LEFT JOIN agents a ON a.organization_id = i.organization_id AND a.id = i.created_by \
     WHERE i.organization_id = $1 AND i.id = $2 AND o.deleted_at IS NULL AND ",
    state!(),
    " = 'open'"
);

const UNDELIVERABLE: &str = "\
    UPDATE invitations SET undeliverable_at = $3 \
    WHERE organization_id = $1 AND id = $2 AND undeliverable_at IS NULL RETURNING id";

/// What the job carries.
#[derive(Serialize, Deserialize)]
pub struct Letter {
    invitation: Uuid,
    sealed_by: String,
    sealed: String,
}

impl fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Letter").field("invitation", &self.invitation).finish_non_exhaustive()
    }
}

/// The job that sends an invitation, to be written with it.
///
/// # Errors
/// A problem where the secret cannot be sealed, which is the server's mistake.
pub fn job(
    unit: &Unit,
    keys: &KeyRing,
    organization: Uuid,
    invitation: Uuid,
    secret: &Secret,
) -> Result<NewJob, Problem> {
    let mistake = |error: &dyn fmt::Display| {
        tracing::error!(%error, "an invitation cannot be sent");
        Problem::new(&codes::INTERNAL)
    };
    let sealed = keys
        .seal(secret.reveal().as_bytes(), invitation.as_bytes(), unit.randomness())
        .map_err(|error| mistake(&error))?;
    let letter = Letter { invitation, sealed_by: sealed.key_id, sealed: STANDARD.encode(sealed.bytes) };
    let job = NewJob::new(SendInvitation::KIND, &letter, unit.clock(), unit.randomness())
        .map_err(|error| mistake(&error))?;
    Ok(job.organization(organization).attempts(ATTEMPTS))
}

/// Writes and sends invitations.
#[derive(Debug)]
pub struct SendInvitation {
    database: Database,
    keys: Arc<KeyRing>,
    mailer: Option<Arc<Mailer>>,
    writes: Writes,
    site: Url,
    clock: Arc<dyn Clock>,
}

impl SendInvitation {
    /// Sends what the application has left.
    pub fn new(app: &App) -> Self {
        Self {
            database: app.stores.database.clone(),
            keys: Arc::clone(&app.sealing),
            mailer: app.mail.clone(),
            writes: app.writes.clone(),
            site: app.public_url.clone(),
            clock: Arc::clone(&app.clock),
        }
    }

    fn open(&self, letter: &Letter) -> Result<Secret, Failure> {
        let bytes = STANDARD.decode(&letter.sealed)?;
        let sealed = Sealed { key_id: letter.sealed_by.clone(), bytes };
        let secret = self.keys.open(&sealed, letter.invitation.as_bytes())?;
        Ok(Secret::shown(String::from_utf8(secret)?))
    }

    /// Says so where the inviter looks. It is no dead job: the operator can do nothing about it.
    async fn note_undeliverable(
        &self,
        organization: Option<Uuid>,
        invitation: Uuid,
        name: &str,
    ) -> Result<(), Problem> {
        let origin = Origin::of_system(organization, name.to_owned());
        let mut unit = self.writes.begin_without_key(&origin).await?;
        let now = unit.now();
        let noted = unit.transaction.query(UNDELIVERABLE, &[&organization, &invitation, &now]).await?;
        if !noted.is_empty() {
            unit.audit(Event::new("invitation.mail", "invitation").of(invitation).outcome(Outcome::Failed));
        }
        unit.end(Ok(Answer::empty(StatusCode::NO_CONTENT))).await.map(drop)
    }
}

impl Handler for SendInvitation {
    const KIND: &'static str = "invitation.mail";
    type Payload = Letter;

    async fn run(&self, job: Job<Letter>) -> Result<(), Failure> {
        let Some(mailer) = &self.mailer else {
            return Err(Failure::Again(
                "no mail server is configured; set SMTP_URL and MAIL_FROM".to_owned(),
            ));
        };
        let invitation = job.payload.invitation;
        let name = job.request_id.as_deref().unwrap_or(NAME);
        let rows = Transaction::read(
            &self.database,
            job.organization_id,
            name,
            FIND,
            &[&job.organization_id, &invitation],
        )
        .await?;
        let Some(row) = rows.first() else {
            tracing::info!(%invitation, "an invitation is not sent, because it is not open any more");
            return Ok(());
        };
        let link = self.open(&job.payload)?.link(&self.site);
        let mail = Content::read(row, link.as_str())?.mail(job.id, self.clock.now())?;
        match mailer.send(&mail).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_of_the_address() => {
                tracing::warn!(%invitation, %error, "the address of an invitation takes no mail");
                let noted = self.note_undeliverable(job.organization_id, invitation, name).await;
                noted.map_err(|problem| Failure::Again(format!("noting that: {}", problem.code().title)))
            }
            Err(error) if error.is_final() => Err(Failure::Never(error.to_string())),
            Err(error) => Err(Failure::Again(error.to_string())),
        }
    }
}

/// What the letter says.
struct Content<'a> {
    to: Email,
    inviter: String,
    organization: String,
    role: Role,
    until: String,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "mail/invitation.txt")]
struct Plain<'a> {
    letter: &'a Content<'a>,
}

#[derive(Template)]
#[template(path = "mail/invitation.html")]
struct Html<'a> {
    letter: &'a Content<'a>,
}

impl<'a> Content<'a> {
    fn read(row: &Row, link: &'a str) -> Result<Self, Failure> {
        let email: &str = row.get("email");
        let to = Email::parse(email)
            .ok_or_else(|| Failure::Never("the invitation's e-mail address is none".to_owned()))?;
        let inviter: Option<String> = row.get("inviter");
        Ok(Self {
            to,
            // Who has left since.
            inviter: inviter.unwrap_or_else(|| "Somebody".to_owned()),
            organization: row.get("organization"),
            role: Role::stored(row.get("role")),
            until: day(row.get("expires_at")),
            link,
        })
    }

    fn mail(&self, id: Uuid, at: OffsetDateTime) -> Result<Mail, askama::Error> {
        Ok(Mail {
            id,
            at,
            to: self.to.clone(),
            subject: format!("Invitation to {}", self.organization),
            text: Plain { letter: self }.render()?,
            html: Html { letter: self }.render()?,
        })
    }
}

/// For people: `3 December 2026, 09:30 UTC`.
fn day(at: OffsetDateTime) -> String {
    format!("{} {} {}, {:02}:{:02} UTC", at.day(), at.month(), at.year(), at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_says_who_where_and_until_when_and_texts_stay_texts() {
        let content = Content {
            to: Email::parse("ada@example.test").unwrap(),
            inviter: "Bob <b>".to_owned(),
            organization: "A & \"B\"".to_owned(),
            role: Role::Member,
            until: day(OffsetDateTime::UNIX_EPOCH),
            link: "https://app.example.test/invitations/x",
        };
        let mail = content.mail(Uuid::nil(), OffsetDateTime::UNIX_EPOCH).unwrap();
        assert_eq!(mail.subject, "Invitation to A & \"B\"");
        for part in [
            "Bob <b> invites you",
            "A & \"B\" as member",
            "here:\n\nhttps://app.example.test/invitations/x\n\n",
            "1 January 1970, 00:00 UTC",
        ] {
            assert!(mail.text.contains(part), "{part}: {}", mail.text);
        }
        for part in [
            "Bob &#60;b&#62; invites",
            "A &#38; &#34;B&#34;",
            "href=\"https://app.example.test/invitations/x\"",
        ] {
            assert!(mail.html.contains(part), "{part}: {}", mail.html);
        }
    }
}
