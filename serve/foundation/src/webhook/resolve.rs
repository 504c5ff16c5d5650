//! Names to addresses, asked from the name servers themselves: a static binary has no name service of the system's.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver};

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync {
    /// All of them.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// Looks into `/etc/hosts`, then asks the name servers of `/etc/resolv.conf`.
#[derive(Debug, Clone)]
pub struct NameServers {
    hosts: Arc<Hosts>,
    servers: Option<TokioResolver>,
}

impl NameServers {
    /// Reads both files. Where `/etc/resolv.conf` cannot be read the log says so, and only the names in `/etc/hosts`
    /// have addresses.
    #[must_use]
    pub fn of_system() -> Self {
        let hosts = Hosts::from_system().unwrap_or_default();
        let servers = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        let servers = servers.inspect_err(|error| tracing::warn!(%error, "no name server can be asked")).ok();
        Self { hosts: Arc::new(hosts), servers }
    }

    /// What `/etc/hosts` says is all there is to know of a name, as for every other program of the host. The resolver
    /// alone would still ask the name servers for the address family that the file does not have.
    fn in_hosts(&self, name: &Name) -> Vec<IpAddr> {
        let families = [RecordType::A, RecordType::AAAA].into_iter();
        let found =
            families.filter_map(|family| self.hosts.lookup_static_host(&Query::query(name.clone(), family)));
        found
            .flat_map(|lookup| {
                lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>()
            })
            .collect()
    }
}

impl Resolve for NameServers {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            // With the dot, no search domain of this host is tried.
            let absolute = format!("{}.", name.trim_end_matches('.').to_ascii_lowercase());
            let name = Name::from_utf8(absolute).map_err(io::Error::other)?;
            let listed = self.in_hosts(&name);
            if !listed.is_empty() {
                return Ok(listed);
            }
            let Some(servers) = &self.servers else {
                return Err(io::Error::other("there is no usable /etc/resolv.conf"));
            };
            let found = servers.lookup_ip(name).await.map_err(io::Error::other)?;
            Ok(found.iter().collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_in_the_hosts_file_is_not_asked_for() {
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf(&b"10.0.0.1 edge id.example.test\nfd00::1 both\n10.0.0.2 both\n"[..]).unwrap();
        // Without a name server, so that whatever is found was found in the file.
        let names = NameServers { hosts: Arc::new(hosts), servers: None };
        let of = async |name: &str| {
            let found = names.resolve(name).await.ok()?;
            Some(found.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(of("id.example.test").await, Some(vec!["10.0.0.1".to_owned()]));
        assert_eq!(of("ID.example.test.").await, Some(vec!["10.0.0.1".to_owned()]));
        assert_eq!(of("both").await, Some(vec!["10.0.0.2".to_owned(), "fd00::1".to_owned()]));
        assert_eq!(of("other.example.test").await, None);
    }
}
