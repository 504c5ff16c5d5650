//! The log line of a request, and what handlers add to it.

use std::sync::{Arc, OnceLock};

use super::Seen;

/// In the extensions of every request that passes the border: what its log line will say beyond what the border
/// sees. The first to know says it; later ones are not heard.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<Said>);

#[derive(Debug, Default)]
struct Said {
    user_id: OnceLock<String>,
    action: OnceLock<&'static str>,
    result: OnceLock<&'static str>,
}

impl Line {
    /// Who asks: a person's or an agent's identifier.
    pub fn user_id(&self, id: impl std::fmt::Display) {
        let _ = self.0.user_id.set(id.to_string());
    }

    /// What is done, such as `task.create`.
    pub fn action(&self, action: &'static str) {
        let _ = self.0.action.set(action);
    }

    /// How it ended, where the status does not say it, such as `replayed`.
    pub fn result(&self, result: &'static str) {
        let _ = self.0.result.set(result);
    }

    /// Writes it. Of probes, which come every few seconds, only failures are news.
    pub(crate) fn write(&self, seen: &Seen<'_>) {
        let status = seen.status.as_u16();
        if matches!(seen.route(), "/livez" | "/readyz") && status < 500 {
            return;
        }
        let duration_ms = (seen.elapsed.as_secs_f64() * 1e6).round() / 1e3;
        let result = self.0.result.get().copied().unwrap_or(match status {
            401 | 403 => "denied",
            400..500 => "refused",
            500.. => "failed",
            _ => "ok",
        });
        tracing::info!(
            user_id = self.0.user_id.get().map(String::as_str),
            action = self.0.action.get().copied(),
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
