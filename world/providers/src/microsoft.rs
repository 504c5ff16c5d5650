//! Microsoft Entra ID, version 2.0: a tenant in each path, an issuer for each tenant, and addresses that nobody has verified.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State as Shares};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::assertion::{Expected, check_microsoft};
use crate::fields::{Fields, bearer};
use crate::flow::{Desk, Visit, authorize, code, is_asker, is_challenge};
use crate::keys::Key;
use crate::page;
use crate::people::{COMPANY, CONSUMERS, STRICT_COMPANY};
use crate::provider::Provider;
use crate::registration::{Proof, Registration};
use crate::token::{answers_as, described, id_token};
use crate::world::{Grant, State, World};

const PROVIDER: Provider = Provider::Microsoft;
const ACCESS_LASTS: Duration = Duration::from_secs(3599);
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(describe))
        .route("/{tenant}/discovery/v2.0/keys", get(keys))
        .route("/{tenant}/oauth2/v2.0/authorize", get(authorize::<Microsoft>).post(authorize::<Microsoft>))
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .route("/oidc/userinfo", get(userinfo))
        .with_state(world)
}

fn origin(state: &State) -> String {
    state.origin(PROVIDER, "login.microsoftonline.com")
}

fn issuer(state: &State, tenant: &str) -> String {
    format!("{}/{tenant}/v2.0", origin(state))
}

/// The issuer of which only the tenant is to be said.
pub(crate) fn template(state: &State) -> String {
    issuer(state, "{tenantid}")
}

/// One key for every company, and one for private people alone.
pub(crate) fn keys_of(state: &State) -> Vec<Key> {
    let consumers = Key::for_issuer("microsoft-consumers", issuer(state, CONSUMERS));
    vec![consumers, Key::for_issuer("microsoft-1", template(state))]
}

async fn describe(Shares(world): Shares<Arc<World>>, Path(tenant): Path<String>) -> Response {
    world.change(|state| {
        let named = match tenant.as_str() {
            "common" | "organizations" => "{tenantid}",
            "consumers" => CONSUMERS,
            COMPANY | STRICT_COMPANY | CONSUMERS => tenant.as_str(),
            _ => {
                let description = format!("AADSTS90002: Tenant '{tenant}' not found.");
                return refused(StatusCode::BAD_REQUEST, "invalid_tenant", &description);
            }
        };
        let base = format!("{}/{tenant}", origin(state));
        let graph = state.origin(PROVIDER, "graph.microsoft.com");
        let description = json!({
            "issuer": issuer(state, named),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "userinfo_endpoint": format!("{graph}/oidc/userinfo"),
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported":
                ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"]
        });
        Json(described(state, PROVIDER, description)).into_response()
    })
}

async fn keys(Shares(world): Shares<Arc<World>>) -> Json<Value> {
    world.change(|state| {
        Json(json!({"keys": state.keys(PROVIDER).iter().map(Key::published).collect::<Vec<_>>()}))
    })
}

/// The tenant that a path begins with.
fn tenant_of(path: &str) -> &str {
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}

/// Whether somebody of a tenant may sign in at an endpoint.
fn is_served(endpoint: &str, tenant: &str) -> bool {
    match endpoint {
        "common" => true,
        "organizations" => tenant != CONSUMERS,
        "consumers" => tenant == CONSUMERS,
        _ => tenant == endpoint,
    }
}

struct Microsoft;

impl Desk for Microsoft {
    const PROVIDER: Provider = PROVIDER;
    const TITLE: &'static str = "Microsoft";
    const PROMPTS: &'static [&'static str] = &["login", "select_account"];
    const KNOWS_MAX_AGE: bool = true;

    fn check(state: &mut State, visit: &Visit) -> Result<Registration, Box<Response>> {
        let told = |what: &str| Err(Box::new(page::told(StatusCode::BAD_REQUEST, what)));
        let Some(client) = state.service(PROVIDER).registration(visit.field("client_id")).cloned() else {
            return told("AADSTS700016: The application was not found in the directory.");
        };
        if !client.redirect_uris.iter().any(|uri| uri == visit.field("redirect_uri")) {
            return told(
                "AADSTS50011: The redirect URI does not match those configured for the application.",
            );
        }
        if !visit.fields.is("response_type", "code") {
            return told("AADSTS900144: The request must contain the parameter 'response_type'.");
        }
        if !visit.fields.words("scope").contains(&"openid") {
            return told("AADSTS900144: The request must contain the scope 'openid'.");
        }
        if !is_challenge(&visit.fields) {
            return told("AADSTS501491: The code challenge method is not supported.");
        }
        Ok(client)
    }

    fn admit(state: &mut State, visit: &Visit, client: &Registration, person: &str) -> Response {
        let account = state.account(PROVIDER, person);
        let tenant = account.tenant.as_deref().unwrap_or(CONSUMERS);
        let endpoint = tenant_of(&visit.path);
        if !is_served(endpoint, tenant) {
            let what =
                format!("AADSTS50020: User account from {tenant} does not exist in tenant {endpoint}.");
            return page::told(StatusCode::BAD_REQUEST, &what);
        }
        if tenant == STRICT_COMPANY {
            let what =
                "AADSTS90094: An administrator of the directory has to grant permission to this application.";
            return sent_back(visit, "access_denied", what);
        }
        let (code, now) = (code(visit, client, person, visit.field("scope").to_owned()), state.now());
        let code = state.service(PROVIDER).hand_out_code(code, now);
        let mut given = vec![("code", code), ("state", visit.field("state").to_owned())];
        // It does not say who it is, unless it is to lie.
        let name = answers_as(state, PROVIDER, String::new());
        if !name.is_empty() {
            given.push(("iss", name));
        }
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
        page::send_back(visit.field("redirect_uri"), &given)
    }

    fn refuse(_: &mut State, visit: &Visit) -> Response {
        sent_back(visit, "access_denied", "AADSTS65004: User declined to consent to access the app.")
    }
}

fn sent_back(visit: &Visit, error: &str, description: &str) -> Response {
    let given = [("error", error), ("error_description", description), ("state", visit.field("state"))];
    page::send_back(visit.field("redirect_uri"), &given)
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response {
    let number = description.strip_prefix("AADSTS").and_then(|rest| {
        let digits = rest.split(':').next()?;
        digits.parse::<u64>().ok()
    });
    let answer = json!({"error": error, "error_description": description, "error_codes": [number]});
    (status, Json(answer)).into_response()
}

async fn token(Shares(world): Shares<Arc<World>>, uri: Uri, headers: HeaderMap, body: String) -> Response {
    let fields = Fields::of(&body);
    world.change(|state| {
        let (id, secret) = fields.credential(&headers);
        let Some(client) = state.service(PROVIDER).registration(&id).cloned() else {
            let description = "AADSTS700016: The application was not found in the directory.";
            return refused(StatusCode::BAD_REQUEST, "unauthorized_client", description);
        };
        let audience = format!("{}{}", origin(state), uri.path());
        let now = state.now().unix_timestamp();
        let expected = Expected { client_id: &client.client_id, audience: &audience, now };
        let proven = match &client.proof {
            Proof::Secret(known) if secret.as_ref() == Some(known) => Ok(()),
            Proof::Secret(_) => Err("AADSTS7000215"),
            Proof::Certificate(certificate) if fields.is("client_assertion_type", ASSERTION) => {
                let assertion = fields.get("client_assertion").unwrap_or_default();
                check_microsoft(assertion, certificate, &expected)
            }
            _ => Err("AADSTS7000218"),
        };
        if let Err(code) = proven {
            let description = format!("{code}: The client has not proven who it is.");
            return refused(StatusCode::UNAUTHORIZED, "invalid_client", &description);
        }
        match fields.get("grant_type") {
            Some("authorization_code") => redeem(state, &fields, &client),
            Some("refresh_token") => refresh(state, &fields, &client),
            _ => {
                let description = "AADSTS70003: The grant type is not supported.";
                refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", description)
            }
        }
    })
}

fn redeem(state: &mut State, fields: &Fields, client: &Registration) -> Response {
    let now = state.now();
    let bad = |description| refused(StatusCode::BAD_REQUEST, "invalid_grant", description);
    let code = state.service(PROVIDER).take_code(fields.get("code").unwrap_or_default(), now);
    let Some(code) = code.filter(|code| code.grant.client_id == client.client_id) else {
        return bad("AADSTS70008: The authorization code has expired or was already redeemed.");
    };
    if !fields.is("redirect_uri", &code.redirect_uri) {
        return bad("AADSTS500112: The reply address does not match the one of the authorization request.");
    }
    if !is_asker(&code, fields) {
        return bad("AADSTS501481: The code verifier does not match the code challenge.");
    }
    Json(answer(state, client, &code.grant, code.nonce.as_deref())).into_response()
}

fn refresh(state: &mut State, fields: &Fields, client: &Registration) -> Response {
    // Each is for one use, so that whoever does not keep the new one is found out.
    let grant = state.service(PROVIDER).take_refresh(fields.get("refresh_token").unwrap_or_default());
    match grant.filter(|grant| grant.client_id == client.client_id) {
        Some(grant) => Json(answer(state, client, &grant, None)).into_response(),
        None => {
            let description = "AADSTS700082: The refresh token has expired or was revoked.";
            refused(StatusCode::BAD_REQUEST, "invalid_grant", description)
        }
    }
}

fn answer(state: &mut State, client: &Registration, grant: &Grant, nonce: Option<&str>) -> Value {
    let ends = state.now() + ACCESS_LASTS;
    let access = state.service(PROVIDER).hand_out_access("EwB.", grant, ends);
    let account = state.account(PROVIDER, &grant.person);
    let tenant = account.tenant.clone().unwrap_or_else(|| CONSUMERS.to_owned());
    let mut claims = json!({
        "iss": issuer(state, &tenant), "tid": tenant, "oid": account.subject, "ver": "2.0",
        "sub": format!("pairwise-{}-{}", client.client_id, account.subject)
    });
    if grant.has("profile") {
        claims["name"] = account.name().into();
        claims["given_name"] = account.given_name.as_str().into();
        claims["family_name"] = account.family_name.as_str().into();
        claims["preferred_username"] = account.email.as_deref().into();
    }
    if let Some(email) = account.email.as_deref().filter(|_| grant.has("email")) {
        claims["email"] = email.into();
        if client.tells_edov {
            claims["xms_edov"] = account.verified.into();
        }
    }
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    let id_token = id_token(state, PROVIDER, client, claims, &access);
    let mut answer = json!({
        "token_type": "Bearer", "scope": grant.scope, "expires_in": ACCESS_LASTS.as_secs(),
        "access_token": access, "id_token": id_token
    });
    if grant.has("offline_access") {
        answer["refresh_token"] = state.service(PROVIDER).hand_out_refresh("M.C5", grant).into();
    }
    answer
}

async fn userinfo(Shares(world): Shares<Arc<World>>, headers: HeaderMap) -> Response {
    world.change(|state| {
        let now = state.now();
        let Some(grant) = state.service(PROVIDER).access(bearer(&headers), now).cloned() else {
            return refused(
                StatusCode::UNAUTHORIZED,
                "InvalidAuthenticationToken",
                "The token is not valid.",
            );
        };
        let account = state.account(PROVIDER, &grant.person);
        Json(json!({"sub": account.subject, "name": account.name(), "email": account.email})).into_response()
    })
}
