//! How much room there is on the server's disks.

use serde::Deserialize;

use super::reach::Reach;
use guard_system::context::Context;
use guard_system::disk;

/// What the server tells, in one row.
#[derive(Deserialize)]
pub(crate) struct Told {
    pub(crate) version: String,
    pub(crate) number: u32,
    pub(crate) size: u64,
    pub(crate) recovery: bool,
    pub(crate) user: String,
    pub(crate) may_swap: bool,
    pub(crate) prepared: Vec<String>,
    pub(crate) slots: Vec<String>,
    pub(crate) subscriptions: Vec<String>,
    pub(crate) directory: Option<String>,
}

pub(crate) const QUESTION: &str = r"
SELECT pg_has_role('pg_read_all_settings', 'MEMBER') AS may \gset
\if :may
SELECT quote_literal(current_setting('data_directory')) AS directory \gset
\else
\set directory NULL
\endif
SELECT jsonb_build_object('version', current_setting('server_version'), 'number', current_setting('server_version_num')::int,
  'size', pg_database_size(d.oid), 'recovery', pg_is_in_recovery(), 'user', current_user,
  'may_swap', r.rolsuper OR (r.rolcreatedb AND pg_has_role(d.datdba, 'MEMBER')),
  'prepared', (SELECT coalesce(jsonb_agg(gid), '[]') FROM pg_prepared_xacts WHERE database = d.datname),
  'slots', (SELECT coalesce(jsonb_agg(slot_name), '[]') FROM pg_replication_slots WHERE database = d.datname),
  'subscriptions', (SELECT coalesce(jsonb_agg(subname), '[]') FROM pg_subscription WHERE subdbid = d.oid),
  'directory', coalesce(nullif(pg_tablespace_location(d.dattablespace), ''), :directory::text))
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user;
";

/// The free space of the server's disk, where it can be seen.
pub(crate) fn room(reach: &Reach, cx: &Context) -> Option<u64> {
    free(reach, &directory(reach, cx)?, cx)
}

/// The directory of the server's that has the live database, where it may be known.
pub(crate) fn directory(reach: &Reach, cx: &Context) -> Option<String> {
    let told: Vec<Told> = reach.rows(&reach.database, QUESTION, cx).ok()?;
    told.into_iter().next()?.directory
}

pub(crate) fn free(reach: &Reach, directory: &str, cx: &Context) -> Option<u64> {
    if reach.container().is_some() {
        let output = cx
            .output(&reach.program("df", false, &["-P", "-k", "--", directory]))
            .ok()?;
        let text = output.text();
        let kilobytes: u64 = text.lines().last()?.split_whitespace().nth(3)?.parse().ok()?;
        return kilobytes.checked_mul(1024);
    }
    // A server on this host may still live in a container of which only the port is seen: then the path is not here.
    let path = std::path::Path::new(directory);
    // A tablespace has a directory for each version that uses it.
    let entries = disk::list(path).unwrap_or_default();
    let is_here = |entry: &std::path::PathBuf| {
        entry
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("PG_"))
    };
    if reach.is_local() && entries.iter().any(is_here) {
        return disk::free_bytes(path).ok();
    }
    None
}
