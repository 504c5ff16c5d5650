//! A browser without a screen: it keeps each site's cookies as browsers do, and goes where it is sent one step at a time.

use crate::probing::refuted;
use bastide_verify::probe::{Http, HttpAnswer, Trust};
use bastide_verify::{Failure, Field, Vantage};
use std::collections::BTreeMap;
use std::time::Duration;
use url::{Url, form_urlencoded};

/// A site that is asked too often says when to come back; how often it is asked again.
const PATIENCE: usize = 4;

/// One browser, at a client's place on the internet.
pub(super) struct Browser<'a> {
    field: &'a Field,
    trust: &'a Trust,
    /// Values of cookies, by host and name.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// What came back, and from where.
pub(super) struct Answer {
    pub(super) url: Url,
    pub(super) http: HttpAnswer,
}

/// A form of a page: where it goes, and what it sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) action: String,
    pub(super) fields: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    /// One that has been nowhere.
    pub(super) fn new(field: &'a Field, trust: &'a Trust) -> Self {
        Self { field, trust, cookies: BTreeMap::new() }
    }

    /// Opens a URL, as a link or a redirect does.
    pub(super) async fn open(&mut self, url: &Url) -> Result<Answer, Failure> {
        let request = Http::get(url.as_str(), self.trust.clone());
        self.send(url, request, true).await
    }

    /// Sends a form of a page of `from`. What is only for the site's own pages stays away from another's.
    pub(super) async fn post(
        &mut self,
        url: &Url,
        from: &Url,
        fields: &[(String, String)],
    ) -> Result<Answer, Failure> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = Http::get(url.as_str(), self.trust.clone())
            .header("origin", &from.origin().ascii_serialization())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("content-length", &body.len().to_string());
        request.method = "POST".to_owned();
        request.body = Some(body);
        self.send(url, request, url.origin() == from.origin()).await
    }

    async fn send(&mut self, url: &Url, request: Http, with_cookies: bool) -> Result<Answer, Failure> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = request.header("accept", "text/html").header("user-agent", "bastide verify");
        let kept = self.cookies.get(&host).filter(|kept| with_cookies && !kept.is_empty());
        let request = match kept {
            Some(kept) => {
                let pairs: Vec<String> = kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request.header("cookie", &pairs.join("; "))
            }
            None => request,
        };
        let http = ask(self.field, &request).await?;
        for (_, header) in http.headers.iter().filter(|(name, _)| name == "set-cookie") {
            self.keep(&host, header);
        }
        Ok(Answer { url: url.clone(), http })
    }

    fn keep(&mut self, host: &str, header: &str) {
        let Some((name, rest)) = header.split_once('=') else { return };
        let value = rest.split(';').next().unwrap_or_default();
        let kept = self.cookies.entry(host.to_owned()).or_default();
        if header.split("; ").any(|attribute| attribute == "Max-Age=0") {
            kept.remove(name);
        } else {
            kept.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Asks from the internet; a site that has been asked too often is asked again when it says so.
pub(super) async fn ask(field: &Field, request: &Http) -> Result<HttpAnswer, Failure> {
    let mut patience = PATIENCE;
    loop {
        let answer = field.http(&Vantage::Internet, request.clone()).await??;
        let wait = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
        match wait {
            Some(seconds) if answer.status == 429 && patience > 0 => {
                patience -= 1;
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            _ => return Ok(answer),
        }
    }
}

impl Answer {
    /// Where the browser is sent.
    pub(super) fn leads_to(&self) -> Result<Url, Failure> {
        let location = self.http.header("location").filter(|_| (300..400).contains(&self.http.status));
        match location.and_then(|location| self.url.join(location).ok()) {
            Some(url) => Ok(url),
            None => refuted(format!(
                "{}{} was answered {} and leads nowhere: {}",
                self.url.origin().ascii_serialization(),
                self.url.path(),
                self.http.status,
                heading(&self.http.body)
            )),
        }
    }

    /// Cookies that came with it, as they were set.
    pub(super) fn cookies(&self) -> impl Iterator<Item = &str> {
        let headers = self.http.headers.iter().filter(|(name, _)| name == "set-cookie");
        headers.map(|(_, value)| value.as_str())
    }

    /// The first form whose action begins so.
    pub(super) fn form(&self, action: &str) -> Option<Form> {
        form(&self.http.body, action)
    }
}

/// What a page calls itself.
pub(super) fn heading(page: &str) -> &str {
    let (_, rest) = page.split_once("<title>").unwrap_or_default();
    rest.split("</title>").next().unwrap_or_default().trim()
}

fn form(page: &str, action: &str) -> Option<Form> {
    page.split("<form ").skip(1).find_map(|part| {
        let (tag, rest) = part.split_once('>')?;
        let found = attribute(tag, "action").filter(|found| found.starts_with(action))?;
        let inside = rest.split("</form>").next().unwrap_or_default();
        let inputs = inside.split("<input ").skip(1).filter_map(|input| input.split('>').next());
        let hidden = inputs.filter(|input| attribute(input, "type").as_deref() == Some("hidden"));
        let fields = hidden.filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)));
        Some(Form { action: found, fields: fields.collect() })
    })
}

/// An attribute's value, without the references that stand for what could end it.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let value = rest.split('"').next()?;
    let plain =
        [("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">")];
    let value = plain.iter().fold(value.to_owned(), |text, (from, to)| text.replace(from, to));
    Some(value.replace("&#38;", "&").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_found_by_where_it_goes() {
        let page = "<form id=\"a\" method=\"post\" action=\"/attempts/x/google\">\n<button>Google</button></form>\n\
                    <form method=\"post\" action=\"https://id.a.test/callback?a=1&amp;b=2\">\
                    <input type=\"hidden\" name=\"user\" value=\"{&quot;a&quot;:1}\"><input name=\"username\" value=\"x\"></form>";
        assert_eq!(
            form(page, "/attempts/"),
            Some(Form { action: "/attempts/x/google".into(), fields: vec![] })
        );
        let posted = form(page, "https://").unwrap();
        assert_eq!(posted.action, "https://id.a.test/callback?a=1&b=2");
        assert_eq!(posted.fields, [("user".to_owned(), "{\"a\":1}".to_owned())]);
        assert_eq!(form(page, "/elsewhere"), None);
    }
}
