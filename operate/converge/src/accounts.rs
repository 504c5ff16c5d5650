//! Users and groups, as `/etc/passwd`, `/etc/group` and `/etc/shadow` hold them.

use std::collections::BTreeMap;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Numeric id.
    pub uid: u32,
    /// Numeric id of the primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

/// All users and groups of a host.
#[derive(Debug, Default)]
pub struct Accounts {
    users: BTreeMap<String, Account>,
    groups: BTreeMap<String, (u32, Vec<String>)>,
    with_password: Vec<String>,
}

impl Accounts {
    /// Reads the three files' text; lines that do not have their form are passed over, as the C library does.
    pub fn parse(passwd: &str, group: &str, shadow: &str) -> Self {
        let mut accounts = Self::default();
        for line in passwd.lines() {
            if let [name, _, uid, gid, _, home, shell] = line.split(':').collect::<Vec<_>>()[..]
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                let account = Account { uid, gid, home: home.to_owned(), shell: shell.to_owned() };
                accounts.users.entry(name.to_owned()).or_insert(account);
            }
        }
        for line in group.lines() {
            if let [name, _, gid, members] = line.split(':').collect::<Vec<_>>()[..]
                && let Ok(gid) = gid.parse()
            {
                let members = members.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect();
                accounts.groups.entry(name.to_owned()).or_insert((gid, members));
            }
        }
        for line in shadow.lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(password)) = (fields.next(), fields.next())
                && !password.starts_with(['!', '*'])
            {
                accounts.with_password.push(name.to_owned());
            }
        }
        accounts
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<&Account> {
        self.users.get(name)
    }

    /// The numeric id of the group of this name.
    pub fn group(&self, name: &str) -> Option<u32> {
        self.groups.get(name).map(|(gid, _)| *gid)
    }

    /// Whether `user` is in `group`, primarily or not.
    pub fn is_member(&self, user: &str, group: &str) -> bool {
        let Some((gid, members)) = self.groups.get(group) else { return false };
        members.iter().any(|member| member == user) || self.user(user).is_some_and(|u| u.gid == *gid)
    }

    /// Whether some password (or, worse, an empty one) opens the account.
    pub fn has_password(&self, user: &str) -> bool {
        self.with_password.iter().any(|name| name == user)
    }

    /// `owner:group` of numeric ids, by name where they have one.
    pub fn describe(&self, uid: u32, gid: u32) -> String {
        let user = self.users.iter().find(|(_, account)| account.uid == uid).map(|(name, _)| name.clone());
        let group = self.groups.iter().find(|(_, (id, _))| *id == gid).map(|(name, _)| name.clone());
        format!("{}:{}", user.unwrap_or_else(|| uid.to_string()), group.unwrap_or_else(|| gid.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\nmaria:x:1000:1000:Maria,,,:/home/maria:/bin/bash\nbroken:x\n",
            "root:x:0:\nmaria:x:1000:\ndocker:x:120:jo,maria\n",
            "root:*:1::::::\nmaria:$y$j9T$x:1::::::\nempty::1::::::\nlocked:!$y$x:1::::::\n",
        )
    }

    #[test]
    fn users_groups_and_membership() {
        let accounts = accounts();
        assert_eq!(accounts.user("maria").unwrap().home, "/home/maria");
        assert!(accounts.user("broken").is_none());
        assert_eq!(accounts.group("docker"), Some(120));
        assert!(accounts.is_member("maria", "docker"));
        assert!(accounts.is_member("maria", "maria"), "by the primary group");
        assert!(!accounts.is_member("root", "docker"));
        assert_eq!(accounts.describe(1000, 120), "maria:docker");
        assert_eq!(accounts.describe(7, 0), "7:root");
    }

    #[test]
    fn passwords() {
        let accounts = accounts();
        assert!(accounts.has_password("maria") && accounts.has_password("empty"));
        assert!(!accounts.has_password("root") && !accounts.has_password("locked"));
    }
}
