//! The issuer's schema: its migrations, in order.

use foundation::audit;
use foundation::migrate::{self, Migration};

/// In order. A migration that has been released is never edited; the next one corrects it.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "accounts", sql: include_str!("../migrations/0001_accounts.sql") },
    Migration { version: 2, name: "audit", sql: audit::MIGRATION },
    Migration { version: 3, name: "provider", sql: include_str!("../migrations/0003_provider.sql") },
    Migration {
        version: 4,
        name: "grant-providers",
        sql: include_str!("../migrations/0004_grant_providers.sql"),
    },
    Migration { version: 5, name: "told-names", sql: include_str!("../migrations/0005_told_names.sql") },
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
