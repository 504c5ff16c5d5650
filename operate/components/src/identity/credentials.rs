//! What the issuer's process is handed by systemd: files of root's that nobody else on the host can read.

use super::{DIRECTORY, NAME, OWNING_ROLE, SEALING_KEY, SERVING_ROLE, USER, client_secret, settings};
use crate::postgres::password_of;
use crate::{ComponentError, Context, Secret, secrets};
use bastide_converge::resource::{Command, File, Resource};
use bastide_platform::{Credential, Host};
use std::path::Path;

/// Password of the role that serves.
pub(super) const DATABASE: &str = "database.password";
/// Password of the role that migrates.
pub(super) const OWNER: &str = "owner.password";
/// The platform's authority.
pub(super) const AUTHORITY: &str = "authority.pem";
/// Authorities of services outside.
pub(super) const EXTRA_AUTHORITY: &str = "extra-authority.pem";
/// Guards forms.
pub(super) const SECRET_KEY: &str = "secret-key";
/// Seals what is kept. The process reads this file itself, and again when it changes: systemd would hand it over at the start
/// alone.
pub(super) const SEALING_KEYS: &str = "sealing-keys";
/// Password of the user who logs in to the mail server.
pub(super) const MAIL: &str = "mail.password";

/// Where a process of `unit` finds what it is handed under this name.
pub(super) fn handed(unit: &str, name: &str) -> String {
    format!("/run/credentials/{unit}/{name}")
}

/// Everything that the process which serves is handed, beside its certificate.
pub(super) struct Credentials {
    files: Vec<(String, Secret)>,
}

impl Credentials {
    /// Collects it from the operator's secrets and from the files that the platform file names.
    pub(super) fn of(context: &Context<'_>, host: &Host) -> Result<Self, ComponentError> {
        let platform = context.platform;
        let own = |name: &str, of: &str| (name.to_owned(), line(&context.secrets.password(of)));
        let mut files = vec![
            (AUTHORITY.to_owned(), Secret::new(context.authority.trust_bundle())),
            own(DATABASE, &password_of(SERVING_ROLE)),
            own(SECRET_KEY, super::SECRET_KEY),
        ];
        let written = |path: &Path| {
            let secret = secrets::written_by_operator(&platform.resolve(path));
            secret.map(|secret| line(&secret)).map_err(|error| ComponentError::new(NAME, host, error))
        };
        let document = |path: &Path| {
            let text = secrets::document_of_operator(&platform.resolve(path));
            text.map_err(|error| ComponentError::new(NAME, host, error))
        };
        for client in settings::clients(platform) {
            files.push(match &client.keys_file {
                Some(keys) => (settings::keys_of(&client.id), public(platform, host, keys)?),
                None => own(&settings::secret_of(&client.id), &client_secret(&client.id)),
            });
        }
        for login in &platform.settings.identity.providers {
            let name = |kind| settings::credential_of(login.provider.as_str(), kind);
            match &login.credential {
                Credential::Secret { file, .. } => files.push((name("secret"), written(file)?)),
                Credential::Certificate { certificate, key } => {
                    let certificate = super::certificate_file(context, host, certificate)?;
                    files.push((name("pem"), Secret::new(certificate)));
                    files.push((name("key"), document(key)?));
                }
                Credential::SigningKey { file, .. } => files.push((name("key"), document(file)?)),
                Credential::Lab => {
                    let what = format!("the lab has made no credential for {}", login.provider.as_str());
                    return Err(ComponentError::new(NAME, host, what));
                }
            }
        }
        for provider in &platform.settings.identity.oidc {
            let name = settings::credential_of(&provider.name, "secret");
            files.push((name, written(&provider.client_secret_file)?));
        }
        let app = &platform.settings.app;
        if let Some(file) = &app.extra_authority {
            let authority = super::certificate_file(context, host, file)?;
            files.push((EXTRA_AUTHORITY.to_owned(), Secret::new(authority)));
        }
        if let Some(password) = app.mail.as_ref().and_then(|mail| mail.password_file.as_deref()) {
            files.push((MAIL.to_owned(), written(password)?));
        }
        Ok(Self { files })
    }

    /// The files, as the host keeps them.
    pub(super) fn files(&self, component: &str) -> Vec<Resource> {
        self.files.iter().map(|(name, content)| file(component, name, content)).collect()
    }

    /// Names of what is handed over, its certificate included.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        ["tls.pem", "tls.key"].into_iter().chain(self.files.iter().map(|(name, _)| name.as_str()))
    }

    /// Removes what the platform file names no more.
    pub(super) fn nothing_else(&self) -> Command {
        let mut find = format!("find {DIRECTORY} -type f");
        for name in self.names().chain([OWNER, SEALING_KEYS]) {
            find += &format!(" ! -name {name}");
        }
        let command = |script: String| ["sh", "-c", &script].map(str::to_owned).to_vec();
        Command {
            name: "no credential that the issuer needs no more".to_owned(),
            unless: command(format!("test -z \"$({find})\"")),
            run: command(format!("{find} -delete")),
        }
    }
}

/// The keys that seal, which the process may read and not change.
pub(super) fn sealing_keys(context: &Context<'_>) -> Resource {
    let keys = context.secrets.sealing_keys(SEALING_KEY);
    let file = File::new(&sealing_keys_file(), keys.reveal()).owned_by("root", USER, 0o440);
    Resource::new(NAME, file.sensitive())
}

/// Where they are.
pub(super) fn sealing_keys_file() -> String {
    format!("{DIRECTORY}/{SEALING_KEYS}")
}

/// What the process that migrates is handed, beside the platform's authority.
pub(super) fn of_migration(context: &Context<'_>, component: &str) -> Vec<Resource> {
    vec![file(component, OWNER, &line(&context.secrets.password(&password_of(OWNING_ROLE))))]
}

fn file(component: &str, name: &str, content: &Secret) -> Resource {
    let file = File::new(&format!("{DIRECTORY}/{name}"), content.reveal()).owned_by("root", "root", 0o400);
    Resource::new(component, file.sensitive())
}

fn line(secret: &Secret) -> Secret {
    Secret::new(format!("{}\n", secret.reveal()))
}

/// A file that is no secret.
fn public(platform: &bastide_platform::Platform, host: &Host, path: &Path) -> Result<Secret, ComponentError> {
    let path = platform.resolve(path);
    std::fs::read_to_string(&path).map(Secret::new).map_err(|error| {
        ComponentError::new(NAME, host, format!("read the keys {}: {error}", path.display()))
    })
}
