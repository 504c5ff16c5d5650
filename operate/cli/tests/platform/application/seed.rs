//! Organizations and agents, put into the database by hand on its host.

use super::caller::Caller;
use crate::stage::PLATFORM;

/// Every scope of an owner.
pub const ALL_SCOPES: &[&str] = &[
    "agents:read",
    "agents:write",
    "audit:read",
    "members:read",
    "members:write",
    "organizations:read",
    "organizations:write",
    "projects:read",
    "projects:write",
    "tasks:read",
    "tasks:write",
    "tokens:read",
    "tokens:write",
    "webhooks:read",
    "webhooks:write",
];

/// Runs statements as the superuser in the application's database; they must succeed.
#[track_caller]
pub fn sql(statements: &str) -> String {
    try_sql(statements).unwrap_or_else(|error| panic!("{statements}: {error}"))
}

/// Runs statements as the superuser in the application's database: what they print, or what the server says.
pub fn try_sql(statements: &str) -> Result<String, String> {
    let psql = "su postgres -c 'cd / && psql -XAtq -v ON_ERROR_STOP=1 -d app'";
    let ran = PLATFORM.try_on("db", &format!("{psql} <<'END'\n{statements};\nEND"));
    if ran.code == Some(0) { Ok(ran.stdout.trim().to_owned()) } else { Err(ran.stderr) }
}

/// A random UUID.
pub fn uuid() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}

/// The text of a token as the application would make one: prefix, 43 random characters, and their checksum.
pub fn token_text() -> String {
    let random: String = [uuid(), uuid()].concat().replace('-', "").chars().take(43).collect();
    let body = format!("bst_{random}");
    let mut sum = crc32(body.as_bytes());
    let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = alphabet[(sum % 62) as usize];
        sum /= 62;
    }
    body + &String::from_utf8_lossy(&digits)
}

/// CRC-32 as in IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

/// An organization.
pub struct Tenant {
    id: String,
}

impl Tenant {
    pub fn new(name: &str) -> Self {
        let id = uuid();
        sql(&format!(
            "INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('{id}', '{name}', now(), now())"
        ));
        Self { id }
    }

    /// An agent with a token of these scopes.
    pub fn agent(&self, scopes: &[&str]) -> Caller {
        let (agent, token, organization) = (uuid(), token_text(), &self.id);
        sql(&format!(
            "INSERT INTO agents (id, organization_id, name, created_at, created_by, updated_at) \
             VALUES ('{agent}', '{organization}', 'agent', now(), '{agent}', now()); \
             INSERT INTO tokens (id, organization_id, agent_id, name, hash, hint, scopes, created_at, created_by, \
             expires_at) VALUES ('{id}', '{organization}', '{agent}', 'token', sha256('{token}'), '{hint}', \
             '{{{scopes}}}', now(), '{agent}', now() + interval '1 day')",
            id = uuid(),
            hint = &token[token.len() - 4..],
            scopes = scopes.join(","),
        ));
        Caller::with_token(&token)
    }
}
