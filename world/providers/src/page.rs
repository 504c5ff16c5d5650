//! The page that asks who signs in, and what people are told.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use foundation::html::escape;
use url::Url;

use crate::fields::Fields;

/// Who is it? Without a script, with the question's parameters in hidden fields.
pub(crate) fn who(title: &str, action: &str, fields: &Fields) -> Response {
    let hint = fields.get("login_hint").unwrap_or_default();
    let form = format!(
        "<form method=\"post\" action=\"{}\">\n{}<label for=\"username\">Name</label>\n\
         <input id=\"username\" name=\"username\" autocomplete=\"username\" value=\"{}\">\n\
         <button id=\"submit\">Sign in</button>\n<button id=\"cancel\" name=\"cancel\" value=\"yes\">Cancel</button>\n</form>",
        escape(action),
        hidden(fields.pairs()),
        escape(hint)
    );
    shown(StatusCode::OK, &format!("Sign in to {title}"), &form)
}

/// Sends the browser back by a form (OAuth 2.0 Form Post Response Mode).
pub(crate) fn post_back(to: &str, answer: &[(&str, &str)]) -> Response {
    let form = format!(
        "<form method=\"post\" action=\"{}\">\n{}<button id=\"continue\">Continue</button>\n</form>\n\
         <script>document.forms[0].submit()</script>",
        escape(to),
        hidden(answer.iter().copied())
    );
    shown(StatusCode::OK, "Continue", &form)
}

/// Sends the browser back by a redirect.
pub(crate) fn send_back(to: &str, answer: &[(&str, &str)]) -> Response {
    let Ok(mut url) = Url::parse(to) else {
        return told(StatusCode::BAD_REQUEST, "The redirect URI is none.");
    };
    url.query_pairs_mut().extend_pairs(answer);
    Redirect::to(url.as_str()).into_response()
}

/// Tells the person what is wrong: whoever is not known is not sent anywhere.
pub(crate) fn told(status: StatusCode, what: &str) -> Response {
    shown(status, "This does not work", &format!("<p id=\"error\">{}</p>", escape(what)))
}

fn shown(status: StatusCode, title: &str, main: &str) -> Response {
    let title = escape(title);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><main>\n<h1>{title}</h1>\n{main}\n</main></body>\n</html>\n"
    );
    (status, Html(page)).into_response()
}

fn hidden<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    pairs
        .into_iter()
        .map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">\n", escape(name), escape(value))
        })
        .collect()
}
