//! The application's schema: its migrations, in order.

use foundation::migrate::Migration;

/// In order. A migration that has been released is never edited; the next one corrects it.
pub const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "pings", sql: include_str!("../migrations/0001_pings.sql") }];

/// The version of the schema that this program expects.
pub fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_rise_by_one_from_one() {
        assert!(foundation::migrate::are_in_order(super::MIGRATIONS));
    }
}
