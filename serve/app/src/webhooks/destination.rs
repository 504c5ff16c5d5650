//! The URL of a webhook, as people may send it.

use foundation::problem::{Problem, codes};
use foundation::webhook::client::Client;
use serde::Deserialize;
use url::Url;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

const LONGEST: usize = 2_000;

/// A URL that is not too long. Whether it may be delivered to is for [`Destination::vet`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Destination(Url);

impl Destination {
    /// The URL, if it can be delivered to.
    ///
    /// # Errors
    /// A problem `validation-failed` that says why not.
    pub fn vet(self, client: &Client) -> Result<String, Problem> {
        client.vet(&self.0).map_err(|error| {
            Problem::new(&codes::VALIDATION_FAILED).error("/url", "refused", format!("{error}."))
        })?;
        Ok(self.0.into())
    }
}

impl TryFrom<String> for Destination {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("a URL of at most 2000 bytes is expected");
        }
        let mut url = Url::parse(&text).map_err(|_| "this is no URL")?;
        // Nobody sends it.
        url.set_fragment(None);
        Ok(Self(url))
    }
}

impl PartialSchema for Destination {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uri".to_owned())))
            .max_length(Some(LONGEST))
            .pattern(Some("^https://[^@]+$"))
            .description(Some("An https URL whose host is on the public Internet."))
            .examples([serde_json::Value::from("https://hooks.example.com/bastide")])
            .into()
    }
}

impl ToSchema for Destination {}

/// A URL as an audit event may have it: what stands in its query is often a secret.
pub fn without_query(url: &str) -> String {
    url.split_once('?').map_or_else(|| url.to_owned(), |(before, _)| format!("{before}?…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_their_queries_kept_from_the_log() {
        let of =
            |text: &str| Destination::try_from(text.to_owned()).map(|destination| destination.0.to_string());
        assert_eq!(of("https://a.test/in?key=1#x"), Ok("https://a.test/in?key=1".to_owned()));
        for bad in
            ["", "a.test", "https://", "https://a b", &format!("https://a.test/{}", "x".repeat(LONGEST))]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert_eq!(without_query("https://a.test/in?key=1"), "https://a.test/in?…");
        assert_eq!(without_query("https://a.test/in"), "https://a.test/in");
    }
}
