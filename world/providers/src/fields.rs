//! Parameters of a query or a form.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;

/// What was sent, in its order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn of(encoded: &str) -> Self {
        Self(form_urlencoded::parse(encoded.as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    /// Without what a person has said.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let said = |name: &str| matches!(name, "username" | "cancel");
        self.0
            .iter()
            .filter(move |(name, _)| !said(name))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The words of a list.
    pub(crate) fn words(&self, name: &str) -> Vec<&str> {
        self.get(name).unwrap_or_default().split_ascii_whitespace().collect()
    }

    /// The client's id and secret, wherever they are (RFC 6749, section 2.3.1).
    pub(crate) fn credential(&self, headers: &HeaderMap) -> (String, Option<String>) {
        let basic = headers.get(AUTHORIZATION).and_then(|value| {
            let encoded = value.to_str().ok()?.strip_prefix("Basic ")?;
            let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
            let (id, secret) = pair.split_once(':')?;
            let decoded = |text: &str| {
                form_urlencoded::parse(format!("x={text}").as_bytes())
                    .next()
                    .map(|(_, value)| value.into_owned())
            };
            Some((decoded(id)?, decoded(secret)))
        });
        basic.unwrap_or_else(|| {
            let id = self.get("client_id").unwrap_or_default().to_owned();
            (id, self.get("client_secret").map(ToOwned::to_owned))
        })
    }
}

/// The bearer token.
pub(crate) fn bearer(headers: &HeaderMap) -> &str {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.strip_prefix("Bearer ").unwrap_or_default()
}
