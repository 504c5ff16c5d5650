//! URLs of services outside the platform.

use super::names::is_public_name;
use super::section::Entry;
use crate::app::ServiceUrl;
use std::net::Ipv4Addr;

/// What a URL of a service must be like.
pub(super) struct Form {
    /// Schemes, each with its port.
    pub(super) schemes: &'static [(&'static str, u16)],
    /// Whether it names a user.
    pub(super) user: User,
    /// Whether it is a site's: it may have a path, and its port is the scheme's own, because the way out of the private
    /// network is open for few.
    pub(super) site: bool,
    /// How one could look.
    pub(super) example: &'static str,
}

/// Whether a URL names a user.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    Never,
    Maybe,
    Always,
}

/// The parts of a URL.
struct Parts<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    host: &'a str,
    port: Option<&'a str>,
    path: Option<&'a str>,
}

/// Reads the URL of a service, or reports what is wrong with it.
pub(super) fn service(entry: &Entry<'_>, form: &Form) -> Option<ServiceUrl> {
    let text = entry.text("a URL in quotes")?;
    if has_password(text) {
        // Without an excerpt: what is printed may be kept.
        let line = entry.sheet.line(&entry.span);
        let message = format!("`{}` in line {line} holds a password", entry.key);
        entry.sheet.report_file(message, "put it into a file and name the file".to_owned());
        return None;
    }
    match parse(text, form) {
        Ok(url) => Some(url),
        Err(wrong) => {
            let help = format!("expected such as: \"{}\"", form.example);
            entry.reject(format!("`{}` {wrong}", entry.key), help);
            None
        }
    }
}

/// The user of a URL, if it names one.
pub(super) fn user(url: &ServiceUrl) -> Option<&str> {
    split(&url.text)?.user
}

fn parse(text: &str, form: &Form) -> Result<ServiceUrl, String> {
    let parts = split(text).ok_or("is no URL without spaces, `?` and `#`")?;
    let schemes: Vec<&str> = form.schemes.iter().map(|(scheme, _)| *scheme).collect();
    let found = form.schemes.iter().find(|(scheme, _)| *scheme == parts.scheme);
    let (_, own) = found.ok_or_else(|| format!("does not begin with {}://", schemes.join(":// or ")))?;
    match (parts.user, form.user) {
        (Some(""), _) | (None, User::Always) => return Err("names nobody before an @".to_owned()),
        (Some(_), User::Never) => return Err("names somebody before an @".to_owned()),
        _ => {}
    }
    if parts.host.parse::<Ipv4Addr>().is_err() && !is_public_name(parts.host) {
        return Err("has no host that is a name in lower case with a dot, or an IPv4 address".to_owned());
    }
    let port = match parts.port.map(str::parse::<u16>) {
        None => *own,
        Some(Ok(port)) if port > 0 => port,
        Some(_) => return Err("has a port that is none".to_owned()),
    };
    if form.site && port != *own {
        return Err(format!("has port {port}, and the way out of the private network is open for {own}"));
    }
    if !form.site && parts.path.is_some_and(|path| !path.is_empty()) {
        return Err("has a path".to_owned());
    }
    Ok(ServiceUrl { text: text.to_owned(), host: parts.host.to_owned(), port })
}

fn has_password(text: &str) -> bool {
    split(text).and_then(|parts| parts.user).is_some_and(|user| user.contains(':'))
}

fn split(text: &str) -> Option<Parts<'_>> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '"' | '\\')) {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, Some(path)),
        None => (rest, None),
    };
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    Some(Parts { scheme, user, host, port, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: Form = Form {
        schemes: &[("smtps", 465), ("smtp", 587)],
        user: User::Maybe,
        site: false,
        example: "smtps://shop@mail.example:465",
    };
    const SITE: Form =
        Form { schemes: &[("https", 443)], user: User::Never, site: true, example: "https://login.example" };

    #[test]
    fn a_url_is_taken_apart() {
        let url = parse("smtp://shop@mail.example:2525", &MAIL).unwrap();
        assert_eq!((url.host(), url.port(), user(&url)), ("mail.example", 2525, Some("shop")));
        let url = parse("https://192.0.2.1/realm/", &SITE).unwrap();
        assert_eq!((url.host(), url.port(), user(&url)), ("192.0.2.1", 443, None));
        assert_eq!(url.as_str(), "https://192.0.2.1/realm/");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, form, said) in [
            ("mail.example", &MAIL, "is no URL"),
            ("https://login.example/?a", &SITE, "is no URL"),
            ("http://login.example", &SITE, "https://"),
            ("imap://mail.example", &MAIL, "smtps:// or smtp://"),
            ("https://me@login.example", &SITE, "names somebody"),
            ("smtp://@mail.example", &MAIL, "names nobody"),
            ("https://localhost", &SITE, "no host"),
            ("https://", &SITE, "no host"),
            ("smtp://mail.example/box", &MAIL, "has a path"),
            ("smtp://mail.example:0", &MAIL, "is none"),
            ("smtp://mail.example:x", &MAIL, "is none"),
            ("https://login.example:8443", &SITE, "port 8443"),
        ] {
            let wrong = parse(text, form).unwrap_err();
            assert!(wrong.contains(said), "{text}: {wrong}");
        }
        assert!(
            has_password("smtp://shop:hunter2@mail.example") && !has_password("smtp://shop@mail.example:465")
        );
    }
}
