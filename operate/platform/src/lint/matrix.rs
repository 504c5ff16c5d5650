//! The nineteen rows of the reference's compatibility matrix, and what covers each.

use super::{Origin, rules};
use std::fmt::Write;

/// One row of the matrix.
pub struct Row {
    /// Its number, from 1, in the reference's order.
    pub number: u8,
    /// What is combined.
    pub integration: &'static str,
    /// What the reference says of it.
    pub verdict: &'static str,
    /// What the platform does, beyond the rules that name the row.
    pub covered_by: &'static str,
}

const fn row(number: u8, integration: &'static str, verdict: &'static str, covered_by: &'static str) -> Row {
    Row { number, integration, verdict, covered_by }
}

/// The matrix.
pub const ROWS: [Row; 19] = [
    row(
        1,
        "Caddy + Cloudflare (proxied)",
        "compatible",
        "Live check: the edge refuses a client that is not the CDN, and one in its ranges without its certificate.",
    ),
    row(
        2,
        "PgBouncer (transaction mode) + prepared statements",
        "compatible with care",
        "Live check: prepared statements work for more clients than server connections, and the running version is \
         at least the floor.",
    ),
    row(
        3,
        "Issuer + all four login providers at once",
        "compatible",
        "By construction: every provider that the file names is on one page of the issuer.",
    ),
    row(
        4,
        "Linking accounts by verified email",
        "compatible",
        "By construction: an identity is a provider and its subject, never an address.",
    ),
    row(
        5,
        "Sessions + queue + cache on one Valkey",
        "compatible",
        "Live check: `durable` refuses to evict under memory pressure while `cache` evicts. The reference's one \
         instance cannot do both; see the differences.",
    ),
    row(
        6,
        "Docker --read-only + temporary files",
        "compatible with care",
        "By construction: /tmp is always writable memory. Live check: the container's root is read-only.",
    ),
    row(
        7,
        "Prometheus + node_exporter on every host",
        "compatible",
        "Live check: in the traffic matrix an exporter's port is open to the identity host and to nobody else.",
    ),
    row(
        8,
        "Apple + capturing the name at first login",
        "incompatible",
        "By construction: the issuer stores the name with the first login.",
    ),
    row(
        9,
        "Microsoft client secret + set and forget",
        "incompatible",
        "Live check: days left of every credential. The issuer proves itself by certificate.",
    ),
    row(
        10,
        "GitHub OAuth + state validation",
        "caution",
        "No file can violate it. By construction: a state goes with every login, and an answer without it is refused.",
    ),
    row(
        11,
        "Append-only file + allkeys-lru on the queue",
        "incompatible",
        "Live check: `durable` refuses writes when its memory is used up, and loses nothing.",
    ),
    row(
        12,
        "Logical replication + DDL",
        "caution",
        "Documentation: replicas are physical; a migration of a logical one is run on the replica first.",
    ),
    row(
        13,
        "Cloudflare proxied + raw TCP",
        "incompatible",
        "Live check: every TCP port of the edge's public address, seen from the internet.",
    ),
    row(
        14,
        "Let's Encrypt + wildcard by HTTP-01",
        "incompatible",
        "Nothing else is needed: the rules see every name.",
    ),
    row(
        15,
        "Cloudflare proxied + HTTP-01",
        "caution",
        "Live check: the certificate is issued through the CDN, which passes port 80 on.",
    ),
    row(
        16,
        "fail2ban + Cloudflare (ban by source address)",
        "incompatible",
        "Live check: a banned client gets 403 through the CDN while another passes.",
    ),
    row(
        17,
        "Kubernetes + this architecture",
        "compatible, not recommended",
        "Documentation: no platform file describes it. The platform grows by more hosts of a role and by the \
         replication of its servers.",
    ),
    row(
        18,
        "Docker network=host + ufw between containers",
        "incompatible",
        "Live check: exactly one container of the application runs on an app host, with no published port.",
    ),
    row(
        19,
        "Providers' access tokens in the application's database",
        "not recommended",
        "By construction: the issuer keeps them, sealed, and hands them out by token exchange.",
    ),
];

/// `docs/compatibility.md`: every row with what covers it, and every rule.
pub fn compatibility_page() -> String {
    let mut page = String::from(
        "# Compatibility\n\n\
         The reference's compatibility matrix, row by row. A rule of `bastide lint` says no where a platform file can \
         express the combination; a live check of `bastide verify` proves by traffic what only a running platform can \
         show; what is left is explained here. `up` and `apply` refuse a file with \
         errors.\n\n\
         | # | Combination | The reference | Rules | Also |\n|---|---|---|---|---|\n",
    );
    for row in &ROWS {
        let Row { number, integration, verdict, covered_by } = row;
        let ids: Vec<String> = rules_of(Origin::Row(*number)).map(|id| format!("`{id}`")).collect();
        let ids = if ids.is_empty() { "—".to_owned() } else { ids.join(" ") };
        push(&mut page, &format!("| {number} | {integration} | {verdict} | {ids} | {covered_by} |"));
    }
    page.push_str(
        "\n## Rules\n\nWhere a rule comes from: a row above, a row of `differences.md`, or the platform's own \
         design.\n\n| Rule | Severity | From | Why | What to do |\n|---|---|---|---|---|\n",
    );
    for rule in rules() {
        let (id, severity, origin) = (rule.id, rule.severity, rule.origin);
        push(&mut page, &format!("| `{id}` | {severity} | {origin} | {} | {} |", rule.reason, rule.fix));
    }
    page
}

fn rules_of(origin: Origin) -> impl Iterator<Item = &'static str> {
    rules().filter(move |rule| rule.origin == origin).map(|rule| rule.id)
}

fn push(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("writing to a string cannot fail");
}
