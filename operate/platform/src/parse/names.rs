//! Names of the domain name system, and addresses for mail.

/// Whether the text is a domain of at least two labels, in lower case.
pub(crate) fn is_public_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels: Vec<&str> = text.split('.').collect();
    let top_is_a_word = labels.last().is_some_and(|top| top.chars().any(|c| c.is_ascii_lowercase()));
    text.len() <= 253 && labels.len() >= 2 && top_is_a_word && labels.into_iter().all(label)
}

/// What is wrong with a domain for a platform, and what would be right.
pub(crate) fn wrong_domain(text: &str) -> Option<&'static str> {
    if text.contains("://") || text.contains('/') {
        return Some("write the name alone, without a scheme or a path, such as \"example.com\"");
    }
    if text == "localhost" || text.ends_with(".localhost") {
        return Some("resolvers force .localhost to loopback; take a name under .test in a lab");
    }
    (!is_public_name(text)).then_some("expected a name in lower case with a dot, such as \"example.com\"")
}

/// Whether the text looks like an address for mail.
pub(crate) fn is_email(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '"' | '<' | '>' | ',' | ';');
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && local.chars().all(plain) && is_public_name(&domain.to_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        for good in ["example.com", "bastide.test", "a-b.example.co", "xn--bcher-kva.example"] {
            assert_eq!(wrong_domain(good), None, "{good}");
        }
        for bad in [
            "",
            "example",
            "Example.com",
            "https://example.com",
            "a..b",
            "-a.com",
            "a.com.",
            "10.0.0.1",
            "x.localhost",
        ] {
            assert!(wrong_domain(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn mail() {
        assert!(is_email("ops+acme@example.com"));
        for bad in ["ops", "@example.com", "ops@example", "a b@example.com", "a@b@example.com"] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
