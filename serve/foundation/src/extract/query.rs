//! `Query<T>`: parameters that the operation knows, each once, each of its form.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::place;
use crate::problem::{Place, Problem, codes};

/// More parameters than any operation has.
const PARAMETERS: usize = 64;

/// The parameters of the query string. Unknown ones are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(once(&parts.uri)?, Place::Query, invalid).map(Self)
    }
}

/// The parameters of the query string in two parts, such as a filter that several operations have, and what is one's
/// own. Those that neither part knows are refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct Queries<A, B>(pub A, pub B);

impl<A: DeserializeOwned, B: DeserializeOwned, S: Sync> FromRequestParts<S> for Queries<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = once(&parts.uri)?;
        let (first, unknown) = take(pairs.clone(), Place::Query, invalid)?;
        let rest = pairs.into_iter().filter(|(name, _)| unknown.contains(&pointer_to(name)));
        let second = read(rest.collect(), Place::Query, invalid)?;
        Ok(Self(first, second))
    }
}

fn invalid() -> Problem {
    Problem::new(&codes::QUERY_INVALID).detail("The query is not valid.")
}

/// The parameters of the query string, each of them once.
fn once(uri: &Uri) -> Result<Vec<(String, Text)>, Problem> {
    let wrong = |(pointer, code, detail)| invalid().error_in(Place::Query, pointer, code, detail);
    let mut once: Vec<(String, Text)> = Vec::new();
    for (name, value) in decode(uri.query().unwrap_or_default(), PARAMETERS).map_err(wrong)? {
        if once.iter().any(|(known, _)| *known == name) {
            return Err(wrong((pointer_to(&name), "duplicate-parameter", "This parameter is given twice.")));
        }
        once.push((name, Text(value)));
    }
    Ok(once)
}

/// The values as what the handler asks for, or what is wrong with which of them.
pub(super) fn read<T: DeserializeOwned, V>(
    pairs: Vec<(String, V)>,
    place: Place,
    start: impl Fn() -> Problem,
) -> Result<T, Problem>
where
    V: for<'de> IntoDeserializer<'de>,
{
    let (value, unknown) = take(pairs, place, &start)?;
    if unknown.is_empty() {
        return Ok(value);
    }
    Err(unknown.into_iter().fold(start(), |problem, pointer| {
        problem.error_in(place, pointer, "unknown-parameter", "This parameter is unknown here.")
    }))
}

/// What `T` knows of the values, and pointers to those that it does not know.
fn take<T: DeserializeOwned, V>(
    pairs: Vec<(String, V)>,
    place: Place,
    start: impl Fn() -> Problem,
) -> Result<(T, Vec<String>), Problem>
where
    V: for<'de> IntoDeserializer<'de>,
{
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let map = MapDeserializer::new(pairs.into_iter());
    let tracked = serde_path_to_error::Deserializer::new(map, &mut track);
    let value = serde_ignored::deserialize(tracked, |path| unknown.push(place::ignored(&path)));
    match value {
        Ok(value) => Ok((value, unknown)),
        Err(error) => {
            let error: serde::de::value::Error = error;
            let (code, pointer, detail) = place::explain(&error.to_string(), place::pointer(&track.path()));
            Err(start().error_in(place, pointer, code, detail))
        }
    }
}

/// Where it is, the stable name of what is wrong, the message.
pub(super) type Wrong = (String, &'static str, &'static str);

/// Names and values as they come, at most this many.
pub(super) fn decode(encoded: &str, most: usize) -> Result<Vec<(String, String)>, Wrong> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in encoded.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = text(name).map_err(|(code, detail)| (String::new(), code, detail))?;
        let value = text(value).map_err(|(code, detail)| (pointer_to(&name), code, detail))?;
        if pairs.len() == most {
            return Err((String::new(), "too-many-parameters", "There are too many parameters."));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn pointer_to(name: &str) -> String {
    let mut pointer = String::new();
    place::push(&mut pointer, name);
    pointer
}

fn text(encoded: &str) -> Result<String, (&'static str, &'static str)> {
    let spaced = encoded.replace('+', " ");
    let text = percent_decode_str(&spaced)
        .decode_utf8()
        .map_err(|_| ("not-utf-8", "This is not UTF-8 after percent-decoding."))?;
    if text.contains('\0') {
        return Err(("nul-character", "Remove the character U+0000."));
    }
    Ok(text.into_owned())
}

/// A value that is a text and becomes a number or a truth value where one is asked for.
#[derive(Clone)]
pub(super) struct Text(pub(super) String);

impl<'de> IntoDeserializer<'de> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $kind:ty),* $(,)?) => {
        $(fn $method<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.0.parse::<$kind>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(serde::de::Error::invalid_type(
                    serde::de::Unexpected::Str(&self.0), &visitor,
                )),
            }
        })*
    };
}

impl<'de> serde::Deserializer<'de> for Text {
    type Error = serde::de::value::Error;

    parsed! {
        deserialize_bool visit_bool bool,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64,
    }

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(serde::de::value::StringDeserializer::new(self.0))
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum State {
        Open,
        Done,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Filter {
        limit: Option<u16>,
        after: Option<String>,
        state: Option<State>,
        #[serde(default)]
        deleted: bool,
    }

    fn read(query: &str) -> Result<Filter, (String, &'static str)> {
        let uri = Uri::try_from(format!("/?{query}")).expect("a URI");
        once(&uri)
            .and_then(|pairs| super::read(pairs, Place::Query, invalid))
            .map_err(|problem| (problem.errors()[0].pointer.clone(), problem.errors()[0].code))
    }

    #[test]
    fn parameters_take_the_form_they_are_asked_for_in() {
        let filter = read("limit=20&after=a+b%2Fc&state=done&deleted=true&").expect("valid");
        let expected =
            Filter { limit: Some(20), after: Some("a b/c".into()), state: Some(State::Done), deleted: true };
        assert_eq!(filter, expected);
        assert_eq!(read("").expect("valid").state, None);
        assert_eq!(read("state=open").expect("valid").state, Some(State::Open));
    }

    #[tokio::test]
    async fn two_parts_share_the_query_and_refuse_what_neither_knows() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Order {
            by: Option<String>,
        }
        let read = async |uri: &str| {
            let (mut parts, ()) = axum::http::Request::get(uri).body(()).expect("a request").into_parts();
            Queries::<Filter, Order>::from_request_parts(&mut parts, &()).await
        };
        let Queries(filter, order) = read("/?by=name&limit=3").await.expect("valid");
        assert_eq!((filter.limit, order.by.as_deref()), (Some(3), Some("name")));
        let problem = read("/?by=name&limt=3&a%2Fb=1").await.unwrap_err();
        let pointers: Vec<_> = problem.errors().iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/limt", "/a~1b"]);
        assert!(read("/?limit=x").await.is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("limit=x", "/limit", "wrong-type"),
            ("limit=70000", "/limit", "wrong-type"),
            ("limit=", "/limit", "wrong-type"),
            ("state=gone", "/state", "unknown-variant"),
            ("limt=2", "/limt", "unknown-parameter"),
            ("limit=1&limit=2", "/limit", "duplicate-parameter"),
            ("after=%ff", "/after", "not-utf-8"),
            ("after=%00", "/after", "nul-character"),
            ("deleted=yes", "/deleted", "wrong-type"),
        ];
        for (query, pointer, code) in cases {
            assert_eq!(read(query), Err((pointer.to_owned(), code)), "{query}");
        }
        let flood: String = (0..100).map(|number| format!("p{number}=1&")).collect();
        assert_eq!(read(&flood), Err((String::new(), "too-many-parameters")));
    }
}
