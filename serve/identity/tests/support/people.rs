//! People whom the issuer knows, written into its database.

use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::clock::SystemRandomness;
use foundation::seal::KeyRing;
use foundation::testing::servers::Servers;
use uuid::Uuid;

/// The four login providers and two clients, one of which wants to know when sessions end.
pub fn settings(servers: &Servers) -> String {
    let secret = servers.path("client-secret").display().to_string();
    let apple = servers.path("apple.p8").display().to_string();
    std::fs::write(&apple, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let provider = |kind: &str| {
        format!("[[provider]]\nkind = \"{kind}\"\nclient_id = \"{kind}\"\nsecret_file = \"{secret}\"\n")
    };
    format!(
        "[[client]]\nid = \"app\"\nname = \"Garden planner\"\nsecret_file = \"{secret}\"\n\
         redirect_uris = [\"https://app.example.test/callback\"]\n\
         back_channel_logout_uri = \"https://app.example.test/logout\"\nupstream_tokens = true\n\
         [[client]]\nid = \"quiet\"\nname = \"Weather\"\nsecret_file = \"{secret}\"\n\
         redirect_uris = [\"https://quiet.example.test/callback\"]\n\
         {}{}{}[[provider]]\nkind = \"apple\"\nclient_id = \"apple\"\nkey_file = \"{apple}\"\nkey_id = \"K\"\n\
         team_id = \"T\"\n",
        provider("google"),
        provider("github"),
        provider("microsoft"),
    )
}

/// What the client `app` asks, which wants login providers' tokens.
pub const ASKS_FOR_TOKENS: &str = "client_id=app&response_type=code&redirect_uri=https://app.example.test/callback&state=s\
     &scope=openid%20upstream_tokens&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

/// Somebody with an address that is vouched for and an identity at Google.
pub fn account(servers: &Servers, name: &str) -> Uuid {
    let id = Uuid::now_v7();
    servers.sql(
        &format!(
            "INSERT INTO accounts (id, email, email_vouched, given_name, family_name, created_at, updated_at) \
             VALUES ('{id}', '{name}@example.test', true, '{name}', 'Lovelace', now(), now())"
        ),
        "app",
    );
    identity(servers, id, "google", Some(&format!("{name}@example.test")));
    id
}

/// Another identity of the account.
pub fn identity(servers: &Servers, account: Uuid, provider: &str, email: Option<&str>) -> Uuid {
    let id = Uuid::now_v7();
    let email = email.map_or("NULL".to_owned(), |email| format!("'{email}'"));
    servers.sql(
        &format!(
            "INSERT INTO identities (id, account_id, provider, subject, email, email_vouched, email_relay, created_at, \
             last_used_at) VALUES ('{id}', '{account}', '{provider}', '{id}', {email}, {email} IS NOT NULL, \
             coalesce({email} LIKE '%privaterelay%', false), now(), now())"
        ),
        "app",
    );
    id
}

/// A session, with the value of its cookie. It began so many minutes ago.
pub fn session(servers: &Servers, account: Uuid, minutes: u32) -> (Uuid, String) {
    static SECRETS: AtomicU32 = AtomicU32::new(1);
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&SECRETS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let (id, value) = (Uuid::now_v7(), URL_SAFE_NO_PAD.encode(bytes));
    servers.sql(
        &format!(
            "INSERT INTO browser_sessions (id, secret_hash, account_id, provider, authenticated_at, last_seen_at, \
             expires_at, address, user_agent) VALUES ('{id}', sha256('{value}'), '{account}', 'google', \
             now() - interval '{minutes} minutes', now(), now() + interval '1 day', '192.0.2.1', \
             'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0')"
        ),
        "app",
    );
    (id, value)
}

/// What a client was given in a session.
pub fn grant(servers: &Servers, client: &str, account: Uuid, session: Uuid, scope: &str) {
    servers.sql(
        &format!(
            "INSERT INTO grants (id, client_id, account_id, session_id, scope, authenticated_at, created_at) \
             VALUES (gen_random_uuid(), '{client}', '{account}', '{session}', '{scope}', now(), now())"
        ),
        "app",
    );
}

/// The name and value of the cookie with which somebody from Microsoft waits for an answer, beside an attempt.
pub fn waiting(servers: &Servers, state: &str, subject: &str, address: &str) -> (String, String) {
    let keys = std::fs::read_to_string(servers.path("sealing-keys")).unwrap();
    let pending = serde_json::json!({
        "verified": {
            "provider": "microsoft", "subject": subject, "given_name": "Ada", "family_name": null, "picture": null,
            "tokens": null, "email": {"text": address, "is_vouched": false, "is_relay": false},
        },
        "tried_another": false,
    });
    let keys = KeyRing::parse(&keys).unwrap();
    let owner = format!("arrival:{state}");
    let sealed = keys.seal(pending.to_string().as_bytes(), owner.as_bytes(), &SystemRandomness).unwrap();
    let value = format!("{}.{}", sealed.key_id, URL_SAFE_NO_PAD.encode(sealed.bytes));
    (format!("__Host-arrival-{}", &state[..8]), value)
}

/// The state in the address of a page's buttons.
pub fn state_of(page: &str) -> String {
    let (_, rest) = page.split_once("action=\"/attempts/").expect("buttons");
    rest.split('/').next().unwrap().to_owned()
}

/// The token of a page's forms.
pub fn token_of(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrf_token\" value=\"").expect("a form");
    rest.split('"').next().unwrap().to_owned()
}
