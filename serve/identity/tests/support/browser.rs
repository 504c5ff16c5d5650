//! A browser without a screen: it keeps each site's cookies as browsers do, and goes where it is sent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use axum::http::header::SET_COOKIE;
use foundation::testing::program::{Answer, exchange};
use url::{Url, form_urlencoded};

/// How many browsers there were: each is at an address of its own, so that limits of an address hold for one.
static BROWSERS: AtomicUsize = AtomicUsize::new(1);

/// One browser.
pub struct Browser {
    ca: PathBuf,
    /// Where each site is on the loopback, by its origin.
    sites: BTreeMap<String, u16>,
    /// Names and values of cookies, by the origin.
    cookies: BTreeMap<String, BTreeMap<String, Cookie>>,
    address: String,
}

#[derive(Clone)]
struct Cookie {
    value: String,
    is_lax: bool,
}

impl Browser {
    /// One that has been nowhere, and trusts this authority.
    pub fn new(ca: PathBuf) -> Self {
        let number = BROWSERS.fetch_add(1, Ordering::Relaxed);
        let (sites, cookies) = Default::default();
        Self { ca, sites, cookies, address: format!("2001:db8:0:{number:x}::1") }
    }

    /// Knows where a site is on the loopback.
    pub fn knows(mut self, origin: &str, port: u16) -> Self {
        self.sites.insert(origin.to_owned(), port);
        self
    }

    /// Opens a URL, as a link or an address that was typed in does.
    pub async fn open(&mut self, url: &Url) -> Answer {
        self.send(Method::GET, url, None, &[], "").await
    }

    /// Sends a form of a page of the origin `from`.
    pub async fn post(&mut self, url: &Url, from: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, url, Some(from), &[], &body).await
    }

    /// Sends a request: `from` is the origin of the page that causes it, whose cookies that are not for other sites stay away
    /// where it is another than the URL's.
    pub async fn send(
        &mut self,
        method: Method,
        url: &Url,
        from: Option<&str>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let origin = url.origin().ascii_serialization();
        let port = *self.sites.get(&origin).unwrap_or_else(|| panic!("nobody is at {origin}"));
        let crosses = from.is_some_and(|from| from != origin);
        let is_link = method == Method::GET;
        let cookies: Vec<String> = self
            .cookies
            .get(&origin)
            .into_iter()
            .flatten()
            .filter(|(_, cookie)| !crosses || (cookie.is_lax && is_link))
            .map(|(name, cookie)| format!("{name}={}", cookie.value))
            .collect();
        let cookies = cookies.join("; ");
        let address = self.address.clone();
        let mut all = headers.to_vec();
        all.push(("x-forwarded-for", &address));
        if !headers.iter().any(|(name, _)| *name == "accept") {
            all.push(("accept", "text/html"));
        }
        if let Some(from) = from {
            all.push(("origin", from));
        }
        if !cookies.is_empty() {
            all.push(("cookie", &cookies));
        }
        if method == Method::POST {
            all.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let answer = exchange(port, &self.ca, "http/1.1", method, path, &all, body.to_owned()).await.unwrap();
        for cookie in answer.headers.get_all(SET_COOKIE) {
            self.keep(&origin, cookie.to_str().unwrap());
        }
        answer
    }

    /// Where an answer sends the browser next.
    pub fn next(answer: &Answer, from: &Url) -> Url {
        let location = answer.header("location");
        assert!(!location.is_empty(), "{}: {}", answer.status, answer.text);
        from.join(location).unwrap()
    }

    /// The value of a site's cookie whose name begins with this.
    pub fn cookie(&self, origin: &str, name: &str) -> Option<&str> {
        let cookies = self.cookies.get(origin)?;
        cookies.iter().find(|(found, _)| found.starts_with(name)).map(|(_, cookie)| cookie.value.as_str())
    }

    /// Puts a cookie into the browser, as somebody who planted it would.
    pub fn plant(&mut self, origin: &str, name: &str, value: &str) {
        let cookie = Cookie { value: value.to_owned(), is_lax: true };
        self.cookies.entry(origin.to_owned()).or_default().insert(name.to_owned(), cookie);
    }

    /// Gives up all cookies of a site.
    pub fn forget(&mut self, origin: &str) {
        self.cookies.remove(origin);
    }

    fn keep(&mut self, origin: &str, header: &str) {
        let mut parts = header.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attributes: Vec<&str> = parts.collect();
        let cookies = self.cookies.entry(origin.to_owned()).or_default();
        if attributes.contains(&"Max-Age=0") {
            cookies.remove(name);
        } else {
            let is_lax =
                !attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case("SameSite=Strict"));
            cookies.insert(name.to_owned(), Cookie { value: value.to_owned(), is_lax });
        }
    }
}
