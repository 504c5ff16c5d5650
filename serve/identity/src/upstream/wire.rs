//! The way to one login provider: to the hosts that are its own and to no other, whatever its description says, within the
//! bounds of its health, and counted.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use foundation::clock::Clock;
use foundation::http_client::{Answer, HttpClient, HttpError};
use prometheus_client::metrics::counter::Counter;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::error::UpstreamError;
use super::health::Health;

/// Where a login provider may be asked.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// The site that it is.
    pub site: Url,
    /// Further hosts that are known to be its own.
    pub others: Vec<String>,
}

impl Hosts {
    /// A site, and hosts beside it.
    pub fn new(site: Url, others: &[&str]) -> Self {
        Self { site, others: others.iter().map(ToString::to_string).collect() }
    }

    /// Whether a URL is the provider's.
    pub fn have(&self, url: &Url) -> bool {
        let plain = url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        let known = url.port().is_none()
            && url.host_str().is_some_and(|host| self.others.iter().any(|own| own == host));
        plain && (known || url.origin() == self.site.origin())
    }
}

/// The way to one login provider.
#[derive(Debug)]
pub struct Wire {
    /// Where it may be asked.
    pub hosts: Hosts,
    /// How it is.
    pub health: Health,
    /// How often it was asked.
    pub requests: Counter,
    /// How often in vain.
    pub failures: Counter,
    http: HttpClient,
    clock: Arc<dyn Clock>,
}

impl Wire {
    /// To these hosts.
    pub fn new(hosts: Hosts, http: HttpClient, clock: Arc<dyn Clock>) -> Self {
        let (requests, failures) = (Counter::default(), Counter::default());
        Self { hosts, health: Health::default(), requests, failures, http, clock }
    }

    /// Asks for JSON; with a token of a person, where there is one.
    pub async fn get<T: DeserializeOwned>(
        &self,
        what: &'static str,
        url: &Url,
        token: Option<&str>,
    ) -> Result<T, UpstreamError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            // What is no header is no token of a login provider's.
            let mut value = value.map_err(|_| UpstreamError::Code)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let answer = self.ask(what, url, self.http.get_with(url, headers)).await?;
        if answer.status != StatusCode::OK {
            return Err(UpstreamError::Status { what, url: Box::new(url.clone()), status: answer.status });
        }
        answer.json().map_err(|source| UpstreamError::Http { what, url: Box::new(url.clone()), source })
    }

    /// Posts a form; the answer, whatever its status.
    pub async fn post(
        &self,
        what: &'static str,
        url: &Url,
        headers: HeaderMap,
        fields: &[(&str, &str)],
    ) -> Result<Answer, UpstreamError> {
        self.ask(what, url, self.http.post_form(url, headers, fields)).await
    }

    async fn ask(
        &self,
        what: &'static str,
        url: &Url,
        request: impl Future<Output = Result<Answer, HttpError>>,
    ) -> Result<Answer, UpstreamError> {
        if !self.hosts.have(url) {
            return Err(UpstreamError::Description {
                url: Box::new(url.clone()),
                problem: "leads to another site",
            });
        }
        let place = self.health.enter(self.clock.now())?;
        let started = Instant::now();
        let answer = request.await;
        let is_good = answer.as_ref().is_ok_and(|answer| {
            !answer.status.is_server_error() && answer.status != StatusCode::TOO_MANY_REQUESTS
        });
        self.health.note(is_good, started.elapsed(), self.clock.now());
        drop(place);
        self.requests.inc();
        if !is_good {
            self.failures.inc();
        }
        answer.map_err(|source| UpstreamError::Http { what, url: Box::new(url.clone()), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_at_its_own_hosts_alone() {
        let url = |text: &str| Url::parse(text).unwrap();
        let hosts = Hosts::new(url("https://accounts.google.com"), &["oauth2.googleapis.com"]);
        for good in ["https://accounts.google.com/x", "https://oauth2.googleapis.com:443/token"] {
            assert!(hosts.have(&url(good)), "{good}");
        }
        for bad in [
            "http://accounts.google.com/",
            "https://accounts.google.com:8443/",
            "https://oauth2.googleapis.com:22/",
            "https://accounts.google.com.example/",
            "https://accounts.google.com@127.0.0.1/",
            "https://user@accounts.google.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://www.googleapis.com/",
        ] {
            assert!(!hosts.have(&url(bad)), "{bad}");
        }
        let elsewhere = Hosts::new(url("https://id.example.test:8443/realm"), &[]);
        assert!(elsewhere.have(&url("https://id.example.test:8443/token")));
        assert!(!elsewhere.have(&url("https://id.example.test/token")));
    }
}
