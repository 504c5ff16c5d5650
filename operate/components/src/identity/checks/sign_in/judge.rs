//! What must be true of the questions, the cookies, the login provider's log and the edge's connections.

use bastide_platform::Provider;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use url::Url;

/// Characters that a secret has at least: 128 bits.
const LEAST: usize = 22;
/// Characters of a code challenge by S256.
const CHALLENGE: usize = 43;

/// What a browser is to be sent away with, to be asked who uses it.
pub(super) struct Expected<'a> {
    /// Where to.
    pub(super) site: &'a Url,
    pub(super) client_id: &'a str,
    pub(super) redirect_uri: &'a str,
    /// Whether the question must have a nonce: where it is answered by an ID token.
    pub(super) nonce: bool,
}

/// What makes a question one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) state: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
}

/// The question in a URL to which a browser is sent.
pub(super) fn question(url: &Url, expected: &Expected<'_>) -> Result<Question, String> {
    if url.origin() != expected.site.origin() {
        return Err(format!("the browser is sent to {}", url.origin().ascii_serialization()));
    }
    let said: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let of = |name: &str| said.get(name).map(String::as_str).unwrap_or_default();
    for (name, wanted) in [
        ("response_type", "code"),
        ("client_id", expected.client_id),
        ("redirect_uri", expected.redirect_uri),
        ("code_challenge_method", "S256"),
    ] {
        if of(name) != wanted {
            return Err(format!("its {name} is {:?} and not {wanted:?}", of(name)));
        }
    }
    let nonce = said.get("nonce").cloned();
    let has_nonce = nonce.as_ref().is_some_and(|nonce| nonce.len() >= LEAST);
    if expected.nonce && !has_nonce {
        return Err("it has no nonce that nobody can guess".to_owned());
    }
    if of("state").len() < LEAST {
        return Err("it has no state that nobody can guess".to_owned());
    }
    if of("code_challenge").len() != CHALLENGE {
        return Err("it has no code challenge".to_owned());
    }
    if said.contains_key("client_secret") {
        return Err("it carries the client's secret".to_owned());
    }
    Ok(Question { state: of("state").to_owned(), nonce, challenge: of("code_challenge").to_owned() })
}

/// Whether two questions have nothing in common.
pub(super) fn differ(one: &Question, other: &Question) -> bool {
    one.state != other.state
        && one.challenge != other.challenge
        && (one.nonce.is_none() || one.nonce != other.nonce)
}

/// What came back with a browser: the code, if the answer is to this question.
pub(super) fn code(given: &BTreeMap<String, String>, question: &Question) -> Result<String, String> {
    if let Some(error) = given.get("error") {
        return Err(format!("the answer is the error {error}"));
    }
    if given.get("state") != Some(&question.state) {
        return Err("the answer has another state than the question".to_owned());
    }
    given
        .get("code")
        .filter(|code| !code.is_empty())
        .cloned()
        .ok_or_else(|| "the answer has no code".to_owned())
}

/// Names of cookies that only this very site gets, over TLS, and that no script reads.
pub(super) fn cookies<'a>(headers: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    headers.map(cookie).collect()
}

fn cookie(header: &str) -> Result<String, String> {
    let name = header.split('=').next().unwrap_or_default();
    let attributes: BTreeSet<String> =
        header.split(';').skip(1).map(|part| part.trim().to_ascii_lowercase()).collect();
    let lacks = |attribute: &str| !attributes.contains(attribute);
    let problem = if !name.starts_with("__Host-") {
        Some("__Host- before its name")
    } else {
        ["secure", "httponly", "path=/"].into_iter().find(|attribute| lacks(attribute))
    };
    let same_site = attributes.contains("samesite=lax") || attributes.contains("samesite=strict");
    match problem {
        Some(problem) => Err(format!("cookie {name} is without {problem}")),
        None if !same_site => Err(format!("cookie {name} is without samesite")),
        None => Ok(name.to_owned()),
    }
}

/// A request, as a login provider's log has it.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    peer: Option<IpAddr>,
    method: String,
    path: String,
}

impl Asked {
    /// Whether it is a page on which people sign in.
    fn is_page(&self) -> bool {
        ["/authorize", "/auth"].iter().any(|end| self.path.ends_with(end))
    }

    /// Whether it redeems a code.
    fn redeems(&self) -> bool {
        self.method == "POST" && ["/token", "/access_token"].iter().any(|end| self.path.ends_with(end))
    }

    /// Whether it is for whoever has a credential or a token: a client, and no browser.
    fn is_for_clients(&self) -> bool {
        self.redeems() || ["/userinfo", "/user", "/user/emails"].iter().any(|end| self.path.ends_with(end))
    }
}

/// Who has come to a login provider: browsers to sign in, and as a client nobody but who comes through the edge. How often a code
/// was redeemed, and what else was asked for from there.
pub(super) fn log(entries: &[Asked], way_out: IpAddr) -> Result<(usize, Vec<&str>), String> {
    let comes_out = |asked: &&Asked| asked.peer == Some(way_out);
    if let Some(asked) = entries.iter().filter(|asked| asked.is_page()).find(comes_out) {
        return Err(format!("a host of the platform asked for {}, where people sign in", asked.path));
    }
    if let Some(stray) = entries.iter().filter(|asked| asked.is_for_clients()).find(|asked| !comes_out(asked))
    {
        let peer = stray.peer.map_or_else(|| "somewhere".to_owned(), |peer| peer.to_string());
        return Err(format!("{} {} was asked from {peer}", stray.method, stray.path));
    }
    let redeemed = entries.iter().filter(|asked| asked.redeems()).count();
    if redeemed == 0 {
        return Err("nobody has redeemed a code".to_owned());
    }
    let read = entries.iter().filter(comes_out).filter(|asked| asked.method == "GET");
    let read: BTreeSet<&str> = read.map(|asked| asked.path.as_str()).collect();
    Ok((redeemed, read.into_iter().collect()))
}

/// Everybody between whom connections are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parties {
    pub(super) providers: IpAddr,
    pub(super) issuer: IpAddr,
    pub(super) app: IpAddr,
    /// Where the issuer's name leads.
    pub(super) front: IpAddr,
}

/// What the edge's kernel knows of connections: the issuer's to the login providers, the application's to the issuer, and
/// none of the application's to a login provider.
pub(super) fn connections(table: &str, parties: &Parties) -> Result<String, String> {
    let Parties { providers, issuer, app, front } = *parties;
    let pairs: Vec<(IpAddr, IpAddr)> = table.lines().filter_map(connection).collect();
    let count = |from: IpAddr, to: IpAddr| pairs.iter().filter(|pair| **pair == (from, to)).count();
    if count(app, providers) > 0 {
        return Err(format!("the application ({app}) has connected to the login providers ({providers})"));
    }
    let (out, to_issuer) = (count(issuer, providers), count(app, front));
    if out == 0 || to_issuer == 0 {
        return Err(format!(
            "not proven: the edge knows of {out} connections from the issuer to the login providers and of {to_issuer} from the \
             application to the issuer"
        ));
    }
    Ok(format!(
        "of the connections through the edge, {out} went from the issuer ({issuer}) to the login providers ({providers}), \
         {to_issuer} from the application ({app}) to the issuer's name ({front}), and none from the application to a login provider"
    ))
}

/// Who opened a connection to whom, in a line of `/proc/net/nf_conntrack`.
fn connection(line: &str) -> Option<(IpAddr, IpAddr)> {
    let first = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name));
    Some((first("src=")?.parse().ok()?, first("dst=")?.parse().ok()?))
}

/// Whether a question to a login provider has a nonce: GitHub answers by no ID token.
pub(super) fn answers_by_token(provider: Provider) -> bool {
    provider != Provider::Github
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "0123456789012345678901";
    const LONG: &str = "0123456789012345678901234567890123456789012";

    fn url(change: &[(&str, &str)]) -> Url {
        let mut pairs = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", "https://a.test/sign-in/callback"),
            ("state", STATE),
            ("nonce", STATE),
            ("code_challenge", LONG),
            ("code_challenge_method", "S256"),
        ]);
        pairs.extend(change.iter().copied());
        Url::parse_with_params("https://id.a.test/authorize", pairs).unwrap()
    }

    #[test]
    fn a_question_without_what_protects_it_is_noticed() {
        let site = Url::parse("https://id.a.test").unwrap();
        let judge = |url: &Url| {
            let redirect_uri = "https://a.test/sign-in/callback";
            question(url, &Expected { site: &site, client_id: "app", redirect_uri, nonce: true })
        };
        let good = judge(&url(&[])).unwrap();
        assert!(!differ(&good, &good));
        for change in [
            ("response_type", "token"),
            ("client_id", "other"),
            ("redirect_uri", "https://a.test/"),
            ("state", "short"),
            ("nonce", ""),
            ("code_challenge", ""),
            ("code_challenge_method", "plain"),
            ("client_secret", "s"),
        ] {
            assert!(judge(&url(&[change])).is_err(), "{change:?}");
        }
        assert!(judge(&Url::parse("https://google.test/authorize").unwrap()).is_err());
        let given = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            code(&pairs.collect(), &good)
        };
        assert_eq!(given(&[("state", STATE), ("code", "c")]).as_deref(), Ok("c"));
        assert!(given(&[("state", "other"), ("code", "c")]).is_err());
        assert!(given(&[("state", STATE)]).is_err());
        assert!(given(&[("state", STATE), ("error", "access_denied")]).is_err());
    }

    #[test]
    fn a_cookie_that_others_could_read_or_set_is_noticed() {
        let good = "__Host-session=v; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60";
        assert_eq!(cookie(good).as_deref(), Ok("__Host-session"));
        for (from, to) in [
            ("__Host-", ""),
            ("; Secure", ""),
            ("; HttpOnly", ""),
            ("; SameSite=Lax", "; SameSite=None"),
            ("Path=/", "Path=/a"),
        ] {
            assert!(cookie(&good.replace(from, to)).is_err(), "{from}");
        }
    }

    #[test]
    fn whoever_should_not_come_to_a_login_provider_is_noticed() {
        let (edge, person): (IpAddr, IpAddr) =
            ("198.51.100.10".parse().unwrap(), "198.51.100.50".parse().unwrap());
        let asked = |peer, method: &str, path: &str| Asked {
            peer: Some(peer),
            method: method.to_owned(),
            path: path.to_owned(),
        };
        let good = || vec![asked(person, "GET", "/auth/authorize"), asked(edge, "POST", "/auth/token")];
        assert_eq!(log(&good(), edge), Ok((1, vec![])));
        let with = |more| log(&good().into_iter().chain([more]).collect::<Vec<_>>(), edge).map(drop);
        assert!(with(asked(edge, "GET", "/auth/keys")).is_ok());
        assert!(with(asked(person, "GET", "/favicon.ico")).is_ok());
        assert!(with(asked(person, "GET", "/api/v3/user/emails")).is_err());
        assert!(with(asked(person, "POST", "/auth/token")).is_err());
        assert!(with(asked(edge, "GET", "/auth/authorize")).is_err());
        assert!(log(&good()[..1], edge).is_err(), "nobody redeems");
    }

    #[test]
    fn a_connection_of_the_application_to_a_login_provider_is_noticed() {
        let line = |from: &str, to: &str| {
            format!(
                "ipv4 2 tcp 6 99 TIME_WAIT src={from} dst={to} sport=1 dport=443 src={to} dst=198.51.100.10 sport=443\n"
            )
        };
        let address = |text: &str| text.parse().unwrap();
        let (providers, front) = (address("198.51.100.42"), address("198.51.100.33"));
        let parties = Parties { providers, issuer: address("10.0.0.50"), app: address("10.0.0.20"), front };
        let good = line("10.0.0.50", "198.51.100.42") + &line("10.0.0.20", "198.51.100.33");
        assert!(connections(&good, &parties).is_ok());
        assert!(connections(&(good + &line("10.0.0.20", "198.51.100.42")), &parties).is_err());
        assert!(
            connections(&line("10.0.0.50", "198.51.100.42"), &parties).is_err(),
            "nothing was seen of it"
        );
        assert!(connections("", &parties).is_err());
    }
}
