//! Pages for people: one file an area. They call what the API calls, and work without a script.

mod agents;
pub mod assets;
pub mod audit;
mod deliveries;
pub mod finish;
mod form;
mod home;
mod invitations;
pub mod members;
mod names;
mod notice;
mod organizations;
mod projects;
mod query;
mod refusal;
mod sessions;
mod settings;
mod shell;
mod show;
mod status;
pub mod tasks;
pub mod tokens;
mod visitor;
mod webhooks;
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
        .route("/members", get(members::list))
        .route("/members/{id}/role", post(members::change_role))
        .route("/members/{id}/remove", post(members::remove))
        .route("/members/invitations", get(invitations::list).post(invitations::create))
        .route("/members/invitations/new", get(invitations::new))
        .route("/members/invitations/{id}/revoke", post(invitations::revoke))
        .route("/invitations/{secret}", get(invitations::offer))
        .route("/memberships", post(invitations::join))
        .route("/agents", get(agents::list).post(agents::create))
        .route("/agents/new", get(agents::new))
        .route("/agents/{id}", get(agents::show).post(agents::update))
        .route("/agents/{id}/edit", get(agents::edit))
        .route("/agents/{id}/delete", post(agents::delete))
        .route("/agents/{id}/tokens", post(tokens::mint))
        .route("/agents/{id}/tokens/new", get(tokens::new))
        .route("/tokens/{id}", get(tokens::show))
        .route("/tokens/{id}/rotate", post(tokens::rotate))
        .route("/tokens/{id}/revoke", post(tokens::revoke))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/new", get(webhooks::new))
        .route("/webhooks/{id}", get(webhooks::show).post(webhooks::update))
        .route("/webhooks/{id}/edit", get(webhooks::edit))
        .route("/webhooks/{id}/delete", post(webhooks::delete))
        .route("/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/webhooks/{id}/test", post(webhooks::test))
        .route("/deliveries/{id}", get(deliveries::show))
        .route("/deliveries/{id}/replay", post(deliveries::replay))
        .route("/audit", get(audit::list))
        .route("/audit/verification", get(audit::verify))
        .route("/settings", get(settings::show).post(settings::update))
        .route("/settings/delete", post(settings::delete))
        .route("/organizations", get(organizations::list).post(organizations::create))
        .route("/organizations/{id}/enter", post(organizations::enter))
        .route("/organizations/{id}/restore", post(organizations::restore))
        .route("/sessions", get(sessions::list))
        .route("/sessions/revoke", post(sessions::revoke_all))
        .route("/sessions/{id}/revoke", post(sessions::revoke))
}
