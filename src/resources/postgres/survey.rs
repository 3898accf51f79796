//! What `guard check` learns about a database before anyone goes forward.

use serde::Deserialize;

use super::reach::Reach;
use super::{Postgres, carry, catalog, clients, in_place, migrations, risks};
use crate::{ResourceError, Result, Survey};
use guard_model::text::bytes;
use guard_system::context::Context;
use guard_system::disk;

/// What the server tells, in one row.
#[derive(Deserialize)]
struct Told {
    version: String,
    number: u32,
    size: u64,
    recovery: bool,
    user: String,
    may_swap: bool,
    prepared: Vec<String>,
    slots: Vec<String>,
    subscriptions: Vec<String>,
    directory: Option<String>,
}

const QUESTION: &str = r"
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

pub(super) fn survey(of: &Postgres, cx: &Context) -> Survey {
    let mut survey = Survey::default();
    if let Err(error) = look(of, cx, &mut survey) {
        let advice = error
            .hint
            .clone()
            .unwrap_or_else(|| "correct it, then run `guard check` again".to_owned());
        let cause = error
            .source
            .as_ref()
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        survey.refuse(format!("{error}{cause}"), advice);
    }
    survey
}

fn look(of: &Postgres, cx: &Context, survey: &mut Survey) -> Result<()> {
    let reach = Reach::open(of, cx)?;
    let told: Vec<Told> = reach.rows(&reach.database, QUESTION, cx)?;
    let told = told.into_iter().next();
    let told = told.ok_or_else(|| ResourceError::new("the server told nothing about itself"))?;
    survey.fact(format!(
        "Postgres {}, database {} of {}",
        told.version,
        reach.database,
        bytes(told.size)
    ));
    survey.copy_bytes = Some(told.size);
    survey.side_bytes = Some(told.size.saturating_mul(6) / 5);
    clients::ask(&reach, told.number, &told.version, cx, survey)?;
    risks::ask(&reach, cx, survey)?;
    ask_standing(&told, of.in_place || of.migrations.is_some(), survey);
    if let Some(wish) = &of.migrations {
        if !told.may_swap && !wish.is_schema_only() {
            survey.warn(
                format!(
                    "the user {:?} may not make and rename databases here: where a migration cannot be taken back, the database cannot go back whole either",
                    told.user
                ),
                "use a superuser, or the database's owner with CREATEDB",
            );
        }
        return migrations::survey(of, wish, cx, survey);
    }
    if of.in_place {
        return in_place::survey(&reach, cx, survey);
    }
    if let Err(error) = reach.maintenance(cx) {
        survey.refuse(
            format!("neither `postgres` nor `template1` can be entered, from which databases are swapped: {error}"),
            "let the user connect to one of them",
        );
    }
    for holder in catalog::holders(&reach, &reach.database, cx)? {
        survey.warn(
            format!("a table is locked, and a dump would wait for it: {holder}"),
            "end that session",
        );
    }
    carry::survey(of, &reach, cx, survey)?;
    ask_space(&reach, &told, cx, survey);
    Ok(())
}

fn ask_standing(told: &Told, renames_nothing: bool, survey: &mut Survey) {
    if told.recovery {
        survey.refuse(
            "the server is a replica in recovery, and cannot be restored",
            "name the primary server",
        );
    }
    if renames_nothing {
        // What follows is only in the way of renames.
        return;
    }
    if !told.may_swap {
        survey.refuse(
            format!(
                "the user {:?} may not make and rename databases here, so nothing could be put back",
                told.user
            ),
            "use a superuser, or the database's owner with CREATEDB; where nobody may, as on some managed servers: `in_place = true`",
        );
    }
    for gid in &told.prepared {
        survey.refuse(
            format!("the prepared transaction {gid:?} is open, and blocks the swap of a restore"),
            "commit it or roll it back",
        );
    }
    for slot in &told.slots {
        survey.refuse(
            format!("the logical replication slot {slot:?} would stay with the displaced database after a restore"),
            "drop the slot for the time of the deployment, and make it anew afterwards",
        );
    }
    for subscription in &told.subscriptions {
        survey.refuse(
            format!("the subscription {subscription:?} would stay with the displaced database after a restore"),
            "drop the subscription for the time of the deployment, and make it anew afterwards",
        );
    }
}

/// Whether a second copy has room, where that can be seen.
fn ask_space(reach: &Reach, told: &Told, cx: &Context, survey: &mut Survey) {
    let free = told
        .directory
        .as_deref()
        .and_then(|directory| free(reach, directory, cx));
    let needed = told.size.saturating_mul(6) / 5;
    match free {
        Some(free) if free < needed => survey.refuse(
            format!(
                "the server's disk has {} free, and a restore beside the live database needs {}",
                bytes(free),
                bytes(needed)
            ),
            "free some space on the server's disk",
        ),
        Some(free) => survey.fact(format!("{} free on the server's disk", bytes(free))),
        None => survey.fact("the free space of the server's disk cannot be seen from here"),
    }
}

/// The free space of the server's disk, where it can be seen.
pub(super) fn room(reach: &Reach, cx: &Context) -> Option<u64> {
    let told: Vec<Told> = reach.rows(&reach.database, QUESTION, cx).ok()?;
    free(reach, told.first()?.directory.as_deref()?, cx)
}

pub(super) fn free(reach: &Reach, directory: &str, cx: &Context) -> Option<u64> {
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
