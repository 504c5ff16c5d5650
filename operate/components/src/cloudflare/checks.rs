//! What must be true of the edge behind a CDN: it knows the CDN by address and by certificate.

use super::{NAME, in_front};
use crate::Context;
use crate::probing::refuted;
use bastide_platform::Platform;
use bastide_verify::probe::{Connect, Reach, Refusal, Stage, Tls, TlsVersion, Trust};
use bastide_verify::{Check, Failure, Vantage};
use std::net::IpAddr;

pub(super) fn checks(context: &Context<'_>) -> Vec<Check> {
    if in_front(context.platform) {
        vec![refuses_the_internet(context.platform), refuses_without_certificate(context.platform)]
    } else {
        vec![]
    }
}

fn edge_address(platform: &Platform) -> Result<IpAddr, Failure> {
    let address = platform.edge().public_address.map(IpAddr::V4);
    address.ok_or_else(|| Failure::Impossible("the edge has no public address".to_owned()))
}

fn refuses_the_internet(platform: &Platform) -> Check {
    let host = platform.edge().name.to_string();
    let claim = "nobody but the CDN gets a connection to the edge's web ports";
    Check::new("cloudflare/refuses-the-internet", NAME, Some(&host), claim, |field| async move {
        let address = edge_address(&field.platform)?;
        let ports = Connect::to(vec![(address, 80), (address, 443)]);
        let found = field.connect_all(&Vantage::Internet, ports.clone()).await?;
        if found.contains(&Reach::Open) {
            return refuted(format!("80 and 443 are {} from the internet", list(&found)));
        }
        // The same ports answer the CDN, so it is who asks that made the difference.
        match field.connect_all(&Vantage::Cdn, ports).await {
            Ok(reached) if reached.iter().any(|reach| *reach != Reach::Open) => {
                refuted(format!("80 and 443 are {} from the CDN", list(&reached)))
            }
            _ => Ok(format!("80 and 443 are {} from the internet", list(&found))),
        }
    })
}

fn list(found: &[Reach]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Every customer of the CDN can send from its ranges.
fn refuses_without_certificate(platform: &Platform) -> Check {
    let host = platform.edge().name.to_string();
    let claim = "a client in the CDN's ranges gets nowhere without the certificate of our zone";
    Check::new("cloudflare/refuses-without-certificate", NAME, Some(&host), claim, |field| async move {
        let address = edge_address(&field.platform)?;
        let mut evidence = Vec::new();
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let mut shaking = Tls::new(address, 443, &field.platform.domain, Trust::Unchecked);
            shaking.only = Some(version);
            match field.tls(&Vantage::Cdn, shaking).await? {
                Err(Refusal { stage: Stage::Tls | Stage::Protocol, reason, .. }) => {
                    evidence.push(format!("{}: {reason}", version.as_str()));
                }
                Err(refusal) => return refuted(format!("the handshake did not get that far: {refusal}")),
                Ok(_) => return refuted(format!("a session in {} came about without one", version.as_str())),
            }
        }
        Ok(evidence.join("; "))
    })
}
