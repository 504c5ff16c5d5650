//! Pages for people: one file an area. They call what the API calls, and work without a script.

pub mod assets;
pub mod finish;
mod form;
mod home;
mod notice;
mod projects;
mod query;
mod refusal;
mod shell;
mod show;
mod status;
pub mod tasks;
mod visitor;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::state::App;

/// What people call the application.
pub const PRODUCT: &str = "Bastide";

/// Every page, and every form that a page shows.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(home::show))
        .route("/status", get(status::show))
        .route("/projects", get(projects::list).post(projects::create))
        .route("/projects/new", get(projects::new))
        .route("/projects/{id}", get(projects::show).post(projects::update))
        .route("/projects/{id}/edit", get(projects::edit))
        .route("/projects/{id}/delete", post(projects::delete))
        .route("/projects/{id}/restore", post(projects::restore))
        .route("/tasks", get(tasks::list).post(tasks::create))
        .route("/tasks/new", get(tasks::new))
        .route("/tasks/{id}", get(tasks::show).post(tasks::update))
        .route("/tasks/{id}/edit", get(tasks::edit))
        .route("/tasks/{id}/state", post(tasks::change_state))
        .route("/tasks/{id}/delete", post(tasks::delete))
        .route("/tasks/{id}/restore", post(tasks::restore))
}
