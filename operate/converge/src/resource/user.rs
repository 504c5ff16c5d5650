//! Users and the keys that open their accounts.

use crate::difference::{Difference, unified};
use crate::files::{self, Ownership};
use crate::host::Host;
use crate::resource::{Manage, Observed, ResourceError, ResourceId};
use rustix::fs::{CWD, Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::Permissions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// A user account that no password opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Login name; a group of the same name is its primary one.
    pub name: String,
    /// Whether it is a service's account.
    pub system: bool,
    /// Numeric id, of the user and of its group, where it matters (files seen from a container); chosen by the
    /// system otherwise.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Further groups; those that packages or people added stay.
    pub groups: Vec<String>,
    /// Exactly these OpenSSH public keys open it; none leaves the file alone.
    pub authorized_keys: Option<Vec<String>>,
}

impl Manage for User {
    fn id(&self) -> ResourceId {
        ResourceId::new("user", &self.name)
    }

    fn observe(&self, host: &mut Host) -> Result<Observed, ResourceError> {
        let accounts = host.facts.accounts()?;
        let Some(account) = accounts.user(&self.name) else {
            let groups: String = self.groups.iter().map(|group| format!(", in {group}")).collect();
            let summary = format!("create, home {}, shell {}{groups}", self.home, self.shell);
            let keys = self.authorized_keys.iter().flatten().map(|key| format!("+{key}")).collect();
            return Ok(Observed::differs(Difference::with_lines(summary, keys)));
        };
        let mut findings = Vec::new();
        if let Some(uid) = self.uid.filter(|uid| *uid != account.uid) {
            findings.push(format!("uid {} → {uid}", account.uid));
        }
        if let Some(gid) = self.uid.filter(|gid| *gid != account.gid) {
            findings.push(format!("gid {} → {gid}", account.gid));
        }
        if account.home != self.home {
            findings.push(format!("home {} → {}", account.home, self.home));
        }
        if account.shell != self.shell {
            findings.push(format!("shell {} → {}", account.shell, self.shell));
        }
        let outside = self.groups.iter().filter(|group| !accounts.is_member(&self.name, group));
        findings.extend(outside.map(|group| format!("not in group {group}")));
        if accounts.has_password(&self.name) {
            findings.push("a password opens it, none should".to_owned());
        }
        let ids = (account.uid, account.gid);
        let (keys, lines) = self.compare_keys(host, ids)?;
        findings.extend(keys);
        Ok(match Difference::of(findings) {
            Some(difference) => Observed::differs(Difference { lines, ..difference }),
            None => Observed::same(format!("{} {}:{}", self.name, ids.0, ids.1)),
        })
    }

    fn change(&self, host: &mut Host) -> Result<(), ResourceError> {
        let commands = self.commands(host)?;
        for command in &commands {
            let argv: Vec<&str> = command.iter().map(String::as_str).collect();
            host.run(&argv, None)?;
        }
        host.facts.forget_accounts();
        let Some(keys) = self.keys_file() else { return Ok(()) };
        let accounts = host.facts.accounts()?;
        let account = accounts.user(&self.name).ok_or_else(|| {
            ResourceError::Other(format!("user {} is missing right after it was made", self.name))
        })?;
        let (uid, gid) = (account.uid, account.gid);
        let home = host.path(&self.home);
        files::make_parents(&home)?;
        let directory = open_ssh_directory(&home, uid, gid)?;
        let ownership = Ownership { uid, gid, mode: 0o600 };
        files::replace_in(
            &directory,
            &home.join(".ssh"),
            "authorized_keys",
            keys.as_bytes(),
            ownership,
            |_| Ok(()),
        )
    }

    fn guarded_paths(&self) -> Vec<String> {
        let keys = self.authorized_keys.as_ref().map(|_| format!("{}/.ssh/authorized_keys", self.home));
        keys.into_iter().collect()
    }
}

impl User {
    /// The account of a service, without a home, into which nobody logs in.
    #[must_use]
    pub fn of_service(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            system: true,
            uid: None,
            home: "/nonexistent".to_owned(),
            shell: "/usr/sbin/nologin".to_owned(),
            groups: Vec::new(),
            authorized_keys: None,
        }
    }

    fn keys_file(&self) -> Option<String> {
        self.authorized_keys.as_ref().map(|keys| keys.iter().map(|key| format!("{}\n", key.trim())).collect())
    }

    /// What differs in the authorized keys; another key is an open door, so all lines are shown.
    fn compare_keys(
        &self,
        host: &Host,
        (uid, gid): (u32, u32),
    ) -> Result<(Vec<String>, Vec<String>), ResourceError> {
        let Some(wanted) = self.keys_file() else { return Ok((vec![], vec![])) };
        let directory = host.path(&self.home).join(".ssh");
        let path: PathBuf = directory.join("authorized_keys");
        let mut findings = Vec::new();
        match files::metadata(&directory)? {
            None => {}
            Some(found) if found.is_symlink() || !found.is_dir() => {
                return Err(ResourceError::Other(format!(
                    "{} is not a directory of its own: look who put it there, and move it away",
                    directory.display()
                )));
            }
            Some(found) if Ownership::of(&found) == (Ownership { uid, gid, mode: 0o700 }) => {}
            Some(_) => findings.push("owner or mode of .ssh differs".to_owned()),
        }
        let present = match files::metadata(&path)? {
            None => String::new(),
            Some(found) if !found.is_file() || found.nlink() > 1 => {
                findings.push("authorized_keys is a link".to_owned());
                String::new()
            }
            Some(found) => {
                if Ownership::of(&found) != (Ownership { uid, gid, mode: 0o600 }) {
                    findings.push("owner or mode of authorized_keys differs".to_owned());
                }
                std::fs::read_to_string(&path)
                    .map_err(ResourceError::io(format!("read {}", path.display())))?
            }
        };
        if present == wanted {
            return Ok((findings, vec![]));
        }
        findings.push("authorized keys differ".to_owned());
        Ok((findings, unified(present.as_bytes(), wanted.as_bytes())))
    }

    /// What has to be run to make the account as asked.
    fn commands(&self, host: &mut Host) -> Result<Vec<Vec<String>>, ResourceError> {
        let accounts = host.facts.accounts()?;
        let mut argv: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
        let uid = self.uid.map(|uid| uid.to_string());
        let outside: Vec<&str> = self
            .groups
            .iter()
            .filter(|group| !accounts.is_member(&self.name, group))
            .map(String::as_str)
            .collect();
        let groups = outside.join(",");
        if let Some(account) = accounts.user(&self.name) {
            if let Some(uid) = uid.as_ref().filter(|_| self.uid != Some(account.uid)) {
                add(&["--uid", uid]);
            }
            if account.home != self.home {
                add(&["--home", &self.home]);
            }
            if account.shell != self.shell {
                add(&["--shell", &self.shell]);
            }
            if !outside.is_empty() {
                add(&["--append", "--groups", &groups]);
            }
            if accounts.has_password(&self.name) {
                // No password matches `*`; `!` would lock the account for keys too where PAM is off.
                add(&["--password", "*"]);
            }
            let renumbered =
                self.uid.filter(|gid| *gid != account.gid).map(|gid| self.group("groupmod", gid));
            let user = (!argv.is_empty())
                .then(|| [vec!["usermod".to_owned()], argv, vec![self.name.clone()]].concat());
            return Ok(renumbered.into_iter().chain(user).collect());
        }
        add(&["useradd", "--home-dir", &self.home, "--shell", &self.shell, "--password", "*"]);
        add(if self.system { &["--system", "--no-create-home"] } else { &["--create-home"] });
        let group = match (accounts.group(&self.name), self.uid) {
            (None, None) => {
                add(&["--user-group"]);
                None
            }
            (found, wanted) => {
                add(&["--gid", &self.name]);
                let verb = if found.is_some() { "groupmod" } else { "groupadd" };
                wanted.filter(|gid| found != Some(*gid)).map(|gid| self.group(verb, gid))
            }
        };
        if let Some(uid) = &uid {
            add(&["--uid", uid]);
        }
        if !outside.is_empty() {
            add(&["--groups", &groups]);
        }
        add(&[&self.name]);
        Ok(group.into_iter().chain([argv]).collect())
    }

    /// The command that gives the user's own group its number.
    fn group(&self, verb: &str, gid: u32) -> Vec<String> {
        [verb, "--gid", &gid.to_string(), &self.name].map(str::to_owned).to_vec()
    }
}

/// Opens `.ssh` below a home, made if it is missing. Its owner could swap it for a link while we work, so it is
/// opened without following one and used through the open directory only.
fn open_ssh_directory(home: &std::path::Path, uid: u32, gid: u32) -> Result<OwnedFd, ResourceError> {
    let failed =
        |error: rustix::io::Errno| files::refused(format!("open {}/.ssh", home.display()), error.into());
    let made = std::fs::create_dir(home).is_ok();
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let home = rustix::fs::openat(CWD, home, flags, Mode::empty()).map_err(failed)?;
    if made {
        own(&home, uid, gid, 0o750)?;
    }
    match rustix::fs::mkdirat(&home, ".ssh", Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(failed(error)),
    }
    let directory = rustix::fs::openat(&home, ".ssh", flags, Mode::empty()).map_err(failed)?;
    own(&directory, uid, gid, 0o700)?;
    Ok(directory)
}

fn own(directory: &OwnedFd, uid: u32, gid: u32, mode: u32) -> Result<(), ResourceError> {
    let attempted = "set the owner and mode of a directory in a user's home";
    let directory = std::fs::File::from(directory.try_clone().map_err(ResourceError::io(attempted))?);
    std::os::unix::fs::fchown(&directory, Some(uid), Some(gid)).map_err(ResourceError::io(attempted))?;
    directory.set_permissions(Permissions::from_mode(mode)).map_err(ResourceError::io(attempted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::testing::Scratch;

    fn me() -> User {
        User {
            name: "me".into(),
            system: false,
            uid: None,
            home: "/home/me".into(),
            shell: "/bin/sh".into(),
            groups: vec![],
            authorized_keys: Some(vec!["ssh-ed25519 AAAA maria".into()]),
        }
    }

    #[test]
    fn keys_are_exactly_those_asked_for() {
        let mut scratch = Scratch::new();
        assert_eq!(scratch.converge(&me()), "authorized keys differ");
        let path = scratch.host.path("/home/me/.ssh/authorized_keys");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        scratch.write("/home/me/.ssh/authorized_keys", "ssh-ed25519 AAAA maria\nssh-rsa BBBB intruder\n");
        let difference = me().observe(&mut scratch.host).unwrap().difference.unwrap();
        assert!(difference.lines.contains(&"-ssh-rsa BBBB intruder".to_owned()), "{difference:?}");
        scratch.converge(&me());
    }

    #[test]
    fn a_link_in_the_home_is_not_followed() {
        let mut scratch = Scratch::new();
        scratch.write("/etc/target/authorized_keys", "precious");
        std::fs::create_dir_all(scratch.host.path("/home/me")).unwrap();
        std::os::unix::fs::symlink(scratch.host.path("/etc/target"), scratch.host.path("/home/me/.ssh"))
            .unwrap();
        assert!(me().observe(&mut scratch.host).is_err());
        assert!(me().change(&mut scratch.host).is_err());
        assert_eq!(scratch.read("/etc/target/authorized_keys"), "precious");
    }

    #[test]
    fn differences_and_the_command_that_takes_them_away() {
        let mut scratch = Scratch::new();
        scratch.write("/etc/passwd", "me:x:7:7::/old:/bin/sh\n");
        scratch.write("/etc/shadow", "me:$y$x:1::::::\n");
        let wanted = User {
            uid: Some(8),
            groups: vec!["docker".into()],
            shell: "/bin/bash".into(),
            authorized_keys: None,
            ..me()
        };
        let difference = wanted.observe(&mut scratch.host).unwrap().difference.unwrap();
        assert_eq!(
            difference.summary,
            "uid 7 → 8, gid 7 → 8, home /old → /home/me, shell /bin/sh → /bin/bash, not in group docker, a \
             password opens it, none should"
        );
        let commands: Vec<String> =
            wanted.commands(&mut scratch.host).unwrap().iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            commands,
            [
                "groupmod --gid 8 me",
                "usermod --uid 8 --home /home/me --shell /bin/bash --append --groups docker --password * me"
            ]
        );
    }

    #[test]
    fn a_missing_user_is_made() {
        let mut scratch = Scratch::new();
        let wanted = User { name: "new".into(), system: true, uid: Some(900), authorized_keys: None, ..me() };
        assert!(wanted.observe(&mut scratch.host).unwrap().difference.unwrap().summary.starts_with("create"));
        let commands: Vec<String> =
            wanted.commands(&mut scratch.host).unwrap().iter().map(|words| words.join(" ")).collect();
        assert_eq!(
            commands,
            [
                "groupadd --gid 900 new",
                "useradd --home-dir /home/me --shell /bin/sh --password * --system --no-create-home --gid new --uid 900 new"
            ]
        );
    }
}
