//! Authentik's API, as far as it is needed.

use crate::wanted::{Secrets, Wanted};
use authentik_client::apis::{
    Error, configuration::Configuration, core_api, crypto_api, flows_api, propertymappings_api,
    providers_api, sources_api, stages_api,
};
use authentik_client::models::{
    AlgEnum, Application, ApplicationRequest, Brand, CertificateGenerationRequest, CertificateKeyPair,
    CertificateKeyPairRequest, IdentificationStage, OAuth2Provider, OAuth2ProviderRequest, OAuthSource,
    OAuthSourcePropertyMapping, OAuthSourcePropertyMappingRequest, OAuthSourceRequest, PatchedBrandRequest,
    PatchedIdentificationStageRequest, PatchedOAuthSourceRequest, ScopeMapping, ScopeMappingRequest,
};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// How long one question may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How often is asked whether it answers.
const PAUSE: Duration = Duration::from_secs(2);

/// Authentik did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{attempted}: {reason}")]
pub struct ApiError {
    attempted: String,
    reason: String,
    /// The answer's status; none where there was no answer.
    status: Option<u16>,
}

impl ApiError {
    /// Something that Authentik brings with it is not there.
    pub(crate) fn missing(what: &str) -> Self {
        let reason = "Authentik brings it with it, and does not have it (any more)".to_owned();
        Self { attempted: format!("find {what}"), reason, status: None }
    }
}

/// Says what was attempted, and of the answer no more than its beginning: it may be a page.
fn failed<E: std::fmt::Debug>(attempted: impl Into<String>) -> impl FnOnce(Error<E>) -> ApiError {
    let attempted = attempted.into();
    move |error| match error {
        Error::ResponseError(answer) => {
            let said: String = answer.content.chars().take(300).collect();
            let status = answer.status.as_u16();
            ApiError { attempted, reason: format!("answered {status}: {said}"), status: Some(status) }
        }
        Error::Reqwest(error) => ApiError { attempted, reason: error.to_string(), status: None },
        Error::ReqwestMiddleware(error) => ApiError { attempted, reason: error.to_string(), status: None },
        Error::Serde(error) => {
            ApiError { attempted, reason: format!("an answer of another version: {error}"), status: None }
        }
        Error::Io(error) => ApiError { attempted, reason: error.to_string(), status: None },
    }
}

/// Nothing, where the answer says that there is nothing.
fn found<T>(result: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.status == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Authentik's API.
pub struct Api {
    configuration: Configuration,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Api({})", self.configuration.base_path)
    }
}

impl Api {
    /// The API where `wanted` says it is.
    ///
    /// # Errors
    /// Where no client for HTTP can be made.
    pub fn new(wanted: &Wanted, secrets: &Secrets) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        let configuration = Configuration {
            base_path: format!("{}/api/v3", wanted.url.trim_end_matches('/')),
            user_agent: Some("bastide".to_owned()),
            client: reqwest_middleware::ClientBuilder::new(client).build(),
            basic_auth: None,
            oauth_access_token: None,
            bearer_access_token: Some(secrets.line(&wanted.token_file)),
            api_key: None,
        };
        Ok(Self { configuration })
    }

    /// Waits until it answers, which takes minutes when it starts for the first time.
    ///
    /// # Errors
    /// Why it did not answer in time.
    pub async fn wait(&self, patience: Duration) -> Result<(), ApiError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.brand().await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() + PAUSE > deadline => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    pub(crate) async fn flow(&self, slug: &str) -> Result<Uuid, ApiError> {
        let what = format!("the flow {slug}");
        let flow = flows_api::flows_instances_retrieve(&self.configuration, slug).await;
        let flow = found(flow.map_err(failed(format!("read {what}"))))?;
        flow.map(|flow| flow.pk).ok_or_else(|| ApiError::missing(&what))
    }

    /// The brand that every name has which has none of its own.
    pub(crate) async fn brand(&self) -> Result<Brand, ApiError> {
        #[rustfmt::skip]
        let list = core_api::core_brands_list(
            &self.configuration, None, None, None, None, None, None, Some(true), None, None, None, None,
            None, None, None, None, None, None, None, None, None, None, None,
        );
        let list = list.await.map_err(failed("read the default brand"))?;
        list.results.into_iter().next().ok_or_else(|| ApiError::missing("the default brand"))
    }

    pub(crate) async fn change_brand(&self, brand: Uuid, to: PatchedBrandRequest) -> Result<(), ApiError> {
        let name = brand.to_string();
        let changed = core_api::core_brands_partial_update(&self.configuration, &name, Some(to));
        changed.await.map(drop).map_err(failed("change the default brand"))
    }

    pub(crate) async fn key_pair(&self, name: &str) -> Result<Option<CertificateKeyPair>, ApiError> {
        #[rustfmt::skip]
        let list = crypto_api::crypto_certificatekeypairs_list(
            &self.configuration, None, None, None, Some(name), None, None, None, None,
        );
        let list = list.await.map_err(failed(format!("read the key pair {name}")))?;
        Ok(list.results.into_iter().find(|pair| pair.name == name))
    }

    pub(crate) async fn put_key_pair(
        &self,
        present: Option<Uuid>,
        request: CertificateKeyPairRequest,
    ) -> Result<Uuid, ApiError> {
        let attempted = format!("put the key pair {}", request.name);
        let configuration = &self.configuration;
        let put = match present {
            Some(pk) => {
                crypto_api::crypto_certificatekeypairs_update(configuration, &pk.to_string(), request)
                    .await
                    .map_err(failed(attempted))
            }
            None => crypto_api::crypto_certificatekeypairs_create(configuration, request)
                .await
                .map_err(failed(attempted)),
        };
        put.map(|pair| pair.pk)
    }

    pub(crate) async fn make_key_pair(&self, name: &str, algorithm: AlgEnum) -> Result<Uuid, ApiError> {
        let request = CertificateGenerationRequest {
            common_name: name.to_owned(),
            subject_alt_name: None,
            validity_days: 3650,
            alg: Some(algorithm),
        };
        let made = crypto_api::crypto_certificatekeypairs_generate_create(&self.configuration, request).await;
        made.map(|pair| pair.pk).map_err(failed(format!("make the key pair {name}")))
    }

    pub(crate) async fn scope_mappings(&self) -> Result<Vec<ScopeMapping>, ApiError> {
        #[rustfmt::skip]
        let list = propertymappings_api::propertymappings_provider_scope_list(
            &self.configuration, None, None, None, None, None, Some(100), None, None,
        );
        Ok(list.await.map_err(failed("read the scopes' mappings"))?.results)
    }

    pub(crate) async fn put_scope_mapping(
        &self,
        present: Option<Uuid>,
        request: ScopeMappingRequest,
    ) -> Result<Uuid, ApiError> {
        let attempted = format!("put the mapping {}", request.name);
        let configuration = &self.configuration;
        let put = match present {
            Some(pk) => propertymappings_api::propertymappings_provider_scope_update(
                configuration,
                &pk.to_string(),
                request,
            )
            .await
            .map_err(failed(attempted)),
            None => propertymappings_api::propertymappings_provider_scope_create(configuration, request)
                .await
                .map_err(failed(attempted)),
        };
        put.map(|mapping| mapping.pk)
    }

    pub(crate) async fn source_mapping(
        &self,
        name: &str,
    ) -> Result<Option<OAuthSourcePropertyMapping>, ApiError> {
        #[rustfmt::skip]
        let list = propertymappings_api::propertymappings_source_oauth_list(
            &self.configuration, None, None, Some(name), None, None, None, None,
        );
        let list = list.await.map_err(failed(format!("read the mapping {name}")))?;
        Ok(list.results.into_iter().find(|mapping| mapping.name == name))
    }

    pub(crate) async fn put_source_mapping(
        &self,
        present: Option<Uuid>,
        request: OAuthSourcePropertyMappingRequest,
    ) -> Result<Uuid, ApiError> {
        let attempted = format!("put the mapping {}", request.name);
        let configuration = &self.configuration;
        let put = match present {
            Some(pk) => propertymappings_api::propertymappings_source_oauth_update(
                configuration,
                &pk.to_string(),
                request,
            )
            .await
            .map_err(failed(attempted)),
            None => propertymappings_api::propertymappings_source_oauth_create(configuration, request)
                .await
                .map_err(failed(attempted)),
        };
        put.map(|mapping| mapping.pk)
    }

    pub(crate) async fn provider(&self, client_id: &str) -> Result<Option<OAuth2Provider>, ApiError> {
        #[rustfmt::skip]
        let list = providers_api::providers_oauth2_list(
            &self.configuration, None, None, None, None, Some(client_id), None, None, None, None, None,
            None, None, None, None, None, None, None,
        );
        let list = list.await.map_err(failed(format!("read the client {client_id}")))?;
        Ok(list.results.into_iter().find(|provider| provider.client_id.as_deref() == Some(client_id)))
    }

    pub(crate) async fn put_provider(
        &self,
        present: Option<i32>,
        request: OAuth2ProviderRequest,
    ) -> Result<i32, ApiError> {
        let attempted = format!("put the client {}", request.name);
        let configuration = &self.configuration;
        let put = match present {
            Some(pk) => providers_api::providers_oauth2_update(configuration, pk, request)
                .await
                .map_err(failed(attempted)),
            None => providers_api::providers_oauth2_create(configuration, request)
                .await
                .map_err(failed(attempted)),
        };
        put.map(|provider| provider.pk)
    }

    pub(crate) async fn application(&self, slug: &str) -> Result<Option<Application>, ApiError> {
        let read = core_api::core_applications_retrieve(&self.configuration, slug).await;
        found(read.map_err(failed(format!("read the application {slug}"))))
    }

    pub(crate) async fn put_application(
        &self,
        present: bool,
        request: ApplicationRequest,
    ) -> Result<(), ApiError> {
        let slug = request.slug.clone();
        let attempted = format!("put the application {slug}");
        let configuration = &self.configuration;
        if present {
            let put = core_api::core_applications_update(configuration, &slug, request).await;
            put.map(drop).map_err(failed(attempted))
        } else {
            let put = core_api::core_applications_create(configuration, request).await;
            put.map(drop).map_err(failed(attempted))
        }
    }

    pub(crate) async fn source(&self, slug: &str) -> Result<Option<OAuthSource>, ApiError> {
        let read = sources_api::sources_oauth_retrieve(&self.configuration, slug).await;
        found(read.map_err(failed(format!("read the source {slug}"))))
    }

    pub(crate) async fn put_source(
        &self,
        present: bool,
        request: OAuthSourceRequest,
    ) -> Result<Uuid, ApiError> {
        let slug = request.slug.clone();
        let attempted = format!("put the source {slug}");
        let configuration = &self.configuration;
        let put = if present {
            sources_api::sources_oauth_update(configuration, &slug, request).await.map_err(failed(attempted))
        } else {
            sources_api::sources_oauth_create(configuration, request).await.map_err(failed(attempted))
        };
        put.map(|source| source.pk)
    }

    pub(crate) async fn disable_source(&self, slug: &str) -> Result<(), ApiError> {
        let off = PatchedOAuthSourceRequest { enabled: Some(false), ..PatchedOAuthSourceRequest::default() };
        let changed = sources_api::sources_oauth_partial_update(&self.configuration, slug, Some(off)).await;
        changed.map(drop).map_err(failed(format!("turn off the source {slug}")))
    }

    /// The stage at which people say who they are, with a button a source.
    pub(crate) async fn identification(&self, name: &str) -> Result<IdentificationStage, ApiError> {
        #[rustfmt::skip]
        let list = stages_api::stages_identification_list(
            &self.configuration, None, None, None, Some(name), None, None, None, None, None, None, None,
            None, None, None,
        );
        let list = list.await.map_err(failed(format!("read the stage {name}")))?;
        let stage = list.results.into_iter().find(|stage| stage.name == name);
        stage.ok_or_else(|| ApiError::missing(&format!("the stage {name}")))
    }

    pub(crate) async fn change_identification(
        &self,
        stage: Uuid,
        to: PatchedIdentificationStageRequest,
    ) -> Result<(), ApiError> {
        let name = stage.to_string();
        let changed = stages_api::stages_identification_partial_update(&self.configuration, &name, Some(to));
        changed.await.map(drop).map_err(failed("change what the sign-in page offers"))
    }
}
