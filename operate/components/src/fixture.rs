//! A platform to test components with: the lab's.

use crate::{AppImage, Authority, Context, Program, Secrets};
use bastide_platform::{Host, OperatingSystem, Platform};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// When tests take place.
pub(crate) const NOW: i64 = 1_795_000_000;

/// Everything that a [`Context`] borrows.
pub(crate) struct Fixture {
    pub(crate) platform: Platform,
    pub(crate) secrets: Secrets,
    pub(crate) authority: Authority,
    pub(crate) names: BTreeMap<String, Ipv4Addr>,
    app_image: AppImage,
    issuer: Program,
    _directory: tempfile::TempDir,
}

impl Fixture {
    /// The lab's platform as its file describes it.
    pub(crate) fn lab() -> Self {
        let text = include_str!("../../../platform.toml");
        let mut platform = Platform::parse(text, "platform.toml").expect("the lab's platform file is valid");
        // There is no lab that would make them credentials.
        platform.settings.identity.providers.clear();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let secrets = Secrets::open(&directory.path().join("secrets")).expect("secrets");
        let authority = Authority::open(&secrets, NOW).expect("an authority");
        let app_image =
            AppImage { reference: "bastide/app:test".into(), id: "sha256:0".into(), archive: "0".into() };
        let issuer = Program { sha256: "5".repeat(64) };
        let names = BTreeMap::new();
        Self { platform, secrets, authority, names, app_image, issuer, _directory: directory }
    }

    /// The same platform on another operating system.
    pub(crate) fn lab_on(os: OperatingSystem) -> Self {
        let mut fixture = Self::lab();
        for host in &mut fixture.platform.hosts {
            host.os = os;
        }
        fixture
    }

    pub(crate) fn host(&self, name: &str) -> &Host {
        self.platform.host(name).expect("a host of the lab")
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            platform: &self.platform,
            secrets: &self.secrets,
            authority: &self.authority,
            app_image: &self.app_image,
            issuer: Some(&self.issuer),
            now: NOW,
            names: &self.names,
        }
    }
}
