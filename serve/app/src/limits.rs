//! Rate limits by class of route: reading, writing, and what guesses at credentials.

use axum::extract::Request;
use foundation::auth::csrf;
use foundation::rate_limit::gcra::Quota;
use foundation::rate_limit::layer::{Class, Policy};

use crate::sign_in;

const READING: Class = Class {
    address: Policy { name: "read-address", quota: Quota::per_minute(3_000) },
    credential: Policy { name: "read-credential", quota: Quota::per_minute(1_500) },
    person: Policy { name: "read-person", quota: Quota::per_minute(1_500) },
};
const WRITING: Class = Class {
    address: Policy { name: "write-address", quota: Quota::per_minute(1_200) },
    credential: Policy { name: "write-credential", quota: Quota::per_minute(600) },
    person: Policy { name: "write-person", quota: Quota::per_minute(600) },
};
/// Signing in and opening invitations: what an attacker would try often.
const KNOCKING: Class = Class {
    address: Policy { name: "sign-in-address", quota: Quota::per_minute(30) },
    credential: Policy { name: "sign-in-credential", quota: Quota::per_minute(30) },
    person: Policy { name: "sign-in-person", quota: Quota::per_minute(30) },
};

/// The class of a request. Probes, documents and assets have none.
pub fn class(request: &Request) -> Option<Class> {
    let path = request.uri().path();
    // The issuer says it once a session, for everybody from one address.
    if path == sign_in::BACK_CHANNEL {
        return Some(WRITING);
    }
    if ["/sign-in", "/sign-out", "/invitations/", "/memberships", "/api/v1/memberships"]
        .iter()
        .any(|start| path.starts_with(start))
    {
        return Some(KNOCKING);
    }
    Some(if csrf::is_unsafe(request.method()) { WRITING } else { READING })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn who_knocks_is_limited_more_than_the_issuer_is() {
        let limit = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            class(&request).unwrap().address.name
        };
        assert_eq!(limit("GET", "/sign-in?return_to=/"), "sign-in-address");
        assert_eq!(limit("GET", "/sign-in/callback?code=a"), "sign-in-address");
        assert_eq!(limit("POST", "/sign-out"), "sign-in-address");
        assert_eq!(limit("POST", "/sign-in/back-channel-logout"), "write-address");
        assert_eq!(limit("GET", "/api/v1/me"), "read-address");
        assert_eq!(limit("DELETE", "/api/v1/sessions"), "write-address");
    }
}
