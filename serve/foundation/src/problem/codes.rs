//! Every kind of problem that the foundation knows; an application adds its own.

use super::Code;

/// All of them, in alphabetical order of their names.
pub const ALL: &[&Code] = &[
    &ADDRESS_NOT_ALLOWED,
    &AMBIGUOUS_CREDENTIALS,
    &BAD_CREDENTIALS,
    &BAD_CURSOR,
    &BAD_ETAG,
    &BAD_LIMIT,
    &BODY_MALFORMED,
    &BODY_TOO_DEEP,
    &BODY_TOO_LARGE,
    &BODY_TOO_SLOW,
    &CONTENT_ENCODING_UNSUPPORTED,
    &CONTENT_TYPE_UNSUPPORTED,
    &CROSS_SITE,
    &HEADERS_TOO_LARGE,
    &IDEMPOTENCY_KEY_IN_USE,
    &IDEMPOTENCY_KEY_INVALID,
    &IDEMPOTENCY_KEY_MISSING,
    &IDEMPOTENCY_KEY_REUSED,
    &INSUFFICIENT_SCOPE,
    &INTERNAL,
    &INVALID_TOKEN_REQUEST,
    &METHOD_NOT_ALLOWED,
    &NOT_FOUND,
    &NOT_READY,
    &PEOPLE_ONLY,
    &PRECONDITION_FAILED,
    &PRECONDITION_REQUIRED,
    &QUERY_INVALID,
    &RATE_LIMITED,
    &REQUEST_REFUSED,
    &TIMED_OUT,
    &TOKEN_ENDED,
    &TOKEN_TOO_WIDE,
    &UNAUTHENTICATED,
    &UNAVAILABLE,
    &URI_TOO_LONG,
    &VALIDATION_FAILED,
];

/// This token may not be used from here.
pub const ADDRESS_NOT_ALLOWED: Code = Code {
    code: "address-not-allowed",
    status: 403,
    title: "This token may not be used from here",
    about: "The token has a list of networks from which it may be used, and the request came from another \
            address. Use it from there, or ask whoever manages the organization's tokens for one that allows \
            this network.",
};

/// More than one credential was sent.
pub const AMBIGUOUS_CREDENTIALS: Code = Code {
    code: "ambiguous-credentials",
    status: 400,
    title: "More than one credential was sent",
    about: "A request carries one credential: one Authorization header with a bearer token, or the cookie of \
            one session. Which of several was meant is not guessed. Send one.",
};

/// This credential is not accepted.
pub const BAD_CREDENTIALS: Code = Code {
    code: "bad-credentials",
    status: 401,
    title: "This credential is not accepted",
    about: "The Authorization header is not `Bearer` and a token of this API, or the token is unknown, \
            expired or revoked. Check that it was copied as a whole; get a new one where it is expired or \
            revoked.",
};

/// This cursor is not one of this list.
pub const BAD_CURSOR: Code = Code {
    code: "bad-cursor",
    status: 400,
    title: "This cursor is not one of this list",
    about: "A cursor is taken as it is from next_cursor or the Link header of the page before, and used with \
            the same path and filters. Start again without a cursor.",
};

/// The condition is not a list of entity tags.
pub const BAD_ETAG: Code = Code {
    code: "bad-etag",
    status: 400,
    title: "The condition is not a list of entity tags",
    about: "If-Match and If-None-Match hold * or entity tags in double quotes, separated by commas, as the \
            header ETag of an answer had them.",
};

/// The page's limit is out of bounds.
pub const BAD_LIMIT: Code = Code {
    code: "bad-limit",
    status: 400,
    title: "The page's limit is out of bounds",
    about: "The query parameter limit says how many items a page has. Its bounds are in the detail.",
};

/// The body is not what its content type says.
pub const BODY_MALFORMED: Code = Code {
    code: "body-malformed",
    status: 400,
    title: "The body cannot be read",
    about: "The body is not well-formed: it breaks off, has a syntax error, is not UTF-8, or contains the character \
            U+0000. The detail gives line and column where there is one. Nothing was written.",
};

/// The body nests deeper than is read.
pub const BODY_TOO_DEEP: Code = Code {
    code: "body-too-deep",
    status: 400,
    title: "The body is nested too deeply",
    about: "Arrays and objects in the body are nested deeper than the server reads. No documented body comes near \
            the limit, which the detail names. Nothing was written.",
};

/// The body is larger than the limit.
pub const BODY_TOO_LARGE: Code = Code {
    code: "body-too-large",
    status: 413,
    title: "The body is too large",
    about: "The body is larger than this path takes; the detail names the limit in bytes. Send less at a time. \
            Nothing was written.",
};

/// The body did not arrive in time.
pub const BODY_TOO_SLOW: Code = Code {
    code: "body-too-slow",
    status: 408,
    title: "The body did not arrive in time",
    about: "The headers arrived and the body did not follow within the limit that the detail names. Nothing was \
            written; send the request again.",
};

/// The body is compressed.
pub const CONTENT_ENCODING_UNSUPPORTED: Code = Code {
    code: "content-encoding-unsupported",
    status: 415,
    title: "The body's encoding is not supported",
    about: "Bodies of requests must come without Content-Encoding: a compressed body could unpack to any size. The \
            answer's Accept-Encoding header says so too.",
};

/// The body has another content type than the path takes.
pub const CONTENT_TYPE_UNSUPPORTED: Code = Code {
    code: "content-type-unsupported",
    status: 415,
    title: "The body's content type is not supported",
    about: "The Content-Type header is missing or is not one that this path takes; the answer's Accept header lists \
            those. JSON is always UTF-8.",
};

/// The request does not come from this site's own pages.
pub const CROSS_SITE: Code = Code {
    code: "cross-site",
    status: 403,
    title: "The request does not come from this site's own pages",
    about: "A request that changes something by a session's cookie must come from a page of this site: its \
            Origin is compared, and a form carries the page's token. Open the page again and repeat what you \
            did. Programs use a bearer token, which needs neither.",
};

/// The headers are more than the limit.
pub const HEADERS_TOO_LARGE: Code = Code {
    code: "headers-too-large",
    status: 431,
    title: "The headers are too many or too large",
    about: "The request has more headers, or longer ones, than the server takes. Often it is cookies that pile up: \
            remove those that are not this site's.",
};

/// The first request with this key has not ended.
pub const IDEMPOTENCY_KEY_IN_USE: Code = Code {
    code: "idempotency-key-in-use",
    status: 409,
    title: "A request with this Idempotency-Key is under way",
    about: "The first request with this key has not ended. Wait for as long as Retry-After says, and send the same \
            request again: it gets the first one's answer.",
};

/// The header is not a key.
pub const IDEMPOTENCY_KEY_INVALID: Code = Code {
    code: "idempotency-key-invalid",
    status: 400,
    title: "The Idempotency-Key cannot be read",
    about: "The header Idempotency-Key holds one key of 1 to 255 visible ASCII characters, in quotation marks or bare. \
            A random UUID is a good one.",
};

/// The route wants a key.
pub const IDEMPOTENCY_KEY_MISSING: Code = Code {
    code: "idempotency-key-missing",
    status: 400,
    title: "An Idempotency-Key is needed here",
    about: "Send the header Idempotency-Key with a new random key for each write, and the same key when you try the \
            same write again: it then happens once, however often you try.",
};

/// The key belongs to another request.
pub const IDEMPOTENCY_KEY_REUSED: Code = Code {
    code: "idempotency-key-reused",
    status: 422,
    title: "This Idempotency-Key belongs to another request",
    about: "The key was sent before with another method, path or body, from within another organization, or with another \
            token. Nothing was written. Use a new key for a new request; a key is free again when it has expired.",
};

/// This needs a scope that you do not have.
pub const INSUFFICIENT_SCOPE: Code = Code {
    code: "insufficient-scope",
    status: 403,
    title: "This needs a scope that you do not have",
    about: "The member scope names what is missing. Use a token that has it; for a person it comes with the \
            role in the organization.",
};

/// The server made a mistake.
pub const INTERNAL: Code = Code {
    code: "internal",
    status: 500,
    title: "The server made a mistake",
    about: "Something went wrong that is not the caller's fault. A write may have been done or not: try again with \
            the same Idempotency-Key, which does it once. If it stays, tell the operator the request_id: the \
            server's log has the reason.",
};

/// A token cannot be made as asked for.
pub const INVALID_TOKEN_REQUEST: Code = Code {
    code: "invalid-token-request",
    status: 422,
    title: "A token cannot be made as asked for",
    about: "The errors point to what is out of bounds: the name, the scopes, the resources, the networks or the expiry.",
};

/// The path does not have the method.
pub const METHOD_NOT_ALLOWED: Code = Code {
    code: "method-not-allowed",
    status: 405,
    title: "This path does not have this method",
    about: "The path exists, and the method is none of its own. The answer's Allow header lists those it has.",
};

/// There is nothing here, or nothing that the caller may see.
pub const NOT_FOUND: Code = Code {
    code: "not-found",
    status: 404,
    title: "There is nothing here",
    about: "The path does not exist, or it names something that does not exist or belongs to another organization.",
};

/// A readiness check failed.
pub const NOT_READY: Code = Code {
    code: "not-ready",
    status: 503,
    title: "The server is not ready to serve",
    about: "Only /readyz answers this: something that the server needs does not answer, and the member `missing` \
            names it. The server becomes ready by itself when it answers again.",
};

/// Only people may do this.
pub const PEOPLE_ONLY: Code = Code {
    code: "people-only",
    status: 403,
    title: "Only people may do this",
    about: "This concerns the person who is signed in, and a token is nobody's person. Sign in and do it there.",
};

/// It was changed meanwhile.
pub const PRECONDITION_FAILED: Code = Code {
    code: "precondition-failed",
    status: 412,
    title: "It was changed meanwhile",
    about: "If-Match names another version than the one there is now, of which the header ETag is the tag. \
            Nothing was written. Read it again, apply your change to that, and send the new tag.",
};

/// The version to change must be named.
pub const PRECONDITION_REQUIRED: Code = Code {
    code: "precondition-required",
    status: 428,
    title: "The version to change must be named",
    about: "This would overwrite what others may have changed. Read it first, and send its ETag as If-Match.",
};

/// The query string is wrong.
pub const QUERY_INVALID: Code = Code {
    code: "query-invalid",
    status: 400,
    title: "The query is invalid",
    about: "A parameter of the query string is unknown, given twice, missing, or has a value of the wrong form. The \
            member `errors` names each one.",
};

/// Too many requests.
pub const RATE_LIMITED: Code = Code {
    code: "rate-limited",
    status: 429,
    title: "Too many requests",
    about: "Wait for as long as Retry-After says. The RateLimit header of every answer tells how much is \
            left, and RateLimit-Policy what there is; the member violated-policies names the exhausted ones.",
};

/// Something about the request is wrong that has no kind of its own.
pub const REQUEST_REFUSED: Code = Code {
    code: "request-refused",
    status: 400,
    title: "The request was refused",
    about: "The request cannot be processed as it is: a header or another part of it is invalid. Compare it with \
            the description of the operation.",
};

/// The work took longer than the limit.
pub const TIMED_OUT: Code = Code {
    code: "timed-out",
    status: 503,
    title: "The work took too long and was given up",
    about: "The server gave the work up after its time limit. A write may or may not have happened: send it again \
            with the same Idempotency-Key after Retry-After, and it happens exactly once.",
};

/// What has ended cannot be rotated.
pub const TOKEN_ENDED: Code = Code {
    code: "token-ended",
    status: 409,
    title: "The token has ended and gets no successor",
    about: "It was revoked, has expired, or was rotated before. Rotate the token that took its place, or mint a new one.",
};

/// A token cannot allow more than its maker may do.
pub const TOKEN_TOO_WIDE: Code = Code {
    code: "token-too-wide",
    status: 403,
    title: "A token cannot allow more than its maker may do",
    about: "The errors point to what is wider than your own rights: a scope, a resource, a network, or the \
            expiry. Ask for less, or let somebody with these rights make the token.",
};

/// This needs to know who asks.
pub const UNAUTHENTICATED: Code = Code {
    code: "unauthenticated",
    status: 401,
    title: "This needs to know who asks",
    about: "Send a bearer token in the Authorization header, or sign in.",
};

/// Something that the server needs does not answer.
pub const UNAVAILABLE: Code = Code {
    code: "unavailable",
    status: 503,
    title: "The server cannot serve this now",
    about: "Something that the server needs does not answer. Wait for as long as Retry-After says, and try again: a \
            write with the same Idempotency-Key, which does it once also where its answer was lost.",
};

/// The path and query are longer than the limit.
pub const URI_TOO_LONG: Code = Code {
    code: "uri-too-long",
    status: 414,
    title: "The path and query are too long",
    about: "Path and query together are longer than the server takes. Cursors and identifiers that the server gave \
            out always fit.",
};

/// Values of the request are not valid.
pub const VALIDATION_FAILED: Code = Code {
    code: "validation-failed",
    status: 422,
    title: "Values of the request are not valid",
    about: "The body is well-formed, and values in it are of the wrong type, out of range, missing or unknown. The \
            member `errors` has one entry a value, with a JSON pointer to it. Nothing was written.",
};
