//! What `guard check` learns about a database before anyone goes forward.

use super::database::Postgres;
use super::migrations::check;
use super::reach::Reach;
use super::space::{QUESTION, Told, free};
use super::{carry, catalog, clients, in_place, risks, standby};
use crate::error::{ResourceError, Result};
use crate::survey::Survey;
use guard_model::text::bytes;
use guard_system::context::Context;

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
        return check::survey(of, wish, cx, survey);
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
    ask_space(of, &reach, &told, cx, survey);
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
fn ask_space(of: &Postgres, reach: &Reach, told: &Told, cx: &Context, survey: &mut Survey) {
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
    if let Some(told) = standby::outlook(of, told.size, free) {
        survey.fact(told);
    }
}
