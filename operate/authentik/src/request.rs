//! What is asked of Authentik for each client and source.

use crate::wanted::{Client, Kind, Secrets, Source};
use authentik_client::models::{
    ApplicationRequest, ClientTypeEnum, GrantTypeEnum, IssuerModeEnum, MatchingModeEnum,
    OAuth2ProviderLogoutMethodEnum, OAuth2ProviderRequest, OAuthSourcePropertyMappingRequest,
    OAuthSourceRequest, PkceMethodEnum, ProviderTypeEnum, RedirectUriRequest, RedirectUriTypeEnum,
    ScopeMappingRequest, SubModeEnum, UserMatchingModeEnum,
};
use uuid::Uuid;

/// Name of the mapping that says whether an address is vouched for; without one Authentik says that none is.
pub(crate) const EMAIL_MAPPING: &str = "bastide: email";
/// Name of the mapping that remembers whether Google or Apple vouched for an address.
pub(crate) const VOUCHED_MAPPING: &str = "bastide: vouched address";

/// Flows that Authentik brings with it.
pub(crate) struct Flows {
    pub(crate) authorization: Uuid,
    pub(crate) invalidation: Uuid,
    pub(crate) authentication: Uuid,
    pub(crate) enrollment: Uuid,
}

/// The address and whether it was vouched for when the person came.
pub(crate) fn email_mapping() -> ScopeMappingRequest {
    ScopeMappingRequest {
        name: EMAIL_MAPPING.to_owned(),
        scope_name: "email".to_owned(),
        expression: "return {\n    \"email\": request.user.email,\n    \"email_verified\": \
                     request.user.attributes.get(\"email_vouched\", False) is True,\n}"
            .to_owned(),
        ..ScopeMappingRequest::default()
    }
}

/// Apple says it as a text.
pub(crate) fn vouched_mapping() -> OAuthSourcePropertyMappingRequest {
    OAuthSourcePropertyMappingRequest {
        name: VOUCHED_MAPPING.to_owned(),
        expression:
            "return {\"attributes\": {\"email_vouched\": info.get(\"email_verified\") in (True, \"true\")}}"
                .to_owned(),
        ..OAuthSourcePropertyMappingRequest::default()
    }
}

/// A client: what Authentik calls a provider.
pub(crate) fn provider(
    client: &Client,
    secrets: &Secrets,
    flows: &Flows,
    signing_key: Uuid,
    mappings: Vec<Uuid>,
) -> OAuth2ProviderRequest {
    let exactly = |url: &String, kind| RedirectUriRequest {
        matching_mode: MatchingModeEnum::Strict,
        url: url.clone(),
        redirect_uri_type: Some(kind),
    };
    let back = client.redirect_uris.iter().map(|url| exactly(url, RedirectUriTypeEnum::Authorization));
    let afterwards =
        client.post_logout_redirect_uris.iter().map(|url| exactly(url, RedirectUriTypeEnum::Logout));
    let mut grants = vec![GrantTypeEnum::AuthorizationCode];
    if client.scopes.iter().any(|scope| scope == "offline_access") {
        grants.push(GrantTypeEnum::RefreshToken);
    }
    OAuth2ProviderRequest {
        property_mappings: Some(mappings),
        client_type: Some(ClientTypeEnum::Confidential),
        grant_types: Some(grants),
        client_id: Some(client.id.clone()),
        client_secret: Some(secrets.line(&client.secret_file)),
        access_code_validity: Some("minutes=1".to_owned()),
        // A refresh token is good for one use.
        refresh_token_threshold: Some("seconds=0".to_owned()),
        include_claims_in_id_token: Some(true),
        signing_key: Some(Some(signing_key)),
        logout_uri: client.back_channel_logout_uri.clone(),
        logout_method: client
            .back_channel_logout_uri
            .is_some()
            .then_some(OAuth2ProviderLogoutMethodEnum::Backchannel),
        sub_mode: Some(SubModeEnum::UserUuid),
        issuer_mode: Some(IssuerModeEnum::PerProvider),
        ..OAuth2ProviderRequest::new(
            client.id.clone(),
            flows.authorization,
            flows.invalidation,
            back.chain(afterwards).collect(),
        )
    }
}

/// The application around a client, whose slug stands in its issuer's URL.
pub(crate) fn application(client: &Client, provider: i32) -> ApplicationRequest {
    ApplicationRequest {
        provider: Some(Some(provider)),
        ..ApplicationRequest::new(client.name.clone(), client.id.clone())
    }
}

/// A login provider: what Authentik calls a source.
pub(crate) fn source(source: &Source, secrets: &Secrets, flows: &Flows, vouched: Uuid) -> OAuthSourceRequest {
    let kind = source.kind;
    let (key, secret) = match &source.apple {
        Some(apple) => (
            format!("{};{};{}", source.client_id, apple.team_id, apple.key_id),
            secrets.document(&source.secret_file).to_owned(),
        ),
        None => (source.client_id.clone(), secrets.line(&source.secret_file)),
    };
    let provider_type = match kind {
        Kind::Google => ProviderTypeEnum::Google,
        Kind::Github => ProviderTypeEnum::Github,
        Kind::Microsoft => ProviderTypeEnum::Entraid,
        Kind::Apple => ProviderTypeEnum::Apple,
    };
    // Microsoft does not verify addresses, and of GitHub Authentik takes the public one: nobody joins by theirs.
    let vouches = matches!(kind, Kind::Google | Kind::Apple);
    let matching = if source.joins_by_address && vouches {
        UserMatchingModeEnum::EmailLink
    } else {
        UserMatchingModeEnum::Identifier
    };
    let tenant = source.tenant.as_deref().unwrap_or("common");
    let of_tenant = |path: &str| {
        let url = format!("https://login.microsoftonline.com/{tenant}/{path}");
        (kind == Kind::Microsoft).then_some(Some(url))
    };
    OAuthSourceRequest {
        enabled: Some(true),
        promoted: Some(true),
        authentication_flow: Some(Some(flows.authentication)),
        enrollment_flow: Some(Some(flows.enrollment)),
        user_property_mappings: Some(if vouches { vec![vouched] } else { vec![] }),
        user_matching_mode: Some(matching),
        pkce: Some(PkceMethodEnum::S256),
        authorization_url: of_tenant("oauth2/v2.0/authorize"),
        access_token_url: of_tenant("oauth2/v2.0/token"),
        additional_scopes: Some(source.scopes.join(" ")),
        ..OAuthSourceRequest::new(kind.label().to_owned(), kind.slug().to_owned(), provider_type, key, secret)
    }
}
