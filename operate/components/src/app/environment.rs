//! What the container is told: its environment, and the files that the environment names.

use super::{DIRECTORY, ENVIRONMENT, MIGRATION_DIRECTORY, MIGRATION_ENVIRONMENT, NAME, USER};
use crate::caddy::read_pem;
use crate::postgres::{self, DATABASE, OWNING_ROLE, SERVING_ROLE};
use crate::valkey::{self, Instance};
use crate::{ComponentError, Context, Secret, identity, pgbouncer, secrets};
use bastide_converge::resource::{Absent, File, Resource};
use bastide_platform::{APP_CLIENT, Host, Mail, Platform, Role};
use std::net::Ipv4Addr;
use std::path::Path;

/// Signs the application's cursors and guards its forms.
const SECRET_KEY: &str = "app/secret-key";
/// Seals what the application keeps secret in its database.
const SEALING_KEY: &str = "app/sealing-key";

/// Secret of the client that the application is at its issuer.
const SIGN_IN: &str = "sign-in";
/// Password of the user who logs in to the mail server.
const MAIL: &str = "mail";
const EXTRA_AUTHORITY: &str = "extra-authority.pem";

/// Names of the application's own secrets, beside its passwords at servers.
pub(crate) fn secret_names() -> Vec<String> {
    [SECRET_KEY, SEALING_KEY].map(str::to_owned).into()
}

/// The files that the container which serves may read: passwords, keys, authorities.
pub(super) fn files(context: &Context<'_>, host: &Host) -> Result<Vec<Resource>, ComponentError> {
    let app = &context.platform.settings.app;
    let derived = |name: &str, of: &str| password(DIRECTORY, name, &context.secrets.password(of));
    let mut files = vec![
        authority(context, DIRECTORY),
        derived("database", &postgres::password_of(SERVING_ROLE)),
        derived("secret-key", SECRET_KEY),
        sealing_keys(context),
    ];
    for instance in Instance::BOTH {
        files.push(derived(&format!("valkey-{}", instance.name()), &instance.password_of(valkey::APP_USER)));
    }
    files.push(if context.platform.signs_in_at_own_issuer() {
        derived(SIGN_IN, &identity::client_secret(APP_CLIENT))
    } else {
        let secret = app.sign_in.as_ref().map(|sign_in| sign_in.client_secret_file.as_path());
        operators(context, host, SIGN_IN, secret)?
    });
    let mail = app.mail.as_ref().and_then(|mail| mail.password_file.as_deref());
    files.push(operators(context, host, MAIL, mail)?);
    let path = format!("{DIRECTORY}/{EXTRA_AUTHORITY}");
    files.push(match &app.extra_authority {
        Some(file) => Resource::new(NAME, File::new(&path, read_pem(NAME, context.platform, host, file)?)),
        None => Resource::new(NAME, Absent { path }),
    });
    Ok(files)
}

/// The files of the container that migrates; the other one never sees its password.
pub(super) fn migration_files(context: &Context<'_>) -> Vec<Resource> {
    let owner = context.secrets.password(&postgres::password_of(OWNING_ROLE));
    vec![authority(context, MIGRATION_DIRECTORY), password(MIGRATION_DIRECTORY, "database-direct", &owner)]
}

/// The authority's certificates, in a directory that containers mount: a mounted file would stay the old one when it is
/// replaced.
fn authority(context: &Context<'_>, directory: &str) -> Resource {
    let path = format!("{directory}/authority.pem");
    Resource::new(NAME, File::new(&path, context.authority.trust_bundle()))
}

fn password_file(directory: &str, name: &str) -> String {
    format!("{directory}/{name}.password")
}

fn password(directory: &str, name: &str, secret: &Secret) -> Resource {
    let content = format!("{}\n", secret.reveal());
    let file = File::new(&password_file(directory, name), content).owned_by(USER, USER, 0o400);
    Resource::new(NAME, file.sensitive())
}

/// A secret from a file that the operator wrote; where the platform file names none any more, the host keeps none.
fn operators(
    context: &Context<'_>,
    host: &Host,
    name: &str,
    file: Option<&Path>,
) -> Result<Resource, ComponentError> {
    let Some(file) = file else {
        return Ok(Resource::new(NAME, Absent { path: password_file(DIRECTORY, name) }));
    };
    let secret = secrets::written_by_operator(&context.platform.resolve(file))
        .map_err(|error| ComponentError::new(NAME, host, error))?;
    Ok(password(DIRECTORY, name, &secret))
}

/// Its own, and those from before a rotation.
fn sealing_keys(context: &Context<'_>) -> Resource {
    let keys = context.secrets.sealing_keys(SEALING_KEY);
    let file = File::new(&format!("{DIRECTORY}/sealing-keys"), keys.reveal()).owned_by(USER, USER, 0o400);
    Resource::new(NAME, file.sensitive())
}

/// Address of the first host that holds `role`.
fn first(platform: &Platform, role: Role, host: &Host) -> Result<Ipv4Addr, ComponentError> {
    let reason = format!("the application needs a host with the role {role}, and the platform has none");
    let found = platform.hosts_with(role).next();
    Ok(found.ok_or_else(|| ComponentError::new(NAME, host, &reason))?.address)
}

/// What both containers know: the one that migrates learns by the URL which role the other one has.
fn database_url(context: &Context<'_>, host: &Host) -> Result<String, ComponentError> {
    let db = first(context.platform, Role::Db, host)?;
    Ok(format!("postgres://{SERVING_ROLE}@{db}:{}/{DATABASE}", pgbouncer::PORT))
}

/// What the container that serves is told, beside its slot's ports.
pub(super) fn serving(context: &Context<'_>, host: &Host) -> Result<File, ComponentError> {
    let platform = context.platform;
    let cache = first(platform, Role::Cache, host)?;
    let edges: Vec<String> = platform.hosts_with(Role::Edge).map(|edge| edge.address.to_string()).collect();
    let mut lines = vec![
        format!("BIND_ADDRESS={}", host.address),
        format!("PUBLIC_URL={}", platform.url()),
        format!("TRUSTED_PROXIES={}", edges.join(",")),
        format!("RELEASE={}", context.app_image.release()),
        format!("DATABASE_URL={}", database_url(context, host)?),
        format!("DATABASE_PASSWORD_FILE={}", password_file(DIRECTORY, "database")),
        format!("PRIVATE_CA_FILE={DIRECTORY}/authority.pem"),
        format!("TLS_CERT_FILE={DIRECTORY}/tls.pem"),
        format!("TLS_KEY_FILE={DIRECTORY}/tls.key"),
        format!("SECRET_KEY_FILE={}", password_file(DIRECTORY, "secret-key")),
        format!("SEALING_KEYS_FILE={DIRECTORY}/sealing-keys"),
    ];
    for instance in Instance::BOTH {
        let (name, upper) = (instance.name(), instance.name().to_uppercase());
        let password = password_file(DIRECTORY, &format!("valkey-{name}"));
        lines.push(format!("VALKEY_{upper}_URL=rediss://{}@{cache}:{}", valkey::APP_USER, instance.port()));
        lines.push(format!("VALKEY_{upper}_PASSWORD_FILE={password}"));
    }
    lines.extend(services(platform));
    // Docker reads everything after `=` up to the end of the line as the value, so a value with a line break has no place.
    for (name, value) in &platform.settings.app.environment {
        if value.contains('\n') {
            let reason = format!(
                "app.environment.{name} has a line break, which Docker's environment files cannot hold"
            );
            return Err(ComponentError::new(NAME, host, &reason));
        }
        lines.push(format!("{name}={value}"));
    }
    Ok(File::new(ENVIRONMENT, lines.join("\n") + "\n").owned_by("root", "root", 0o600))
}

/// The services outside that the platform file names.
fn services(platform: &Platform) -> Vec<String> {
    let app = &platform.settings.app;
    let mut lines = Vec::new();
    if app.extra_authority.is_some() {
        lines.push(format!("EXTRA_CA_FILE={DIRECTORY}/{EXTRA_AUTHORITY}"));
    }
    let sign_in = match &app.sign_in {
        Some(sign_in) => Some((sign_in.issuer.to_string(), sign_in.client_id.as_str())),
        None => platform.signs_in_at_own_issuer().then(|| (platform.app_issuer(), APP_CLIENT)),
    };
    if let Some((issuer, client_id)) = sign_in {
        lines.push(format!("OIDC_ISSUER={issuer}"));
        lines.push(format!("OIDC_CLIENT_ID={client_id}"));
        lines.push(format!("OIDC_CLIENT_SECRET_FILE={}", password_file(DIRECTORY, SIGN_IN)));
    }
    if let Some(mail) = &app.mail {
        lines.extend(mail_server(mail, &password_file(DIRECTORY, MAIL)));
    }
    if let Some(tracker) = &app.error_tracker {
        lines.push(format!("SENTRY_DSN={tracker}"));
    }
    // What is a customer's server in real life, is in a network for documentation here.
    if let Some(lab) = &platform.settings.lab {
        lines.push(format!("WEBHOOK_ALLOWED_NETWORKS={}", lab.network));
    }
    lines
}

/// How a program is told of its mail server.
pub(crate) fn mail_server(mail: &Mail, password_file: &str) -> Vec<String> {
    // Without TLS from the start it begins before the login, or nothing is sent.
    let begins = if mail.url.as_str().starts_with("smtp://") { "?tls=required" } else { "" };
    let mut lines = vec![
        format!("SMTP_URL={}{begins}", mail.url.as_str().trim_end_matches('/')),
        format!("MAIL_FROM={}", mail.from),
    ];
    if mail.password_file.is_some() {
        lines.push(format!("SMTP_PASSWORD_FILE={password_file}"));
    }
    lines
}

/// What the container that migrates is told.
pub(super) fn migrating(context: &Context<'_>, host: &Host) -> Result<File, ComponentError> {
    let db = first(context.platform, Role::Db, host)?;
    let content = format!(
        "DATABASE_URL={serving}\n\
         DATABASE_DIRECT_URL=postgres://{OWNING_ROLE}@{db}:{port}/{DATABASE}\n\
         DATABASE_DIRECT_PASSWORD_FILE={password}\n\
         PRIVATE_CA_FILE={MIGRATION_DIRECTORY}/authority.pem\n",
        serving = database_url(context, host)?,
        port = postgres::PORT,
        password = password_file(MIGRATION_DIRECTORY, "database-direct"),
    );
    Ok(File::new(MIGRATION_ENVIRONMENT, content).owned_by("root", "root", 0o600))
}
