//! A browser without a screen: it keeps cookies, and goes where it is sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::header::SET_COOKIE;
use axum::http::{Method, StatusCode};
use foundation::auth::csrf::{Csrf, FIELD};
use foundation::auth::session::{COOKIE, SessionKey};
use foundation::clock::SystemRandomness;
use foundation::testing::issuer::Issuer;
use url::{Url, form_urlencoded};

use super::application::{Answer, Application, PUBLIC_URL, SECRET_KEY, exchange};

/// One browser at one application.
pub struct Browser<'a> {
    application: &'a Application,
    cookies: BTreeMap<String, String>,
    address: String,
}

/// How many browsers there were: each is at an address of its own, so that limits of an address hold for one.
static BROWSERS: AtomicUsize = AtomicUsize::new(1);

impl<'a> Browser<'a> {
    /// One that has been nowhere.
    pub fn new(application: &'a Application) -> Self {
        let number = BROWSERS.fetch_add(1, Ordering::Relaxed);
        Self { application, cookies: BTreeMap::new(), address: format!("2001:db8:0:{number:x}::1") }
    }

    /// Where it is, as the edge says.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// Sends a form of a page, with the token that the page has.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let token = self.csrf_token();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields).extend_pairs(token.iter().map(|token| (FIELD, token)));
        self.post_bare(path, &form.finish()).await
    }

    /// Sends a form as it is.
    pub async fn post_bare(&mut self, path: &str, form: &str) -> Answer {
        let headers = [("origin", PUBLIC_URL), ("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, path, &headers, form).await
    }

    pub async fn send(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let cookies = self.cookies();
        let address = self.address.clone();
        let mut all = headers.to_vec();
        all.push(("x-forwarded-for", &address));
        // Problems as documents, unless the test is about the page.
        if !headers.iter().any(|(name, _)| *name == "accept") {
            all.push(("accept", "application/json"));
        }
        if !cookies.is_empty() {
            all.push(("cookie", &cookies));
        }
        let answer = self.application.send(method, path, &all, body).await;
        for cookie in answer.headers.get_all(SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        answer
    }

    /// The value of the header `Cookie`.
    pub fn cookies(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    /// The session's cookie.
    pub fn session(&self) -> Option<&str> {
        self.cookies.get(COOKIE).map(String::as_str)
    }

    /// Puts a session's cookie into the browser, as somebody who planted it would.
    pub fn plant(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// As a browser keeps a cookie of this kind, which it refuses otherwise.
    fn keep(&mut self, header: &str) {
        let mut parts = header.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        let attributes: Vec<&str> = parts.collect();
        assert!(name.starts_with("__Host-"), "{header}");
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(attributes.contains(&attribute), "{header}");
        }
        assert!(!header.contains("Domain"), "{header}");
        if attributes.contains(&"Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// What a form of a page of this session carries.
    fn csrf_token(&self) -> Option<String> {
        let session = SessionKey::of_cookie(self.session()?)?;
        let csrf = Csrf::new(SECRET_KEY.as_bytes(), &PUBLIC_URL.parse().unwrap(), Arc::new(SystemRandomness));
        Some(csrf.unwrap().token(&session))
    }

    /// Begins to sign in: where the issuer asks who it is.
    pub async fn begins(&mut self, path: &str) -> Url {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        assert_eq!(answer.header("cache-control"), "no-store");
        answer.header("location").parse().unwrap()
    }

    /// Asks the issuer for a URL of its own; where it sends the browser next, as a path of the application.
    pub async fn at_issuer(&self, issuer: &Issuer, url: &Url) -> String {
        let path = &url[url::Position::BeforePath..];
        sent_back(&self.of_issuer(issuer, Method::GET, path, String::new()).await)
    }

    /// Fills in the issuer's form, which asks who it is; where that sends the browser next.
    pub async fn says(&self, issuer: &Issuer, url: &Url, username: &str) -> String {
        let path = &url[url::Position::BeforePath..];
        let form = self.of_issuer(issuer, Method::GET, path, String::new()).await;
        assert!(form.text.contains("<form method=\"post\" action=\"/authorize\">"), "{}", form.text);
        let mut fields = form_urlencoded::Serializer::new(String::new());
        fields.extend_pairs(url.query_pairs()).append_pair("username", username);
        sent_back(&self.of_issuer(issuer, Method::POST, "/authorize", fields.finish()).await)
    }

    async fn of_issuer(&self, issuer: &Issuer, method: Method, path: &str, body: String) -> Answer {
        let (port, ca) = (issuer.port(), self.application.ca());
        exchange(port, ca, "http/1.1", method, path, &[], body).await.unwrap()
    }

    /// The whole way, from the link of a page to the page that was wanted.
    pub async fn signs_in(&mut self, issuer: &Issuer, path: &str) -> Answer {
        let url = self.begins(path).await;
        let callback = self.at_issuer(issuer, &url).await;
        self.get(&callback).await
    }
}

/// Where at the application the issuer sends the browser.
fn sent_back(answer: &Answer) -> String {
    let next = answer.header("location").strip_prefix(PUBLIC_URL);
    next.unwrap_or_else(|| panic!("{}: {}", answer.status, answer.text)).to_owned()
}
