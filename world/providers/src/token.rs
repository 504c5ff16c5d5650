//! ID tokens, with whatever is to be wrong about them.

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::keys::{Key, at_hash, random, unsigned_token};
use crate::people::CONSUMERS;
use crate::provider::Provider;
use crate::registration::{Proof, Registration};
use crate::world::State;

/// Signs what a provider says of somebody to a client.
pub(crate) fn id_token(
    state: &mut State,
    provider: Provider,
    client: &Registration,
    mut claims: Value,
    access: &str,
) -> String {
    let fault = state.service(provider).fault.clone();
    let now = state.now().unix_timestamp();
    claims["aud"] = client.client_id.as_str().into();
    claims["iat"] = now.into();
    claims["exp"] = (now + 3600).into();
    if provider != Provider::Microsoft {
        claims["at_hash"] = at_hash(access).into();
    }
    let own_issuer = claims["iss"].as_str().unwrap_or_default().to_owned();
    match &fault {
        Some(Fault::WrongNonce) => claims["nonce"] = random().into(),
        Some(Fault::WrongAudience) => claims["aud"] = "another client".into(),
        Some(Fault::OtherParty) => {
            claims["aud"] = json!([client.client_id, "another client"]);
            claims["azp"] = "another client".into();
        }
        Some(Fault::WrongIssuer) => claims["iss"] = "https://issuer.example".into(),
        Some(Fault::Expired) => claims["exp"] = (now - 61).into(),
        Some(Fault::Future) => claims["iat"] = (now + 300).into(),
        Some(Fault::WrongAtHash) => claims["at_hash"] = at_hash("another token").into(),
        Some(Fault::ForgedTenant) => claims["tid"] = CONSUMERS.into(),
        _ => {}
    }
    let consumers = own_issuer.replace(claims["tid"].as_str().unwrap_or_default(), CONSUMERS);
    let signs_for = if fault == Some(Fault::ConsumersKey) { &consumers } else { &own_issuer };
    let key = state.signing_key(provider, signs_for);
    match (&fault, &client.proof) {
        (Some(Fault::NoAlgorithm), _) => unsigned_token(&claims),
        (Some(Fault::SignedWithSecret), Proof::Secret(secret)) => key.hmac_token(secret.as_bytes(), &claims),
        (Some(Fault::SignedWithPublicKey), _) => key.token_by_public_key(&claims),
        (Some(Fault::UnknownKey), _) => Key::strange("unpublished").token(&claims),
        (Some(Fault::ForgedKey), _) => Key::strange(&key.id).token(&claims),
        _ => key.token(&claims),
    }
}

/// In whose name an answer comes back.
pub(crate) fn answers_as(state: &mut State, provider: Provider, issuer: String) -> String {
    if state.service(provider).fault == Some(Fault::OtherIssuerAnswers) {
        return "https://issuer.example".to_owned();
    }
    issuer
}

/// A description as it is, or wrong as it is to be.
pub(crate) fn described(state: &mut State, provider: Provider, mut description: Value) -> Value {
    match state.service(provider).fault.clone() {
        Some(Fault::OtherDescription) => description["issuer"] = "https://issuer.example".into(),
        Some(Fault::DescriptionLeads { to }) => {
            description["token_endpoint"] = to.as_str().into();
            description["jwks_uri"] = to.as_str().into();
        }
        _ => {}
    }
    description
}
