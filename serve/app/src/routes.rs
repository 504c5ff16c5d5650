//! Every path of the application, in one place.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use foundation::auth::layer::authenticate;
use foundation::border::{self, Border};
use foundation::health;
use foundation::openapi::{self, Document, DocumentError, Pages};
use foundation::problem::pages as problem_pages;
use foundation::problem::registry::Registry;
use foundation::rate_limit::layer::{limit_callers, limit_people};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::App;
use crate::{
    agents, audit_events, deliveries, invitations, members, organizations, pages, projects, sessions,
    sign_in, tasks, tokens, webhooks,
};

/// What the description says beside the operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Reference application",
        description = "Projects and tasks of organizations, for people and agents."
    ),
    tags(
        (name = "organizations", description = "To each belongs everything else, and sees nothing of the others."),
        (name = "members", description = "The people of an organization, and those who are invited."),
        (name = "projects", description = "What tasks belong to."),
        (name = "tasks", description = "What is to be done."),
        (name = "me", description = "Who asks, and where."),
        (name = "sessions", description = "Where you are signed in."),
        (name = "agents", description = "Programs that act for the organization."),
        (name = "tokens", description = "With which agents show who they are."),
        (name = "webhooks", description = "Where an organization is told of what happens, and how that went."),
        (name = "audit", description = "What people and agents did, and what was refused to them."),
    )
)]
struct Described;

/// The operations for programs, each with its description.
fn api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(organizations::list::list, organizations::create::create))
        .routes(routes!(
            organizations::show::show,
            organizations::update::update,
            organizations::delete::delete
        ))
        .routes(routes!(organizations::restore::restore))
        .routes(routes!(organizations::export::export))
        .routes(routes!(members::list::list))
        .routes(routes!(members::show::show, members::update::update, members::delete::delete))
        .routes(routes!(invitations::list::list, invitations::create::create))
        .routes(routes!(invitations::show::show, invitations::delete::delete))
        .routes(routes!(invitations::accept::accept))
        .routes(routes!(projects::list::list, projects::create::create))
        .routes(routes!(projects::show::show, projects::update::update, projects::delete::delete))
        .routes(routes!(projects::restore::restore))
        .routes(routes!(tasks::list::list, tasks::create::create))
        .routes(routes!(tasks::show::show, tasks::update::update, tasks::delete::delete))
        .routes(routes!(tasks::restore::restore))
        .routes(routes!(sessions::list::list, sessions::revoke_all::revoke_all))
        .routes(routes!(sessions::revoke::revoke))
        .routes(routes!(sessions::me::me))
        .routes(routes!(sessions::enter::enter))
        .routes(routes!(agents::list::list, agents::create::create))
        .routes(routes!(agents::show::show, agents::update::update, agents::delete::delete))
        .routes(routes!(tokens::mint::mint))
        .routes(routes!(tokens::list::list))
        .routes(routes!(tokens::show::show, tokens::revoke::revoke))
        .routes(routes!(tokens::rotate::rotate))
        .routes(routes!(webhooks::list::list, webhooks::create::create))
        .routes(routes!(webhooks::show::show, webhooks::update::update, webhooks::delete::delete))
        .routes(routes!(webhooks::rotate_secret::rotate_secret))
        .routes(routes!(webhooks::test::test))
        .routes(routes!(deliveries::list::list))
        .routes(routes!(deliveries::show::show))
        .routes(routes!(deliveries::replay::replay))
        .routes(routes!(audit_events::list::list))
        .routes(routes!(audit_events::show::show))
        .routes(routes!(audit_events::export::export))
        .routes(routes!(audit_events::verify::verify))
}

/// The description of the operations.
///
/// # Errors
/// An operation that answers a problem which is not registered.
pub fn document(problems: &Registry) -> Result<Document, DocumentError> {
    Document::new(&api().into_openapi(), problems)
}

/// The pages of the description.
///
/// Made on a thread of its own: making them takes many times the memory that stays of them, and the allocator gives a
/// thread's memory back to the system where nothing in it is kept.
fn description_pages(problems: &Registry) -> Result<Router, DocumentError> {
    std::thread::scope(|scope| {
        let made = scope.spawn(|| Ok(Pages::of(&document(problems)?)));
        made.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .map(|pages| openapi::router(&pages))
    })
}

/// The application's paths, within its border.
///
/// # Errors
/// As [`document`].
pub fn router(app: Arc<App>, problems: &Registry, border: Border) -> Result<Router, DocumentError> {
    let probes = health::router(Arc::clone(&app.health));
    let issuer = app.sign_in.as_ref().map(sign_in::SignIn::origin);
    let policy = Arc::new(pages::finish::Policy::new(issuer.as_deref()));
    let (limits, authentication) = (Arc::clone(&app.limits), Arc::clone(&app.authentication));
    // The outermost last: limits that need no person, who asks, limits of the person.
    let router = Router::from(api())
        .merge(pages::router())
        .merge(sign_in::routes())
        .with_state(app)
        .layer(from_fn_with_state(Arc::clone(&limits), limit_people))
        .layer(from_fn_with_state(authentication, authenticate))
        .layer(from_fn_with_state(limits, limit_callers))
        .merge(probes)
        .merge(description_pages(problems)?)
        .merge(problem_pages::router(problems))
        .merge(pages::assets::router());
    Ok(border::around(router, border).layer(from_fn_with_state(policy, pages::finish::finish)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;

    fn current() -> Document {
        document(&Registry::new(codes::ALL).expect("codes")).expect("a document")
    }

    #[test]
    fn the_description_is_complete() {
        assert_eq!(current().gaps(), []);
    }

    /// The names by which the types of a source are described.
    fn described(source: &str, names: &mut Vec<String>) {
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            if !(line.starts_with("#[derive(") && line.contains("ToSchema")) {
                continue;
            }
            let mut own = None;
            for line in lines.by_ref() {
                let name = |start: &str| {
                    let rest = line.split_once(start)?.1;
                    rest.split(|each: char| !each.is_alphanumeric() && each != '_').next().map(str::to_owned)
                };
                own = own.or_else(|| name("as = ").filter(|_| line.starts_with("#[schema(")));
                if let Some(declared) = name("struct ").or_else(|| name("enum ")) {
                    names.push(own.unwrap_or(declared));
                    break;
                }
            }
        }
    }

    fn described_within(folder: &std::path::Path, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                described_within(&path, names);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                described(&std::fs::read_to_string(&path).unwrap(), names);
            }
        }
    }

    /// One of them would silently stand in the place of both.
    #[test]
    fn no_two_types_are_described_by_one_name() {
        let mut names = Vec::new();
        described_within(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        assert!(names.iter().any(|name| name == "TaskState") && names.iter().any(|name| name == "NewTask"));
        names.sort();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "give one of them #[schema(as = …)]: {twice:?}");
    }

    #[test]
    fn a_change_of_the_api_is_seen() {
        let committed = include_str!("../openapi.json");
        assert!(
            current().to_json() == committed,
            "the API is not what serve/app/openapi.json says; if that is meant, write it anew and commit it: \
             cargo run -p app -- openapi > serve/app/openapi.json"
        );
    }
}
