//! A login provider, as the issuer is registered with it.

use std::path::PathBuf;

use foundation::environment::Secret;
use serde::Deserialize;
use time::{Date, Month};
use url::Url;

use super::Problems;

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

/// How the issuer proves to a login provider who it is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// By a secret that the provider made.
    Secret(Secret),
    /// By assertions, signed with a certificate's key (Microsoft).
    Certificate {
        /// PEM.
        certificate: String,
        /// PEM.
        key: Secret,
    },
    /// By a secret that the issuer signs itself (Apple).
    SigningKey {
        /// PEM, as the `.p8` file has it.
        key: Secret,
        /// The key's id.
        key_id: String,
        /// The team's id.
        team_id: String,
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
        if self.at.as_ref().is_some_and(|at| at.scheme() != "https") {
            problems.say(&place, "`at` is not an https URL");
        }
        if self.kind == KindName::Oidc && self.at.is_none() {
            problems.say(&place, "it does not say `at` which issuer it is");
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
        let of =
            |problems: &mut Problems, path: &std::path::Path| problems.file(place, path).map(Secret::new);
        match (&self.secret_file, &self.certificate_file, &self.key_file, &self.key_id, &self.team_id) {
            (Some(secret), None, None, None, None) if self.kind != KindName::Apple => {
                of(problems, secret).map(Credential::Secret)
            }
            (None, Some(certificate), Some(key), None, None) if self.kind == KindName::Microsoft => {
                let certificate = problems.file(place, certificate);
                let key = of(problems, key);
                Some(Credential::Certificate { certificate: certificate?, key: key? })
            }
            (None, None, Some(key), Some(key_id), Some(team_id)) if self.kind == KindName::Apple => {
                let (key_id, team_id) = (key_id.clone(), team_id.clone());
                Some(Credential::SigningKey { key: of(problems, key)?, key_id, team_id })
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
