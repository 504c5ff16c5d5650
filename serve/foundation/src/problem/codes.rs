//! Every kind of problem that the foundation knows; an application adds its own.

use super::Code;

/// All of them, in alphabetical order of their names.
pub const ALL: &[&Code] = &[&INTERNAL, &METHOD_NOT_ALLOWED, &NOT_FOUND, &UNAVAILABLE];

/// The server made a mistake.
pub const INTERNAL: Code = Code {
    code: "internal",
    status: 500,
    title: "The server made a mistake",
    about: "Something went wrong that is not the caller's fault. Nothing was written. Try again; if it stays, tell \
            the operator the request_id: the server's log has the reason.",
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

/// Something that the server needs does not answer.
pub const UNAVAILABLE: Code = Code {
    code: "unavailable",
    status: 503,
    title: "The server cannot serve this now",
    about: "Something that the server needs does not answer. Nothing was written. Wait for as long as Retry-After \
            says, and try again.",
};
