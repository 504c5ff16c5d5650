//! Bodies within limits of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::problem::{Problem, codes};

/// How much of a body is read, and for how long. A route has its own by the layer `Extension(BodyLimits { … })`.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes.
    pub bytes: usize,
    /// From the headers to the last byte.
    pub time: Duration,
    /// How deep arrays and objects nest.
    pub depth: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { bytes: 1 << 20, time: Duration::from_secs(15), depth: 32 }
    }
}

/// The body as it came.
#[derive(Debug, Clone)]
pub struct Bytes(pub axum::body::Bytes);

impl<S: Sync> FromRequest<S> for Bytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let limits = limits(&request);
        read(request, limits).await.map(Self)
    }
}

pub(super) fn limits(request: &Request) -> BodyLimits {
    request.extensions().get::<BodyLimits>().copied().unwrap_or_default()
}

/// The whole body, or which limit it broke.
pub(super) async fn read(request: Request, limits: BodyLimits) -> Result<axum::body::Bytes, Problem> {
    let (parts, body) = request.into_parts();
    refuse_encoding(&parts.headers)?;
    // What says beforehand that it is too large is not read at all.
    if http_body::Body::size_hint(&body).lower() > limits.bytes as u64 {
        return Err(too_large(limits));
    }
    let reading = Limited::new(body, limits.bytes).collect();
    match tokio::time::timeout(limits.time, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limits)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a body broke off");
            Err(Problem::new(&codes::BODY_MALFORMED).detail("The body broke off before its end."))
        }
        Err(_) => Err(Problem::new(&codes::BODY_TOO_SLOW)
            .detail(format!("The body was not complete after {} seconds.", limits.time.as_secs_f64()))
            .header(CONNECTION, HeaderValue::from_static("close"))),
    }
}

/// `Connection: close`, because the rest of the body is still to come and nobody reads it.
fn too_large(limits: BodyLimits) -> Problem {
    Problem::new(&codes::BODY_TOO_LARGE)
        .detail(format!("The limit here is {} bytes.", limits.bytes))
        .with("limit", limits.bytes)
        .header(CONNECTION, HeaderValue::from_static("close"))
}

fn refuse_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    Err(Problem::new(&codes::CONTENT_ENCODING_UNSUPPORTED)
        .detail("Send the body without Content-Encoding.")
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}

/// A body that is refused whatever it says.
pub(super) fn unsupported_type(accepted: &'static str) -> Problem {
    Problem::new(&codes::CONTENT_TYPE_UNSUPPORTED)
        .detail(format!("Send the body as {accepted}."))
        .header(axum::http::header::ACCEPT, HeaderValue::from_static(accepted))
}

/// Essence and parameters of the one content type there may be, in lower case.
pub(super) fn content_type(request: &axum::http::Request<Body>) -> Option<String> {
    let mut values = request.headers().get_all(axum::http::header::CONTENT_TYPE).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.to_ascii_lowercase())
}

/// Whether the charset, if one is named, is UTF-8.
pub(super) fn is_utf8(parameters: &str) -> bool {
    parameters
        .split(';')
        .filter_map(|parameter| parameter.trim().strip_prefix("charset="))
        .all(|charset| matches!(charset.trim_matches('"'), "utf-8" | "utf8"))
}
