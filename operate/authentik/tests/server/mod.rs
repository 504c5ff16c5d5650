//! As much of Authentik's API as the program uses, in memory. What it is sent it checks; what it answers has every field
//! that the typed client requires, because it starts from that client's own types.

use authentik_client::models::{
    Application, ApplicationRequest, Brand, CertificateGenerationRequest, CertificateKeyPair,
    CertificateKeyPairRequest, Flow, IdentificationStage, OAuth2Provider, OAuth2ProviderRequest, OAuthSource,
    OAuthSourcePropertyMapping, OAuthSourcePropertyMappingRequest, OAuthSourceRequest, ScopeMapping,
    ScopeMappingRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it holds, by kind.
type Objects = BTreeMap<&'static str, Vec<Value>>;

/// Kinds, each with the field by which a path names one.
const KINDS: [(&str, &str); 9] = [
    ("core/applications", "slug"),
    ("core/brands", "brand_uuid"),
    ("crypto/certificatekeypairs", "pk"),
    ("flows/instances", "slug"),
    ("propertymappings/provider/scope", "pk"),
    ("propertymappings/source/oauth", "pk"),
    ("providers/oauth2", "pk"),
    ("sources/oauth", "slug"),
    ("stages/identification", "pk"),
];

#[derive(Default)]
struct State {
    objects: Objects,
    writes: Vec<String>,
    made: u32,
}

/// A server that runs until the test ends.
pub struct Server {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { objects: fresh(), ..State::default() }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state }
    }

    /// What was written, as method and path.
    pub fn writes(&self) -> Vec<String> {
        self.state.lock().unwrap().writes.clone()
    }

    /// The object of a kind whose `field` is `value`, write-only fields included.
    #[track_caller]
    pub fn object(&self, kind: &str, field: &str, value: &str) -> Value {
        let state = self.state.lock().unwrap();
        let found = state.objects[kind].iter().find(|object| object[field] == value);
        found.unwrap_or_else(|| panic!("no {kind} with {field} {value}")).clone()
    }

    /// Changes a field, as somebody does on Authentik's own pages.
    pub fn change(&self, kind: &str, field: &str, value: &str, changed: &str, to: Value) {
        let mut state = self.state.lock().unwrap();
        let objects = state.objects.get_mut(kind).unwrap();
        objects.iter_mut().find(|object| object[field] == value).unwrap()[changed] = to;
    }
}

/// The nth identifier.
fn uuid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// An object of a type with all that it requires, and these fields.
fn object(of: impl Serialize, fields: Value) -> Value {
    let mut object = serde_json::to_value(of).unwrap();
    merge(&mut object, fields);
    object
}

fn merge(object: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else { panic!("no object: {fields}") };
    for (name, value) in fields {
        object[name] = value;
    }
}

/// What Authentik brings with it.
fn fresh() -> Objects {
    let flows = [
        "default-provider-authorization-implicit-consent",
        "default-provider-invalidation-flow",
        "default-source-authentication",
        "default-source-enrollment",
    ];
    let flows = flows
        .iter()
        .zip(900..)
        .map(|(slug, number)| object(Flow::default(), json!({"pk": uuid(number), "slug": slug})));
    let scopes = ["openid", "email", "profile", "offline_access"];
    let scopes = scopes.iter().zip(910..).map(|(scope, number)| {
        let managed = format!("goauthentik.io/providers/oauth2/scope-{scope}");
        let fields = json!({"pk": uuid(number), "name": scope, "scope_name": scope, "managed": managed});
        object(ScopeMapping::default(), fields)
    });
    let brand = json!({"brand_uuid": uuid(920), "domain": "authentik-default", "default": true});
    let stage = json!({"pk": uuid(930), "name": "default-authentication-identification",
                       "user_fields": ["email", "username"], "sources": []});
    let mut objects: Objects = KINDS.iter().map(|(kind, _)| (*kind, Vec::new())).collect();
    objects.insert("flows/instances", flows.collect());
    objects.insert("propertymappings/provider/scope", scopes.collect());
    objects.insert("core/brands", vec![object(Brand::default(), brand)]);
    objects.insert("stages/identification", vec![object(IdentificationStage::default(), stage)]);
    objects
}

/// A request as it came.
struct Request {
    method: String,
    path: String,
    query: String,
    authorization: String,
    body: Value,
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let (status, body) = answer(&request, &mut state.lock().unwrap());
        let text = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        if stream.get_mut().write_all((head + &text).as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).ok()? };
    Some(Request { method, path: path.to_owned(), query: query.to_owned(), authorization, body })
}

fn answer(request: &Request, state: &mut State) -> (u16, Value) {
    if request.authorization != "Bearer the token" {
        return (403, json!({"detail": "Token invalid/expired"}));
    }
    let path = request.path.strip_prefix("/api/v3/").unwrap_or_default();
    let known = KINDS.iter().find(|(kind, _)| path.starts_with(&format!("{kind}/")));
    let Some((kind, key)) = known else { return (404, json!({"detail": "Not found."})) };
    let name = path[kind.len()..].trim_matches('/').to_owned();
    if request.method != "GET" {
        state.writes.push(format!("{} {path}", request.method));
    }
    match (request.method.as_str(), name.as_str()) {
        ("GET", "") => (200, list(&state.objects[kind], &request.query)),
        ("GET", _) => match state.objects[kind].iter().find(|object| is(object, key, &name)) {
            Some(found) => (200, told(found)),
            None => (404, json!({"detail": "Not found."})),
        },
        ("POST", "") | ("POST", "generate") => create(kind, key, name == "generate", &request.body, state),
        ("PUT" | "PATCH", _) => change(kind, key, &name, request, state),
        _ => (405, json!({"detail": "Method not allowed."})),
    }
}

fn is(object: &Value, key: &str, name: &str) -> bool {
    match &object[key] {
        Value::String(text) => text == name,
        Value::Bool(truth) => name.parse() == Ok(*truth),
        other => name.parse::<i64>().is_ok_and(|number| other.as_i64() == Some(number)),
    }
}

/// An object as it is told: without what is only taken.
fn told(object: &Value) -> Value {
    let mut told = object.clone();
    for field in ["consumer_secret", "certificate_data", "key_data", "alg"] {
        told.as_object_mut().map(|fields: &mut Map<String, Value>| fields.remove(field));
    }
    told
}

/// Those that a query asks for, on one page.
fn list(objects: &[Value], query: &str) -> Value {
    let asked = query.split('&').filter_map(|pair| pair.split_once('='));
    let asked: Vec<(&str, String)> = asked
        .map(|(name, value)| (name, value.replace("%3A", ":").replace(['+'], " ").replace("%20", " ")))
        .collect();
    let fits = |object: &&Value| {
        asked
            .iter()
            .filter(|(name, _)| ["name", "client_id", "slug", "default"].contains(name))
            .all(|(name, value)| is(object, name, value))
    };
    let found: Vec<Value> = objects.iter().filter(fits).map(told).collect();
    let count = found.len();
    let pages = json!({"next": 0, "previous": 0, "count": count, "current": 1, "total_pages": 1,
                       "start_index": 1, "end_index": count});
    json!({"pagination": pages, "results": found, "autocomplete": {}})
}

/// Whether a body is a request of this type, with nothing that the type does not know.
fn is_request<T: DeserializeOwned + Serialize>(body: &Value) -> bool {
    let read = serde_json::from_value::<T>(body.clone());
    read.is_ok_and(|request| serde_json::to_value(request).unwrap() == *body)
}

fn create(kind: &'static str, key: &str, generate: bool, body: &Value, state: &mut State) -> (u16, Value) {
    let checked = match kind {
        "core/applications" => is_request::<ApplicationRequest>(body),
        "crypto/certificatekeypairs" if generate => is_request::<CertificateGenerationRequest>(body),
        "crypto/certificatekeypairs" => is_request::<CertificateKeyPairRequest>(body),
        "propertymappings/provider/scope" => is_request::<ScopeMappingRequest>(body),
        "propertymappings/source/oauth" => is_request::<OAuthSourcePropertyMappingRequest>(body),
        "providers/oauth2" => is_request::<OAuth2ProviderRequest>(body),
        "sources/oauth" => is_request::<OAuthSourceRequest>(body),
        _ => false,
    };
    if !checked {
        return (400, json!({"non_field_errors": [format!("no request for {kind}")]}));
    }
    if let Some(refused) = refused(kind, body, state) {
        return (400, refused);
    }
    let unique = match kind {
        "core/applications" | "sources/oauth" => "slug",
        "providers/oauth2" => "client_id",
        _ => "name",
    };
    if state.objects[kind].iter().any(|object| !object[unique].is_null() && object[unique] == body[unique]) {
        return (400, json!({unique: ["This field must be unique."]}));
    }
    state.made += 1;
    let pk = if kind == "providers/oauth2" { json!(state.made) } else { json!(uuid(state.made)) };
    let empty = match kind {
        "core/applications" => object(Application::default(), json!({})),
        "crypto/certificatekeypairs" => {
            object(CertificateKeyPair::default(), json!({"name": body["common_name"]}))
        }
        "propertymappings/provider/scope" => object(ScopeMapping::default(), json!({})),
        "propertymappings/source/oauth" => object(OAuthSourcePropertyMapping::default(), json!({})),
        "providers/oauth2" => object(OAuth2Provider::default(), json!({})),
        _ => object(OAuthSource::default(), json!({})),
    };
    let mut made = object(empty, body.clone());
    made[if key == "slug" { "pk" } else { key }] = pk;
    state.objects.get_mut(kind).unwrap().push(made.clone());
    (201, told(&made))
}

/// What is wrong with references and choices.
fn refused(kind: &str, body: &Value, state: &State) -> Option<Value> {
    let exists = |kind: &str, pk: &Value| state.objects[kind].iter().any(|object| object["pk"] == *pk);
    let wrong = |field: &str| Some(json!({field: [format!("Invalid pk {}", body[field])]}));
    match kind {
        "core/applications" if !exists("providers/oauth2", &body["provider"]) => wrong("provider"),
        "providers/oauth2" => {
            let mappings = body["property_mappings"].as_array().cloned().unwrap_or_default();
            let scopes = "propertymappings/provider/scope";
            match () {
                () if !exists("flows/instances", &body["authorization_flow"]) => wrong("authorization_flow"),
                () if !exists("crypto/certificatekeypairs", &body["signing_key"]) => wrong("signing_key"),
                () if mappings.iter().any(|mapping| !exists(scopes, mapping)) => wrong("property_mappings"),
                () => None,
            }
        }
        "sources/oauth" => {
            let secret = body["consumer_secret"].as_str().unwrap_or_default();
            let apple = body["provider_type"] == "apple";
            let parts = body["consumer_key"].as_str().unwrap_or_default().split(';').count();
            match () {
                () if !exists("flows/instances", &body["enrollment_flow"]) => wrong("enrollment_flow"),
                () if secret.is_empty() => wrong("consumer_secret"),
                () if apple && (parts != 3 || !secret.contains("PRIVATE KEY")) => wrong("consumer_key"),
                () => None,
            }
        }
        _ => None,
    }
}

fn change(kind: &str, key: &str, name: &str, request: &Request, state: &mut State) -> (u16, Value) {
    if request.method == "PUT"
        && let Some(refused) = refused(kind, &request.body, state)
    {
        return (400, refused);
    }
    let objects = state.objects.get_mut(kind).unwrap();
    let Some(present) = objects.iter_mut().find(|object| is(object, key, name)) else {
        return (404, json!({"detail": "Not found."}));
    };
    merge(present, request.body.clone());
    (200, told(present))
}
