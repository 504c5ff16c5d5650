//! A browser that is new: it keeps the issuer's cookies, and says from where it comes.

use std::collections::BTreeMap;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use hyper::{Method, Request};

use crate::exchange::{Answer, ExchangeError, Peer};
use crate::world::ISSUER;

const FORM: &str = "application/x-www-form-urlencoded";

/// One, at an address of its own.
pub struct Browser {
    address: String,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// The `nth` that there ever was.
    pub fn new(nth: u64) -> Self {
        let (high, low) = ((nth >> 16) & 0xffff, nth & 0xffff);
        Self { address: format!("2001:db8:{high:x}:{low:x}::1"), cookies: BTreeMap::new() }
    }

    /// Opens a page of the issuer.
    pub async fn open(&mut self, issuer: &mut Peer, path: &str) -> Result<Answer, ExchangeError> {
        self.send(issuer, Method::GET, path, "").await
    }

    /// Sends a form of one of the issuer's pages.
    pub async fn post(&mut self, issuer: &mut Peer, path: &str) -> Result<Answer, ExchangeError> {
        self.send(issuer, Method::POST, path, "").await
    }

    async fn send(
        &mut self,
        issuer: &mut Peer,
        method: Method,
        path: &str,
        body: &'static str,
    ) -> Result<Answer, ExchangeError> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .uri(path)
            .header(HOST, "id.example.test")
            .header(ACCEPT, "text/html")
            .header("x-forwarded-for", &self.address);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if method == Method::POST {
            request = request.header(ORIGIN, ISSUER).header(CONTENT_TYPE, FORM);
        }
        let request = request.method(method).body(Full::new(Bytes::from_static(body.as_bytes())))?;
        let answer = issuer.send(request).await?;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            self.keep(cookie.to_str().unwrap_or_default());
        }
        Ok(answer)
    }

    fn keep(&mut self, header: &str) {
        let Some((name, value)) = header.split(';').next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        if header.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// A form that a program sends, with these headers.
pub fn form(
    path: &str,
    headers: &[(&str, &str)],
    fields: &[(&str, &str)],
) -> Result<Request<Full<Bytes>>, ExchangeError> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut request = Request::post(path).header(CONTENT_TYPE, FORM);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Full::new(Bytes::from(body)))?)
}
