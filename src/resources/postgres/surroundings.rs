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
  'large_objects', (SELECT count(*) FROM pg_largeobject_metadata),
  'event_triggers', (SELECT count(*) FROM pg_event_trigger t
    WHERE NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid AND m.deptype = 'e')),
  'search_path', :path)
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
    /// How many event triggers it has that belong to no extension.
    #[serde(default)]
    pub(super) event_triggers: u64,
    /// The schemas in which the application looks for names, and behind them all others, as `SET search_path` takes them;
    /// `None`: there are none, or an older guard did not ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) search_path: Option<String>,
}

/// Sets `path` to the literal of [`Surroundings::search_path`]: as the owner's sessions have it in this database.
pub(super) const PATH: &str = r#"
SELECT coalesce(quote_literal((SELECT string_agg(quote_ident(s.nspname), ', ' ORDER BY array_position(own.names, s.nspname::text), s.oid)
  FROM pg_namespace s, (SELECT array_agg(CASE trim(e, ' "') WHEN '$user' THEN x.owner ELSE trim(e, ' "') END) AS names
    FROM (SELECT pg_get_userbyid(d.datdba)::text AS owner, coalesce((SELECT substr(v, 13) FROM pg_db_role_setting r, unnest(r.setconfig) v
        WHERE v LIKE 'search_path=%' AND (r.setdatabase = d.oid OR (r.setdatabase = 0 AND r.setrole = d.datdba))
        ORDER BY r.setdatabase = 0, r.setrole <> d.datdba, r.setrole <> 0 LIMIT 1), '"$user", public') AS path
      FROM pg_database d WHERE d.datname = current_database()) x, unnest(string_to_array(x.path, ',')) e) own
  WHERE s.nspname !~ '^pg_' AND s.nspname <> 'information_schema')), 'NULL::text') AS path \gset
"#;

impl Surroundings {
    /// The statements that make a role.
    pub(super) fn role(&self, name: &str) -> Option<&str> {
        self.roles.get(name).map(String::as_str)
    }
}
