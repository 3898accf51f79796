//! How a volume of the engine's was made: driver, options and labels; and how one that a release has made otherwise is made again as it
//! was.
//!
//! The engine cannot change a volume that is there: whoever wants other options removes it, with what is in it, and makes it anew. So
//! does a release, through Compose, and so does the way back, once services are stopped and what is in it is elsewhere or put aside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::home::{self, Record};
use super::place::{self, Place};
use super::remade::Remade;
use super::source::{Target, Volume};
use super::spot::Spot;
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::survey::Survey;
use crate::trees::details::Details;
use crate::trees::made_volume::Made;
use crate::trees::put_aside::Home;
use guard_model::artifact::{Artifact, Displaced, Prepared, Work};
use guard_model::event::Level;
use guard_model::policy::DataRestore;
use guard_model::text::typed;
use guard_system::context::Context;
use guard_system::disk::{At, Dir};
use guard_system::docker::{self, Container};

/// So long is the name of a volume that nobody named.
const NAMELESS: usize = 64;

/// Why what a copy goes back to is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lack {
    /// Nothing of its name is.
    Gone,
    /// A volume is that was made otherwise, in these words.
    Otherwise(String),
}

impl Lack {
    /// As a part in which a volume differs from its copy.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Gone => "it is not there".to_owned(),
            Self::Otherwise(what) => what.clone(),
        }
    }
}

/// What becomes of what is in a volume that is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// It lies where the volume only shows it.
    Elsewhere(String),
    /// It is in memory while a container runs.
    Passing,
    /// There is none.
    Empty,
    /// It lies in the volume's own directory, and has to go aside.
    Here(PathBuf),
}

impl Volume {
    /// How the volume was made that was copied.
    pub(super) fn made(&self, details: &Details) -> Option<Made> {
        let Target::Volume(_) = &self.target else { return None };
        let before = || Some(Made::plain(details.pin.as_ref()?.labels()));
        details.made.clone().or_else(before)
    }

    /// The volume of the engine's that a copy goes back to, and what it lacks of being the one that was copied.
    ///
    /// # Errors
    /// It is of a kind that guard cannot copy, or the engine does not answer.
    pub(super) fn meant_volume(&self, key: &str, details: &Details, cx: &Context) -> Result<(Place, Option<Lack>)> {
        let Some(made) = self.made(details) else {
            return self.find(cx).map(|place| (place, None));
        };
        let source = details.source.as_str();
        // A release may have given the key another volume; the one that was copied is meant, unless it was another project's.
        let name = if made.is_of(self.project.as_deref(), key) {
            source.to_owned()
        } else {
            place::real_name(self.project.as_deref(), key, cx).unwrap_or_else(|_| source.to_owned())
        };
        let Some(found) = look(&name, cx)? else {
            return Ok((place::of_gone_volume(&name), Some(Lack::Gone)));
        };
        let otherwise = made.otherwise(&Made::of(&found)).filter(|_| name == source);
        if let Some(what) = otherwise {
            return Ok((place::of_gone_volume(&name), Some(Lack::Otherwise(what))));
        }
        let place = place::of_volume(self, &found, cx)?;
        let _same = self.found.set(place.source.clone());
        Ok((place, None))
    }

    /// What stands beside a volume that is made like the one that was copied, and bears other labels: by them Compose knows it.
    pub(super) fn tell_labels(&self, details: &Details, cx: &Context) {
        let (Some(made), name) = (self.made(details), &details.source) else {
            return;
        };
        let Ok(Some(found)) = docker::volume(cx, name) else {
            return;
        };
        let differing = made.relabelled(&Made::of(&found));
        if !differing.is_empty() {
            let what = format!(
                "the volume {name} was made anew with other labels than the copied one had ({}); its content goes back. \
                 Compose may ask to make it anew, which removes what is in it: answer no",
                differing.join(", ")
            );
            cx.note(Level::Warn, what);
        }
    }

    /// Whether the volume that is there, made otherwise, can be removed once services are stopped.
    ///
    /// # Errors
    /// It cannot, with the commands that a person may give.
    pub(super) fn replaceable(&self, details: &Details, cx: &Context) -> Result<()> {
        let Some(made) = self.made(details) else { return Ok(()) };
        let Some(found) = look(&details.source, cx)? else {
            return Ok(());
        };
        if made.otherwise(&Made::of(&found)).is_none() {
            return Ok(());
        }
        self.movable(&made, &found, cx).map(drop)
    }

    /// What becomes of its content, and the containers that have to go.
    fn movable(&self, made: &Made, found: &docker::Volume, cx: &Context) -> Result<(Content, Vec<Container>)> {
        let name = &found.name;
        let users = docker::containers_using(cx, &[name])
            .map_err(|error| ResourceError::because(format!("could not ask who uses the volume {name}"), error))?;
        let refused = |why: String, first: &str| {
            let words: Vec<String> = users.iter().map(|user| typed(&user.name)).collect();
            let containers = if words.is_empty() {
                String::new()
            } else {
                format!("`docker rm --force {}`, ", words.join(" "))
            };
            let otherwise = made.otherwise(&Made::of(found)).unwrap_or_default();
            Err(ResourceError::new(format!(
                "the volume {name} cannot be made as it was: {why} ({otherwise})"
            ))
            .with_hint(format!(
                "{first}{containers}`docker volume rm {}`, and `guard resume` makes it as it was",
                typed(name)
            )))
        };
        let copy = "copy what is in it to another place, then ";
        // Compose makes a container again from its file; but not what is in a volume that only this container knows.
        let is_nameless = |name: &str| name.len() == NAMELESS && name.chars().all(|c| c.is_ascii_hexdigit());
        for user in &users {
            let project = user.labels.get("com.docker.compose.project");
            if project.is_none() || project != self.project.as_ref() {
                return refused(
                    format!("the container {} has it, which is not of this project", user.name),
                    copy,
                );
            }
            if let Some(mount) = user
                .mounts
                .iter()
                .find(|one| one.kind == "volume" && is_nameless(&one.source))
            {
                let why = format!(
                    "the container {} would have to go, and with it {}",
                    user.name, mount.target
                );
                return refused(why, copy);
            }
        }
        if found.driver != "local" {
            let why = format!("only its driver {:?} knows what is in it", found.driver);
            return refused(why, copy);
        }
        let Some(content) = mounted(&found.options).or_else(|| content(self, found, cx)) else {
            return refused("what is in it can be put aside nowhere".to_owned(), copy);
        };
        Ok((content, users))
    }

    /// Prepares that the volume is made as it was: nothing is down yet, so nothing is done.
    pub(super) fn stage_remade(
        &self,
        what: &str,
        details: &Details,
        data: DataRestore,
        cx: &Context,
    ) -> Result<Prepared> {
        let name = &details.source;
        let prepared = |work, details, price| Prepared {
            resource: self.name.clone(),
            work,
            details,
            price,
        };
        if data == DataRestore::Never {
            let why = "the policy leaves data as it is".to_owned();
            return Ok(prepared(Work::Left(why), Value::Null, Vec::new()));
        }
        let made = self.made(details).unwrap_or_default();
        let Some(found) = look(name, cx)? else {
            return Err(ResourceError::new(format!(
                "the volume {name} vanished while it was looked at"
            )));
        };
        let (content, _) = self.movable(&made, &found, cx)?;
        let price = vec![
            format!("the volume {name} is made anew as it was, from the backup"),
            match content {
                Content::Elsewhere(device) => format!("what it shows now stays in {device}"),
                Content::Passing => "what is in it now is in memory, and goes with its containers".to_owned(),
                Content::Empty => "nothing is in it now".to_owned(),
                Content::Here(_) => "what is in it now is put aside".to_owned(),
            },
        ];
        let was = Made::of(&found);
        Ok(prepared(
            Work::Changed(vec![what.to_owned()]),
            Spot::of_remade(name, was)?,
            price,
        ))
    }

    /// Makes the volume as it was, and puts the copy into it. Safe to repeat.
    ///
    /// # Errors
    /// A container still runs on it, or the engine refuses something; repeating it goes on.
    pub(super) fn remake(
        &self,
        spot: &Spot,
        remade: &Remade,
        copy: (&Artifact, &Slot),
        cx: &Context,
    ) -> Result<Displaced> {
        // What has begun is ended: a signal is obeyed after it.
        let cx = &cx.unstoppable();
        let details = self.told(copy.0)?;
        let name = &remade.name;
        let made = self.made(&details).unwrap_or_default();
        if let Some(found) = look(name, cx)?
            && made.otherwise(&Made::of(&found)).is_some()
        {
            self.clear_away(&made, &found, cx)?;
        }
        if look(name, cx)?.is_none() {
            made.make(name, cx)?;
            cx.note(
                Level::Info,
                format!("the volume {name} is made as it was at the backup"),
            );
        }
        let staged = self.stage(copy.0, copy.1, DataRestore::Always, cx)?;
        let inner = if staged.work.is_needed() {
            self.swap(&Spot::of(&staged.details)?, Some(copy), cx)?
        } else {
            Displaced {
                resource: self.name.clone(),
                details: Value::Null,
                kept_as: Vec::new(),
            }
        };
        let kept = Record::of(&self.name, cx)?.removed;
        let mut kept_as = inner.kept_as;
        kept_as.extend(
            kept.as_ref()
                .map(|home| format!("directory {}", home.shown(Path::new("")).display())),
        );
        let inner = if inner.details.is_null() {
            spot.clone()
        } else {
            Spot::of(&inner.details)?
        };
        let remade = Some(Remade { kept, ..remade.clone() });
        Ok(Displaced {
            resource: self.name.clone(),
            details: Spot { remade, ..inner }.value()?,
            kept_as,
        })
    }

    /// Removes the volume that was made otherwise, with the stopped containers that have it; what is in it is put aside before.
    fn clear_away(&self, made: &Made, found: &docker::Volume, cx: &Context) -> Result<()> {
        let name = &found.name;
        let (content, users) = self.movable(made, found, cx)?;
        if let Some(user) = users
            .iter()
            .find(|user| !matches!(user.state.as_str(), "exited" | "created" | "dead"))
        {
            let what = format!("the container {} still uses the volume {name}", user.name);
            return Err(
                ResourceError::new(what).with_hint(format!("`docker stop {}`, and `guard resume`", typed(&user.name)))
            );
        }
        if let Content::Here(around) = content {
            let live = Path::new(&found.mountpoint);
            let dir = Dir::open(live).at("open", live)?;
            let mut record = Record::of(&self.name, cx)?;
            let home = match record.removed.take() {
                Some(home) => home,
                None => Home::new(Some(&around))?,
            };
            record.removed = Some(home.clone());
            record.write(&self.name, cx)?;
            let aside = match home.open(&dir)? {
                Some(aside) => aside,
                None => home.make(&dir)?,
            };
            record.removed = Some(aside.home.clone());
            record.write(&self.name, cx)?;
            aside.take_all()?;
        }
        let call = |words: &[&str]| {
            let what = format!("could not remove the volume {name}, which was made otherwise");
            let done = cx.output(&docker::docker().args(words.iter().copied())).map(drop);
            done.map_err(|error| ResourceError::because(what, error))
        };
        if !users.is_empty() {
            let ids: Vec<&str> = users.iter().map(|user| user.id.as_str()).collect();
            call(&[&["container", "rm"], ids.as_slice()].concat())?;
        }
        call(&["volume", "rm", name])
    }

    /// What `guard check` says where Compose's files ask for another volume than is there.
    pub(super) fn survey_made(&self, key: &str, cx: &Context, survey: &mut Survey) {
        let Some(compose) = &self.compose else { return };
        let Ok(resolved) = compose.resolved(cx) else { return };
        let Some(asked) = resolved.get("volumes").and_then(|volumes| volumes.get(key)) else {
            return;
        };
        let text = |name: &str| asked.get(name).and_then(Value::as_str);
        if asked
            .get("external")
            .is_some_and(|external| external.as_bool() != Some(false))
        {
            return;
        }
        let Some(name) = text("name") else { return };
        let options = asked
            .get("driver_opts")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        let wanted = Made {
            driver: text("driver").unwrap_or("local").to_owned(),
            options: options
                .map(|(name, value)| {
                    (
                        name.clone(),
                        value.as_str().map_or_else(|| value.to_string(), str::to_owned),
                    )
                })
                .collect(),
            labels: BTreeMap::new(),
        };
        let Ok(Some(found)) = docker::volume(cx, name) else {
            return;
        };
        if wanted.otherwise(&Made::of(&found)).is_some() {
            survey.warn(
                format!(
                    "the compose file asks for the volume {name} by the driver {}, and the one that is there is by {}: Compose may \
                     make it anew, which removes what is in it",
                    wanted.shown(),
                    Made::of(&found).shown()
                ),
                "where that is meant, a rollback makes it as it is now; else correct the compose file",
            );
        }
    }
}

/// A volume of the engine's; that its driver is gone is told as such.
fn look(name: &str, cx: &Context) -> Result<Option<docker::Volume>> {
    docker::volume(cx, name).map_err(|error| {
        let text = guard_model::text::chain(&error);
        let error = ResourceError::because(format!("could not look for the volume {name}"), error);
        if text.contains("plugin") {
            error.with_hint(format!(
                "its driver is not there any more: install it again, or give the volume up: `docker volume rm --force {}`",
                typed(name)
            ))
        } else {
            error
        }
    })
}

/// What a volume by the engine's own driver shows of another place, by its options; `None`: what is in it lies in its own
/// directory, as where they only set a `size`.
fn mounted(options: &BTreeMap<String, String>) -> Option<Content> {
    let named = |option: &str| options.get(option).filter(|value| !value.is_empty());
    match (named("type").map(String::as_str), named("device")) {
        (Some("tmpfs" | "ramfs"), _) => Some(Content::Passing),
        (_, Some(device)) => Some(Content::Elsewhere(device.clone())),
        (_, None) => None,
    }
}

/// What is in the volume's own directory; `None` where that cannot be seen, or moved anywhere.
fn content(of: &Volume, found: &docker::Volume, cx: &Context) -> Option<Content> {
    let live = PathBuf::from(&found.mountpoint);
    if of.through_engine || !docker::is_on_this_host(cx).ok()? {
        return None;
    }
    let dir = Dir::open(&live).ok()?;
    if dir.names().ok()?.is_empty() {
        return Some(Content::Empty);
    }
    // The directory beside it goes with the volume.
    let engines = live.ancestors().nth(3).map(Path::to_owned);
    let state = home::state(cx);
    let mut places = state.into_iter().chain(engines);
    places.find(|around| home::may_hold(&dir, around)).map(Content::Here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_limits_a_volume_leaves_its_content_in_it() {
        let shown = |options: &[(&str, &str)]| {
            let owned = options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            mounted(&owned.collect())
        };
        assert_eq!(shown(&[]), None);
        assert_eq!(shown(&[("size", "10G")]), None);
        assert_eq!(shown(&[("type", "tmpfs"), ("device", "tmpfs")]), Some(Content::Passing));
        let bind = shown(&[("type", "none"), ("o", "bind"), ("device", "/srv/shop")]);
        assert_eq!(bind, Some(Content::Elsewhere("/srv/shop".to_owned())));
    }
}
