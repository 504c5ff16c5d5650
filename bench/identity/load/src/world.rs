//! Google, as the world's simulator has it, on a thread of its own.

use std::path::Path;
use std::sync::mpsc;

use foundation::environment::ServerCertificate;
use foundation::tls;
use login_providers::{Proof, Provider, Providers, Registration};

/// The issuer's name, as the platform would give it one.
pub const ISSUER: &str = "https://id.example.test";
/// What the issuer calls itself at the login provider.
pub const CLIENT: &str = "issuer";

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    #[error("starting the login provider: {0}")]
    Start(#[from] std::io::Error),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("the login provider ended before it listened")]
    Ended,
}

/// Where it is.
pub struct World {
    /// On the loopback, over TLS, as `localhost`.
    pub port: u16,
}

/// Starts it; it runs as long as the process.
pub fn start(files: &Path) -> Result<World, WorldError> {
    let shown = ServerCertificate { certificate: files.join("server.pem"), key: files.join("server.key") };
    let tls = tls::server(&shown)?;
    let secret = std::fs::read_to_string(files.join("client-secret"))?.trim_end().to_owned();
    let (say, said) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let started = Providers::start(&tls, "localhost").await;
            match started {
                Ok(world) => {
                    let redirect = format!("{ISSUER}/callback/google");
                    let known = Registration::new(CLIENT, &redirect, Proof::Secret(secret));
                    world.register(Provider::Google, known);
                    // Whoever asked may have gone; then the process ends.
                    let _ = say.send(Ok(world.port(Provider::Google)));
                    std::future::pending::<()>().await;
                }
                Err(error) => {
                    let _ = say.send(Err(error));
                }
            }
        });
    });
    Ok(World { port: said.recv().map_err(|_| WorldError::Ended)?? })
}
