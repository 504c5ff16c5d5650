//! Mail: sent to the one server that the configuration names, over TLS, by jobs and never within a request.

mod address;
mod settings;

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{self, AsyncSmtpTransportBuilder};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::webhook::resolve::Resolve;

pub use address::Email;
pub use lettre::transport::smtp::Error as SmtpError;
pub use settings::Settings;

/// From the server's name to its last word.
const LIMIT: Duration = Duration::from_secs(30);
/// Of a server's addresses so many are tried.
const MOST_ADDRESSES: usize = 4;
/// Permanent refusals that are about us and our password, and end when the configuration is right (RFC 4954).
const OF_THE_LOGIN: [u16; 3] = [530, 534, 535];

/// Permanent refusals that are about the recipient's mailbox, where no enhanced code says more (RFC 5321, RFC 7504).
const OF_THE_MAILBOX: [u16; 4] = [550, 551, 553, 556];
/// Of the enhanced codes about addresses (5.1), those about the sender's.
const OF_THE_SENDER: [u16; 2] = [7, 8];

/// A letter to one person.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Names it: the same letter, sent again, is known by it.
    pub id: Uuid,
    /// When it was written.
    pub at: OffsetDateTime,
    /// To whom.
    pub to: Email,
    /// What it is about, in one line.
    pub subject: String,
    /// What it says, as plain text.
    pub text: String,
    /// What it says, as HTML.
    pub html: String,
}

/// Why a letter was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The letter cannot be written as a message.
    #[error("writing the message: {0}")]
    Message(#[from] lettre::error::Error),
    /// The server's name has no address.
    #[error("finding the mail server {name}: {source}")]
    NoAddress {
        /// The name.
        name: String,
        /// What the name servers said.
        source: io::Error,
    },
    /// The server refused.
    #[error("the mail server {name} refused: {source}")]
    Refused {
        /// The server's name.
        name: String,
        /// What it said.
        source: smtp::Error,
    },
    /// At none of its addresses the server could be spoken to.
    #[error("speaking to the mail server {name}: {}", .tries.join("; "))]
    Broken {
        /// The server's name.
        name: String,
        /// What went wrong, at each address.
        tries: Vec<String>,
    },
    /// It took too long.
    #[error("the mail server {name} did not take the message within {} s", LIMIT.as_secs())]
    Late {
        /// The server's name.
        name: String,
    },
}

impl MailError {
    /// Whether the letter is refused because of whom it is to: whoever wrote that address can do something about it, and
    /// nobody else.
    pub fn is_of_the_address(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        let text = source.source().map(ToString::to_string).unwrap_or_default();
        let code = source.status().map(u16::from);
        source.is_permanent() && code.is_some_and(|code| refuses_the_address(code, &text))
    }

    /// Whether the server will refuse this letter however often it is sent.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Message(_) => true,
            Self::Refused { source, .. } => {
                let code = source.status().map(u16::from);
                source.is_permanent() && !code.is_some_and(|code| OF_THE_LOGIN.contains(&code))
            }
            _ => false,
        }
    }
}

/// Sends mail.
#[derive(Clone)]
pub struct Mailer {
    settings: Settings,
    tls: Tls,
    resolver: Arc<dyn Resolve>,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mailer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Mailer {
    /// Trusts the public authorities and those of the settings.
    ///
    /// # Errors
    /// One of those is no authority.
    pub fn new(settings: Settings, resolver: Arc<dyn Resolve>) -> Result<Self, smtp::Error> {
        let mut parameters = TlsParameters::builder(settings.host.clone());
        for authority in &settings.authorities {
            parameters = parameters.add_root_certificate(Certificate::from_der(authority.to_vec())?);
        }
        let parameters = parameters.build()?;
        let tls = if settings.wrapped { Tls::Wrapper(parameters) } else { Tls::Required(parameters) };
        Ok(Self { settings, tls, resolver })
    }

    /// Sends a letter; the server has taken it when this returns.
    ///
    /// # Errors
    /// Every variant of [`MailError`].
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        let late = |_| MailError::Late { name: self.settings.host.clone() };
        tokio::time::timeout(LIMIT, self.hand_over(message)).await.map_err(late)?
    }

    /// The message. Its headers are encoded, so that no text can end one and begin another.
    fn message(&self, mail: &Mail) -> Result<Message, lettre::error::Error> {
        let from = &self.settings.from;
        let mut message = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, mail.to.address().clone()))
            .subject(one_line(&mail.subject))
            .date(mail.at.into())
            .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))?;
        // Who is away does not answer a program (RFC 3834).
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
        Ok(message)
    }

    async fn hand_over(&self, message: Message) -> Result<(), MailError> {
        let name = || self.settings.host.clone();
        let mut tries = Vec::new();
        for address in self.addresses().await?.into_iter().take(MOST_ADDRESSES) {
            match self.transport(address).send(message.clone()).await {
                Ok(_) => return Ok(()),
                // Whoever answers at one address speaks for the others.
                Err(source) if source.status().is_some() => {
                    return Err(MailError::Refused { name: name(), source });
                }
                Err(error) => tries.push(format!("at {address}: {error}")),
            }
        }
        Err(MailError::Broken { name: name(), tries })
    }

    async fn addresses(&self) -> Result<Vec<IpAddr>, MailError> {
        let host = &self.settings.host;
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let found = self.resolver.resolve(host).await;
        let found = found.and_then(|found| match found.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            false => Ok(found),
        });
        found.map_err(|source| MailError::NoAddress { name: host.clone(), source })
    }

    /// Connects to the address, and expects the certificate of the name.
    fn transport(&self, address: IpAddr) -> AsyncSmtpTransport<Tokio1Executor> {
        let builder: AsyncSmtpTransportBuilder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.to_string());
        let builder = builder
            .port(self.settings.port)
            .tls(self.tls.clone())
            .hello_name(ClientId::Domain(self.settings.from.email.domain().to_owned()));
        let login = self.settings.login.as_ref();
        let builder = match login {
            Some((user, password)) => {
                builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()))
            }
            None => builder,
        };
        builder.build()
    }
}

/// Whether a permanent refusal is about the recipient. The enhanced code says so where there is one (RFC 3463): the address,
/// the mailbox, or the way there, and not the sender, what is said or whom the server trusts.
fn refuses_the_address(code: u16, text: &str) -> bool {
    let mut enhanced = text.split_whitespace().next().unwrap_or_default().splitn(3, '.');
    let mut number = || enhanced.next().and_then(|part| part.parse::<u16>().ok());
    match (number(), number(), number()) {
        (Some(5), Some(subject), Some(detail)) => match subject {
            1 => !OF_THE_SENDER.contains(&detail),
            2 | 4 => true,
            _ => false,
        },
        _ => OF_THE_MAILBOX.contains(&code),
    }
}

/// Without control characters: names come from people.
fn one_line(text: &str) -> String {
    text.chars().map(|each| if each.is_control() { ' ' } else { each }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_takes_no_mail_is_told_from_what_the_operator_can_mend() {
        for (code, text) in [
            (550, "5.1.1 <eve@example.test>: no such mailbox"),
            (550, "5.1.10 null MX"),
            (550, "5.4.1 Recipient address rejected"),
            (552, "5.2.2 mailbox full"),
            (550, "No such user here"),
            (553, "mailbox name not allowed"),
            (556, ""),
        ] {
            assert!(refuses_the_address(code, text), "{code} {text}");
        }
        for (code, text) in [
            (550, "5.7.1 relaying denied"),
            (550, "5.1.8 bad sender"),
            (553, "5.1.7 bad sender's syntax"),
            (554, "5.7.1 listed"),
            (554, "transaction failed"),
            (552, "5.3.4 too large"),
            (500, "what?"),
        ] {
            assert!(!refuses_the_address(code, text), "{code} {text}");
        }
    }
}
