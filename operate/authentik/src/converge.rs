//! Looks at everything that is wanted, in the order in which one thing needs another, and makes what differs.

use crate::api::{Api, ApiError};
use crate::request::{self, EMAIL_MAPPING, Flows, VOUCHED_MAPPING};
use crate::wanted::{Algorithm, Client, Kind, Secrets, Source, Wanted};
use authentik_client::models::{
    AlgEnum, CertificateKeyPairRequest, PatchedBrandRequest, PatchedIdentificationStageRequest, ScopeMapping,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The stage of Authentik's own flow at which people say who they are.
const IDENTIFICATION: &str = "default-authentication-identification";
/// The pair with which it serves the edge.
const WEB: &str = "bastide: web";
/// What Authentik takes and never tells.
const WRITE_ONLY: [&str; 3] = ["consumer_secret", "certificate_data", "key_data"];

/// Whether to look, or to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Says what differs.
    Check,
    /// Makes it as wanted.
    Apply {
        /// Writes everything anew, because secrets have changed, of which Authentik does not tell what it has.
        anew: bool,
    },
}

/// One run.
struct Run<'a> {
    api: &'a Api,
    secrets: &'a Secrets,
    mode: Mode,
    changes: Vec<String>,
}

/// Makes Authentik as wanted, or says what differs; one line a thing.
///
/// # Errors
/// Where Authentik does not answer, or refuses something.
pub async fn converge(
    api: &Api,
    wanted: &Wanted,
    secrets: &Secrets,
    mode: Mode,
) -> Result<Vec<String>, ApiError> {
    let mut run = Run { api, secrets, mode, changes: Vec::new() };
    let flows = Flows {
        authorization: api.flow("default-provider-authorization-implicit-consent").await?,
        invalidation: api.flow("default-provider-invalidation-flow").await?,
        authentication: api.flow("default-source-authentication").await?,
        enrollment: api.flow("default-source-enrollment").await?,
    };
    run.web_certificate(wanted).await?;
    let vouched = run.vouched_mapping().await?;
    let mappings = run.scope_mappings().await?;
    let mut keys = BTreeMap::new();
    for client in &wanted.clients {
        let key = match keys.get(&client.algorithm) {
            Some(key) => *key,
            None => run.signing_key(client.algorithm).await?,
        };
        keys.insert(client.algorithm, key);
        run.client(client, &flows, key, &mappings).await?;
    }
    let mut shown = Vec::new();
    for source in &wanted.sources {
        shown.push(run.source(source, &flows, vouched).await?);
    }
    run.nothing_else(wanted).await?;
    run.sign_in_page(shown).await?;
    Ok(run.changes)
}

impl Run<'_> {
    /// Notes that something is missing or differs; whether it is to be made.
    fn differs(&mut self, what: &str, differing: Option<Vec<String>>) -> bool {
        let anew = self.mode == Mode::Apply { anew: true };
        match differing {
            None => self.changes.push(format!("create {what}")),
            Some(fields) if !fields.is_empty() => self.changes.push(format!("{what}: {}", fields.join(", "))),
            Some(_) if anew => self.changes.push(format!("{what}: written anew")),
            Some(_) => return false,
        }
        self.mode != Mode::Check
    }

    async fn web_certificate(&mut self, wanted: &Wanted) -> Result<(), ApiError> {
        let request = CertificateKeyPairRequest {
            name: WEB.to_owned(),
            certificate_data: self.secrets.document(&wanted.certificate_file).to_owned(),
            key_data: Some(self.secrets.document(&wanted.key_file).to_owned()),
        };
        let present = self.api.key_pair(WEB).await?;
        let differing = present.as_ref().map(|present| fields(&request, present));
        let mut pair = present.map(|present| present.pk);
        if self.differs("the certificate for the edge", differing) {
            pair = Some(self.api.put_key_pair(pair, request).await?);
        }
        let brand = self.api.brand().await?;
        if let Some(pair) = pair.filter(|pair| brand.web_certificate.flatten() != Some(*pair)) {
            let differing = Some(vec!["web_certificate".to_owned()]);
            if self.differs("the default brand", differing) {
                let to = PatchedBrandRequest {
                    web_certificate: Some(Some(pair)),
                    ..PatchedBrandRequest::default()
                };
                self.api.change_brand(brand.brand_uuid, to).await?;
            }
        }
        Ok(())
    }

    /// The key for tokens; it is made there, and never replaced by this program.
    async fn signing_key(&mut self, algorithm: Algorithm) -> Result<Uuid, ApiError> {
        let (name, kind) = match algorithm {
            Algorithm::ES256 => ("bastide: ES256", AlgEnum::Ecdsa),
            Algorithm::RS256 => ("bastide: RS256", AlgEnum::Rsa),
        };
        if let Some(present) = self.api.key_pair(name).await? {
            return Ok(present.pk);
        }
        if self.differs(&format!("the signing key {name}"), None) {
            return self.api.make_key_pair(name, kind).await;
        }
        Ok(Uuid::nil())
    }

    async fn vouched_mapping(&mut self) -> Result<Uuid, ApiError> {
        let request = request::vouched_mapping();
        let present = self.api.source_mapping(VOUCHED_MAPPING).await?;
        let differing = present.as_ref().map(|present| fields(&request, present));
        let pk = present.map(|present| present.pk);
        if self.differs("the mapping of vouched addresses", differing) {
            return self.api.put_source_mapping(pk, request).await;
        }
        Ok(pk.unwrap_or_default())
    }

    /// The mappings of scopes, by scope: Authentik's own, and ours for addresses.
    async fn scope_mappings(&mut self) -> Result<BTreeMap<String, Uuid>, ApiError> {
        let request = request::email_mapping();
        let all = self.api.scope_mappings().await?;
        let present = all.iter().find(|mapping| mapping.name == EMAIL_MAPPING);
        let differing = present.map(|present| fields(&request, present));
        let mut email = present.map(|present| present.pk);
        if self.differs("the mapping of addresses", differing) {
            email = Some(self.api.put_scope_mapping(email, request).await?);
        }
        let own = |mapping: &&ScopeMapping| {
            let managed = mapping.managed.clone().flatten().unwrap_or_default();
            managed == format!("goauthentik.io/providers/oauth2/scope-{}", mapping.scope_name)
        };
        let mut by_scope: BTreeMap<String, Uuid> =
            all.iter().filter(own).map(|mapping| (mapping.scope_name.clone(), mapping.pk)).collect();
        by_scope.insert("email".to_owned(), email.unwrap_or_default());
        Ok(by_scope)
    }

    async fn client(
        &mut self,
        client: &Client,
        flows: &Flows,
        key: Uuid,
        mappings: &BTreeMap<String, Uuid>,
    ) -> Result<(), ApiError> {
        let mapping = |scope: &String| {
            let found = mappings.get(scope).copied();
            found.ok_or_else(|| ApiError::missing(&format!("the mapping of the scope {scope}")))
        };
        let mappings = client.scopes.iter().map(mapping).collect::<Result<Vec<_>, _>>()?;
        let request = request::provider(client, self.secrets, flows, key, mappings);
        let present = self.api.provider(&client.id).await?;
        let differing = present.as_ref().map(|present| fields(&request, present));
        let mut pk = present.map(|present| present.pk);
        if self.differs(&format!("client {}", client.id), differing) {
            pk = Some(self.api.put_provider(pk, request).await?);
        }
        let request = request::application(client, pk.unwrap_or_default());
        let present = self.api.application(&client.id).await?;
        let differing = present.as_ref().map(|present| fields(&request, present));
        if self.differs(&format!("application {}", client.id), differing) {
            self.api.put_application(present.is_some(), request).await?;
        }
        Ok(())
    }

    async fn source(&mut self, source: &Source, flows: &Flows, vouched: Uuid) -> Result<Uuid, ApiError> {
        let request = request::source(source, self.secrets, flows, vouched);
        let present = self.api.source(source.kind.slug()).await?;
        let differing = present.as_ref().map(|present| fields(&request, present));
        if self.differs(&format!("source {}", source.kind.slug()), differing) {
            return self.api.put_source(present.is_some(), request).await;
        }
        Ok(present.map(|present| present.pk).unwrap_or_default())
    }

    /// Turns off login providers that the platform file names no more; who came by them stays known.
    async fn nothing_else(&mut self, wanted: &Wanted) -> Result<(), ApiError> {
        let gone =
            Kind::ALL.into_iter().filter(|kind| wanted.sources.iter().all(|source| source.kind != *kind));
        for kind in gone {
            let present = self.api.source(kind.slug()).await?;
            let on = present.is_some_and(|present| present.enabled != Some(false));
            if on && self.differs(&format!("source {}", kind.slug()), Some(vec!["enabled".to_owned()])) {
                self.api.disable_source(kind.slug()).await?;
            }
        }
        Ok(())
    }

    /// The page offers the sources and nothing else: no password of Authentik's own.
    async fn sign_in_page(&mut self, shown: Vec<Uuid>) -> Result<(), ApiError> {
        let stage = self.api.identification(IDENTIFICATION).await?;
        let to = PatchedIdentificationStageRequest {
            user_fields: Some(vec![]),
            sources: Some(shown),
            show_source_labels: Some(true),
            ..PatchedIdentificationStageRequest::default()
        };
        let differing = fields(&to, &stage);
        if self.differs("the sign-in page", Some(differing)) {
            self.api.change_identification(stage.pk, to).await?;
        }
        Ok(())
    }
}

/// Names of the fields that are not as asked for.
fn fields(wanted: &impl Serialize, present: &impl Serialize) -> Vec<String> {
    let of = |value: Result<Value, serde_json::Error>| match value {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let present = of(serde_json::to_value(present));
    let differing = of(serde_json::to_value(wanted)).into_iter().filter(|(name, value)| {
        !WRITE_ONLY.contains(&name.as_str()) && present.get(name).unwrap_or(&Value::Null) != value
    });
    differing.map(|(name, _)| name).collect()
}
