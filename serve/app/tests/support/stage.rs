//! One application with its servers, and who asks it.

use axum::http::Method;
use foundation::testing::issuer::{Identity, Issuer};
use foundation::testing::servers::Servers;
use rustix::process::Signal;
use serde_json::Value;
use uuid::Uuid;

use crate::support::application::{Answer, Application, PUBLIC_URL, environment, migrate};
use crate::support::browser::Browser;
use crate::support::seed;

/// An application that is ready, with one organization.
pub struct Stage {
    // Dropped before the servers, so that it does not complain of their end.
    pub application: Application,
    pub servers: Servers,
    pub issuer: Issuer,
    pub organization: Uuid,
}

impl Stage {
    pub async fn new() -> Self {
        Self::on(Servers::start(), &[]).await
    }

    /// On these servers, with more variables in the application's environment.
    pub async fn on(servers: Servers, more: &[(&'static str, String)]) -> Self {
        let _others_may_have_chosen = rustls::crypto::ring::default_provider().install_default();
        let migrated = migrate(&servers);
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        let issuer = Issuer::start(&servers, &format!("{PUBLIC_URL}/sign-in/callback")).await;
        let mut variables = environment(&servers);
        variables.extend(issuer.environment(&servers));
        // Tests are the edge: they say from where somebody comes.
        variables.insert("TRUSTED_PROXIES", "127.0.0.1".to_owned());
        variables.extend(more.iter().cloned());
        let application = Application::start(&servers, variables);
        application.wait_for_missing(&[]).await;
        let organization = seed::organization(&servers, "first");
        Self { application, servers, issuer, organization }
    }

    /// An agent of the organization with these scopes.
    pub fn agent(&self, scopes: &[&str]) -> Caller<'_> {
        self.caller(seed::token(&self.servers, self.organization, scopes))
    }

    /// An agent of another organization, with every scope.
    pub fn stranger(&self) -> Caller<'_> {
        let other = seed::organization(&self.servers, "second");
        self.caller(seed::token(&self.servers, other, seed::ALL_SCOPES))
    }

    /// Who has this token.
    pub fn caller(&self, token: String) -> Caller<'_> {
        Caller::of(&self.application, &token)
    }

    /// Another process of the same application, on the same servers.
    pub async fn another(&self, variables: &[(&'static str, &str)]) -> Application {
        let mut environment = environment(&self.servers);
        environment.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let application = Application::start(&self.servers, environment);
        application.wait_for_missing(&[]).await;
        application
    }

    /// From now on the application runs no jobs: nothing happens but what is asked for.
    pub async fn without_workers(&mut self) {
        self.application.signal(Signal::TERM);
        assert_eq!(self.application.exit_code(), Some(0));
        self.application.start_again(&[("WORKERS", "none")]);
        self.application.wait_for_missing(&[]).await;
    }

    /// A person with this role in the organization, signed in, by a page of the site.
    pub async fn person(&self, name: &str, role: &str) -> Caller<'_> {
        let person = seed::person(&self.servers, self.organization, name, role);
        self.at_work(person, Some(self.organization)).await
    }

    /// A person who belongs to no organization, signed in.
    pub async fn somebody(&self, name: &str) -> Caller<'_> {
        self.at_work(seed::somebody(&self.servers, name), None).await
    }

    /// This person, signed in to work in this organization.
    pub async fn at_work(&self, person: Uuid, organization: Option<Uuid>) -> Caller<'_> {
        let cookie = seed::session(&self.servers, person, organization).await;
        let origin = ("origin", PUBLIC_URL.to_owned());
        Caller { application: &self.application, headers: vec![("cookie", cookie), origin], id: person }
    }

    /// A browser that has been nowhere.
    pub fn browser(&self) -> Browser<'_> {
        Browser::new(&self.application)
    }

    /// A browser in which this person has signed in at the issuer.
    pub async fn signed_in(&self, subject: &str) -> Browser<'_> {
        self.issuer.awaits(Some(Identity::of(subject)));
        let mut browser = self.browser();
        let answer = browser.signs_in(&self.issuer, "/sign-in").await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        browser
    }

    /// Who asks by the session of this browser, from a page of the site.
    pub fn page_of(&self, browser: &Browser<'_>) -> Caller<'_> {
        let headers = vec![("cookie", browser.cookies()), ("origin", PUBLIC_URL.to_owned())];
        Caller { application: &self.application, headers, id: Uuid::nil() }
    }

    /// How many rows a table has, or a condition on it.
    pub fn count(&self, of: &str) -> String {
        self.servers.sql(&format!("SELECT count(*) FROM {of}"), "app")
    }
}

/// Somebody who asks.
pub struct Caller<'a> {
    application: &'a Application,
    headers: Vec<(&'static str, String)>,
    /// The person; the nil UUID where that is not known, or it is an agent.
    pub id: Uuid,
}

impl<'a> Caller<'a> {
    /// Who has this token, before one of several processes.
    pub fn of(application: &'a Application, token: &str) -> Self {
        Self { application, headers: vec![("authorization", format!("Bearer {token}"))], id: Uuid::nil() }
    }

    /// With one more header in each request.
    pub fn saying(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl Caller<'_> {
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// With the version that the caller has seen.
    pub async fn patch(&self, path: &str, tag: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &[("if-match", tag)], Some(body)).await
    }

    pub async fn delete(&self, path: &str, tag: &str) -> Answer {
        self.send(Method::DELETE, path, &[("if-match", tag)], None).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let mut all: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        all.extend_from_slice(headers);
        if body.is_some() || method != Method::GET {
            all.push(("content-type", "application/json"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.application.send(method, path, &all, &body).await
    }
}
