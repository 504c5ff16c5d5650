//! The application: its container, and the services outside that it is told of.

use super::names::is_email;
use super::section::{Entry, Section};
use super::url::{self, Form, User};
use super::values::{Scalar, Value};
use crate::app::{AppSettings, ContainerNetwork, Mail, SignIn};
use std::path::PathBuf;

/// Variables that the platform sets for the application; the file cannot.
const CONTRACT: [&str; 29] = [
    "BIND_ADDRESS",
    "DATABASE_DIRECT_PASSWORD_FILE",
    "DATABASE_DIRECT_URL",
    "DATABASE_PASSWORD_FILE",
    "DATABASE_URL",
    "EXTRA_CA_FILE",
    "MAIL_FROM",
    "METRICS_PORT",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET_FILE",
    "OIDC_ISSUER",
    "PORT",
    "PRIVATE_CA_FILE",
    "PUBLIC_URL",
    "RELEASE",
    "SEALING_KEYS_FILE",
    "SECRET_KEY_FILE",
    "SENTRY_DSN",
    "SMTP_PASSWORD_FILE",
    "SMTP_URL",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "TRUSTED_PROXIES",
    "VALKEY_CACHE_PASSWORD_FILE",
    "VALKEY_CACHE_URL",
    "VALKEY_DURABLE_PASSWORD_FILE",
    "VALKEY_DURABLE_URL",
    "WEBHOOK_ALLOWED_NETWORKS",
    "WORKERS",
];

const ISSUER: Form =
    Form { schemes: &[("https", 443)], user: User::Never, site: true, example: "https://login.example" };
const MAIL_SERVER: Form = Form {
    schemes: &[("smtps", 465), ("smtp", 587)],
    user: User::Maybe,
    site: false,
    example: "smtps://shop@mail.example:465",
};
/// A DSN names its public key as the user.
const ERROR_TRACKER: Form = Form {
    schemes: &[("https", 443)],
    user: User::Always,
    site: true,
    example: "https://0123456789abcdef@errors.example/1",
};

pub(super) fn read(section: Section<'_>) -> AppSettings {
    let environment = section.section("environment").entries();
    let tmpfs = section.entry("tmpfs").and_then(|entry| entry.items()).unwrap_or_default();
    let app = AppSettings {
        binary: section.get("binary"),
        environment: environment.iter().filter_map(variable).collect(),
        tmpfs: tmpfs.iter().filter_map(directory).collect(),
        read_only: section.or("read_only", true),
        network: section.or("network", ContainerNetwork::Host),
        sign_in: section.optional_section("sign_in").and_then(sign_in),
        mail: section.optional_section("mail").and_then(mail),
        error_tracker: section.entry("error_tracker").and_then(|entry| url::service(&entry, &ERROR_TRACKER)),
        extra_authority: section.get("extra_authority"),
    };
    section.finish();
    app
}

fn sign_in(section: Section<'_>) -> Option<SignIn> {
    let issuer = required(&section, "issuer", &ISSUER);
    let client_id = section.require_located::<String>("client_id", "client_id = \"shop\"");
    let secret = section.require::<PathBuf>("client_secret_file", "client_secret_file = \"secrets/sign-in\"");
    if let Some((id, span)) = &client_id
        && id.contains(|c: char| c.is_control())
    {
        section.sheet.report(span, "`client_id` holds a control character".to_owned(), None);
    }
    section.finish();
    Some(SignIn { issuer: issuer?, client_id: client_id?.0, client_secret_file: secret? })
}

fn mail(section: Section<'_>) -> Option<Mail> {
    let url = required(&section, "url", &MAIL_SERVER);
    let from = section.require_located::<String>("from", "from = \"Shop <no-reply@shop.example>\"");
    if let Some((from, span)) = &from
        && !is_sender(from)
    {
        let help = "expected such as: \"Shop <no-reply@shop.example>\"".to_owned();
        section.sheet.report(span, format!("mail cannot be from {from:?}"), help);
    }
    let password_file = section.get::<PathBuf>("password_file");
    let url = url?;
    match (url::user(&url), &password_file) {
        (Some(_), None) => section.missing("password_file", "password_file = \"secrets/mail\""),
        (None, Some(_)) => {
            let help = format!("expected such as: url = \"{}\"", MAIL_SERVER.example);
            let message = format!("{} has a password and nobody whose it is", section.title());
            section.sheet.report(&section.span, message, help);
        }
        _ => {}
    }
    section.finish();
    Some(Mail { url, from: from?.0, password_file })
}

fn required(section: &Section<'_>, key: &'static str, form: &Form) -> Option<crate::app::ServiceUrl> {
    let entry = section.entry(key);
    if entry.is_none() {
        section.missing(key, &format!("{key} = \"{}\"", form.example));
    }
    url::service(&entry?, form)
}

/// An address for mail, or a name with one in angle brackets.
fn is_sender(text: &str) -> bool {
    let plain = |name: &str| !name.contains(|c: char| c.is_control() || "<>\"(),:;@[\\]".contains(c));
    match text.strip_suffix('>').and_then(|text| text.split_once('<')) {
        Some((name, address)) => plain(name) && is_email(address),
        None => is_email(text),
    }
}

fn variable(entry: &Entry<'_>) -> Option<(String, String)> {
    let name = entry.key.as_str();
    let inner = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !name.chars().all(inner) || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        let help = "expected upper-case letters, digits and underscores".to_owned();
        entry.sheet.report(&entry.key_span, format!("\"{name}\" cannot be a variable's name"), help);
        return None;
    }
    if CONTRACT.contains(&name) {
        let help = "remove it: the contract between platform and application says what it holds".to_owned();
        entry.sheet.report(&entry.key_span, format!("the platform sets {name} itself"), help);
        return None;
    }
    let value = Scalar::read(entry)?.0;
    if value.contains(['\n', '\r', '\0']) {
        entry.reject(format!("{name} has more than one line"), "put it into a file".to_owned());
        return None;
    }
    Some((name.to_owned(), value))
}

fn directory(entry: &Entry<'_>) -> Option<String> {
    let text = entry.text("a directory in quotes")?;
    let plain = text.split('/').skip(1).all(|part| !part.is_empty() && part != ".." && part != ".");
    if text.starts_with('/') && plain && !text.contains([':', ',', '\n']) {
        return Some(text.to_owned());
    }
    let help = "expected an absolute path in the container, such as \"/var/cache/app\"".to_owned();
    entry.reject(format!("\"{text}\" cannot be mounted"), help);
    None
}
