//! What `guard check` says of a volume.

use super::Volume;
use super::halt::Mode;
use super::hand::Hand;
use super::node::Precision;
use super::place::{self, Place};
use crate::model::text;
use crate::resources::{ResourceError, Result, Survey};
use crate::system::context::Context;

/// What stays free on a disk when a copy is staged on it.
const RESERVE: u64 = 64 * 1024 * 1024;

/// Looks at a volume, and says what is in the way.
pub(super) fn survey(volume: &Volume, cx: &Context) -> Survey {
    let mut survey = Survey::default();
    let refuse = |survey: &mut Survey, error: &ResourceError| {
        let advice = error
            .hint
            .clone()
            .unwrap_or_else(|| "correct that, then run `guard check` again".to_owned());
        survey.refuse(told(error), advice);
    };
    let place = match volume.find(cx) {
        Ok(place) => place,
        Err(error) => {
            refuse(&mut survey, &error);
            return survey;
        }
    };
    // Where the volume is reached through the engine, this proves that guard's program runs beside it.
    let found = Hand::of(&place, cx).and_then(|hand| {
        let look = hand.look()?;
        Ok((hand, look))
    });
    let (hand, look) = match found {
        Ok(found) => found,
        Err(error) => {
            refuse(&mut survey, &error);
            return survey;
        }
    };
    match volume.live_database(&place, cx) {
        Ok(Some(database)) => refuse(&mut survey, &refused_database(&place, &database)),
        Err(error) => refuse(&mut survey, &error),
        Ok(None) => {}
    }
    let holds_database = |live| matches!(place::database_in(live, 2), Ok(Some(_)));
    if volume.mode == Mode::Pause && place.directory().is_some_and(holds_database) {
        survey.warn(
            format!(
                "the {} holds a database, which a pause leaves as a power cut would",
                place.shown
            ),
            "set `mode = \"stop\"`, or use the database's own kind",
        );
    }
    if place.directory().is_none() {
        survey.fact(format!("the {} is reached through the engine", place.shown));
    }
    match hand.portrait(Precision::Nanoseconds, cx) {
        Ok((_, (entries, bytes))) => {
            let size = text::bytes(bytes);
            survey.fact(format!("{}: {} entries, {size}", place.shown, text::count(entries)));
            // Counted once: the copy that may follow tells by it what is left.
            let _known = volume.bytes.set(bytes);
            survey.copy_bytes = Some(bytes);
            survey.side_bytes = Some(bytes);
            if let Err(error) = room(&place.shown, look.free, bytes) {
                refuse(&mut survey, &error);
            }
        }
        Err(error) => refuse(&mut survey, &error),
    }
    if volume.mode != Mode::Live {
        match place.users(cx) {
            Ok(users) => {
                for user in users.iter().filter(|user| user.is_running()) {
                    survey.fact(format!("held while it is copied: {}", user.name));
                }
                for user in users.iter().filter(|user| user.state == "paused") {
                    let what = format!("the container {} is paused already", user.name);
                    survey.warn(what, format!("`docker unpause {}` if that was not meant", user.name));
                }
            }
            Err(error) => refuse(&mut survey, &error),
        }
    }
    survey
}

fn told(error: &ResourceError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Says that a database's files would be copied while it writes.
pub(super) fn refused_database(place: &Place, database: &str) -> ResourceError {
    ResourceError::new(format!(
        "the {} is a data directory of {database} and may be in use: its files copied one after the other would not fit together",
        place.shown
    ))
    .with_hint("use the database's own kind (`kind = \"postgres\"`), or set `mode = \"stop\"`")
}

/// Says that an archive made by hand cannot be taken over for a volume that no directory shows.
pub(super) fn refused_adoption(place: &Place) -> ResourceError {
    ResourceError::new(format!(
        "an archive can be taken over only beside its directory, and that of the {} is on another host",
        place.shown
    ))
    .with_hint("run guard on the engine's own host")
}

/// Says that the copy fits beside the live tree.
///
/// # Errors
/// It does not.
pub(super) fn room(shown: &str, free: u64, bytes: u64) -> Result<()> {
    if free >= bytes.saturating_add(RESERVE) {
        return Ok(());
    }
    let (needed, free) = (text::bytes(bytes), text::bytes(free));
    Err(ResourceError::new(format!(
        "the {shown} has {free} free, and staging the copy beside the live tree takes {needed}"
    ))
    .with_hint("free some space on that disk, and run the same command again"))
}
