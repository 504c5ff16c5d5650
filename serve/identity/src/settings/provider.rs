//! A login provider, as the issuer is registered with it.

use std::path::PathBuf;
use std::sync::Arc;

use foundation::environment::Secret;
use serde::Deserialize;
use time::{Date, Month};
use url::Url;

use super::Problems;
use super::credential::{Certified, Credential, SigningKey};
use crate::accounts::recovery;

/// Names that mean something else: sessions that began with an operator's link, and ends of paths and of ids in pages.
const RESERVED: [&str; 3] = [recovery::PROVIDER, "continue", "new"];

/// A login provider.
#[derive(Debug, Clone)]
pub struct Provider {
    /// By which identities name it, and paths.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// What it speaks.
    pub kind: Kind,
    /// What it calls the issuer.
    pub client_id: String,
    /// How the issuer proves who it is.
    pub credential: Credential,
    /// When the credential stops working, where the provider sets a day.
    pub expires: Option<Date>,
    /// Scopes that are asked for.
    pub scopes: Vec<String>,
    /// Where it is, if not where everybody's is.
    pub at: Option<Url>,
}

/// What a login provider speaks, and what its word is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Google.
    Google {
        /// The Workspace domain whose people alone may sign in.
        hosted_domain: Option<String>,
    },
    /// GitHub.
    Github,
    /// Microsoft Entra ID.
    Microsoft {
        /// `common`, `organizations`, `consumers`, or a tenant's id.
        tenant: String,
    },
    /// Apple.
    Apple,
    /// Any other OpenID Connect provider, at its `at`.
    OpenIdConnect {
        /// Whether its `email_verified` counts.
        vouches: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    Google,
    Github,
    Microsoft,
    Apple,
    Oidc,
}

/// A provider as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    name: Option<String>,
    kind: KindName,
    label: Option<String>,
    client_id: String,
    secret_file: Option<PathBuf>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    key_id: Option<String>,
    team_id: Option<String>,
    expires: Option<toml::value::Date>,
    scopes: Option<Vec<String>>,
    hosted_domain: Option<String>,
    tenant: Option<String>,
    #[serde(default)]
    vouches: bool,
    at: Option<Url>,
}

impl KindName {
    fn defaults(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Google => ("google", "Google", &["openid", "email", "profile"]),
            Self::Github => ("github", "GitHub", &["read:user", "user:email"]),
            Self::Microsoft => ("microsoft", "Microsoft", &["openid", "email", "profile", "offline_access"]),
            Self::Apple => ("apple", "Apple", &["name", "email"]),
            Self::Oidc => ("", "", &["openid", "email", "profile"]),
        }
    }
}

impl Written {
    pub(super) fn check(self, problems: &mut Problems) -> Option<Provider> {
        let (name, label, scopes) = self.kind.defaults();
        let name = self.name.clone().unwrap_or_else(|| name.to_owned());
        let place = format!("provider {name:?}");
        let before = problems.0.len();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            problems.say(&place, "its name is not of 1 to 64 lower-case letters, digits and hyphens");
        }
        if RESERVED.contains(&name.as_str()) {
            problems.say(&place, "its name means something else here; give it another one");
        }
        if self.at.as_ref().is_some_and(|at| at.scheme() != "https") {
            problems.say(&place, "`at` is not an https URL");
        }
        if self.kind == KindName::Oidc && self.at.is_none() {
            problems.say(&place, "it does not say `at` which issuer it is");
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if self.tenant.as_ref().is_some_and(|tenant| tenant.is_empty() || !tenant.bytes().all(word)) {
            problems.say(&place, "its tenant is neither common, organizations, consumers nor a tenant's id");
        }
        let credential = self.credential(&place, problems);
        let expires = self.expires.and_then(|date| {
            Date::from_calendar_date(date.year.into(), Month::try_from(date.month).ok()?, date.day).ok()
        });
        (problems.0.len() == before).then_some(())?;
        let label =
            self.label.unwrap_or_else(|| if label.is_empty() { name.clone() } else { label.to_owned() });
        Some(Provider {
            label,
            kind: match self.kind {
                KindName::Google => Kind::Google { hosted_domain: self.hosted_domain },
                KindName::Github => Kind::Github,
                KindName::Microsoft => {
                    Kind::Microsoft { tenant: self.tenant.unwrap_or_else(|| "common".to_owned()) }
                }
                KindName::Apple => Kind::Apple,
                KindName::Oidc => Kind::OpenIdConnect { vouches: self.vouches },
            },
            name,
            client_id: self.client_id,
            credential: credential?,
            expires,
            scopes: self.scopes.unwrap_or_else(|| scopes.iter().map(ToString::to_string).collect()),
            at: self.at,
        })
    }

    fn credential(&self, place: &str, problems: &mut Problems) -> Option<Credential> {
        match (&self.secret_file, &self.certificate_file, &self.key_file, &self.key_id, &self.team_id) {
            (Some(secret), None, None, None, None) if self.kind != KindName::Apple => {
                problems.file(place, secret).map(|secret| Credential::Secret(Secret::new(secret)))
            }
            (None, Some(certificate), Some(key), None, None) if self.kind == KindName::Microsoft => {
                let (certificate, key) = (problems.file(place, certificate), problems.file(place, key));
                let certified = Certified::parse(&certificate?, &key?);
                let certified = certified.map_err(|problem| problems.say(place, problem)).ok()?;
                Some(Credential::Certificate(Arc::new(certified)))
            }
            (None, None, Some(key), Some(key_id), Some(team_id)) if self.kind == KindName::Apple => {
                let key = SigningKey::parse(&problems.file(place, key)?, key_id.clone(), team_id.clone());
                let key = key.map_err(|problem| problems.say(place, problem)).ok()?;
                Some(Credential::SigningKey(Arc::new(key)))
            }
            _ => {
                problems.say(
                    place,
                    match self.kind {
                        KindName::Apple => "name its key_file, key_id and team_id, and no other credential",
                        KindName::Microsoft => {
                            "name either its secret_file, or its certificate_file and key_file"
                        }
                        _ => "name its secret_file, and no other credential",
                    },
                );
                None
            }
        }
    }
}
