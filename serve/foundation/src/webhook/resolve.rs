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
pub struct NameServers(TokioResolver);

impl NameServers {
    /// Reads `/etc/resolv.conf`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_system() -> io::Result<Self> {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        resolver.map(Self).map_err(io::Error::other)
    }
}

impl Resolve for NameServers {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        // With the dot, no search domain of this host is tried.
        let absolute = format!("{}.", name.trim_end_matches('.'));
        Box::pin(async move {
            let found = self.0.lookup_ip(absolute).await.map_err(io::Error::other)?;
            Ok(found.iter().collect())
        })
    }
}
