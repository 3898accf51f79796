//! What a database relies on and what belongs to the server: roles, tablespaces, collations; for the manifest, and to be
//! compared before anything is restored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Selects the surroundings of the current database.
pub(super) const SURROUNDINGS: &str = r"
SELECT jsonb_build_object('is', 'surroundings',
  'roles', (SELECT coalesce(jsonb_object_agg(r.rolname, format('CREATE ROLE %I%s;', r.rolname,
      CASE WHEN r.rolsuper THEN ' SUPERUSER' ELSE '' END || CASE WHEN r.rolcanlogin THEN ' LOGIN' ELSE '' END
      || CASE WHEN r.rolcreatedb THEN ' CREATEDB' ELSE '' END || CASE WHEN r.rolcreaterole THEN ' CREATEROLE' ELSE '' END
      || CASE WHEN r.rolreplication THEN ' REPLICATION' ELSE '' END || CASE WHEN r.rolbypassrls THEN ' BYPASSRLS' ELSE '' END)
      || coalesce((SELECT string_agg(format(' GRANT %I TO %I;', g.rolname, r.rolname), '' ORDER BY g.rolname)
        FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), '')), '{}')
    FROM pg_roles r WHERE r.oid = d.datdba
      OR r.oid IN (SELECT s.refobjid FROM pg_shdepend s WHERE s.refclassid = 'pg_authid'::regclass AND s.dbid = d.oid)),
  'tablespaces', (SELECT coalesce(jsonb_agg(t.spcname ORDER BY t.spcname), '[]') FROM pg_tablespace t
    WHERE t.oid = d.dattablespace OR t.oid IN (SELECT c.reltablespace FROM pg_class c WHERE c.oid >= 16384)),
  'collations', coalesce(jsonb_strip_nulls(jsonb_build_object('', to_jsonb(d)->'datcollversion')), '{}')
    || (SELECT coalesce(jsonb_object_agg(c.collname, c.collversion), '{}') FROM pg_collation c
      WHERE c.collversion IS NOT NULL AND c.oid IN (SELECT a.attcollation FROM pg_attribute a WHERE a.attrelid >= 16384)),
  'publications', (SELECT coalesce(jsonb_agg(p.pubname ORDER BY p.pubname), '[]') FROM pg_publication p),
  'large_objects', (SELECT count(*) FROM pg_largeobject_metadata))
FROM pg_database d WHERE d.datname = current_database();
";

/// What a database relies on, and what is told of it beside its tables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Surroundings {
    /// The roles that own something in it or hold a right on it, each with the statements that make it; without passwords.
    pub(super) roles: BTreeMap<String, String>,
    /// Where the database, its tables and indexes lie.
    pub(super) tablespaces: Vec<String>,
    /// The versions of the collations by which its columns are sorted; the database's own has an empty name.
    collations: BTreeMap<String, String>,
    publications: Vec<String>,
    large_objects: u64,
}

impl Surroundings {
    /// The statements that make a role.
    pub(super) fn role(&self, name: &str) -> Option<&str> {
        self.roles.get(name).map(String::as_str)
    }
}
