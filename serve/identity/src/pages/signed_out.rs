//! Pages at the end: signed out, and gone.

use askama::Template;
use axum::response::Response;
use foundation::problem::Problem;

use super::show;
use super::texts::{self, Phrase, Texts};

#[derive(Template)]
#[template(path = "signed_out.html")]
struct EndPage {
    texts: &'static Texts,
    title: &'static Phrase,
    text: &'static Phrase,
}

/// The page that says that somebody is signed out.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn signed_out() -> Result<Response, Problem> {
    let texts = texts::current();
    show::page(&EndPage { texts, title: &texts.signed_out.title, text: &texts.signed_out.text })
}

/// The page that says that an account is deleted.
///
/// # Errors
/// A problem where the page cannot be made.
pub fn deleted() -> Result<Response, Problem> {
    let texts = texts::current();
    show::page(&EndPage { texts, title: &texts.delete.done_title, text: &texts.delete.done_text })
}
