//! Kinds of problems that are this application's own.

use foundation::problem::Code;

/// All of them, in alphabetical order of their names.
pub const ALL: &[&Code] = &[
    &DELIVERY_PENDING,
    &INVITATION_EXPIRED,
    &INVITATION_REVOKED,
    &INVITATION_USED,
    &LAST_OWNER,
    &LOGOUT_TOKEN_INVALID,
    &QUOTA_REACHED,
    &ROLE_TOO_HIGH,
    &SIGN_IN_EXPIRED,
    &SIGN_IN_FAILED,
    &SIGN_IN_NOT_CONFIGURED,
    &SIGN_IN_UNAVAILABLE,
    &WEBHOOK_DISABLED,
];

/// The delivery is under way.
pub const DELIVERY_PENDING: Code = Code {
    code: "delivery-pending",
    status: 409,
    title: "The delivery is under way",
    about: "It is being tried, or will be again at next_attempt_at. It can be sent again when it is delivered or was given \
            up.",
};

/// The invitation was not accepted in time.
pub const INVITATION_EXPIRED: Code = Code {
    code: "invitation-expired",
    status: 410,
    title: "The invitation has expired",
    about: "An invitation can be accepted for seven days. Ask whoever invited you for another one.",
};

/// The invitation was taken back.
pub const INVITATION_REVOKED: Code = Code {
    code: "invitation-revoked",
    status: 410,
    title: "The invitation was taken back",
    about: "Somebody of the organization has revoked the invitation, or whoever made it may not invite with this role \
            any more. Ask the organization for another one.",
};

/// The invitation was accepted before.
pub const INVITATION_USED: Code = Code {
    code: "invitation-used",
    status: 410,
    title: "The invitation was accepted before",
    about: "An invitation makes one person a member, once, and somebody else was that person. If the link was meant for \
            you alone, tell the organization; ask it for another one.",
};

/// An organization has an owner.
pub const LAST_OWNER: Code = Code {
    code: "last-owner",
    status: 409,
    title: "An organization needs an owner",
    about: "This is the only owner, who can neither leave nor get another role. Make somebody else an owner first, or \
            delete the organization.",
};

/// The logout token is not to be believed.
pub const LOGOUT_TOKEN_INVALID: Code = Code {
    code: "logout-token-invalid",
    status: 400,
    title: "The logout token is not to be believed",
    about: "The issuer says by a logout token whose sessions have ended there (OpenID Connect Back-Channel Logout). This \
            one is not the issuer's, is not for this application, is too old or was used before. Nothing was \
            ended. People sign out with the button of a page.",
};

/// There are as many as there may be.
pub const QUOTA_REACHED: Code = Code {
    code: "quota-reached",
    status: 409,
    title: "There are as many as an organization may have",
    about: "The member limit says how many there may be. Delete what is not needed any more, and try again.",
};

/// Nobody gives or takes a role above their own.
pub const ROLE_TOO_HIGH: Code = Code {
    code: "role-too-high",
    status: 403,
    title: "This is above your own role",
    about: "Nobody gives a role above their own, or changes somebody who has one. A token gives at most the role of a \
            member, only one that allows nothing which the token itself does not, and none if it is restricted to \
            certain resources.",
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

/// This site has no issuer.
pub const SIGN_IN_NOT_CONFIGURED: Code = Code {
    code: "sign-in-not-configured",
    status: 503,
    title: "Nobody can sign in here yet",
    about: "This site has no issuer that knows people. Whoever runs it names one: the platform's own, by a login provider \
            in the platform file, or another by OIDC_ISSUER and its client. Trying again does not help.",
};

/// Nobody can sign in now.
pub const SIGN_IN_UNAVAILABLE: Code = Code {
    code: "sign-in-unavailable",
    status: 503,
    title: "Nobody can sign in now",
    about: "The issuer that knows people does not answer. Who is signed in stays so. Try again in a moment; if it lasts, \
            tell whoever runs this site the request id, by which the log says what was wrong.",
};

/// Nothing is delivered to a webhook that is disabled.
pub const WEBHOOK_DISABLED: Code = Code {
    code: "webhook-disabled",
    status: 409,
    title: "The webhook is disabled",
    about: "Nothing is delivered to it. Put right what disabled_reason says, change it to enabled, and try again.",
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
