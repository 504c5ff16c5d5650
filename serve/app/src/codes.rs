//! Kinds of problems that are this application's own.

use foundation::problem::Code;

/// All of them, in alphabetical order of their names.
pub const ALL: &[&Code] = &[&LOGOUT_TOKEN_INVALID, &SIGN_IN_EXPIRED, &SIGN_IN_FAILED, &SIGN_IN_UNAVAILABLE];

/// The logout token is not to be believed.
pub const LOGOUT_TOKEN_INVALID: Code = Code {
    code: "logout-token-invalid",
    status: 400,
    title: "The logout token is not to be believed",
    about: "The issuer says by a logout token whose sessions have ended there (OpenID Connect Back-Channel Logout). This \
            one is not the issuer's, is not for this application, is too old or was used before. Nothing was \
            ended. People sign out with the button of a page.",
};

/// The sign-in took too long, or was ended before.
pub const SIGN_IN_EXPIRED: Code = Code {
    code: "sign-in-expired",
    status: 400,
    title: "This sign-in is over",
    about: "A sign-in ends where it began, in the same browser, once, and within ten minutes. This one took longer, was \
            ended before, for example by going back in the browser, or began elsewhere. Sign in again.",
};

/// The issuer did not say who somebody is.
pub const SIGN_IN_FAILED: Code = Code {
    code: "sign-in-failed",
    status: 403,
    title: "You are not signed in",
    about: "The issuer refused, or what it said is not to be believed. Sign in again; if that does not help, tell \
            whoever runs this site the request id, by which the log says what was wrong.",
};

/// Nobody can sign in now.
pub const SIGN_IN_UNAVAILABLE: Code = Code {
    code: "sign-in-unavailable",
    status: 503,
    title: "Nobody can sign in now",
    about: "The issuer that knows people does not answer, or none is configured. Who is signed in stays so. Try again \
            in a moment; if it lasts, tell whoever runs this site the request id, by which the log says what was wrong.",
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use foundation::problem::registry::{Registry, unused};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("codes.rs") {
                found.push(std::fs::read_to_string(&path).unwrap());
            }
        }
    }

    #[test]
    fn every_code_is_listed_in_order_and_used() {
        let names: Vec<_> = ALL.iter().map(|code| code.code).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(ALL.len(), include_str!("codes.rs").matches(": Code = Code {\n").count());
        Registry::new(ALL).unwrap();
        let mut found = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert_eq!(unused(include_str!("codes.rs"), &found), Vec::<String>::new());
    }
}
