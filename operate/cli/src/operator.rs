//! The operator: the platform file, the way to its hosts, and the secrets, brought together for a command.

mod artifact;
mod lab;
mod places;

use crate::arguments::Arguments;
use crate::exit::LintErrors;
use crate::output::style;
use anyhow::{Context as _, Result};
use bastide_components::{AppImage, Authority, Context, Program, Secrets, Step};
use bastide_converge::resource::Resource;
use bastide_converge::run::{Blobs, Fleet};
use bastide_converge::session::AgentBinary;
use bastide_converge::ssh::{Access, SshConfig};
use bastide_lab::Lab;
use bastide_platform::{Platform, Severity};
use bastide_verify::Field;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use lab::{boot, connections, existing};

/// Everything that a command needs to work with a platform's hosts.
pub struct Operator {
    /// The platform, with what the lab adds to it.
    pub platform: Arc<Platform>,
    /// The lab, where the platform is one.
    pub lab: Option<Lab>,
    /// The way to the hosts.
    pub ssh: SshConfig,
    /// The operator's secrets.
    pub secrets: Secrets,
    authority: Authority,
    image: AppImage,
    issuer: Option<Program>,
    /// Bytes that hosts may ask for.
    pub blobs: Arc<Blobs>,
    names: BTreeMap<String, Ipv4Addr>,
    now: i64,
}

/// Loads the platform file, without anything that stands around it.
pub fn load(arguments: &Arguments) -> Result<Platform> {
    Ok(Platform::load(&arguments.platform)?)
}

/// Refuses to go on with a platform that lint finds errors in; warnings are shown.
pub fn refuse_errors(platform: &Platform) -> Result<()> {
    let findings = bastide_platform::lint(platform);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    for finding in findings.iter().filter(|finding| finding.severity != Severity::Note) {
        eprintln!("{finding}");
    }
    if errors > 0 { Err(LintErrors(errors).into()) } else { Ok(()) }
}

impl Operator {
    /// Brings together what a command needs. A lab must be up already; see [`boot`].
    pub fn open(arguments: &Arguments, platform: Platform) -> Result<Self> {
        let lab = platform.settings.lab.is_some().then(|| existing(&platform)).transpose()?;
        let mut platform = platform;
        let (access, state, names) = match &lab {
            Some(lab) => {
                lab::complete(&mut platform, lab)?;
                (lab::access(lab), lab.operator_dir(), lab::names(lab))
            }
            None => (access(arguments, &platform)?, state_directory(&platform)?, BTreeMap::new()),
        };
        let ssh = SshConfig::write(&platform, &access)
            .with_context(|| format!("write ssh's configuration in {}", access.directory.display()))?;
        let secrets = Secrets::open(&state.join("secrets"))?;
        let (image, mut blobs) = artifact::app_image(&platform)?;
        let issuer = artifact::issuer_program(&platform, &mut blobs)?;
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let authority = Authority::open(&secrets, now)?;
        Ok(Self {
            platform: Arc::new(platform),
            lab,
            ssh,
            secrets,
            authority,
            image,
            issuer,
            blobs: Arc::new(blobs),
            names,
            now,
        })
    }

    /// What components are made from.
    pub fn context(&self) -> Context<'_> {
        Context {
            platform: &self.platform,
            secrets: &self.secrets,
            authority: &self.authority,
            app_image: &self.image,
            issuer: self.issuer.as_ref(),
            now: self.now,
            names: &self.names,
        }
    }

    /// What every host gets, in order, up to and including `last`.
    pub fn resources(&self, last: Step) -> Result<Vec<(String, Vec<Resource>)>> {
        let context = self.context();
        self.platform
            .hosts
            .iter()
            .map(|host| Ok((host.name.to_string(), bastide_components::resources(&context, host, last)?)))
            .collect()
    }

    /// Connects to every host.
    pub async fn connect(&self) -> Result<Fleet> {
        let agent = AgentBinary::current().context("read this program, to send it to the hosts")?;
        Ok(Fleet::connect(&self.platform, self.ssh.clone(), agent).await)
    }

    /// Where checks can be made from.
    pub async fn field(&self, fleet: &Fleet) -> Result<Arc<Field>> {
        places::field(self, fleet).await.map(Arc::new)
    }
}

/// Who is at work, as a lock shows it.
pub fn holder() -> String {
    let user =
        std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "root".to_owned());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{} (process {})", machine.trim(), std::process::id())
}

fn access(arguments: &Arguments, platform: &Platform) -> Result<Access> {
    let beside = platform.source.parent().unwrap_or(Path::new("."));
    let known_hosts = beside.join("known_hosts");
    if !known_hosts.exists() && !arguments.pin_new_hosts {
        eprintln!(
            "{} no host key is pinned yet ({} does not exist); the first run needs `--pin-new-hosts`",
            style::warning("note:"),
            known_hosts.display()
        );
    }
    Ok(Access {
        identity: None,
        known_hosts: std::path::absolute(known_hosts)?,
        directory: runtime_directory().join(&platform.name),
        pin_new_hosts: arguments.pin_new_hosts,
    })
}

/// Secrets of real servers: beside the platform file, in a directory that its `.gitignore` keeps out of a repository.
fn state_directory(platform: &Platform) -> Result<PathBuf> {
    let directory = platform.source.parent().unwrap_or(Path::new(".")).join(".bastide");
    let ignore = directory.join(".gitignore");
    if !ignore.exists() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .and_then(|()| std::fs::write(&ignore, "*\n"))
            .with_context(|| format!("keep secrets out of repositories with {}", ignore.display()))?;
    }
    Ok(directory.join(&platform.name))
}

/// A short path, because the names of sockets must be short.
fn runtime_directory() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || {
            let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
            home.join(".cache/bastide")
        },
        |directory| PathBuf::from(directory).join("bastide"),
    )
}
