//! The file from which the issuer knows its clients and login providers; secrets are files whose paths stand in it.

use super::{UNIT, credentials};
use bastide_platform::{
    APP_CLIENT, Algorithm, Client, Credential, Linking, LoginProvider, OidcProvider, Pkce, Platform,
};
use serde::Serialize;
use toml::value::{Date, Datetime};

/// Name of the file with a client's secret.
pub(crate) fn secret_of(client: &str) -> String {
    format!("client-{client}.secret")
}

/// Name of the file with a client's public keys.
pub(super) fn keys_of(client: &str) -> String {
    format!("client-{client}.keys")
}

/// Name of a file with a login provider's credential.
pub(crate) fn credential_of(provider: &str, kind: &str) -> String {
    format!("provider-{provider}.{kind}")
}

/// The issuer's clients: the platform's own application, where it signs people in here, and what the file adds.
pub(crate) fn clients(platform: &Platform) -> impl Iterator<Item = Client> {
    let own = platform.signs_in_at_own_issuer().then(|| application(platform));
    own.into_iter().chain(platform.settings.identity.clients.iter().cloned())
}

fn application(platform: &Platform) -> Client {
    let at = |path: &str| format!("{}{path}", platform.url());
    Client {
        id: APP_CLIENT.to_owned(),
        name: platform.domain.clone(),
        redirect_uris: vec![at("/sign-in/callback")],
        post_logout_redirect_uris: vec![at("/")],
        back_channel_logout_uri: Some(at("/sign-in/back-channel-logout")),
        keys_file: None,
        pkce: Pkce::Required,
        algorithm: Algorithm::Es256,
        scopes: ["openid", "email", "profile"].map(str::to_owned).into(),
        // For people who let it, once it asks for the scope: the application keeps none itself.
        upstream_tokens: true,
    }
}

#[derive(Serialize)]
struct Written {
    linking: &'static str,
    client: Vec<WrittenClient>,
    provider: Vec<WrittenProvider>,
}

#[derive(Serialize)]
struct WrittenClient {
    id: String,
    name: String,
    secret_file: Option<String>,
    keys_file: Option<String>,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    back_channel_logout_uri: Option<String>,
    pkce: &'static str,
    algorithm: &'static str,
    scopes: Vec<String>,
    upstream_tokens: bool,
}

#[derive(Default, Serialize)]
struct WrittenProvider {
    name: String,
    kind: &'static str,
    label: Option<String>,
    client_id: String,
    secret_file: Option<String>,
    certificate_file: Option<String>,
    key_file: Option<String>,
    key_id: Option<String>,
    team_id: Option<String>,
    expires: Option<Datetime>,
    scopes: Vec<String>,
    hosted_domain: Option<String>,
    tenant: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    vouches: bool,
    at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
}

/// The file's content.
pub(super) fn render(platform: &Platform) -> String {
    let identity = &platform.settings.identity;
    let known = identity.providers.iter().map(login_provider);
    let written = Written {
        // Joining by the address alone is refused before anything is written.
        linking: if identity.linking == Linking::Vouched { "vouched" } else { "ask" },
        client: clients(platform).map(client).collect(),
        provider: known.chain(identity.oidc.iter().map(oidc_provider)).collect(),
    };
    toml::to_string(&written).expect("texts, lists, days and truth values are TOML")
}

fn handed(name: &str) -> String {
    credentials::handed(UNIT, name)
}

fn client(client: Client) -> WrittenClient {
    let (secret, keys) = match client.keys_file {
        Some(_) => (None, Some(handed(&keys_of(&client.id)))),
        None => (Some(handed(&secret_of(&client.id))), None),
    };
    WrittenClient {
        id: client.id,
        name: client.name,
        secret_file: secret,
        keys_file: keys,
        redirect_uris: client.redirect_uris,
        post_logout_redirect_uris: client.post_logout_redirect_uris,
        back_channel_logout_uri: client.back_channel_logout_uri,
        pkce: client.pkce.as_str(),
        algorithm: client.algorithm.as_str(),
        scopes: client.scopes,
        upstream_tokens: client.upstream_tokens,
    }
}

fn login_provider(login: &LoginProvider) -> WrittenProvider {
    let kind = login.provider.as_str();
    let file = |of: &str| Some(handed(&credential_of(kind, of)));
    let written = WrittenProvider {
        name: kind.to_owned(),
        kind,
        client_id: login.client_id.clone(),
        scopes: login.scopes.clone(),
        hosted_domain: login.hosted_domain.clone(),
        tenant: login.tenant.clone(),
        at: login.at.as_ref().map(ToString::to_string),
        ..WrittenProvider::default()
    };
    match &login.credential {
        Credential::Secret { expires, .. } => {
            WrittenProvider { secret_file: file("secret"), expires: expires.map(day), ..written }
        }
        Credential::Certificate { .. } => {
            WrittenProvider { certificate_file: file("pem"), key_file: file("key"), ..written }
        }
        Credential::SigningKey { key_id, team_id, expires, .. } => WrittenProvider {
            expires: expires.map(day),
            key_file: file("key"),
            key_id: Some(key_id.clone()),
            team_id: Some(team_id.clone()),
            ..written
        },
        // Refused where the files are collected.
        Credential::Lab => written,
    }
}

fn day(date: Date) -> Datetime {
    Datetime { date: Some(date), time: None, offset: None }
}

fn oidc_provider(provider: &OidcProvider) -> WrittenProvider {
    WrittenProvider {
        name: provider.name.clone(),
        kind: "oidc",
        label: Some(provider.label.clone()),
        client_id: provider.client_id.clone(),
        secret_file: Some(handed(&credential_of(&provider.name, "secret"))),
        scopes: provider.scopes.clone(),
        expires: provider.client_secret_expires.map(day),
        vouches: provider.vouches,
        hosts: provider.hosts.clone(),
        at: Some(provider.issuer.to_string()),
        ..WrittenProvider::default()
    }
}
