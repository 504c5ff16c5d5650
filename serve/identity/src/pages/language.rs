//! In which language somebody reads: what the client says (`ui_locales`), what the browser says (`Accept-Language`), English.

use axum::http::header::ACCEPT_LANGUAGE;
use axum::http::{HeaderMap, Uri};
use url::form_urlencoded;

use super::texts;

/// More wishes than these are not heard.
const MOST: usize = 20;

tokio::task_local! {
    static CURRENT: &'static str;
}

/// The language of the request that is worked for.
#[must_use]
pub fn current() -> &'static str {
    CURRENT.try_with(|language| *language).unwrap_or_else(|_| texts::first().language.code())
}

/// Works for somebody who reads this language.
pub async fn within<F: Future>(language: &'static str, work: F) -> F::Output {
    CURRENT.scope(language, work).await
}

/// The best of the languages that there are texts in.
#[must_use]
pub fn chosen(uri: &Uri, headers: &HeaderMap) -> &'static str {
    best(uri, headers, &texts::codes().collect::<Vec<_>>())
}

fn best(uri: &Uri, headers: &HeaderMap, known: &[&'static str]) -> &'static str {
    let query = uri.query().unwrap_or_default();
    let wished = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ui_locales");
    let wished = wished.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tags = wished.split(' ').map(str::to_owned).take(MOST).chain(by_weight(accepted));
    let find = |tag: String| {
        // `de-AT` reads `de`.
        let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        known.iter().find(|known| **known == primary).copied()
    };
    tags.into_iter().find_map(find).unwrap_or_else(|| known.first().copied().unwrap_or("en"))
}

/// The tags of a header `Accept-Language`, the most wanted first (RFC 9110, section 12.5.4).
fn by_weight(header: &str) -> Vec<String> {
    let entry = |entry: &str| {
        let mut parts = entry.split(';').map(str::trim);
        let tag = parts.next().filter(|tag| !tag.is_empty() && *tag != "*")?.to_owned();
        let weight =
            parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse().ok());
        weight.filter(|weight: &f32| *weight > 0.0).map(|weight| (tag, weight))
    };
    let mut entries: Vec<(String, f32)> = header.split(',').take(MOST).filter_map(entry).collect();
    entries.sort_by(|(_, first), (_, second)| second.total_cmp(first));
    entries.into_iter().map(|(tag, _)| tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, accepted: &str) -> &'static str {
        let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, accepted.parse().unwrap())]);
        best(&uri.parse().unwrap(), &headers, &["en", "de", "fr"])
    }

    #[test]
    fn the_client_is_heard_first_then_the_browser_and_then_it_is_english() {
        assert_eq!(read("/authorize?ui_locales=fr-CA%20fr%20en", "de"), "fr");
        assert_eq!(read("/authorize?ui_locales=it", "de-AT, en;q=0.5"), "de");
        assert_eq!(read("/", "en;q=0.5, fr;q=0.9, de;q=0.7"), "fr");
        assert_eq!(read("/", "de;q=0, it, *"), "en");
        assert_eq!(read("/", "fr;q=much"), "en");
        assert_eq!(read("/", ""), "en");
    }
}
