//! Organizations, people and agents, put into the database and Valkey as the application would.

use std::sync::Arc;

use foundation::auth::session::{COOKIE, Sessions, SignIn};
use foundation::auth::token::{Prefix, Token};
use foundation::clock::{SystemClock, SystemRandomness, new_id};
use foundation::testing::servers::{Server, Servers};
use foundation::valkey::Valkey;
use uuid::Uuid;

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

/// A new identifier.
pub fn id() -> Uuid {
    new_id(&SystemClock, &SystemRandomness)
}

/// An organization with this name.
pub fn organization(servers: &Servers, name: &str) -> Uuid {
    let id = id();
    servers.sql(
        &format!(
            "INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('{id}', '{name}', now(), now())"
        ),
        "app",
    );
    id
}

/// An agent of the organization with a token of these scopes, which was used from here before; the token's text.
pub fn token(servers: &Servers, organization: Uuid, scopes: &[&str]) -> String {
    token_within(servers, organization, scopes, None)
}

/// The same, restricted to these resources.
pub fn token_within(
    servers: &Servers,
    organization: Uuid,
    scopes: &[&str],
    resources: Option<&[Uuid]>,
) -> String {
    let token = Token::new(&Prefix::new("bst").unwrap(), &SystemRandomness);
    let (agent, hash) = (id(), token.hash());
    let hash: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let list = |items: Vec<String>| format!("'{{{}}}'", items.join(","));
    let scopes = list(scopes.iter().map(ToString::to_string).collect());
    let resources =
        resources.map_or("NULL".to_owned(), |ids| list(ids.iter().map(Uuid::to_string).collect()));
    servers.sql(
        &format!(
            "INSERT INTO agents (id, organization_id, name, created_at, created_by, updated_at) \
             VALUES ('{agent}', '{organization}', 'agent', now(), '{agent}', now()); \
             INSERT INTO tokens (id, organization_id, agent_id, name, hash, hint, scopes, resources, created_at, \
             created_by, expires_at) VALUES ('{token_id}', '{organization}', '{agent}', 'token', '\\x{hash}', '{hint}', \
             {scopes}, {resources}, now(), '{agent}', now() + interval '1 day'); \
             INSERT INTO token_places (organization_id, token_id, place, first_used_at) \
             VALUES ('{organization}', '{token_id}', '127.0.0.1/32', now())",
            token_id = id(),
            hint = token.hint(),
        ),
        "app",
    );
    token.reveal().to_owned()
}

/// A person who belongs to no organization; `subject` is the issuer's name of the person.
pub fn somebody(servers: &Servers, subject: &str) -> Uuid {
    let id = id();
    servers.sql(
        &format!(
            "INSERT INTO people (id, subject, email, name, created_at, updated_at) \
             VALUES ('{id}', '{subject}', '{subject}@example.test', '{subject}', now(), now())"
        ),
        "app",
    );
    id
}

/// Makes the person a member of the organization, with this role.
pub fn member(servers: &Servers, organization: Uuid, person: Uuid, role: &str) {
    servers.sql(
        &format!(
            "INSERT INTO memberships (organization_id, person_id, role, created_at, updated_at) \
             VALUES ('{organization}', '{person}', '{role}', now(), now())"
        ),
        "app",
    );
}

/// A person with this role in the organization.
pub fn person(servers: &Servers, organization: Uuid, subject: &str, role: &str) -> Uuid {
    let id = somebody(servers, subject);
    member(servers, organization, id, role);
    id
}

/// The person whom the issuer names so.
pub fn person_of(servers: &Servers, subject: &str) -> Uuid {
    servers.sql(&format!("SELECT id FROM people WHERE subject = '{subject}'"), "app").parse().unwrap()
}

/// A session of the person in the organization: the value of the header `Cookie`.
pub async fn session(servers: &Servers, person: Uuid, organization: Option<Uuid>) -> String {
    let valkey =
        Valkey::new("durable", &servers.valkey_as("app", Server::Durable), &servers.private_ca()).unwrap();
    let sessions = Sessions::new(Arc::new(valkey), Arc::new(SystemClock), Arc::new(SystemRandomness));
    let sign_in = SignIn {
        person,
        organization,
        subject: person.to_string(),
        sid: None,
        id_token: None,
        address: "127.0.0.1".parse().unwrap(),
        user_agent: None,
    };
    let secret = sessions.begin(sign_in, None).await.unwrap();
    let header = secret.set_cookie();
    let pair = header.to_str().unwrap().split(';').next().unwrap();
    assert!(pair.starts_with(COOKIE));
    pair.to_owned()
}
