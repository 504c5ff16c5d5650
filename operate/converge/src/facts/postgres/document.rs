//! Roles, databases and settings in one document, from one query.

use serde::Deserialize;

/// What a server holds.
#[derive(Deserialize)]
pub(crate) struct Document {
    /// Version as PostgreSQL counts, for example 180006.
    pub(crate) version: u32,
    pub(crate) roles: Vec<Role>,
    pub(crate) databases: Vec<Database>,
    pub(crate) settings: Vec<Setting>,
    /// Settings that ALTER SYSTEM put over those of the files.
    pub(crate) overrides: Vec<String>,
}

/// A role.
#[derive(Deserialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) login: bool,
    pub(crate) inherit: bool,
    /// Privileges that no role of the platform may have, by their SQL keyword.
    pub(crate) powers: Vec<String>,
    pub(crate) limit: i32,
    pub(crate) verifier: Option<String>,
    pub(crate) expires: Option<String>,
    pub(crate) member_of: Vec<String>,
    /// Roles that it may also grant to others.
    pub(crate) admin_of: Vec<String>,
    pub(crate) settings: Vec<RoleSetting>,
}

/// A setting that a role's sessions start with.
#[derive(Deserialize)]
pub(crate) struct RoleSetting {
    /// Only in this database, where one is named.
    pub(crate) database: Option<String>,
    /// `name=value`.
    pub(crate) setting: String,
}

/// A database.
#[derive(Deserialize)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) encoding: String,
    /// Privileges of everyone but the owner.
    pub(crate) privileges: Vec<Privilege>,
}

/// A privilege on a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Privilege {
    /// The role; none for PUBLIC.
    pub(crate) role: Option<String>,
    pub(crate) privilege: String,
    pub(crate) grantable: bool,
}

/// A setting of the running server.
#[derive(Deserialize)]
pub(crate) struct Setting {
    pub(crate) name: String,
    /// In the unit below.
    pub(crate) value: Option<String>,
    pub(crate) unit: Option<String>,
    /// `bool`, `integer`, `real`, `enum` or `string`.
    pub(crate) kind: String,
    pub(crate) pending_restart: bool,
    /// The file that it was read from.
    pub(crate) file: Option<String>,
}

pub(super) const QUERY: &str = r"
SELECT json_build_object(
  'version', current_setting('server_version_num')::int,
  'roles', (SELECT json_agg(json_build_object(
      'name', r.rolname, 'login', r.rolcanlogin, 'inherit', r.rolinherit,
      'powers', array_remove(ARRAY[
          CASE WHEN r.rolsuper THEN 'SUPERUSER' END, CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
          CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
          CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL),
      'limit', r.rolconnlimit, 'verifier', r.rolpassword, 'expires', r.rolvaliduntil::text,
      'member_of', ARRAY(SELECT DISTINCT g.rolname::text FROM pg_auth_members m
          JOIN pg_authid g ON g.oid = m.roleid WHERE m.member = r.oid ORDER BY 1),
      'admin_of', ARRAY(SELECT DISTINCT g.rolname::text FROM pg_auth_members m
          JOIN pg_authid g ON g.oid = m.roleid WHERE m.member = r.oid AND m.admin_option ORDER BY 1),
      'settings', (SELECT coalesce(json_agg(json_build_object('database', d.datname, 'setting', s.setting)), '[]')
          FROM pg_db_role_setting o LEFT JOIN pg_database d ON d.oid = o.setdatabase, unnest(o.setconfig) s(setting)
          WHERE o.setrole = r.oid)))
      FROM pg_authid r WHERE r.rolname !~ '^pg_'),
  'databases', (SELECT json_agg(json_build_object(
      'name', d.datname, 'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
      'privileges', (SELECT coalesce(json_agg(json_build_object(
              'role', g.rolname, 'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]')
          FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a LEFT JOIN pg_authid g ON g.oid = a.grantee
          WHERE a.grantee <> d.datdba)))
      FROM pg_database d),
  'settings', (SELECT json_agg(json_build_object(
      'name', name, 'value', reset_val, 'unit', unit, 'kind', vartype, 'pending_restart', pending_restart,
      'file', sourcefile)) FROM pg_settings),
  'overrides', ARRAY(SELECT DISTINCT name FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf')
)";
