//! One sign-in, from the application's button to its page, with what was seen at each of its eleven steps.

use super::browser::{Answer, Browser, ask, heading};
use super::judge::{self, Asked, Expected, Parties, Question};
use super::{Counter, ME, Subject};
use crate::probing::{output, refuted};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bastide_platform::{APP_CLIENT, Provider};
use bastide_verify::probe::{Http, Trust};
use bastide_verify::{Failure, Field, Vantage};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

/// Who signs in: somebody who does nothing else.
const PERSON: &str = "verify";
/// A browser that is sent on more often than this is led in circles.
const MOST_HOPS: usize = 6;
/// What a code is redeemed with in this check's own question.
const VERIFIER: &str = "what-only-this-check-knows-of-its-own-question-to-the-issuer";
/// Where the lab's login providers are told and asked things.
const CONTROL: &str = "http://127.0.0.1:8000";
/// Connections that the edge's kernel knows.
const CONNECTIONS: &str = "/proc/net/nf_conntrack";

/// A sign-in by one login provider.
pub(super) struct Journey<'a> {
    field: &'a Field,
    subject: &'a Subject,
    at: &'a Counter,
    browser: Browser<'a>,
    seen: Vec<String>,
}

impl<'a> Journey<'a> {
    pub(super) fn new(field: &'a Field, subject: &'a Subject, at: &'a Counter) -> Self {
        let browser = Browser::new(field, &subject.trust);
        Self { field, subject, at, browser, seen: Vec::new() }
    }

    /// What was seen, a line a step.
    pub(super) fn record(self) -> String {
        self.seen.join("\n")
    }

    fn saw(&mut self, what: impl Into<String>) {
        let number = self.seen.len() + 1;
        self.seen.push(format!("{number}. {}", what.into()));
    }

    /// What was found instead, at the step that comes next.
    fn judged<T>(&self, outcome: Result<T, String>) -> Result<T, Failure> {
        outcome.or_else(|found| refuted(format!("step {}: {found}", self.seen.len() + 1)))
    }

    /// Makes all of it.
    pub(super) async fn make(&mut self) -> Result<(), Failure> {
        let (to_issuer, asked) = self.asks_the_application().await?;
        let (to_provider, brokered) = self.chooses(&to_issuer, &asked).await?;
        let back = self.signs_in_there(&to_provider, &brokered).await?;
        let to_app = self.comes_back(back).await?;
        self.redeemed_and_asked().await?;
        self.is_sent_on(&to_app, &asked)?;
        self.arrives(&to_app).await?;
        self.code_is_for_one_use().await
    }

    /// Steps 1 and 2: the browser asks the application, which sends it to the issuer.
    async fn asks_the_application(&mut self) -> Result<(Url, Question), Failure> {
        let start = place(&self.subject.app, "/sign-in");
        let answer = self.browser.open(&start).await?;
        let cookies = self.judged(judge::cookies(answer.cookies()))?;
        self.saw(format!("the browser asks {start}"));
        let url = answer.leads_to()?;
        let asked = self.judged(judge::question(
            &url,
            &Expected {
                site: &self.subject.issuer,
                client_id: APP_CLIENT,
                redirect_uri: &self.subject.redirect_uri,
                nonce: true,
            },
        ))?;
        self.saw(format!(
            "the application sends it to {} with state, nonce and an S256 challenge; cookies: {}, for this site, TLS and no script",
            self.subject.issuer.as_str().trim_end_matches('/'),
            list(&cookies)
        ));
        Ok((url, asked))
    }

    /// Step 3: the person chooses, and the issuer sends the browser to the login provider.
    async fn chooses(&mut self, url: &Url, asked: &Question) -> Result<(Url, Question), Failure> {
        let provider = self.subject.provider;
        let page = self.follow(url.clone()).await?;
        let mut cookies = self.judged(judge::cookies(page.cookies()))?;
        let button = self.button(&page)?;
        let answer = self.browser.post(&button, &self.subject.issuer, &[]).await?;
        cookies.extend(self.judged(judge::cookies(answer.cookies()))?);
        let to_provider = answer.leads_to()?;
        let redirect_uri = place(&self.subject.issuer, &format!("/callback/{}", provider.as_str()));
        let brokered = self.judged(judge::question(
            &to_provider,
            &Expected {
                site: &self.at.site,
                client_id: &self.at.client_id,
                redirect_uri: redirect_uri.as_str(),
                nonce: judge::answers_by_token(provider),
            },
        ))?;
        let own = judge::differ(asked, &brokered);
        self.judged(own.then_some(()).ok_or_else(|| "the question is the application's own".to_owned()))?;
        let nonce =
            if judge::answers_by_token(provider) { "state, nonce" } else { "state (there is no ID token)" };
        cookies.dedup();
        self.saw(format!(
            "the issuer sends it to {} with {nonce} and an S256 challenge of its own; cookies: {}",
            self.at.site.host_str().unwrap_or_default(),
            list(&cookies)
        ));
        Ok((to_provider, brokered))
    }

    fn button(&self, page: &Answer) -> Result<Url, Failure> {
        let end = format!("/{}", self.subject.provider.as_str());
        let forms = page.http.body.match_indices("action=\"/attempts/");
        let actions = forms.filter_map(|(at, _)| page.http.body.get(at + 8..)?.split('"').next());
        let action = actions.into_iter().find(|action| action.ends_with(&end));
        match action.and_then(|action| page.url.join(action).ok()) {
            Some(url) => Ok(url),
            None => refuted(format!(
                "step 3: the page has no button for {}: {} {}",
                self.subject.provider.as_str(),
                page.http.status,
                heading(&page.http.body)
            )),
        }
    }

    /// Steps 4 and 5: the person signs in at the login provider, which sends the browser back with a code.
    async fn signs_in_there(&mut self, url: &Url, question: &Question) -> Result<Back, Failure> {
        let page = self.browser.open(url).await?;
        let Some(form) = page.form(url.path()) else {
            return refuted(format!(
                "step 4: {} does not ask who it is: {} {}",
                url.path(),
                page.http.status,
                heading(&page.http.body)
            ));
        };
        let mut fields = form.fields;
        let person = format!("{PERSON}-{}", self.subject.provider.as_str());
        fields.push(("username".to_owned(), person.clone()));
        let answer = self.browser.post(url, &self.at.site, &fields).await?;
        self.saw(format!("{person} signs in there, and nowhere else"));
        let (back, given) = if self.subject.provider == Provider::Apple {
            let Some(form) = answer.form(self.subject.issuer.as_str()) else {
                return refuted(format!("step 5: no form leads back: {}", answer.http.status));
            };
            let action = self.judged(Url::parse(&form.action).map_err(|error| error.to_string()))?;
            let given = form.fields.iter().cloned().collect();
            (Back { url: action, form: Some(form.fields) }, given)
        } else {
            let url = answer.leads_to()?;
            let given = url.query_pairs().into_owned().collect();
            (Back { url, form: None }, given)
        };
        self.judged(judge::code(&given, question))?;
        let way = if back.form.is_some() {
            "a form from its own site, to which no cookie comes along"
        } else {
            "a redirect"
        };
        self.saw(format!("the browser comes back by {way}, with a code and the issuer's own state"));
        Ok(back)
    }

    /// The browser brings the answer to the issuer, which sends it on to the application; the same answer is worth nothing
    /// a second time.
    async fn comes_back(&mut self, back: Back) -> Result<Url, Failure> {
        let landed = self.lands(&back).await?;
        let to_app = self.until_the_application(landed).await?;
        let again = self.lands(&back).await?;
        let again = match again.http.header("location") {
            Some(_) => self.follow(again.leads_to()?).await?,
            None => again,
        };
        if again.http.status < 400 {
            return refuted(format!("step 6: the same answer is taken twice: {}", again.http.status));
        }
        Ok(to_app)
    }

    async fn lands(&mut self, back: &Back) -> Result<Answer, Failure> {
        let answer = match &back.form {
            Some(fields) => self.browser.post(&back.url, &self.at.site, fields).await?,
            None => self.browser.open(&back.url).await?,
        };
        self.judged(judge::cookies(answer.cookies()))?;
        Ok(answer)
    }

    /// Steps 6 and 7, of which the browser sees nothing: the login provider says who came.
    async fn redeemed_and_asked(&mut self) -> Result<(), Failure> {
        let Some(way_out) = self.subject.way_out else {
            return refuted("not proven: the edge has no public address");
        };
        let entries: Vec<Asked> = self.control("log").await?;
        let (redeemed, asked) = self.judged(judge::log(&entries, way_out))?;
        let host = self.at.site.host_str().unwrap_or_default();
        self.saw(format!(
            "the issuer redeems the code itself: {host} saw {redeemed} such requests so far, all from {way_out}, the platform's way \
             out, and none from a browser; the same answer brought again is refused"
        ));
        self.saw(format!(
            "the issuer verifies what it was told: {host} was asked for {} from {way_out}",
            list(&asked)
        ));
        Ok(())
    }

    /// Step 8: the issuer sends the browser back to the application with a code of its own.
    fn is_sent_on(&mut self, url: &Url, asked: &Question) -> Result<(), Failure> {
        let given = url.query_pairs().into_owned().collect();
        self.judged(judge::code(&given, asked))?;
        self.saw("the issuer sends the browser back with a code of its own and the application's state");
        Ok(())
    }

    /// Steps 9 to 11: the application redeems the code, believes the token and opens a session.
    async fn arrives(&mut self, url: &Url) -> Result<(), Failure> {
        let answer = self.browser.open(url).await?;
        answer.leads_to()?;
        let cookies = self.judged(judge::cookies(answer.cookies()))?;
        let parties = Parties {
            providers: self.at.address,
            issuer: self.subject.issuer_address,
            app: self.subject.app_address,
            front: self.field.front.address,
        };
        let script =
            format!("grep -e 'dst={} ' -e 'dst={} ' {CONNECTIONS} || true", parties.providers, parties.front);
        let table = output(self.field, &self.subject.edge, &["sh", "-c", &script]).await?;
        let connections = self.judged(judge::connections(&table, &parties))?;
        self.saw(format!("the application redeems the code at the issuer: {connections}"));
        let person = self.who().await?;
        self.saw(format!("the application believes the issuer's token: {person}"));
        self.saw(format!(
            "the browser has the application's session; cookies: {}, for this site, TLS and no script",
            list(&cookies)
        ));
        Ok(())
    }

    async fn who(&mut self) -> Result<String, Failure> {
        if !self.subject.is_reference {
            return Ok("it sends the browser on, signed in".to_owned());
        }
        let url = place(&self.subject.app, ME);
        let answer = self.browser.open(&url).await?;
        let me: Value = serde_json::from_str(&answer.http.body).unwrap_or_default();
        let account: Value = self.person().await?;
        if answer.http.status != 200 || me["kind"] != "person" {
            return refuted(format!("step 10: {ME} is answered {} {}", answer.http.status, answer.http.body));
        }
        match (me["email"].as_str(), account["email"].as_str()) {
            (Some(said), Some(known)) if said != known => {
                refuted(format!("step 10: {ME} says {said}, and {known} has signed in"))
            }
            (said, _) => Ok(format!("{ME} says {}", said.unwrap_or("a person without an address"))),
        }
    }

    /// The issuer's code is for one use: with a question of this check's own, whose code is redeemed twice. Then both
    /// sessions end.
    async fn code_is_for_one_use(&mut self) -> Result<(), Failure> {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut url = place(&self.subject.issuer, "/authorize");
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", APP_CLIENT),
            ("redirect_uri", &self.subject.redirect_uri),
            ("scope", "openid"),
            ("state", VERIFIER),
            ("nonce", VERIFIER),
            ("prompt", "none"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let back = self.browser.open(&url).await?.leads_to()?;
        let own = Question { state: VERIFIER.to_owned(), nonce: None, challenge };
        let code = self.judged(judge::code(&back.query_pairs().into_owned().collect(), &own))?;
        let (first, second) = (self.redeem(&code).await?, self.redeem(&code).await?);
        let token: Value = serde_json::from_str(&first.1).unwrap_or_default();
        let (Some(token), 400) = (token["id_token"].as_str(), second.0) else {
            return refuted(format!(
                "a code of the issuer's is answered {} at first and then {}",
                first.0, second.0
            ));
        };
        self.seen.push("A code of the issuer's was redeemed once, and refused the second time".to_owned());
        let mut end = place(&self.subject.issuer, "/logout");
        end.query_pairs_mut().append_pair("id_token_hint", token);
        self.browser.open(&end).await.map(drop)
    }

    /// Status and body of the answer to a code, redeemed as the application does.
    async fn redeem(&self, code: &str) -> Result<(u16, String), Failure> {
        let url = place(&self.subject.issuer, "/token");
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", &self.subject.redirect_uri),
                ("code_verifier", VERIFIER),
            ])
            .finish();
        let secret: String =
            form_urlencoded::byte_serialize(self.subject.client_secret.reveal().as_bytes()).collect();
        let pair = STANDARD.encode(format!("{APP_CLIENT}:{secret}"));
        let mut request = Http::get(url.as_str(), self.subject.trust.clone())
            .header("authorization", &format!("Basic {pair}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("content-length", &body.len().to_string());
        request.method = "POST".to_owned();
        request.body = Some(body);
        let answer = ask(self.field, &request).await?;
        Ok((answer.status, answer.body))
    }

    /// Goes on until there is a page.
    async fn follow(&mut self, url: Url) -> Result<Answer, Failure> {
        let mut answer = self.browser.open(&url).await?;
        for _ in 0..MOST_HOPS {
            if answer.http.header("location").is_none() {
                return Ok(answer);
            }
            self.judged(judge::cookies(answer.cookies()))?;
            let next = answer.leads_to()?;
            answer = self.browser.open(&next).await?;
        }
        refuted(format!("the browser is led in circles, last to {}", answer.url.path()))
    }

    /// Goes on until the application's callback comes, which is not opened.
    async fn until_the_application(&mut self, answer: Answer) -> Result<Url, Failure> {
        let mut answer = answer;
        for _ in 0..MOST_HOPS {
            let next = answer.leads_to()?;
            if next.as_str().starts_with(&self.subject.redirect_uri) {
                return Ok(next);
            }
            answer = self.browser.open(&next).await?;
            // Whose address nobody vouches for is asked whether an account is there already.
            if let Some(form) = answer.form("/linking/") {
                let new = answer.url.join(&form.action).unwrap_or_else(|_| answer.url.clone());
                answer = self.browser.post(&new, &self.subject.issuer, &form.fields).await?;
            }
            self.judged(judge::cookies(answer.cookies()))?;
        }
        refuted(format!("the browser is led in circles, last to {}", answer.url.path()))
    }

    async fn control<T: serde::de::DeserializeOwned>(&self, what: &str) -> Result<T, Failure> {
        self.told(&format!("/providers/{}/{what}", self.subject.provider.as_str())).await
    }

    async fn person(&self) -> Result<Value, Failure> {
        let provider = self.subject.provider.as_str();
        self.told(&format!("/people/{provider}/{PERSON}-{provider}")).await
    }

    async fn told<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = Http::get(&format!("{CONTROL}{path}"), Trust::Public);
        let answer = self.field.http(&Vantage::LoginProviders, request).await??;
        serde_json::from_str(&answer.body)
            .or_else(|error| refuted(format!("not proven: the login providers' {path} is none: {error}")))
    }
}

/// How a login provider sends a browser back.
struct Back {
    url: Url,
    /// By a form, with these fields.
    form: Option<Vec<(String, String)>>,
}

/// A path of a site.
fn place(site: &Url, path: &str) -> Url {
    let mut url = site.clone();
    url.set_path(path);
    url
}

fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
