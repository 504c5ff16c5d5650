//! `Form<T>`: what a page's form sends.
//!
//! A field that comes several times, such as boxes of one name, is a list. An optional field that is left empty is none:
//! browsers send it all the same.

use axum::extract::{FromRequest, Request};
use serde::de::value::{Error, SeqDeserializer};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Visitor};
use url::form_urlencoded;

use super::body::{content_type, is_utf8, limits, read, unsupported_type};
use super::query::{Text, decode, read as read_values};
use crate::problem::{Place, Problem, codes};

const KIND: &str = "application/x-www-form-urlencoded";
/// More values than any form has.
const VALUES: usize = 512;

/// A form's fields. Unknown ones are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Form<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        FormBody::from_request(request, state).await?.parse(&[]).map(Self)
    }
}

/// A form that is kept as it came, for handlers that need both the form and its fields.
#[derive(Debug, Clone)]
pub struct FormBody(axum::body::Bytes);

impl<S: Sync> FromRequest<S> for FormBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let fits = content_type(&request).is_some_and(|kind| {
            let (essence, parameters) = kind.split_once(';').unwrap_or((&kind, ""));
            essence.trim() == KIND && is_utf8(parameters)
        });
        if !fits {
            return Err(unsupported_type(KIND));
        }
        let limits = limits(&request);
        read(request, limits).await.map(Self)
    }
}

impl FormBody {
    /// The form as it came.
    #[must_use]
    pub fn bytes(&self) -> &axum::body::Bytes {
        &self.0
    }

    /// The first field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let mut fields = form_urlencoded::parse(&self.0);
        fields.find_map(|(field, value)| (field == name).then(|| value.into_owned()))
    }

    /// Its fields, except those that are not the handler's.
    ///
    /// # Errors
    /// A problem that names the field.
    pub fn parse<T: DeserializeOwned>(&self, without: &[&str]) -> Result<T, Problem> {
        let text = std::str::from_utf8(&self.0)
            .map_err(|_| Problem::new(&codes::BODY_MALFORMED).detail("The form is not UTF-8."))?;
        let others = |pair: &&str| !without.contains(&pair.split('=').next().unwrap_or_default());
        let kept: Vec<&str> = text.split('&').filter(others).collect();
        let start = || Problem::new(&codes::VALIDATION_FAILED).detail("A field of the form is not valid.");
        let wrong = |(pointer, code, detail)| start().error(pointer, code, detail);
        let mut fields: Vec<(String, Field)> = Vec::new();
        for (name, value) in decode(&kept.join("&"), VALUES).map_err(wrong)? {
            // Browsers send every line break as two characters.
            let value = value.replace("\r\n", "\n");
            match fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, field)) => field.0.push(value),
                None => fields.push((name, Field(vec![value]))),
            }
        }
        read_values(fields, Place::Body, start)
    }
}

/// A field with all its values; there is at least one.
struct Field(Vec<String>);

impl Field {
    fn one(mut self) -> Result<Text, Error> {
        match (self.0.pop(), self.0.is_empty()) {
            (Some(value), true) => Ok(Text(value)),
            _ => Err(Error::custom("this field is given twice")),
        }
    }
}

impl<'de> IntoDeserializer<'de> for Field {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! one {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.one()?.$method(visitor)
        })*
    };
}

impl<'de> serde::Deserializer<'de> for Field {
    type Error = Error;

    one! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_map deserialize_identifier
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.iter().all(String::is_empty) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.0.into_iter().map(Text)))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.one()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { unit_struct tuple tuple_struct struct }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Fields {
        name: String,
        #[serde(default)]
        scopes: Vec<String>,
        most: Option<u8>,
    }

    fn parse(form: &'static str) -> Result<Fields, (String, &'static str)> {
        FormBody(form.into())
            .parse(&["key"])
            .map_err(|problem: Problem| (problem.errors()[0].pointer.clone(), problem.errors()[0].code))
    }

    #[test]
    fn a_field_that_comes_several_times_is_a_list_and_an_empty_one_is_none() {
        let fields = parse("name=a+b&scopes=x&key=k&scopes=y%20z&most=").unwrap();
        let scopes = vec!["x".to_owned(), "y z".to_owned()];
        assert_eq!(fields, Fields { name: "a b".to_owned(), scopes, most: None });
        assert_eq!(parse("name=&scopes=x&most=7").unwrap().most, Some(7));
        assert_eq!(parse("name=").unwrap().scopes, Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (form, pointer, code) in [
            ("name=a&name=b", "/name", "invalid-value"),
            ("name=a&most=x", "/most", "wrong-type"),
            ("most=1", "/name", "missing-field"),
            ("name=a&color=red&color=blue", "/color", "unknown-parameter"),
            ("name=%ff", "/name", "not-utf-8"),
        ] {
            assert_eq!(parse(form), Err((pointer.to_owned(), code)), "{form}");
        }
    }
}
