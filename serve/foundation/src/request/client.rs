//! Who the client is: its address as the edge tells it, and what it calls itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// What the edge sets, to one address, whatever the client sent.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Characters of a user agent that are kept.
const USER_AGENT_LENGTH: usize = 200;

/// The peers that may say who the client is: the platform's edge hosts.
#[derive(Debug, Clone, Default)]
pub struct Edges(Vec<IpNet>);

impl Edges {
    /// Only peers in these networks are believed.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The client's address. The peer comes from the extension `ConnectInfo<SocketAddr>` that the server sets;
    /// without one (no connection) it is the unspecified address, which no list allows.
    pub(super) fn client(&self, request: &Request) -> IpAddr {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical());
        if self.0.iter().any(|network| network.contains(&peer)) {
            return forwarded(request.headers()).unwrap_or(peer);
        }
        peer
    }
}

/// The one address in the header. More than one means that it is not the edge's own.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let mut values = headers.get_all(&FORWARDED_FOR).iter();
    let address: IpAddr = values.next()?.to_str().ok()?.trim().parse().ok()?;
    values.next().is_none().then(|| address.to_canonical())
}

/// The user agent as something that can be kept and shown.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<Arc<str>> {
    let sent = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    let kept: String = sent.chars().filter(|each| is_visible(*each)).take(USER_AGENT_LENGTH).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.into())
}

/// Neither a control character nor one that changes the direction of the text around it.
fn is_visible(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::HeaderValue;

    fn client(peer: &str, sent: &[&'static str]) -> IpAddr {
        let mut request = Request::new(Body::empty());
        let peer: SocketAddr = peer.parse().expect("a peer");
        request.extensions_mut().insert(ConnectInfo(peer));
        for value in sent {
            request.headers_mut().append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        Edges::new(vec!["10.0.0.1/32".parse().expect("a network")]).client(&request)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_the_edge_says_who_the_client_is() {
        assert_eq!(client("10.0.0.1:9", &["203.0.113.7"]), address("203.0.113.7"));
        assert_eq!(client("10.0.0.1:9", &["2001:db8::1"]), address("2001:db8::1"));
        assert_eq!(client("[::ffff:10.0.0.1]:9", &["203.0.113.7"]), address("203.0.113.7"));
        assert_eq!(client("10.0.0.2:9", &["203.0.113.7"]), address("10.0.0.2"), "not the edge");
    }

    #[test]
    fn what_the_edge_would_not_send_is_not_believed() {
        for sent in [&[][..], &["1.1.1.1, 2.2.2.2"], &["1.1.1.1", "2.2.2.2"], &["unknown"], &[""]] {
            assert_eq!(client("10.0.0.1:9", sent), address("10.0.0.1"), "{sent:?}");
        }
    }

    #[test]
    fn a_user_agent_is_short_and_visible() {
        let agent = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_bytes(value).expect("a header"));
            user_agent(&headers)
        };
        assert_eq!(agent(b"curl/8\t1").as_deref(), Some("curl/81"));
        assert_eq!(agent("a\u{202e}b".as_bytes()).as_deref(), Some("ab"));
        assert_eq!(agent(b" \t "), None);
        assert_eq!(agent(&[b'x'; 4096]).expect("kept").chars().count(), USER_AGENT_LENGTH);
        assert!(agent(&[0xff, 0xfe]).is_some_and(|text| text.contains('\u{fffd}')));
    }
}
