//! Names to addresses, asked from the name servers themselves: a static binary has no name service of the system's.

use std::io;
use std::net::IpAddr;

use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync {
    /// All of them.
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// Asks the name servers of `/etc/resolv.conf`.
#[derive(Debug, Clone)]
pub struct NameServers(Option<TokioResolver>);

impl NameServers {
    /// Reads `/etc/resolv.conf`. Where it cannot be read the log says so, and no name has an address.
    #[must_use]
    pub fn of_system() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        Self(resolver.inspect_err(|error| tracing::warn!(%error, "no names can be resolved")).ok())
    }
}

impl Resolve for NameServers {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        // With the dot, no search domain of this host is tried.
        let absolute = format!("{}.", name.trim_end_matches('.'));
        Box::pin(async move {
            let Some(resolver) = &self.0 else {
                return Err(io::Error::other("there is no usable /etc/resolv.conf"));
            };
            let found = resolver.lookup_ip(absolute).await.map_err(io::Error::other)?;
            Ok(found.iter().collect())
        })
    }
}
