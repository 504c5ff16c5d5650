//! What the program that sets Authentik up is told; secrets are files whose paths stand in it.

use super::{API_PORT, DIRECTORY};
use crate::identity::settings;
use bastide_platform::{Client, Credential, Linking, LoginProvider, Platform};
use serde::Serialize;

#[derive(Serialize)]
struct Wanted {
    url: String,
    token_file: String,
    certificate_file: String,
    key_file: String,
    clients: Vec<WantedClient>,
    sources: Vec<WantedSource>,
}

#[derive(Serialize)]
struct WantedClient {
    id: String,
    name: String,
    secret_file: String,
    redirect_uris: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    back_channel_logout_uri: Option<String>,
    algorithm: &'static str,
    scopes: Vec<String>,
}

#[derive(Serialize)]
struct WantedSource {
    kind: &'static str,
    client_id: String,
    secret_file: String,
    apple: Option<AppleKey>,
    tenant: Option<String>,
    scopes: Vec<String>,
    joins_by_address: bool,
}

#[derive(Serialize)]
struct AppleKey {
    key_id: String,
    team_id: String,
}

fn file(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

/// The file's content.
pub(super) fn render(platform: &Platform) -> String {
    let wanted = Wanted {
        url: format!("http://127.0.0.1:{API_PORT}"),
        token_file: file("token"),
        certificate_file: file("tls.pem"),
        key_file: file("tls.key"),
        clients: settings::clients(platform).map(client).collect(),
        sources: platform.settings.identity.providers.iter().map(|login| source(platform, login)).collect(),
    };
    let text = serde_json::to_string_pretty(&wanted).expect("texts, lists and truth values are JSON");
    text + "\n"
}

fn client(client: Client) -> WantedClient {
    WantedClient {
        secret_file: file(&settings::secret_of(&client.id)),
        id: client.id,
        name: client.name,
        redirect_uris: client.redirect_uris,
        post_logout_redirect_uris: client.post_logout_redirect_uris,
        back_channel_logout_uri: client.back_channel_logout_uri,
        algorithm: client.algorithm.as_str(),
        scopes: client.scopes,
    }
}

fn source(platform: &Platform, login: &LoginProvider) -> WantedSource {
    let kind = login.provider.as_str();
    let apple = match &login.credential {
        Credential::SigningKey { key_id, team_id, .. } => {
            Some(AppleKey { key_id: key_id.clone(), team_id: team_id.clone() })
        }
        Credential::Secret { .. } | Credential::Certificate { .. } | Credential::Lab => None,
    };
    WantedSource {
        kind,
        client_id: login.client_id.clone(),
        secret_file: file(&settings::credential_of(kind, "secret")),
        apple,
        tenant: login.tenant.clone(),
        scopes: login.scopes.clone(),
        joins_by_address: platform.settings.identity.linking == Linking::Vouched,
    }
}
