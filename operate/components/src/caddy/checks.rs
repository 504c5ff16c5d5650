//! What must be true of the door, as people and as strangers find it.

use super::{ACCESS_LOG, NAME};
use crate::Context;
use crate::cloudflare;
use crate::probing::{about, judge_release, logged, nonce, output, refuted};
use crate::source::Software;
use bastide_platform::{OperatingSystem, Platform};
use bastide_verify::probe::{Http, HttpAnswer, HttpVersion, Refusal, Stage, Tls, TlsVersion, Trust};
use bastide_verify::{Check, Evidence, Failure, Field, Vantage};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The edge.
struct Subject {
    host: String,
    os: OperatingSystem,
    domain: String,
    url: String,
    address: Option<IpAddr>,
    cdn: bool,
}

impl Subject {
    /// Who may connect to the edge itself.
    fn visitor(&self) -> Vantage {
        if self.cdn { Vantage::Cdn } else { Vantage::Internet }
    }

    fn address(&self) -> Result<IpAddr, Failure> {
        self.address.ok_or_else(|| Failure::Impossible("the edge has no public address".to_owned()))
    }
}

pub(super) fn checks(context: &Context<'_>) -> Vec<Check> {
    let platform = context.platform;
    let edge = platform.edge();
    let subject = Arc::new(Subject {
        host: edge.name.to_string(),
        os: edge.os,
        domain: platform.domain.clone(),
        url: platform.url(),
        address: edge.public_address.map(IpAddr::V4),
        cdn: cloudflare::in_front(platform),
    });
    let place = (NAME, subject.host.as_str());
    let mut checks = vec![
        about(
            &subject,
            place,
            "caddy/certificate",
            "people are shown a certificate for the platform's name that a trusted authority signed",
            certificate,
        ),
        about(
            &subject,
            place,
            "caddy/no-old-tls",
            "the edge speaks TLS 1.2 and 1.3 and nothing older",
            no_old_tls,
        ),
        about(
            &subject,
            place,
            "caddy/redirects-to-https",
            "a request over HTTP is answered with a redirect to the same address over HTTPS",
            redirects,
        ),
        about(
            &subject,
            place,
            "caddy/headers-and-http-2",
            "answers over HTTP/2 carry HSTS and the security headers, and are compressed",
            headers,
        ),
        about(
            &subject,
            place,
            "caddy/access-log-knows-the-client",
            "the address in the access log is the client's, not the CDN's",
            access_log,
        ),
        about(
            &subject,
            place,
            "caddy/access-log-keeps-no-secret",
            "codes of a sign-in and secrets of invitations do not stay in the access log",
            no_secret_logged,
        ),
        about(&subject, place, "caddy/version", "Caddy is at least the oldest fit version", recent),
    ];
    if !subject.cdn {
        checks.push(about(
            &subject,
            place,
            "caddy/http-3",
            "HTTP/3 is spoken where no CDN is in front",
            http_3,
        ));
    }
    checks
}

/// A request as people make it, through the CDN where there is one.
pub(crate) fn at_front(field: &Field, url: &str, version: HttpVersion) -> Http {
    let port = if url.starts_with("https:") { 443 } else { 80 };
    let address = SocketAddr::new(field.front.address, port);
    Http::get(url, field.front.trust.clone()).at(address).over(version)
}

/// With a CDN in full-strict mode, an answer that is not the CDN's own says that it verified the edge's certificate.
async fn certificate(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let front = &field.front;
    let shaking = Tls::new(front.address, 443, &subject.domain, front.trust.clone());
    let session = field.tls(&Vantage::Internet, shaking).await??;
    let request = at_front(&field, &format!("{}/livez", subject.url), HttpVersion::H2);
    let answer = field.http(&Vantage::Internet, request).await??;
    if answer.status != 200 {
        return refuted(format!("behind the certificate of {}: {}", session.issuer, answer.status));
    }
    Ok(format!(
        "{} by {}, {} certificates, {}, valid until {}",
        session.names.join(", "),
        session.issuer,
        session.chain_length,
        session.version.as_str(),
        session.not_after
    ))
}

async fn no_old_tls(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let address = subject.address()?;
    let from = subject.visitor();
    for version in [TlsVersion::V1_0, TlsVersion::V1_1] {
        let mut shaking = Tls::new(address, 443, &subject.domain, Trust::Unchecked);
        shaking.only = Some(version);
        match field.tls(&from, shaking).await? {
            Err(Refusal { stage: Stage::Tls, .. }) => {}
            Err(refusal) => return refuted(format!("the handshake did not get that far: {refusal}")),
            Ok(_) => return refuted(format!("the edge agreed to {}", version.as_str())),
        }
    }
    Ok("offers of TLS 1.0 and 1.1 alone are refused in the handshake".to_owned())
}

async fn redirects(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let path = "/bastide-verify?a=b";
    let url = format!("http://{}{path}", subject.domain);
    let at_front = field.http(&Vantage::Internet, at_front(&field, &url, HttpVersion::H1)).await??;
    let to = format!("{}{path}", subject.url);
    let first = redirect_to(&at_front, &to)?;
    let at_edge = Http::get(&url, Trust::Unchecked).at(SocketAddr::new(subject.address()?, 80));
    let second = redirect_to(&field.http(&subject.visitor(), at_edge).await??, &to)?;
    Ok(format!("people get {first}, {} gets {second} from the edge", subject.visitor()))
}

fn redirect_to(answer: &HttpAnswer, expected: &str) -> Result<String, Failure> {
    match (answer.status, answer.header("location")) {
        (301 | 308, Some(location)) if location == expected => Ok(format!("{} to {location}", answer.status)),
        (status, location) => refuted(format!("{status} to {}", location.unwrap_or("nowhere"))),
    }
}

/// What every answer must carry.
const HEADERS: [(&str, &str); 5] = [
    ("strict-transport-security", "max-age="),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", ""),
    ("referrer-policy", ""),
    ("permissions-policy", ""),
];

async fn headers(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let request = at_front(&field, &format!("{}/", subject.url), HttpVersion::H2);
    let answer = field.http(&Vantage::Internet, request.header("accept-encoding", "gzip")).await??;
    if answer.version != HttpVersion::H2 || answer.status != 200 {
        return refuted(format!("the answer came with {} over {:?}", answer.status, answer.version));
    }
    for (name, beginning) in HEADERS {
        match answer.header(name) {
            Some(value) if value.starts_with(beginning) => {}
            found => return refuted(format!("{name} is {}", found.unwrap_or("missing"))),
        }
    }
    let hsts = answer.header("strict-transport-security").unwrap_or_default();
    let age =
        hsts.split(['=', ';']).nth(1).and_then(|age| age.trim().parse::<u64>().ok()).unwrap_or_default();
    if age < 180 * 86_400 {
        return refuted(format!("HSTS lasts less than 180 days: {hsts}"));
    }
    match answer.header("content-encoding") {
        Some("gzip") => Ok(format!("HTTP/2, gzip, {hsts}")),
        other => refuted(format!("the page came {}", other.unwrap_or("uncompressed"))),
    }
}

async fn http_3(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let request = at_front(&field, &format!("{}/livez", subject.url), HttpVersion::H3);
    let answer = field.http(&Vantage::Internet, request).await??;
    match (answer.version, answer.status) {
        (HttpVersion::H3, 200) => Ok("GET /livez over HTTP/3: 200".to_owned()),
        (version, status) => refuted(format!("{status} over {version:?}")),
    }
}

async fn access_log(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let nonce = nonce();
    let path = format!("/livez?{nonce}");
    let request = at_front(&field, &format!("{}{path}", subject.url), HttpVersion::H1);
    field.http(&Vantage::Internet, request).await??;
    let line = logged(&field, &subject.host, ACCESS_LOG, &nonce).await?;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
    let logged = line["request"]["client_ip"].as_str().unwrap_or_default().to_owned();
    judge_client(&field.platform, &client_addresses(&field, &Vantage::Internet).await?, &logged)
}

async fn no_secret_logged(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let nonce = nonce();
    let secret = format!("kept{}", nonce.replace('-', ""));
    let url = format!("{}/livez?{nonce}&code={secret}&link=/invitations/bstinv_{secret}", subject.url);
    let request = at_front(&field, &url, HttpVersion::H1).header("referer", &url);
    field.http(&Vantage::Internet, request).await??;
    judge_secrecy(&logged(&field, &subject.host, ACCESS_LOG, &nonce).await?, &secret)
}

fn judge_secrecy(line: &str, secret: &str) -> Result<Evidence, Failure> {
    if line.contains(secret) {
        return refuted(format!("a secret stands in the access log: {line}"));
    }
    Ok("a code and an invitation's secret, in a URL and as its referrer, are logged as ***".to_owned())
}

/// Public addresses of a client; none for one whose router alone has one.
pub(crate) async fn client_addresses(field: &Field, client: &Vantage) -> Result<Vec<IpAddr>, Failure> {
    let found = field.interface_addresses(client, bastide_verify::probe::Addresses {}).await?;
    Ok(found.into_iter().filter(|found| found.is_public()).map(|found| found.address).collect())
}

fn judge_client(platform: &Platform, own: &[IpAddr], logged: &str) -> Result<Evidence, Failure> {
    let Ok(address) = logged.parse::<IpAddr>() else {
        return refuted(format!("the access log has no client's address: `{logged}`"));
    };
    let ranges = platform.sources(&bastide_platform::Endpoint::Cdn);
    let of_cdn = |address: IpAddr| match address {
        IpAddr::V4(address) => ranges.iter().any(|range| range.contains(&address)),
        IpAddr::V6(_) => false,
    };
    if cloudflare::in_front(platform) && of_cdn(address) {
        return refuted(format!("the access log names the CDN: {logged}"));
    }
    if !own.is_empty() && !own.contains(&address) {
        return refuted(format!("the access log says {logged}, the client is {own:?}"));
    }
    Ok(format!("the access log says {logged}"))
}

async fn recent(field: Arc<Field>, subject: Arc<Subject>) -> Result<Evidence, Failure> {
    let said = output(&field, &subject.host, &["caddy", "version"]).await?;
    judge_release(&field, (&subject.host, subject.os), Software::Caddy, said.trim()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn an_access_log_that_names_the_cdn_is_noticed() {
        let fixture = Fixture::lab();
        let cdn = fixture.platform.sources(&bastide_platform::Endpoint::Cdn)[0].addr().to_string();
        let client: IpAddr = "198.51.100.49".parse().unwrap();
        assert!(judge_client(&fixture.platform, &[client], "198.51.100.49").is_ok());
        assert!(judge_client(&fixture.platform, &[], "192.0.2.1").is_ok());
        for wrong in [cdn.as_str(), "192.0.2.1", ""] {
            assert!(judge_client(&fixture.platform, &[client], wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_in_the_access_log_is_noticed() {
        assert!(judge_secrecy("/livez?n&code=***", "kept1").is_ok());
        assert!(judge_secrecy("/livez?n&code=***&link=/invitations/bstinv_kept1", "kept1").is_err());
    }

    #[test]
    fn a_redirect_elsewhere_is_noticed() {
        let answer = |status, location: &str| HttpAnswer {
            status,
            version: HttpVersion::H1,
            headers: vec![("location".to_owned(), location.to_owned())],
            body: String::new(),
            truncated: false,
            tls: None,
        };
        assert!(redirect_to(&answer(308, "https://a.test/x"), "https://a.test/x").is_ok());
        assert!(redirect_to(&answer(308, "https://b.test/x"), "https://a.test/x").is_err());
        assert!(redirect_to(&answer(200, "https://a.test/x"), "https://a.test/x").is_err());
    }
}
