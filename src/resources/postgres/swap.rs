//! The swap, its undo, and what becomes of the database that was put aside; each safe to repeat from any state.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::carry::before::{Carried, before_swap, carried_before, numbers_go_on};
use super::database::Postgres;
use super::exchange::{is_shut as asked, make_all, open, shut};
use super::reach::Reach;
use super::sql::{ident, literal};
use super::staging::{Staging, drop_own, number};
use crate::abilities::Group;
use crate::barrier::{Participant, Swap, SwapBarrier};
use crate::error::{ResourceError, Result};
use crate::sql::side_names::{Aside, turned};
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Prepared, Work};
use guard_system::context::Context;

/// What was put aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// The live database's name.
    live: String,
    /// The name of the one put aside.
    aside: String,
    /// What is live is the very database that was compared with the copy while it was staged.
    #[serde(default)]
    compared: bool,
    /// The rows that were taken along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<Carried>,
    /// The cluster and the user, as [`Staging`] has them: what was displaced together comes back together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    together: Option<String>,
    /// [`guard_model::artifact::ROWS`]: always, since it is a whole database.
    #[serde(default)]
    rows: bool,
}

/// Swaps in what was prepared, and waits for no other.
pub(super) fn restore_alone(
    of: &Postgres,
    prepared: &Prepared,
    artifact: &Artifact,
    cx: &Context,
) -> Result<Displaced> {
    let barrier = SwapBarrier::default();
    restore(of, prepared, artifact, &Group::alone(&barrier), cx)
}

/// Swaps in what was prepared, together with those of the same cluster in its group.
pub(super) fn restore(
    of: &Postgres,
    prepared: &Prepared,
    artifact: &Artifact,
    group: &Group<'_, Prepared>,
    cx: &Context,
) -> Result<Displaced> {
    if !matches!(prepared.work, Work::Changed(_)) {
        return Ok(nothing(of));
    }
    let staging: Staging = serde_json::from_value(prepared.details.clone())
        .map_err(|error| ResourceError::because("could not read what was prepared", error))?;
    let (live, side, failed) = (&staging.live, &staging.side, &staging.failed);
    let together = &staging.together;
    let others = group.others.iter().filter_map(|prepared| {
        let other: Staging = serde_json::from_value(prepared.details.clone()).ok()?;
        Some((other.together, other.live))
    });
    let seat = group.barrier.among(together.as_deref(), live, others, cx);
    let kept = |aside: &str, compared, carried| Kept {
        live: live.clone(),
        aside: aside.to_owned(),
        compared,
        carried,
        together: together.clone(),
        rows: true,
    };
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let names = reach.databases(maintenance, cx)?;
    let there = |name: &str| names.iter().any(|known| known == name);
    // A second restore of the same run displaces a second database: each gets a name of its own, the last is the newest.
    let numbered = |count: u32| {
        if count == 1 {
            failed.clone()
        } else {
            Aside::Failed.name(live, &format!("{}_{count}", cx.token()))
        }
    };
    let taken: Vec<String> = (1..100).map(numbered).take_while(|name| there(name)).collect();
    match (there(side), there(live), taken.last()) {
        (true, true, _) => {
            let outgoing = numbered(u32::try_from(taken.len()).unwrap_or_default() + 1);
            let swap = Swap {
                live: live.clone(),
                incoming: side.clone(),
                outgoing: outgoing.clone(),
            };
            // What blocks the swap would also hide rows from those who carry them over.
            swap.standing(&reach, maintenance, cx)?;
            let carried = before_swap(of, &reach, maintenance, &staging, artifact, cx);
            let swapped = carried.and_then(|carried| {
                let made = match &seat {
                    Some(seat) => seat.swap(&swap, |all| make_all(all, &reach, maintenance, cx), cx),
                    None => swap.make(&reach, maintenance, cx),
                };
                made.map(|()| carried)
            });
            let carried = swapped.inspect_err(|_| {
                // The fence is for a swap that did not come; whoever is live is let in.
                let _told = open(&reach, maintenance, live, &cx.unstoppable());
            })?;
            let compared = is_compared(&reach, maintenance, &staging, cx)?;
            if cx.fenced && !compared {
                // Whoever compares it has to see it.
                open(&reach, maintenance, live, cx)?;
            }
            aside(of, &kept(&outgoing, compared, carried))
        }
        // Nothing is live, as when the release dropped it: there is nothing to put aside but what an earlier swap did.
        (true, false, last) => {
            let script = format!("ALTER DATABASE {} RENAME TO {};", ident(side), ident(live));
            reach.run(maintenance, &script, cx)?;
            open(&reach, maintenance, live, cx)?;
            seat.iter().for_each(Participant::pass);
            last.map_or_else(|| Ok(nothing(of)), |last| aside(of, &kept(last, false, None)))
        }
        (false, true, last) => {
            let compared = is_compared(&reach, maintenance, &staging, cx)?;
            if !(cx.fenced && compared) {
                open(&reach, maintenance, live, cx)?;
            }
            match last {
                Some(last) => {
                    seat.iter().for_each(Participant::pass);
                    aside(of, &kept(last, compared, carried_before(of, cx)?))
                }
                None => Err(not_staged(side)),
            }
        }
        (false, false, _) => Err(not_staged(side)),
    }
}

/// Whether the database that was compared is the live one.
fn is_compared(reach: &Reach, maintenance: &str, staging: &Staging, cx: &Context) -> Result<bool> {
    let number = number(reach, maintenance, &staging.live, cx)?;
    Ok(number.is_some() && number == staging.compared)
}

fn not_staged(side: &str) -> ResourceError {
    ResourceError::new(format!(
        "the staged database {side} is not there any more; the live one is untouched"
    ))
    .with_hint("`guard rollback` stages it again")
}

/// Swaps back what was put aside, together with those of the same cluster in its group.
pub(super) fn undo(
    of: &Postgres,
    displaced: &Displaced,
    group: &Group<'_, Displaced>,
    cx: &Context,
) -> Result<Displaced> {
    let Some(Kept {
        live,
        aside: incoming,
        together,
        ..
    }) = read(displaced)?
    else {
        return Ok(displaced.clone());
    };
    let others = group.others.iter().filter_map(|displaced| {
        let other = read(displaced).ok()??;
        Some((other.together, other.live))
    });
    let seat = group.barrier.among(together.as_deref(), &live, others, cx);
    let kept = |aside: &str| Kept {
        live: live.clone(),
        aside: aside.to_owned(),
        compared: false,
        carried: None,
        together: together.clone(),
        rows: true,
    };
    let outgoing =
        turned(&incoming).ok_or_else(|| ResourceError::new(format!("{incoming:?} is not a name that guard gives")))?;
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let names = reach.databases(maintenance, cx)?;
    let there = |name: &str| names.iter().any(|known| known == name);
    match (there(&incoming), there(&live), there(&outgoing)) {
        (true, true, false) => {
            let swap = Swap {
                live: live.clone(),
                incoming,
                outgoing: outgoing.clone(),
            };
            swap.standing(&reach, maintenance, cx)?;
            let cx = &cx.unstoppable();
            numbers_go_on(of, &reach, maintenance, (&swap.live, &swap.incoming), cx);
            let swapped = match &seat {
                Some(seat) => seat.swap(&swap, |all| make_all(all, &reach, maintenance, cx), cx),
                None => swap.make(&reach, maintenance, cx),
            };
            swapped.inspect_err(|_| {
                // The fence is for a swap that did not come; whoever is live is let in.
                let _told = open(&reach, maintenance, &live, cx);
            })?;
            aside(of, &kept(&outgoing))
        }
        (true, false, _) => {
            let script = format!("ALTER DATABASE {} RENAME TO {};", ident(&incoming), ident(&live));
            reach.run(maintenance, &script, cx)?;
            open(&reach, maintenance, &live, cx)?;
            seat.iter().for_each(Participant::pass);
            Ok(nothing(of))
        }
        (true, true, true) => {
            let what = format!("{incoming} and {outgoing} are both there, and only one can be put aside");
            Err(ResourceError::new(what).with_hint("look at both, and rename the one that is to stay"))
        }
        (false, true, true) => {
            if !cx.fenced {
                open(&reach, maintenance, &live, cx)?;
            }
            seat.iter().for_each(Participant::pass);
            aside(of, &kept(&outgoing))
        }
        (false, ..) => Err(ResourceError::new(format!(
            "{incoming}, which was put aside, is not there any more"
        ))),
    }
}

/// Keeps clients out of the live database.
pub(super) fn shut_out(of: &Postgres, cx: &Context) -> Result<()> {
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    match asked(&reach, maintenance, &reach.database, cx)? {
        Some(false) => shut(&reach, maintenance, &reach.database, cx),
        _ => Ok(()),
    }
}

/// Lets clients into the live database; says whether they were kept out.
pub(super) fn let_in(of: &Postgres, cx: &Context) -> Result<bool> {
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    if asked(&reach, maintenance, &reach.database, cx)? != Some(true) {
        return Ok(false);
    }
    open(&reach, maintenance, &reach.database, cx).map(|()| true)
}

/// Whether clients are kept out of the live database.
pub(super) fn is_shut(of: &Postgres, cx: &Context) -> Result<bool> {
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    Ok(asked(&reach, maintenance, &reach.database, cx)? == Some(true))
}

pub(super) fn forget(of: &Postgres, displaced: &Displaced, cx: &Context) -> Result<()> {
    let Some(Kept { aside, .. }) = read(displaced)? else {
        return Ok(());
    };
    let kind = if Aside::Undone.names(&aside) {
        Aside::Undone
    } else {
        Aside::Failed
    };
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let script = format!(
        "SELECT to_jsonb(slot_name::text) FROM pg_replication_slots WHERE database = {};",
        literal(&aside)
    );
    let slots: Vec<String> = reach.rows(maintenance, &script, cx)?;
    if !slots.is_empty() {
        let what = format!(
            "{aside} has logical replication slots, which would vanish with it: {}",
            slots.join(", ")
        );
        return Err(ResourceError::new(what).with_hint("drop the slots by hand once nobody needs them"));
    }
    drop_own(&reach, maintenance, &aside, kind, cx)
}

/// Bytes that the database that was put aside takes.
pub(super) fn weigh(of: &Postgres, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
    let Some(aside) = kept(displaced) else {
        return Ok(None);
    };
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    let script = format!(
        "SELECT pg_database_size(oid) FROM pg_database WHERE datname = {};",
        literal(&aside)
    );
    let sizes: Vec<u64> = reach.rows(maintenance, &script, cx)?;
    Ok(sizes.first().copied())
}

pub(super) fn discard(of: &Postgres, prepared: &Prepared, cx: &Context) -> Result<()> {
    if !prepared.work.is_needed() {
        return Ok(());
    }
    // Where migrations are taken back, nothing was staged.
    let Ok(staging) = serde_json::from_value::<Staging>(prepared.details.clone()) else {
        return Ok(());
    };
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    drop_own(&reach, maintenance, &staging.side, Aside::Side, cx)
}

/// Whether a restore has made sure by itself that what is live is the copy.
pub(super) fn compared(displaced: &Displaced) -> bool {
    matches!(read(displaced), Ok(Some(Kept { compared: true, .. })))
}

/// The database that a restore put aside.
pub(super) fn kept(displaced: &Displaced) -> Option<String> {
    Some(read(displaced).ok()??.aside)
}

/// The rows that a restore took along.
pub(super) fn carried(displaced: &Displaced) -> Option<CarriedOver> {
    let carried = read(displaced).ok()??.carried?;
    Some(CarriedOver {
        becomes: carried.becomes,
        sentences: carried.sentences,
    })
}

fn read(displaced: &Displaced) -> Result<Option<Kept>> {
    serde_json::from_value(displaced.details.clone())
        .map_err(|error| ResourceError::because("could not read what was put aside", error))
}

fn nothing(of: &Postgres) -> Displaced {
    Displaced {
        resource: of.name.clone(),
        details: Value::Null,
        kept_as: Vec::new(),
    }
}

fn aside(of: &Postgres, kept: &Kept) -> Result<Displaced> {
    let rest = kept.carried.iter().filter_map(|carried| carried.directory.as_ref());
    let rest = rest.map(|directory| format!("files in {}", directory.display()));
    let kept_as = std::iter::once(format!("database {}", kept.aside))
        .chain(rest)
        .collect();
    Ok(Displaced {
        resource: of.name.clone(),
        details: serde_json::to_value(kept)
            .map_err(|error| ResourceError::because("could not describe what was put aside", error))?,
        kept_as,
    })
}
