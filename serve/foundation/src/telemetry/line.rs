//! The log line of a request, and what is said on it while the request is worked for.

use std::sync::{Arc, OnceLock};

use axum::extract::MatchedPath;
use uuid::Uuid;

use super::Seen;
use crate::auth::actor::Actor;

tokio::task_local! {
    static CURRENT: Line;
}

/// What the log line of a request will say beyond what the border sees. The first to know says it; later ones are not
/// heard.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<Said>);

#[derive(Debug, Default)]
struct Said {
    route: Option<MatchedPath>,
    user_id: OnceLock<Uuid>,
    organization_id: OnceLock<Uuid>,
    token_id: OnceLock<Uuid>,
    action: OnceLock<&'static str>,
    result: OnceLock<&'static str>,
}

impl Line {
    pub(crate) fn of(route: Option<MatchedPath>) -> Self {
        Self(Arc::new(Said { route, ..Said::default() }))
    }

    /// Says something on the line of the request that the current task works for; without one nobody listens.
    pub fn say(something: impl FnOnce(&Self)) {
        let _ = Self::current(something);
    }

    pub(crate) fn current<T>(read: impl FnOnce(&Self) -> T) -> Option<T> {
        CURRENT.try_with(read).ok()
    }

    /// Works for the request whose line this is.
    pub(crate) async fn around<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Who asks, in which organization, by which token.
    pub fn actor(&self, actor: &Actor) {
        let _ = self.0.user_id.set(actor.id());
        if let Some(organization) = actor.organization() {
            let _ = self.0.organization_id.set(organization);
        }
        if let Some(token) = actor.token_id() {
            let _ = self.0.token_id.set(token);
        }
    }

    /// Who has become known by the request, and in which organization.
    pub fn person(&self, id: Uuid, organization: Option<Uuid>) {
        let _ = self.0.user_id.set(id);
        if let Some(organization) = organization {
            let _ = self.0.organization_id.set(organization);
        }
    }

    /// What is done, such as `task.create`.
    pub fn action(&self, action: &'static str) {
        let _ = self.0.action.set(action);
    }

    /// How it ended, where the status does not say it, such as `replayed`.
    pub fn result(&self, result: &'static str) {
        let _ = self.0.result.set(result);
    }

    /// Everything that was said until now, by the name that it has in logs and reports.
    pub(crate) fn said(&self) -> impl Iterator<Item = (&'static str, String)> {
        let said = &self.0;
        [
            ("route", said.route.as_ref().map(|route| route.as_str().to_owned())),
            ("user_id", said.user_id.get().map(Uuid::to_string)),
            ("organization_id", said.organization_id.get().map(Uuid::to_string)),
            ("token_id", said.token_id.get().map(Uuid::to_string)),
            ("action", said.action.get().map(ToString::to_string)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// Writes it. Of probes, which come every few seconds, only failures are news.
    pub(crate) fn write(&self, seen: &Seen<'_>) {
        let status = seen.status.as_u16();
        if matches!(seen.route(), "/livez" | "/readyz") && status < 500 {
            return;
        }
        let said = &self.0;
        let duration_ms = (seen.elapsed.as_secs_f64() * 1e6).round() / 1e3;
        let result = said.result.get().copied().unwrap_or(match status {
            401 | 403 => "denied",
            400..500 => "refused",
            500.. => "failed",
            _ => "ok",
        });
        tracing::info!(
            user_id = said.user_id.get().map(display),
            organization_id = said.organization_id.get().map(display),
            token_id = said.token_id.get().map(display),
            action = said.action.get().copied(),
            result,
            method = seen.method(),
            route = seen.route(),
            status,
            duration_ms,
            problem = seen.problem.map(|code| code.code),
            "request"
        );
    }
}
