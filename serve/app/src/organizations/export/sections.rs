//! What is exported: from which table, and which columns. Those that are not named here are in no export.

/// The rows of a table, in an order in which they can be read on from any of them.
#[derive(Debug)]
pub struct Section {
    /// Answers with lines of JSON after the row whose key is `$2`, and their keys.
    pub sql: &'static str,
    /// Before every key.
    beginning: &'static [&'static str],
}

impl Section {
    /// The key before the first row.
    pub fn beginning(&self) -> Vec<String> {
        self.beginning.iter().map(|part| (*part).to_owned()).collect()
    }
}

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// Rows in the order of a time and an identifier.
macro_rules! section {
    ($kind:literal, $columns:literal, $from:literal, $organization:literal, $at:literal, $id:literal) => {
        Section {
            sql: concat!(
                "SELECT ARRAY[key_at::text, key_id::text] AS key, (to_jsonb(found) - 'key_at' - 'key_id')::text AS line \
                 FROM (SELECT '",
                $kind, "' AS kind, ", $at, " AS key_at, ", $id, " AS key_id, ", $columns, " FROM ", $from, " WHERE ",
                $organization, " = $1 AND (", $at, ", ", $id,
                ") > (($2::text[])[1]::timestamptz, ($2::text[])[2]::uuid) ORDER BY ", $at, ", ", $id,
                " LIMIT $3) AS found"
            ),
            beginning: &["-infinity", NIL],
        }
    };
    ($kind:literal, $columns:literal, $table:literal, $at:literal) => {
        section!($kind, $columns, $table, "organization_id", $at, "id")
    };
}

/// In this order they are in an export.
pub const SECTIONS: &[Section] = &[
    section!(
        "organization",
        "id, name, version, created_at, updated_at",
        "organizations",
        "id",
        "created_at",
        "id"
    ),
    section!(
        "member",
        "m.person_id, p.name, p.email, m.role, m.version, m.created_at, m.updated_at",
        "memberships m JOIN people p ON p.id = m.person_id",
        "m.organization_id",
        "m.created_at",
        "m.person_id"
    ),
    section!(
        "invitation",
        "id, email, role, created_at, created_by, expires_at, accepted_at, accepted_by, revoked_at, undeliverable_at",
        "invitations",
        "created_at"
    ),
    section!(
        "agent",
        "id, name, description, version, created_at, created_by, updated_at",
        "agents",
        "created_at"
    ),
    section!(
        "token",
        "id, agent_id, name, hint, scopes, resources, addresses, created_at, created_by, parent_id, successor_id, \
         expires_at, last_used_at, revoked_at",
        "tokens",
        "created_at"
    ),
    section!(
        "project",
        "id, name, description, version, created_at, created_by, updated_at, deleted_at",
        "projects",
        "created_at"
    ),
    section!(
        "task",
        "id, project_id, title, description, state, due_on, version, created_at, created_by, updated_at, deleted_at",
        "tasks",
        "created_at"
    ),
    section!(
        "webhook_endpoint",
        "id, url, description, events, version, created_at, created_by, updated_at, failing_since, disabled_at, \
         disabled_reason",
        "webhook_endpoints",
        "created_at"
    ),
    section!("webhook_message", "id, type, payload, created_at", "webhook_messages", "created_at"),
    section!(
        "webhook_delivery",
        "id, endpoint_id, message_id, state, created_at",
        "webhook_deliveries",
        "created_at"
    ),
    Section {
        sql: "SELECT ARRAY[id::text] AS key, to_jsonb(found)::text AS line FROM (\
                SELECT 'webhook_attempt' AS kind, id, delivery_id, at, status, milliseconds, error, excerpt \
                FROM webhook_attempts WHERE organization_id = $1 AND id > ($2::text[])[1]::uuid \
                ORDER BY id LIMIT $3) AS found",
        beginning: &[NIL],
    },
    section!(
        "audit_event",
        "id, occurred_at, actor_kind, actor_id, token_id, address, user_agent, request_id, action, resource_kind, \
         resource_id, result, changes, position::text AS position",
        "audit_events",
        "occurred_at"
    ),
    Section {
        sql: "SELECT ARRAY[number::text] AS key, to_jsonb(found)::text AS line FROM (\
                SELECT 'audit_batch' AS kind, number, version, last_position::text AS last_position, events, \
                encode(root, 'hex') AS root, encode(previous, 'hex') AS previous, encode(hash, 'hex') AS hash, sealed_at \
                FROM audit_batches WHERE organization_id = $1 AND number > ($2::text[])[1]::bigint \
                ORDER BY number LIMIT $3) AS found",
        beginning: &["0"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables of organizations that are in no export: secrets, work under way, of which the effects are in the others, and
    /// from where tokens were used, which the audit log says.
    const LEFT_OUT: [&str; 3] = ["webhook_secrets", "jobs", "token_places"];

    /// The tables that have rows of organizations, by the migrations.
    fn tables() -> Vec<&'static str> {
        let tables = crate::schema::MIGRATIONS
            .iter()
            .flat_map(|migration| migration.sql.split("CREATE TABLE ").skip(1));
        let of_organizations = tables.filter(|table| {
            let end = table.find("\n)").unwrap_or(table.len());
            table[..end].contains("organization_id uuid")
        });
        of_organizations.filter_map(|table| table.split([' ', '(']).next()).collect()
    }

    #[test]
    fn every_table_of_organizations_is_exported_or_left_out_on_purpose() {
        let tables = tables();
        assert!(tables.len() >= 14, "{tables:?}");
        for table in tables {
            let exported = SECTIONS.iter().any(|section| section.sql.contains(&format!(" FROM {table} ")));
            assert!(
                exported != LEFT_OUT.contains(&table),
                "add a section for {table}, or leave it out on purpose"
            );
        }
    }

    #[test]
    fn no_section_names_a_secret() {
        for section in SECTIONS.iter().filter(|section| !section.sql.contains("audit_batches")) {
            for secret in ["hash", "sealed", "secret", "*"] {
                assert!(!section.sql.contains(secret), "{secret}: {}", section.sql);
            }
        }
    }
}
