//! Token exchange (RFC 8693): for a person's access token here, a client gets a fresh one of a login provider, with which it
//! uses that provider's API in the person's name. Only clients that are allowed to, and only of identities of that person.

use axum::response::{IntoResponse, Response};
use foundation::audit::Event;
use foundation::request::RequestContext;
use serde::Serialize;
use uuid::Uuid;

use super::bearer::{self, Bearer};
use super::issue::no_store;
use super::parameters::Parameters;
use super::refusal::{Failure, Refusal};
use super::{client, origin};
use crate::settings::Client;
use crate::state::Broker;
use crate::upstream::refresh::{self, RefreshError};

/// What `grant_type` says.
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The only kind of token that is taken and given.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

// The one that was used last, where the person has several at the provider.
const IDENTITY: &str = "SELECT identities.id FROM identities JOIN upstream_grants ON identity_id = identities.id \
     WHERE account_id = $1 AND provider = $2 ORDER BY last_used_at DESC, identities.id LIMIT 1";

/// The login provider's token.
#[derive(Serialize)]
pub struct Exchanged {
    access_token: String,
    issued_token_type: &'static str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
    scope: String,
}

impl IntoResponse for Exchanged {
    fn into_response(self) -> Response {
        no_store(axum::Json(self).into_response())
    }
}

/// Reads which token is for which login provider.
fn read(parameters: &Parameters) -> Result<(&str, &str), Refusal> {
    if parameters.get("subject_token_type") != Some(ACCESS_TOKEN) {
        return Err(Refusal::invalid_request("The only subject_token_type is that of access tokens."));
    }
    if parameters.get("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN) {
        return Err(Refusal::invalid_request("The only requested_token_type is that of access tokens."));
    }
    if parameters.get("actor_token").is_some() {
        return Err(Refusal::invalid_request("An actor_token is not supported."));
    }
    let missing = || Refusal::invalid_request("The parameter subject_token is missing.");
    let token = parameters.get("subject_token").ok_or_else(missing)?;
    let mut targets = parameters.all("audience").chain(parameters.all("resource"));
    match (targets.next(), targets.next()) {
        (Some(target), None) => Ok((token, target)),
        _ => Err(Refusal::invalid_request("Name one login provider as the audience.")),
    }
}

/// Exchanges a token.
///
/// # Errors
/// A refusal, or the problem of the database.
pub async fn exchange(
    broker: &Broker,
    context: &RequestContext,
    client: &Client,
    parameters: &Parameters,
) -> Result<Exchanged, Failure> {
    if !client.may_exchange {
        let description = "This application may not have tokens of login providers.";
        return Err(Refusal::bad("unauthorized_client", description).into());
    }
    let (token, target) = read(parameters)?;
    if !broker.settings.providers.iter().any(|provider| provider.name == target) {
        return Err(Refusal::bad("invalid_target", "There is no login provider of this name.").into());
    }
    let found: Option<Bearer> = bearer::find(broker, token).await?;
    let bearer = found.filter(|bearer| bearer.grant.client_id == client.id);
    let refused =
        || Refusal::invalid_grant("The subject_token is unknown, has ended, or is another client's.");
    let Some(bearer) = bearer else {
        return Err(client::brought_wrong(broker, context, client, refused()).await);
    };
    let account = bearer.grant.account;
    let nothing = || {
        let description =
            "Nothing of this login provider is kept for the person, who has to sign in with it again.";
        Failure::from(Refusal::bad("invalid_target", description))
    };
    let identity = identity(broker, account, target).await?.ok_or_else(nothing)?;
    let tokens = refresh::fresh(broker, identity).await.map_err(|error| match error {
        RefreshError::Nothing => nothing(),
        RefreshError::Failed(problem) => Failure::Failed(problem),
        error => {
            tracing::warn!(%error, provider = target, "a token of a login provider cannot be had");
            Refusal::unavailable("The login provider cannot be asked now.").into()
        }
    })?;
    let event = Event::new("upstream-token.exchange", "identity").of(identity);
    let event = event.changed("client", (), client.id.as_str()).changed("provider", (), target);
    let now = broker.writes.record(&origin(context), event).await?;
    Ok(Exchanged {
        access_token: tokens.access,
        issued_token_type: ACCESS_TOKEN,
        token_type: "Bearer",
        expires_in: tokens.expires_at.map(|ends| (ends - now).whole_seconds().max(0)),
        scope: tokens.scope,
    })
}

async fn identity(broker: &Broker, account: Uuid, provider: &str) -> Result<Option<Uuid>, Failure> {
    let row = broker
        .database
        .ask(async |client| {
            client.query_opt(&client.prepare_cached(IDENTITY).await?, &[&account, &provider]).await
        })
        .await?;
    Ok(row.map(|row| row.get("id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_is_exchanged_for_one_provider() {
        const GOOD: &str = "subject_token=t&subject_token_type=urn:ietf:params:oauth:token-type:access_token&audience=google";
        let of = |text: &str| {
            let parameters = Parameters::parse(text.as_bytes()).unwrap();
            read(&parameters).map(|(token, target)| format!("{token} for {target}")).map_err(|no| no.error())
        };
        assert_eq!(of(GOOD).unwrap(), "t for google");
        assert_eq!(of(&GOOD.replace("audience", "resource")).unwrap(), "t for google");
        for bad in [
            GOOD.replace("access_token", "id_token"),
            GOOD.replace("&audience=google", ""),
            GOOD.replace("subject_token=t", ""),
            format!("{GOOD}&audience=github"),
            format!("{GOOD}&resource=github"),
            format!("{GOOD}&requested_token_type=urn:ietf:params:oauth:token-type:jwt"),
            format!("{GOOD}&actor_token=a"),
        ] {
            assert_eq!(of(&bad), Err("invalid_request"), "{bad}");
        }
    }
}
