//! Somebody as a login provider tells of them, brought into the form in which it is kept.

use url::Url;

use super::Address;
use super::error::{TokenError, UpstreamError};

/// Characters of a name.
const LONGEST_NAME: usize = 200;
/// Bytes of an address (RFC 5321).
const LONGEST_ADDRESS: usize = 254;
/// Bytes of a subject (OpenID Connect Core 1.0, section 2).
const LONGEST_SUBJECT: usize = 255;
/// Bytes of where a picture is.
const LONGEST_PICTURE: usize = 2_000;

/// Somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// What the provider calls the person, and never changes.
    pub subject: String,
    /// The address.
    pub email: Option<Address>,
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// Where a picture is.
    pub picture: Option<String>,
}

/// A subject that names somebody.
pub fn subject(text: &str) -> Result<String, UpstreamError> {
    let fits = (1..=LONGEST_SUBJECT).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(TokenError::Subject.into()) }
}

/// An address that is one.
pub fn address(text: Option<&str>, is_vouched: bool, is_relay: bool) -> Option<Address> {
    let text = text?.trim();
    let (user, host) = text.rsplit_once('@')?;
    let plain = !text.chars().any(|each| each.is_control() || each.is_whitespace());
    let fits = text.len() <= LONGEST_ADDRESS && !user.is_empty() && !host.is_empty() && plain;
    fits.then(|| Address { text: text.to_owned(), is_vouched, is_relay })
}

/// A name as something that can be kept and shown in one line.
pub fn line(text: Option<&str>) -> Option<String> {
    let shown: String = text?.chars().filter(|each| !each.is_control()).take(LONGEST_NAME).collect();
    let shown = shown.trim();
    (!shown.is_empty()).then(|| shown.to_owned())
}

/// First and last name of a whole one: the last word is the last name.
pub fn names(whole: Option<&str>) -> (Option<String>, Option<String>) {
    let Some(whole) = line(whole) else { return (None, None) };
    match whole.rsplit_once(' ') {
        Some((given, family)) => (line(Some(given)), line(Some(family))),
        None => (Some(whole), None),
    }
}

/// Where a picture is, if a browser may be sent there.
pub fn picture(text: Option<&str>) -> Option<String> {
    let url = Url::parse(text?).ok()?;
    let fits = url.scheme() == "https" && url.has_host() && url.username().is_empty();
    (fits && url.as_str().len() <= LONGEST_PICTURE).then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_its_form() {
        assert!(subject("").is_err() && subject("a\n").is_err() && subject(&"a".repeat(256)).is_err());
        assert_eq!(subject("10769150350006150715113082367").unwrap().len(), 29);
        for bad in ["", "ada", "@b", "a@", "a b@c", "a\n@b", &format!("{}@b", "a".repeat(253))] {
            assert_eq!(address(Some(bad), true, false), None, "{bad}");
        }
        assert_eq!(address(Some(" a@b "), true, false).unwrap().text, "a@b");
        assert_eq!(line(Some(" \u{7}A\u{0}da ")).as_deref(), Some("Ada"));
        assert_eq!(line(Some(" ")), None);
        assert_eq!(line(Some(&"a".repeat(201))).unwrap().len(), 200);
    }

    #[test]
    fn a_whole_name_is_two() {
        let of = |text| names(Some(text));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("Ada King Lovelace"), (some("Ada King"), some("Lovelace")));
        assert_eq!(of("ada"), (some("ada"), None));
        assert_eq!(of(" "), (None, None));
    }

    #[test]
    fn pictures_are_of_https_alone() {
        assert!(picture(Some("https://p.example/a.png")).is_some());
        for bad in [
            "http://p.example/a.png",
            "javascript:alert(1)",
            "data:image/png;base64,AA",
            "/a.png",
            "https://u@p.example/",
        ] {
            assert_eq!(picture(Some(bad)), None, "{bad}");
        }
    }
}
