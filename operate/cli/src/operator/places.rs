//! Where checks are made from: this machine, the agents on the hosts, the lab's world.

use super::Operator;
use anyhow::{Context, Result};
use bastide_converge::run::Fleet;
use bastide_converge::session::Session;
use bastide_lab::Lab;
use bastide_verify::probe::{Finding, Here, Probe, Trust};
use bastide_verify::{BoxFuture, Field, Front, Place, ProbeError, Vantage};
use std::io::Write;
use std::net::{IpAddr, ToSocketAddrs};
use std::process::Stdio;
use std::sync::Arc;

/// The field of `operator`'s platform.
pub async fn field(operator: &Operator, fleet: &Fleet) -> Result<Field> {
    let platform = Arc::clone(&operator.platform);
    let flows = bastide_components::flows(&platform);
    let mut field = Field::new(platform, flows, front(operator)?).with(Vantage::Operator, Arc::new(Here));
    field.ssh_config = Some(operator.ssh.path().to_owned());
    for (host, session) in fleet.sessions() {
        field = match session {
            Ok(session) => field.with(Vantage::host(host), Arc::new(OnHost(Arc::clone(session)))),
            Err(error) => field.without(Vantage::host(host), &error.to_string()),
        };
    }
    Ok(match &operator.lab {
        Some(lab) => in_the_world(field, lab),
        None => on_the_internet(field),
    })
}

fn in_the_world(field: Field, lab: &Lab) -> Field {
    let mut field = field;
    let (cdn, providers) = (lab.spec().cdn, !lab.login_providers().is_empty());
    for (vantage, place) in [
        (Vantage::Internet, "client"),
        (Vantage::AnotherClient, "client2"),
        (Vantage::Cdn, "cdn"),
        (Vantage::LoginProviders, "providers"),
    ] {
        let world = InWorld { lab: lab.name().to_owned(), place };
        field = match vantage {
            Vantage::Cdn if !cdn => field.without(vantage, "no CDN stands in front of this platform"),
            Vantage::LoginProviders if !providers => {
                field.without(vantage, "this lab has no login providers")
            }
            _ => field.with(vantage, Arc::new(world)),
        };
    }
    field
}

/// Real servers: packets go out from the operator's machine alone, and its address has flows of its own.
fn on_the_internet(field: Field) -> Field {
    field
        .without(Vantage::Internet, "the operator's address is the only one that packets can come from here")
        .without(Vantage::AnotherClient, "only a lab has a second client with another address")
        .without(Vantage::LoginProviders, "only a lab's login providers say who has come to them")
        .without(Vantage::Cdn, "nobody but the CDN can send from its addresses")
}

fn front(operator: &Operator) -> Result<Front> {
    let platform = &operator.platform;
    let domain = platform.domain.as_str();
    let address = (domain, 443).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    let address = address.map(|socket| socket.ip()).or(platform.edge().public_address.map(IpAddr::V4));
    let address = address.with_context(|| format!("find the address of {domain}: DNS does not know it"))?;
    let Some(lab) = &operator.lab else {
        return Ok(Front { address, trust: Trust::Public, origin_trust: Trust::Public });
    };
    let issued = Trust::Authorities(lab.issued_root()?);
    let path = lab.cdn_authority();
    let trust = if lab.spec().cdn {
        let pem = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Trust::Authorities(pem)
    } else {
        issued.clone()
    };
    Ok(Front { address, trust, origin_trust: issued })
}

/// A host, through its agent.
struct OnHost(Arc<Session>);

impl Place for OnHost {
    fn probe(&self, probe: Probe) -> BoxFuture<'_, Result<Finding, ProbeError>> {
        Box::pin(async move {
            let broken = |error: &dyn std::fmt::Display| ProbeError::broken("asking the agent", error);
            let question = serde_json::to_value(&probe).map_err(|error| broken(&error))?;
            let answer = self.0.call(question).await.map_err(|error| broken(&error))?;
            bastide_verify::probe::finding(answer)
        })
    }
}

/// A place in the lab's world: this very program, run in the place's network.
struct InWorld {
    lab: String,
    place: &'static str,
}

impl Place for InWorld {
    fn probe(&self, probe: Probe) -> BoxFuture<'_, Result<Finding, ProbeError>> {
        let (lab, place) = (self.lab.clone(), self.place);
        Box::pin(async move {
            let probing = tokio::task::spawn_blocking(move || probe_in_world(&lab, place, &probe));
            probing.await.map_err(|error| ProbeError::broken("probing in the lab's world", error))?
        })
    }
}

fn probe_in_world(lab: &str, place: &str, probe: &Probe) -> Result<Finding, ProbeError> {
    let broken = |error: &dyn std::fmt::Display| ProbeError::broken("probing in the lab's world", error);
    let lab = Lab::open(lab).map_err(|error| broken(&error))?;
    let program = std::env::current_exe().map_err(|error| broken(&error))?;
    let mut command =
        lab.world_command(place, &[&program.to_string_lossy(), "probe"]).map_err(|error| broken(&error))?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| broken(&error))?;
    let question = serde_json::to_vec(probe).map_err(|error| broken(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&question).map_err(|error| broken(&error))?;
    }
    let output = child.wait_with_output().map_err(|error| broken(&error))?;
    if !output.status.success() {
        return Err(broken(&String::from_utf8_lossy(&output.stderr)));
    }
    let answer = serde_json::from_slice(&output.stdout).map_err(|error| broken(&error))?;
    bastide_verify::probe::finding(answer)
}
