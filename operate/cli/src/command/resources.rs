//! `bastide resources`: what every host gets, in order, as data and without secrets.

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::operator::{self, Operator};
use anyhow::Result;
use bastide_components::Step;
use bastide_converge::resource::{Content, Resource, Spec};
use serde_json::{Value, json};

/// Stands where a secret was.
const SECRET: &str = "(secret)";

/// Prints the resources of every host; reads and changes nothing on them.
pub fn run(arguments: &Arguments) -> Result<Exit> {
    let operator = Operator::open(arguments, operator::load(arguments)?)?;
    let hosts = operator.resources(Step::Application)?;
    if arguments.json {
        let hosts: Vec<Value> =
            hosts.into_iter().map(|(host, resources)| as_json(&host, resources)).collect();
        println!("{}", json!({ "hosts": hosts }));
        return Ok(Exit::Done);
    }
    for (host, resources) in &hosts {
        for resource in resources {
            println!("{host:>10} {:<14} {}", resource.component, resource.id());
        }
    }
    Ok(Exit::Done)
}

fn as_json(host: &str, resources: Vec<Resource>) -> Value {
    let resources: Vec<Resource> = resources.into_iter().map(without_secrets).collect();
    json!({ "host": host, "resources": resources })
}

/// The same resource, fit to be shown. Every kind is named, so that a new one cannot be shown by oversight.
fn without_secrets(mut resource: Resource) -> Resource {
    match &mut resource.spec {
        Spec::File(file) if file.sensitive => file.content = Content::Text(SECRET.to_owned()),
        Spec::Certificate(certificate) => certificate.key = SECRET.to_owned(),
        Spec::PostgresRole(role) => role.verifier = role.verifier.as_ref().map(|_| SECRET.to_owned()),
        Spec::File(_)
        | Spec::AptRepository(_)
        | Spec::Packages(_)
        | Spec::Directory(_)
        | Spec::Absent(_)
        | Spec::User(_)
        | Spec::Sysctl(_)
        | Spec::Unit(_)
        | Spec::Firewall(_)
        | Spec::PostgresDatabase(_)
        | Spec::PostgresExtension(_)
        | Spec::PostgresSettings(_)
        | Spec::PostgresObject(_)
        | Spec::ContainerImage(_)
        | Spec::Slots(_)
        | Spec::Command(_) => {}
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use bastide_converge::resource::{Certificate, File, PostgresRole};

    #[test]
    fn no_secret_is_shown() {
        let certificate = Certificate {
            name: "server".to_owned(),
            directory: "/etc/ssl".to_owned(),
            names: vec!["db".to_owned()],
            authority: "authority".to_owned(),
            certificate: "certificate".to_owned(),
            key: "hunter2 key".to_owned(),
            owner: "root".to_owned(),
            group: "root".to_owned(),
            key_mode: 0o640,
        };
        let role = PostgresRole {
            name: "app".to_owned(),
            verifier: Some("hunter2 verifier".to_owned()),
            member_of: vec![],
            connection_limit: -1,
            settings: vec![],
        };
        let resources = vec![
            Resource::new("a", File::new("/etc/password", "hunter2 file").sensitive()),
            Resource::new("a", File::new("/etc/motd", "welcome")),
            Resource::new("a", certificate),
            Resource::new("a", role),
        ];
        let shown = as_json("db", resources).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("welcome"), "{shown}");
    }

    #[test]
    fn a_role_that_cannot_log_in_is_shown_as_such() {
        let role = PostgresRole {
            name: "readers".to_owned(),
            verifier: None,
            member_of: vec![],
            connection_limit: -1,
            settings: vec![],
        };
        let shown = as_json("db", vec![Resource::new("a", role)]);
        assert_eq!(shown["resources"][0]["spec"]["verifier"], Value::Null);
    }
}
