//! One sign-in after the other, each in a new browser.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bench_load::latencies::Latencies;
use bench_load::pace::Pace;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST};
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use crate::browser::{Browser, form};
use crate::exchange::{ExchangeError, Peer};
use crate::world::World;

/// The client, and where it gets its answers.
const CLIENT: &str = "app";
const BACK: &str = "https://app.example.test/callback";
/// People who sign in. Each is somebody at the login provider, and has an account after the first time.
const PEOPLE: u64 = 2_000;

/// How long things took.
#[derive(Default)]
pub struct Times {
    flow: Latencies,
    token: Latencies,
}

impl Times {
    /// Those of another browser as well.
    pub fn add(&mut self, other: Self) {
        self.flow.add(other.flow);
        self.token.add(other.token);
    }

    /// How many flows in `time`, and how long they and their requests for tokens took, in milliseconds.
    pub fn summary(self, time: Duration) -> Value {
        json!({ "flow": self.flow.summary(time), "token": self.token.summary(time) })
    }
}

/// What all flows share.
pub struct Flows {
    issuer: SocketAddr,
    google: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    /// The client's `Authorization` header.
    proof: String,
    count: Cell<u64>,
}

/// The connections of one slot.
struct Peers {
    issuer: Peer,
    google: Peer,
}

impl Flows {
    pub fn new(issuer: SocketAddr, world: &World, files: &Path) -> Result<Self, ExchangeError> {
        let prepare = |error: &dyn std::fmt::Display| ExchangeError::Prepare(error.to_string());
        let mut roots = rustls::RootCertStore::empty();
        let authority =
            CertificateDer::from_pem_file(files.join("ca.pem")).map_err(|error| prepare(&error))?;
        roots.add(authority).map_err(|error| prepare(&error))?;
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let secret = std::fs::read_to_string(files.join("client-secret")).map_err(|error| prepare(&error))?;
        let proof = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{}", secret.trim_end())));
        let google = (Ipv4Addr::LOCALHOST, world.port).into();
        Ok(Self { issuer, google, tls: Arc::new(tls), proof, count: Cell::new(0) })
    }

    /// Signs people in until `end`; what was done after `begin` is measured.
    pub async fn run(
        self: Rc<Self>,
        mut pace: Option<Pace>,
        begin: Instant,
        end: Instant,
    ) -> Result<Times, ExchangeError> {
        let mut peers = Peers {
            issuer: Peer::new(self.issuer, None),
            google: Peer::new(self.google, Some(Arc::clone(&self.tls))),
        };
        let mut times = Times::default();
        loop {
            let started = match &mut pace {
                Some(pace) => pace.next().await,
                None => Instant::now(),
            };
            if started >= end {
                return Ok(times);
            }
            let nth = self.count.get();
            self.count.set(nth + 1);
            let token = self.sign_in(&mut peers, nth).await?;
            let ended = Instant::now();
            if ended >= begin && ended < end {
                times.flow.record(ended - started);
                times.token.record(token);
            }
        }
    }

    /// A whole flow; how long the client waited for its tokens.
    async fn sign_in(&self, peers: &mut Peers, nth: u64) -> Result<Duration, ExchangeError> {
        let mut browser = Browser::new(nth);
        let verifier = URL_SAFE_NO_PAD.encode(digest(&SHA256, &nth.to_be_bytes()));
        let code = self.code(peers, &mut browser, nth, &verifier).await?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", BACK),
            ("code_verifier", verifier.as_str()),
        ];
        let headers = [("authorization", self.proof.as_str()), ("host", "id.example.test")];
        let asked = Instant::now();
        let answer = peers.issuer.send(form("/token", &headers, &fields)?).await?;
        let waited = asked.elapsed();
        let issued: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let (Some(access), true) = (issued["access_token"].as_str(), issued["id_token"].is_string()) else {
            return Err(answer.unexpected("tokens"));
        };
        let question = Request::get("/userinfo")
            .header(HOST, "id.example.test")
            .header(AUTHORIZATION, format!("Bearer {access}"))
            .body(Full::new(Bytes::new()))?;
        let answer = peers.issuer.send(question).await?;
        let person: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status == 200 && person["email"].is_string() {
            Ok(waited)
        } else {
            Err(answer.unexpected("userinfo"))
        }
    }

    /// The code that a browser brings back to the client.
    async fn code(
        &self,
        peers: &mut Peers,
        browser: &mut Browser,
        nth: u64,
        verifier: &str,
    ) -> Result<String, ExchangeError> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let state = nth.to_string();
        let question = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("client_id", CLIENT),
                ("response_type", "code"),
                ("redirect_uri", BACK),
                ("scope", "openid email profile"),
                ("state", &state),
                ("nonce", &state),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ])
            .finish();
        let page = browser.open(&mut peers.issuer, &format!("/authorize?{question}")).await?;
        let button = button(&page.text()).ok_or_else(|| page.unexpected("the sign-in page"))?;
        let left = browser.post(&mut peers.issuer, &button).await?;
        let to = Url::parse(left.location("the button", 303)?).map_err(|_| left.unexpected("the button"))?;
        let back = self.at_google(peers, &to, nth % PEOPLE).await?;
        let callback = Url::parse(&back).map_err(|_| ExchangeError::Prepare(back.clone()))?;
        let path = &callback[url::Position::BeforePath..];
        let answer = browser.open(&mut peers.issuer, path).await?;
        let returned = answer.location("the callback", 303)?;
        let code = Url::parse(returned).ok().and_then(|url| value(&url, "code"));
        code.ok_or_else(|| answer.unexpected("the callback"))
    }

    /// Somebody signs in at the login provider; where that leads.
    async fn at_google(&self, peers: &mut Peers, to: &Url, person: u64) -> Result<String, ExchangeError> {
        let name = format!("person-{person}");
        let mut fields: Vec<_> = to.query_pairs().collect();
        fields.push(("username".into(), name.into()));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        let answer = peers.google.send(form(to.path(), &[("host", "localhost")], &fields)?).await?;
        Ok(answer.location("the login provider", answer.status)?.to_owned())
    }
}

/// Where the page's button for Google leads.
fn button(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("action=\"/attempts/")?;
    let state = rest.split('/').next()?;
    Some(format!("/attempts/{state}/google"))
}

fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}
