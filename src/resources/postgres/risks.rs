//! What a restore would stumble over, found while nobody is hurt: extensions of other versions, objects that only a superuser
//! may make, a pooler in between, text that the system sorts otherwise by now.

use serde::Deserialize;

use super::exchange::MAY_END;
use super::reach::Reach;
use crate::error::Result;
use crate::survey::Survey;
use guard_system::context::Context;
use guard_system::processes::CallError;

/// The database of PgBouncer's own console, which no server has.
const CONSOLE: &str = "pgbouncer";

#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
enum Line {
    /// An extension whose version is not the one that a dump brings back.
    Extension {
        name: String,
        version: String,
        schema: String,
        standard: Option<String>,
        available: bool,
    },
    /// Something that this user may not make anew.
    Beyond { what: String },
    /// Something that this user may not read.
    Unreadable { what: String, security: bool },
    /// Sessions of others that a swap could not end.
    Sessions { of: String, count: u64 },
    /// Text was sorted by another version of the system's rules.
    Collation {
        recorded: Option<String>,
        actual: Option<String>,
    },
}

const QUESTION: &str = r"
SELECT jsonb_build_object('is', 'extension', 'name', e.extname, 'version', e.extversion, 'schema', n.nspname, 'standard', a.default_version,
  'available', EXISTS (SELECT FROM pg_available_extension_versions v WHERE v.name = e.extname AND v.version = e.extversion))
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace LEFT JOIN pg_available_extensions a ON a.name = e.extname
WHERE e.extversion IS DISTINCT FROM a.default_version;
WITH own AS (SELECT oid FROM pg_database WHERE datname = current_database()),
  members AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
SELECT jsonb_build_object('is', 'beyond', 'what', what) FROM (
  SELECT format('the event trigger %I', evtname) FROM pg_event_trigger t
    WHERE NOT EXISTS (SELECT FROM members WHERE classid = 'pg_event_trigger'::regclass AND objid = t.oid)
  UNION ALL SELECT format('the foreign-data wrapper %I', fdwname) FROM pg_foreign_data_wrapper w
    WHERE NOT EXISTS (SELECT FROM members WHERE classid = 'pg_foreign_data_wrapper'::regclass AND objid = w.oid)
  UNION ALL SELECT format('the publication %I, of all tables', pubname) FROM pg_publication WHERE puballtables
  UNION ALL SELECT format('the function %s, in the language %s', p.oid::regprocedure, l.lanname) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE NOT l.lanpltrusted AND p.prokind <> 'a' AND p.oid >= 16384 AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
  UNION ALL SELECT format('the setting %s of the database', split_part(v, '=', 1)) FROM pg_db_role_setting s, unnest(s.setconfig) v
    JOIN pg_settings g ON g.name = split_part(v, '=', 1) AND g.context = 'superuser' WHERE s.setdatabase = (SELECT oid FROM own)
  UNION ALL SELECT DISTINCT format('what belongs to the role %I', pg_get_userbyid(o.owner)) FROM (
      SELECT relowner, 'pg_class'::regclass, oid FROM pg_class WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
      UNION ALL SELECT proowner, 'pg_proc'::regclass, oid FROM pg_proc WHERE oid >= 16384) o (owner, class, oid)
    WHERE NOT pg_has_role(o.owner, 'MEMBER') AND NOT EXISTS (SELECT FROM members WHERE classid = o.class AND objid = o.oid)
) x (what) WHERE NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
SELECT jsonb_build_object('is', 'unreadable', 'what', c.oid::regclass, 'security', row_security_active(c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'S') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND (NOT has_schema_privilege(n.oid, 'USAGE') OR NOT CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END
    OR row_security_active(c.oid))
  AND (NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    OR EXISTS (SELECT FROM pg_extension e WHERE c.oid = ANY (e.extconfig)))
ORDER BY c.oid::regclass::text LIMIT 5;
SELECT jsonb_build_object('is', 'sessions', 'of', usename, 'count', count(*)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND usename IS NOT NULL
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AND NOT :may_end GROUP BY usename;
SELECT current_setting('server_version_num')::int >= 150000 AS knows \gset
\if :knows
SELECT jsonb_build_object('is', 'collation', 'recorded', datcollversion, 'actual', pg_database_collation_actual_version(oid))
FROM pg_database WHERE datname = current_database() AND datcollversion IS DISTINCT FROM pg_database_collation_actual_version(oid);
\endif
";

/// Adds what is found to a survey.
pub(super) fn ask(reach: &Reach, cx: &Context, survey: &mut Survey) -> Result<()> {
    let question = QUESTION.replace(":may_end", MAY_END);
    for line in reach.rows(&reach.database, &question, cx)? {
        match line {
            Line::Extension { name, version, schema, standard, available } => {
                let standard = standard.unwrap_or_else(|| "none".to_owned());
                let advice = format!("before the deployment: ALTER EXTENSION {} UPDATE", super::sql::ident(&name));
                if !available {
                    let what = format!("the extension {name} is of version {version}, which the server could not make anew: it has {standard}");
                    survey.refuse(what, advice);
                } else if !is_in_every_database(&schema) {
                    let what = format!("the extension {name} is of version {version} in the schema {schema}, and a restore would bring {standard}");
                    survey.refuse(what, advice);
                } else {
                    survey.fact(format!("the extension {name} is of version {version}, not {standard}; a restore keeps that"));
                }
            }
            Line::Beyond { what } => survey.refuse(
                format!("{what}: this user may not make that anew, so a restore would fail"),
                "use a superuser, or let the user be a member of the role that owns it",
            ),
            Line::Unreadable { what, security } if security => survey.refuse(
                format!("row security hides rows of {what} from this user, so a copy would not have them"),
                "use a superuser, a role with BYPASSRLS, or the owner of tables without FORCE ROW LEVEL SECURITY",
            ),
            Line::Unreadable { what, .. } => survey.refuse(
                format!("this user may not read {what}, so it could not be copied"),
                "GRANT SELECT on it, and USAGE on its schema, to the user; or use a superuser",
            ),
            Line::Sessions { of, count } => survey.warn(
                format!("this user may not end the sessions of {of} ({count} now), and a swap waits until they are gone"),
                "GRANT pg_signal_backend to the user; sessions of a superuser are ended by a superuser only",
            ),
            Line::Collation { recorded, actual } => survey.warn(
                format!(
                    "indexes on text were made under collation version {}, and the system has {}: they may be wrong already",
                    recorded.as_deref().unwrap_or("none"),
                    actual.as_deref().unwrap_or("none")
                ),
                "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION; a restored database is indexed anew",
            ),
        }
    }
    if reach.container().is_none() && is_pooler(reach, cx) {
        survey.refuse(
            "PgBouncer is between guard and the server: it would keep sessions with databases that a restore has to rename",
            "set `direct_url` to the server's own address; clients may stay with the pooler",
        );
    }
    Ok(())
}

/// Whether a fresh database has this schema before anything is restored into it.
pub(super) fn is_in_every_database(schema: &str) -> bool {
    matches!(schema, "public" | "pg_catalog")
}

/// Whether the other end knows PgBouncer's console: it lets us in, or says that we are not among those who may.
fn is_pooler(reach: &Reach, cx: &Context) -> bool {
    match cx.output(&reach.psql(CONSOLE).input("SHOW VERSION;\n")) {
        Ok(output) => output.text().contains("PgBouncer"),
        Err(CallError::Exit { stderr, .. }) => stderr.contains("not allowed") || stderr.contains("admin"),
        Err(_) => false,
    }
}
