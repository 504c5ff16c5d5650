//! What the database holds, to be compared with what it held before.

use std::collections::BTreeMap;

use foundation::testing::servers::Servers;
use uuid::Uuid;

/// These grow by themselves: what was refused is audited, chains are sealed, and jobs run.
const ALIVE: [&str; 5] = ["audit_batches", "audit_events", "jobs", "schedules", "token_places"];
/// A token that is refused was used all the same.
const ALIVE_COLUMN: &str = "last_used_at";

/// A number of rows and a hash of all of them for each table.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// Of everything.
    pub fn of_all(servers: &Servers) -> Self {
        let tables = servers.sql(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
            "app",
        );
        Self::take(servers, tables.lines(), |table| format!("SELECT * FROM {table}"))
    }

    /// Of what belongs to this organization, and of itself.
    pub fn of(servers: &Servers, organization: Uuid) -> Self {
        let tables = servers.sql(
            "SELECT table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name) \
             WHERE table_schema = 'public' AND column_name = 'organization_id' AND table_type = 'BASE TABLE'",
            "app",
        );
        Self::take(servers, tables.lines().chain(["organizations"]), |table| {
            let owner = if table == "organizations" { "id" } else { "organization_id" };
            format!("SELECT * FROM {table} WHERE {owner} = '{organization}'")
        })
    }

    /// Everything in one statement: at one moment.
    fn take<'a>(
        servers: &Servers,
        tables: impl Iterator<Item = &'a str>,
        rows: impl Fn(&str) -> String,
    ) -> Self {
        let parts: Vec<String> = tables
            .filter(|table| !ALIVE.contains(table))
            .map(|table| {
                format!(
                    "SELECT '{table} ' || count(*) || ' ' || md5(coalesce(string_agg(content, ' ' ORDER BY content), '')) \
                     FROM (SELECT md5((to_jsonb(r) - '{ALIVE_COLUMN}')::text) AS content FROM ({}) AS r) AS contents",
                    rows(table)
                )
            })
            .collect();
        assert!(parts.len() > 5, "{parts:?}");
        let found = servers.sql(&parts.join(" UNION ALL "), "app");
        Self(
            found
                .lines()
                .map(|line| line.split_once(' ').unwrap())
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .collect(),
        )
    }

    /// Fails and names the tables that are other than they were.
    #[track_caller]
    pub fn assert_unchanged(&self, servers: &Servers, organization: Option<Uuid>) {
        let now = match organization {
            Some(organization) => Self::of(servers, organization),
            None => Self::of_all(servers),
        };
        let differs = now.0.iter().filter(|(table, content)| self.0.get(*table) != Some(content));
        let changed: Vec<_> = differs.map(|(table, content)| (table, self.0.get(table), content)).collect();
        assert!(changed.is_empty() && self.0.len() == now.0.len(), "something was written: {changed:?}");
    }
}
