//! What is said of somebody: the claims of the scopes, and those that a request names (OpenID Connect Core 1.0, sections 5.4
//! and 5.5).

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::request::NamedClaims;

/// Claims of a person, with the scope that each belongs to.
const OF_PERSON: [(&str, &str); 7] = [
    ("name", "profile"),
    ("given_name", "profile"),
    ("family_name", "profile"),
    ("picture", "profile"),
    ("updated_at", "profile"),
    ("email", "email"),
    ("email_verified", "email"),
];
/// Characters of the parameter `claims`.
const LONGEST: usize = 4_000;

/// The claims that there are, for the issuer's description.
pub const SUPPORTED: [&str; 17] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "sid",
    "idp",
    "name",
    "given_name",
    "family_name",
    "picture",
    "updated_at",
    "email",
    "email_verified",
];

/// The columns from which [`Person::read`] reads, of table `accounts`.
macro_rules! of_person {
    () => {
        "accounts.email, accounts.email_vouched, accounts.given_name, accounts.family_name, accounts.picture, \
         accounts.updated_at"
    };
}
pub(super) use of_person;

/// Somebody, as far as clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    email: Option<String>,
    is_vouched: bool,
    given_name: Option<String>,
    family_name: Option<String>,
    picture: Option<String>,
    updated_at: OffsetDateTime,
}

impl Person {
    /// Reads the columns of `of_person`.
    #[must_use]
    pub fn read(row: &Row) -> Self {
        Self {
            email: row.get("email"),
            is_vouched: row.get("email_vouched"),
            given_name: row.get("given_name"),
            family_name: row.get("family_name"),
            picture: row.get("picture"),
            updated_at: row.get("updated_at"),
        }
    }

    /// Says what the scope and the request's names ask for, as far as it is known.
    pub fn say(&self, scope: &str, named: &[String], into: &mut Map<String, Value>) {
        for (name, of) in OF_PERSON {
            let is_asked = has_scope(scope, of) || named.iter().any(|named| named == name);
            if let Some(value) = is_asked.then(|| self.claim(name)).flatten() {
                into.insert(name.to_owned(), value);
            }
        }
    }

    fn claim(&self, name: &str) -> Option<Value> {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        match name {
            "name" => match (&self.given_name, &self.family_name) {
                (Some(given), Some(family)) => Some(format!("{given} {family}").into()),
                (given, family) => text(given).or_else(|| text(family)),
            },
            "given_name" => text(&self.given_name),
            "family_name" => text(&self.family_name),
            "picture" => text(&self.picture),
            "updated_at" => Some(self.updated_at.unix_timestamp().into()),
            "email" => text(&self.email),
            "email_verified" => self.email.as_ref().map(|_| self.is_vouched.into()),
            _ => None,
        }
    }
}

/// Whether a scope is among those of a list with spaces between.
#[must_use]
pub fn has_scope(list: &str, scope: &str) -> bool {
    list.split(' ').any(|each| each == scope)
}

/// What the parameter `claims` asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Names that are known.
    pub named: NamedClaims,
    /// Whom alone the answer may be about.
    pub subject: Option<Uuid>,
}

/// Why the parameter cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// It is not what the standard says.
    #[error("The parameter claims is not the JSON that it should be.")]
    Malformed,
    /// It wants somebody whom nobody is called.
    #[error("The parameter claims names somebody who is not known here.")]
    Subject,
    /// It wants proof of a kind that there is none of.
    #[error("The parameter claims wants a sign-in of a kind that there is none of here.")]
    Unmet,
}

/// Reads the parameter `claims`.
///
/// # Errors
/// [`ClaimsError`].
pub fn read(text: &str) -> Result<Asked, ClaimsError> {
    if text.len() > LONGEST {
        return Err(ClaimsError::Malformed);
    }
    let whole: Map<String, Value> = serde_json::from_str(text).map_err(|_| ClaimsError::Malformed)?;
    let mut asked = Asked::default();
    for (member, names) in [("userinfo", &mut asked.named.userinfo), ("id_token", &mut asked.named.id_token)]
    {
        let Some(of_member) = whole.get(member).filter(|value| !value.is_null()) else { continue };
        for (name, wish) in of_member.as_object().ok_or(ClaimsError::Malformed)? {
            if !wish.is_null() && !wish.is_object() {
                return Err(ClaimsError::Malformed);
            }
            match name.as_str() {
                "sub" => {
                    if let Some(value) = wish.get("value") {
                        let subject = value.as_str().and_then(|text| Uuid::parse_str(text).ok());
                        asked.subject = Some(subject.ok_or(ClaimsError::Subject)?);
                    }
                }
                "acr" => {
                    let is_essential = wish.get("essential").and_then(Value::as_bool) == Some(true);
                    if is_essential && (wish.get("value").is_some() || wish.get("values").is_some()) {
                        return Err(ClaimsError::Unmet);
                    }
                }
                name if OF_PERSON.iter().any(|(known, _)| *known == name) => names.push(name.to_owned()),
                _ => {}
            }
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn person() -> Person {
        Person {
            email: Some("ada@example.com".to_owned()),
            is_vouched: true,
            given_name: Some("Ada".to_owned()),
            family_name: Some("Lovelace".to_owned()),
            picture: None,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn said(person: &Person, scope: &str, named: &[&str]) -> Value {
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        let mut map = Map::new();
        person.say(scope, &named, &mut map);
        Value::Object(map)
    }

    #[test]
    fn a_scope_and_a_name_say_what_is_theirs() {
        assert_eq!(said(&person(), "openid", &[]), json!({}));
        assert_eq!(
            said(&person(), "openid email", &[]),
            json!({ "email": "ada@example.com", "email_verified": true })
        );
        assert_eq!(
            said(&person(), "openid profile", &[]),
            json!({ "name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace", "updated_at": 0 })
        );
        assert_eq!(said(&person(), "openid", &["name", "nonsense"]), json!({ "name": "Ada Lovelace" }));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let nobody = Person {
            email: None,
            is_vouched: false,
            given_name: None,
            family_name: Some("Plato".to_owned()),
            ..person()
        };
        let said = said(&nobody, "email profile", &[]);
        assert_eq!(said, json!({ "name": "Plato", "family_name": "Plato", "updated_at": 0 }));
    }

    #[test]
    fn claims_are_read_as_the_standard_says() {
        let asked = read(
            r#"{"userinfo":{"name":{"essential":true},"address":null,"http://a/b":{"value":1}},
                "id_token":{"email":null,"auth_time":{"essential":true},"acr":{"values":["a"]}},"other":1}"#,
        )
        .unwrap();
        assert_eq!(asked.named.userinfo, ["name"]);
        assert_eq!(asked.named.id_token, ["email"]);
        let id = Uuid::from_u128(7);
        let subject = |value: &str| read(&format!(r#"{{"id_token":{{"sub":{{"value":"{value}"}}}}}}"#));
        assert_eq!(subject(&id.to_string()).unwrap().subject, Some(id));
        assert_eq!(subject("somebody"), Err(ClaimsError::Subject));
        assert_eq!(read(r#"{"id_token":null}"#), Ok(Asked::default()));
        for bad in ["", "[]", "{", r#"{"id_token":1}"#, r#"{"userinfo":{"name":1}}"#, &" ".repeat(4_001)] {
            assert_eq!(read(bad), Err(ClaimsError::Malformed), "{bad:.20}");
        }
        let essential = r#"{"id_token":{"acr":{"essential":true,"values":["urn:a"]}}}"#;
        assert_eq!(read(essential), Err(ClaimsError::Unmet));
        assert!(read(r#"{"id_token":{"acr":{"essential":true}}}"#).is_ok());
    }
}
