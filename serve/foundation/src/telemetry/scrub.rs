//! Takes secrets out of what is logged or reported.

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";
/// Beginnings of secrets that are known by them everywhere: webhook secrets, and JSON web tokens.
const PREFIXES: [&str; 2] = ["whsec_", "eyJ"];
/// Names of fields, headers and parameters whose values are secret.
const NAMES: [&str; 9] = [
    "authorization",
    "cookie",
    "set-cookie",
    "password",
    "secret",
    "token",
    "api-key",
    "csrf",
    "code_verifier",
];

/// Knows secrets by the names they have and by how they begin.
#[derive(Debug, Clone)]
pub struct Scrubber(Vec<String>);

impl Scrubber {
    /// Knows also secrets that begin with one of `prefixes`, such as the product's own tokens.
    #[must_use]
    pub fn new(prefixes: &[&str]) -> Self {
        Self(PREFIXES.iter().chain(prefixes).map(|prefix| (*prefix).to_owned()).collect())
    }

    /// Whether a word is known as a secret by how it begins.
    #[must_use]
    pub fn knows(&self, word: &str) -> bool {
        self.0.iter().any(|prefix| word.len() > prefix.len() && word.starts_with(prefix.as_str()))
    }

    /// The value of the field `name` as it may be written.
    #[must_use]
    pub fn field(&self, name: &str, value: &str) -> String {
        if is_secret(name) { REDACTED.to_owned() } else { self.text(value) }
    }

    /// The text as it may be written.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        let mut secret_next = false;
        for part in text.split_inclusive(|each: char| !is_word(each)) {
            let word = part.trim_end_matches(|each: char| !is_word(each));
            let rest = &part[word.len()..];
            let hide = !word.is_empty() && (secret_next || self.knows(word));
            clean.push_str(if hide { REDACTED } else { word });
            clean.push_str(rest);
            secret_next = follows(word, rest, secret_next && word.is_empty());
        }
        hide_passwords_of_urls(&clean)
    }
}

impl Default for Scrubber {
    fn default() -> Self {
        Self::new(&[])
    }
}

/// Whether what follows `word` and the separator is a secret: `Bearer …`, `password=…`, `"token": "…"`.
fn follows(word: &str, separator: &str, still: bool) -> bool {
    let scheme = word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic");
    let assigned = is_secret(word) && separator.starts_with(['=', ':', '"']);
    still || (scheme && separator == " ") || assigned
}

/// Whether the name is, or ends with, one whose values are secret: `client_secret` is, `secrets` is not.
fn is_secret(name: &str) -> bool {
    let name = name.as_bytes();
    NAMES.iter().any(|secret| {
        name.len().checked_sub(secret.len()).is_some_and(|at| {
            let (before, end) = name.split_at(at);
            let whole_word = before.last().is_none_or(|byte| matches!(byte, b'-' | b'_'));
            whole_word && end.iter().zip(secret.bytes()).all(|(one, other)| plain(*one) == plain(other))
        })
    })
}

/// Without case, and with `_` for `-`.
fn plain(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '~' | '+' | '/')
}

/// `scheme://user:password@host` without the password.
fn hide_passwords_of_urls(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end =
            after.find(|each: char| each.is_whitespace() || matches!(each, '/' | '"')).unwrap_or(after.len());
        let (authority, following) = after.split_at(end);
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => clean.push_str(&format!("{user}:{REDACTED}@{host}")),
            None => clean.push_str(authority),
        }
        rest = following;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out() {
        let scrubber = Scrubber::new(&["bst_"]);
        let secrets = [
            "Authorization: Bearer s3cr3t",
            "sent bearer s3cr3t",
            "password=s3cr3t&x=1",
            "{\"client_secret\": \"s3cr3t\"}",
            "Cookie: s3cr3t",
            "bst_s3cr3t was refused",
            "whsec_s3cr3t",
            "(eyJs3cr3t.abc.def)",
            "postgres://app:s3cr3t@db:6432/app",
        ];
        for text in secrets {
            let clean = scrubber.text(text);
            assert!(!clean.contains("s3cr3t") && clean.contains(REDACTED), "{text} became {clean}");
        }
        for name in ["set_cookie", "Client-Secret", "password"] {
            assert_eq!(scrubber.field(name, "a"), REDACTED);
        }
    }

    #[test]
    fn the_rest_stays() {
        let scrubber = Scrubber::new(&["bst_"]);
        for text in
            ["token_id 7 was used", "GET /api/v1/tokens/1", "https://a.example/b?c=d", "ünïcode “x”", ""]
        {
            assert_eq!(scrubber.text(text), text);
        }
        for name in ["token_id", "secrets", "nosecret"] {
            assert_eq!(scrubber.field(name, "7"), "7");
        }
    }
}
