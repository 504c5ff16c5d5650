//! The application's schema: its migrations, in order.

use foundation::auth::token_store;
use foundation::migrate::{self, Migration};
use foundation::write::idempotency;
use foundation::{audit, outbox, webhook};

/// In order. A migration that has been released is never edited; the next one corrects it.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "people", sql: include_str!("../migrations/0001_people.sql") },
    Migration { version: 2, name: "audit", sql: audit::MIGRATION },
    Migration { version: 3, name: "idempotency", sql: idempotency::MIGRATION },
    Migration { version: 4, name: "jobs", sql: outbox::MIGRATION },
    Migration { version: 5, name: "tokens", sql: token_store::MIGRATION },
    Migration { version: 6, name: "webhooks", sql: webhook::MIGRATION },
    Migration {
        version: 7,
        name: "organizations",
        sql: include_str!("../migrations/0007_organizations.sql"),
    },
    Migration { version: 8, name: "agents", sql: include_str!("../migrations/0008_agents.sql") },
    Migration { version: 9, name: "projects", sql: include_str!("../migrations/0009_projects.sql") },
    Migration { version: 10, name: "sign in", sql: include_str!("../migrations/0010_sign_in.sql") },
    Migration { version: 11, name: "deletion", sql: include_str!("../migrations/0011_deletion.sql") },
    Migration { version: 12, name: "ended tokens", sql: include_str!("../migrations/0012_ended_tokens.sql") },
    Migration { version: 13, name: "jobs by organization", sql: outbox::BY_ORGANIZATION },
    Migration {
        version: 14,
        name: "places by organization",
        sql: include_str!("../migrations/0014_places_by_organization.sql"),
    },
    Migration {
        version: 15,
        name: "undeliverable",
        sql: include_str!("../migrations/0015_undeliverable.sql"),
    },
];

/// The version of the schema that this program expects.
pub fn newest() -> i32 {
    migrate::newest(MIGRATIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order() {
        assert!(foundation::migrate::are_in_order(MIGRATIONS));
    }
}
