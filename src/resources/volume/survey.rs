//! What `guard check` says of a volume.

use super::access::Access;
use super::home;
use super::place::{self, Place};
use super::source::{Target, Volume};
use super::space::room;
use super::trial::{self, Overview};
use crate::error::ResourceError;
use crate::survey::Survey;
use crate::trees::attributes;
use crate::trees::details::Mode;
use crate::trees::node::Precision;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk::Dir;
use guard_system::servers::{Need, Server, User};

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
    if let Target::Volume(key) = &volume.target {
        volume.survey_made(key, cx, &mut survey);
    }
    let place = match volume.find(cx) {
        Ok(place) => place,
        Err(error) => {
            refuse(&mut survey, &error);
            return survey;
        }
    };
    // Where the volume is reached through the engine, this proves that guard's program runs beside it.
    let found = Access::of(&place, cx).and_then(|access| {
        let look = access.look()?;
        Ok((access, look))
    });
    let (access, look) = match found {
        Ok(found) => found,
        Err(error) => {
            refuse(&mut survey, &error);
            return survey;
        }
    };
    match volume.torn(&place, cx) {
        Ok(Some(error)) | Err(error) => refuse(&mut survey, &error),
        Ok(None) => {
            let server = place.directory().map(place::database_in);
            if let (Mode::Pause, Some(Ok(Some(server)))) = (volume.mode, server) {
                survey.warn(
                    format!(
                        "the {} holds the data of {}, which a pause leaves as a power cut would",
                        place.shown, server.name
                    ),
                    server.advice(),
                );
            }
        }
    }
    if let Access::Here(live) = &access
        && home::is_only_inside(&place, live, cx)
    {
        survey.warn(
            format!(
                "what a way back puts aside can only lie inside of the {}, closed, where its users see a directory .guard-…: \
                 it is a file system of its own",
                place.shown
            ),
            "name a directory below it, if that is not wanted",
        );
    }
    if place.directory().is_none() {
        survey.fact(format!("the {} is reached through the engine", place.shown));
    }
    let counted = match &access {
        Access::Here(live) => Overview::of(live, attributes::may_lock(), cx).map(|overview| {
            tried(&mut survey, &place, live, &overview, cx);
            (overview.entries, overview.bytes)
        }),
        Access::There(_) => access.portrait(Precision::Nanoseconds, cx).map(|(_, counted)| counted),
    };
    match counted {
        Ok((entries, bytes)) => {
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
    volume.survey_standby(&place, cx, &mut survey);
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

/// Says what of a way back cannot be done on this ground.
fn tried(survey: &mut Survey, place: &Place, live: &Dir, overview: &Overview, cx: &Context) {
    if let Some(path) = &overview.locked {
        let shown = live.shown_at(path).display().to_string();
        survey.refuse(
            format!("{shown} is immutable or append-only, and only root may move it and make it so again"),
            format!("`chattr -i -a {}`, or run guard as root", text::typed(&shown)),
        );
    }
    if let Err(error) = trial::try_out(place, live, overview, cx) {
        let advice = error.hint.clone();
        survey.refuse(
            told(&error),
            advice.unwrap_or_else(|| "correct that, then run `guard check` again".to_owned()),
        );
    }
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

/// Says that a server's files would be copied while it writes, or without what it keeps in memory.
pub(super) fn refused_database(place: &Place, server: &Server) -> ResourceError {
    let (shown, name) = (&place.shown, server.name);
    let what = if server.is_in_memory {
        format!(
            "the {shown} is a data directory of {name} and may be in use: what was written since it last saved is only in its \
             memory, and would be lost"
        )
    } else {
        format!(
            "the {shown} is a data directory of {name} and may be in use: its files copied one after the other would not fit \
             together"
        )
    };
    ResourceError::new(what).with_hint(server.advice())
}

/// Says that nobody would hold a server still that runs outside of any container.
pub(super) fn refused_user(place: &Place, server: &Server, user: &User, mode: Mode) -> ResourceError {
    let mode = if mode == Mode::Stop { "stop" } else { "pause" };
    let what = format!(
        "the {} is a data directory of {}, and the process {} ({}) uses it: `mode = {mode:?}` holds only containers",
        place.shown, server.name, user.pid, user.name
    );
    let advice = match server.need {
        Need::Kind(kind) => {
            format!("use the database's own kind (`kind = {kind:?}`), or stop it before the deployment")
        }
        Need::Stop | Need::Nothing(_) => "stop it before the deployment, or run it in a container".to_owned(),
    };
    ResourceError::new(what).with_hint(advice)
}

/// Says that an archive made by hand cannot be taken over for a volume that no directory shows.
pub(super) fn refused_adoption(place: &Place) -> ResourceError {
    ResourceError::new(format!(
        "an archive can be taken over only beside its directory, and that of the {} is on another host",
        place.shown
    ))
    .with_hint("run guard on the engine's own host")
}
