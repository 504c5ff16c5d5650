//! Where mail is handed in, from the environment.

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use rustls_pki_types::CertificateDer;
use url::Url;

use crate::environment::{Reader, Secret};

/// What an URL of a mail server looks like.
const FORM: &str = "smtps://user@host:465, or smtp://user@host:587?tls=required";

/// Where mail is handed in, and who sends it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's name or address, which its certificate proves.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// Whether the connection is TLS from its first byte, or becomes it by STARTTLS.
    pub wrapped: bool,
    /// The user and its password, where the server wants to know.
    pub login: Option<(String, Secret)>,
    /// Who sends.
    pub from: Mailbox,
    /// Authorities that are trusted beside the public ones.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Settings {
    /// `SMTP_URL`, `MAIL_FROM` and, where the URL has a user, `SMTP_PASSWORD_FILE`. None where none of them is set: then
    /// no mail is sent.
    pub fn read(reader: &mut Reader<'_>, authorities: &[CertificateDer<'static>]) -> Option<Self> {
        let names = ["SMTP_URL", "MAIL_FROM", "SMTP_PASSWORD_FILE"];
        if names.iter().all(|name| reader.optional(name).is_none()) {
            return None;
        }
        let url = reader.required("SMTP_URL", FORM);
        let url = url.and_then(|text| server(reader, &text));
        let from = reader.required("MAIL_FROM", "an e-mail address, or Name <address>");
        let from = from.and_then(|text| sender(reader, &text));
        let user = url.as_ref().map(user).filter(|user| !user.is_empty());
        let password = match (&user, reader.optional("SMTP_PASSWORD_FILE")) {
            (None, None) => None,
            (None, Some(_)) => {
                reader.problem(format!(
                    "SMTP_PASSWORD_FILE: is set, and SMTP_URL has no user; expected {FORM}"
                ));
                None
            }
            (Some(_), _) => Some(reader.secret("SMTP_PASSWORD_FILE")?),
        };
        let (url, from) = (url?, from?);
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let wrapped = url.scheme() == "smtps";
        let port = url.port().unwrap_or(if wrapped { 465 } else { 587 });
        Some(Self { host, port, wrapped, login: user.zip(password), from, authorities: authorities.to_vec() })
    }
}

/// The URL, if mail can be handed in there without anybody on the way reading it.
fn server(reader: &mut Reader<'_>, text: &str) -> Option<Url> {
    let mut refuse = |what: &str| {
        reader.problem(format!("SMTP_URL: {what}; expected {FORM}"));
        None
    };
    let Ok(url) = Url::parse(text) else { return refuse("is not a URL") };
    if url.password().is_some() {
        return refuse("carries a password, which belongs into a file that SMTP_PASSWORD_FILE names");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return refuse("names no host");
    }
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return refuse("has a path");
    }
    match (url.scheme(), url.query()) {
        ("smtps", None) | ("smtp", Some("tls=required")) => Some(url),
        ("smtps", Some(_)) => refuse("has options"),
        ("smtp", _) => refuse("does not say tls=required, and mail is not sent in the clear"),
        _ => refuse("its scheme is neither smtps nor smtp"),
    }
}

/// Users are often e-mail addresses, of which a URL has the `@` as `%40`.
fn user(url: &Url) -> String {
    percent_decode_str(url.username()).decode_utf8_lossy().into_owned()
}

fn sender(reader: &mut Reader<'_>, text: &str) -> Option<Mailbox> {
    let found = text.parse().ok().filter(|_| !text.chars().any(char::is_control));
    if found.is_none() {
        reader.problem("MAIL_FROM: is not an e-mail address, or Name <address>");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let variables: BTreeMap<&str, &str> = variables.iter().copied().collect();
        let variable = |name: &str| variables.get(name).map(ToString::to_string);
        let mut reader = Reader::new(&variable);
        let settings = Settings::read(&mut reader, &[]);
        reader.finish(Some(settings)).map_err(|errors| errors.0.join("\n"))
    }

    #[test]
    fn without_any_of_it_no_mail_is_sent() {
        assert!(read(&[]).unwrap().is_none());
    }

    #[test]
    fn both_ways_of_tls_and_no_other_are_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let path = file.path().display().to_string();
        let from = ("MAIL_FROM", "Bastide <no-reply@example.test>");
        let of =
            |url: &str| read(&[("SMTP_URL", url), from, ("SMTP_PASSWORD_FILE", &path)]).map(Option::unwrap);

        let wrapped = of("smtps://ada%40example.test@mail.example.test").unwrap();
        assert_eq!((wrapped.host.as_str(), wrapped.port, wrapped.wrapped), ("mail.example.test", 465, true));
        let (user, password) = wrapped.login.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("ada@example.test", "s3cret"));
        assert_eq!(wrapped.from.email.as_ref() as &str, "no-reply@example.test");
        let upgraded = of("smtp://ada@[fd00::1]:2525?tls=required").unwrap();
        assert_eq!((upgraded.host.as_str(), upgraded.port, upgraded.wrapped), ("fd00::1", 2525, false));
        let open = read(&[("SMTP_URL", "smtps://mail.example.test"), from]).unwrap().unwrap();
        assert!(open.login.is_none());

        for (url, said) in [
            ("smtp://ada@mail.example.test", "tls=required"),
            ("smtp://ada@mail.example.test?tls=opportunistic", "tls=required"),
            ("smtps://ada:hunter2@mail.example.test", "carries a password"),
            ("smtps://ada@mail.example.test?tls=none", "options"),
            ("https://ada@mail.example.test", "neither smtps nor smtp"),
            ("mail.example.test:465", "SMTP_URL"),
            ("smtps://mail.example.test", "has no user"),
        ] {
            let problems = of(url).unwrap_err();
            assert!(problems.contains(said) && !problems.contains("hunter2"), "{url}: {problems}");
        }
    }

    #[test]
    fn half_of_it_is_refused_with_what_is_missing() {
        assert!(read(&[("SMTP_URL", "smtps://mail.example.test")]).unwrap_err().contains("MAIL_FROM"));
        assert!(read(&[("MAIL_FROM", "a@example.test")]).unwrap_err().contains("SMTP_URL"));
        let bad = [("SMTP_URL", "smtps://u@mail.example.test"), ("MAIL_FROM", "nobody")];
        let problems = read(&bad).unwrap_err();
        assert!(problems.contains("MAIL_FROM") && problems.contains("SMTP_PASSWORD_FILE"), "{problems}");
    }
}
