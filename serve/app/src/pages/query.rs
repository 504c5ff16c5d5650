//! The query of a page: a form that filters sends its empty fields too, and they mean nothing.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use foundation::extract::Query;
use foundation::problem::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::notice::{self, Notice};

/// No parameter, and no field.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Nothing {}

/// What a page is asked for, and what was done before it is shown.
#[derive(Debug)]
pub struct PageQuery<T> {
    /// The parameters.
    pub asked: T,
    /// What was done just before.
    pub notice: Option<Notice>,
    /// Path and query as they were asked for, without the notice.
    pub uri: Uri,
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for PageQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let notice = pairs.clone().find(|(name, _)| name == notice::PARAMETER);
        let notice = notice.and_then(|(_, value)| Notice::named(&value));
        let is_meant = |pair: &&str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            !value.is_empty() && name != notice::PARAMETER
        };
        // What is left keeps its encoding, which the query's own extractor judges.
        let kept = query.split('&').filter(is_meant).collect::<Vec<_>>().join("&");
        let path = parts.uri.path();
        let text = if kept.is_empty() { path.to_owned() } else { format!("{path}?{kept}") };
        if let Ok(uri) = text.parse::<Uri>() {
            parts.uri = uri;
        }
        let Query(asked) = Query::from_request_parts(parts, state).await?;
        Ok(Self { asked, notice, uri: parts.uri.clone() })
    }
}

impl<T: Default> PageQuery<T> {
    /// The page at this path where nothing more is asked for.
    pub fn plain(path: &'static str) -> Self {
        Self { asked: T::default(), notice: None, uri: Uri::from_static(path) }
    }
}

/// The path of the next page of a list, as seen from this one.
pub fn next(uri: &Uri, cursor: Option<&String>) -> Option<String> {
    let cursor = cursor?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    query.extend_pairs(pairs.filter(|(name, _)| name != "cursor")).append_pair("cursor", cursor);
    Some(format!("{}?{}", uri.path(), query.finish()))
}

/// The path of the first page of a list, where this one is not the first.
pub fn first(uri: &Uri) -> Option<String> {
    let pairs = form_urlencoded::parse(uri.query()?.as_bytes());
    if !pairs.clone().any(|(name, _)| name == "cursor") {
        return None;
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query.extend_pairs(pairs.filter(|(name, _)| name != "cursor")).finish();
    Some(if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Asked {
        state: Option<String>,
        limit: Option<u8>,
    }

    async fn asked(uri: &str) -> Result<PageQuery<Asked>, Problem> {
        let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
        PageQuery::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn empty_fields_mean_nothing_and_others_are_read() {
        let page = asked("/tasks?state=&limit=3&notice=deleted").await.unwrap();
        assert_eq!((page.asked.state, page.asked.limit), (None, Some(3)));
        assert_eq!(page.notice, Some(Notice::Deleted));
        assert_eq!(page.uri, "/tasks?limit=3");
        assert!(asked("/tasks?limit=many").await.is_err());
        assert!(asked("/tasks?color=red").await.is_err());
        assert_eq!(asked("/tasks?notice=%3Cscript%3E").await.unwrap().notice, None);
    }

    #[test]
    fn pages_of_a_list_keep_its_filters() {
        let uri = Uri::from_static("/tasks?state=open&cursor=old");
        assert_eq!(next(&uri, Some(&"new".to_owned())).unwrap(), "/tasks?state=open&cursor=new");
        assert_eq!(next(&uri, None), None);
        assert_eq!(first(&uri).unwrap(), "/tasks?state=open");
        assert_eq!(first(&Uri::from_static("/tasks?cursor=x")).unwrap(), "/tasks");
        assert_eq!(first(&Uri::from_static("/tasks?state=open")), None);
    }
}
