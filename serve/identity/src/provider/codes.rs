//! Problems that are shown where nobody can be sent back to a client.

use foundation::problem::Code;

/// The request for a sign-in is not one of a client.
pub const AUTHORIZATION_REFUSED: Code = Code {
    code: "authorization-refused",
    status: 400,
    title: "The application's request is not in order",
    about: "An application has sent somebody here to sign in, and it is unknown, or where it wants the answer is not \
            what is registered for it, letter for letter. The answer goes nowhere else. Whoever runs the application \
            compares its settings with those of the issuer.",
};

/// The request for signing out is not in order.
pub const LOGOUT_REFUSED: Code = Code {
    code: "logout-refused",
    status: 400,
    title: "The application's request to sign out is not in order",
    about: "An application has sent somebody here to sign out, and it does not prove for whom, or where it wants \
            people to go afterwards is not what is registered for it, letter for letter. Nobody is signed out and \
            nobody is sent there. Sign out on the page of the account.",
};
