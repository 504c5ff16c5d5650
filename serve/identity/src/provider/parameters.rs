//! Parameters of a request, as OAuth 2.0 has them: none twice, and one without a value is none (RFC 6749, section 3.1).

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use foundation::extract::FormBody;
use url::form_urlencoded;

use super::refusal::{Failure, Refusal};
use crate::state::Broker;

/// More than any request has.
const MOST: usize = 64;
/// Those that a request may name several times (RFC 8693, section 2.1).
const LISTS: [&str; 2] = ["audience", "resource"];

/// The parameters of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

/// What is wrong with them as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// There are too many.
    #[error("there are more than {MOST} parameters")]
    TooMany,
    /// One has a character that no text has.
    #[error("a parameter contains the character U+0000")]
    Character,
}

impl Parameters {
    /// Reads a query or a form.
    ///
    /// # Errors
    /// [`ParametersError`].
    pub fn parse(encoded: &[u8]) -> Result<Self, ParametersError> {
        let mut pairs = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if pairs.len() == MOST {
                return Err(ParametersError::TooMany);
            }
            if name.contains('\0') || value.contains('\0') {
                return Err(ParametersError::Character);
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    /// The value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(found, value)| found == name && !value.is_empty());
        named.next().map(|(_, value)| value.as_str())
    }

    /// All values of this name.
    pub fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(found, value)| found == name && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }

    /// Whether one of this name is there more than once, with or without a value.
    #[must_use]
    pub fn is_repeated(&self, name: &str) -> bool {
        self.0.iter().filter(|(found, _)| found == name).nth(1).is_some()
    }

    /// The name of one that is there more than once and must not be.
    #[must_use]
    pub fn repeated(&self) -> Option<&str> {
        let names = self.0.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !LISTS.contains(name)).find(|name| self.is_repeated(name))
    }

    /// As a query.
    #[must_use]
    pub fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// The form that a client sends to an endpoint of its own.
#[derive(Debug)]
pub struct ClientForm(pub Parameters);

impl FromRequest<Arc<Broker>> for ClientForm {
    type Rejection = Failure;

    async fn from_request(request: Request, broker: &Arc<Broker>) -> Result<Self, Failure> {
        let form = FormBody::from_request(request, broker).await.map_err(|problem| {
            if problem.status().is_client_error() {
                let detail = problem.document()["detail"].as_str().unwrap_or_default().to_owned();
                Failure::Refused(Refusal::invalid_request(detail))
            } else {
                Failure::Failed(problem)
            }
        })?;
        let parameters = Parameters::parse(form.bytes());
        let parameters = parameters.map_err(|error| Refusal::invalid_request(error.to_string()))?;
        match parameters.repeated() {
            Some(name) => {
                let description = format!("The parameter {name:?} is there more than once.");
                Err(Refusal::invalid_request(description).into())
            }
            None => Ok(Self(parameters)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_without_a_value_is_none_and_none_is_there_twice() {
        let parameters = Parameters::parse(b"a=1&b=&c=x+y%26&resource=1&resource=2").unwrap();
        assert_eq!(parameters.get("a"), Some("1"));
        assert_eq!((parameters.get("b"), parameters.get("d")), (None, None));
        assert_eq!(parameters.get("c"), Some("x y&"));
        assert_eq!(parameters.all("resource").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(parameters.repeated(), None);
        assert_eq!(Parameters::parse(b"a=1&b=2&a=").unwrap().repeated(), Some("a"));
        assert_eq!(Parameters::parse(parameters.query().as_bytes()), Ok(parameters));
    }

    #[test]
    fn what_nothing_can_keep_is_refused() {
        assert_eq!(Parameters::parse(b"state=%00"), Err(ParametersError::Character));
        assert_eq!(Parameters::parse("a=&".repeat(65).as_bytes()), Err(ParametersError::TooMany));
    }
}
