//! What stands by of a volume on ground that copies in an instant: taken before the deploy command, believed as far as the file
//! system shows it to be what was proven, and never called a backup.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{Mode, OFlags, fstat, ioctl_ficlone, openat, syncfs};

use super::ground::{self, Ground};
use super::home;
use super::place::Place;
use super::snapshot;
use super::source::Volume;
use super::standing::Standing;
use crate::abilities::StandingBy;
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use crate::slot::Slot;
use crate::survey::Survey;
use crate::trees::chunks;
use crate::trees::details::{Details, Mode as Manner, Standby, details};
use crate::trees::node::{Seen, Shape};
use crate::trees::stand_in::{CLONES, Cloned, LIST, StandIn, listed, name_of};
use guard_model::artifact::Artifact;
use guard_model::event::Level;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk::{At, Dir};

/// So many files are cloned, and no more: each takes some twenty microseconds while the deployment waits. A guess.
const FILES: u64 = 200_000;

/// Volumes are copied side by side; the first that wants a moment of a subvolume takes it for all.
static TURN: Mutex<()> = Mutex::new(());

/// A moment of a volume: its root in a snapshot.
pub(super) struct Moment {
    pub(super) dir: Dir,
    /// The second in which it was taken, or an earlier one.
    pub(super) taken: i64,
    /// What the manifest says of it.
    pub(super) standby: Standby,
}

/// Whether guard's own directory can lie in this one: on the same mount, and guard's to write to.
fn may_hold(live: &Dir, around: &Path) -> bool {
    let made = !around.ends_with("aside") || guard_system::disk::create_private_dir(around).is_ok();
    let is_same = |around: &Dir| live.mount().is_some() && live.mount() == around.mount();
    made && Dir::open(around).is_ok_and(|around| is_same(&around) && home::may_write(&around))
}

fn around(place: &Place, live: &Dir, cx: &Context) -> Option<PathBuf> {
    home::candidates(place, cx)
        .into_iter()
        .find(|path| may_hold(live, path))
}

impl Volume {
    /// Takes a moment of this subvolume, or finds the one that another volume of the same run has taken. `kept`: it stands by
    /// as long as the backup is kept.
    ///
    /// # Errors
    /// There can be none; nothing is left of it then, or that is told.
    pub(super) fn moment(
        &self,
        place: &Place,
        (subvolume, below): (&Dir, &[u8]),
        backup: &Path,
        kept: bool,
        cx: &Context,
    ) -> Result<Moment> {
        let path = place.directory().unwrap_or(Path::new(""));
        let live = Dir::open(path).at("open", path)?;
        let object = subvolume.object().at("look at", subvolume.shown())?;
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // What is held still for its copy has a moment of its own.
        let shared = Standing::all(cx)?.into_iter().find(|one| {
            let is_same = one.subvolume == Some(object) && one.is_of(backup) && one.is_of_run(cx);
            is_same && !one.is_for(&self.name) && self.mode == Manner::Live
        });
        if let Some(mut shared) = shared
            && let Ok(dir) = rooted(&shared, below, &live)
        {
            shared.use_for(&self.name, kept);
            shared.write(cx)?;
            return Ok(moment_of(dir, &shared, below, kept));
        }
        let taken = cx.clock.now().timestamp();
        let mut standing = Standing::new(&live, around(place, &live, cx).as_deref(), backup, taken, cx)?;
        standing.subvolume = Some(object);
        standing.use_for(&self.name, kept);
        let made = standing.make(&live, cx).and_then(|aside| {
            snapshot::take(subvolume, &aside.dir, standing.home.name(), cx)?;
            rooted(&standing, below, &live)
        });
        match made {
            Ok(dir) => Ok(moment_of(dir, &standing, below, kept)),
            Err(error) => {
                if let Err(left) = standing.remove(cx) {
                    cx.note(Level::Warn, format!("what was made to stand by is still there: {left}"));
                }
                Err(error)
            }
        }
    }

    /// Clones the files of a copy in chunks that are as they were when they were read.
    ///
    /// # Errors
    /// They cannot be cloned; nothing is left of them then, or that is told.
    pub(super) fn clones(
        &self,
        place: &Place,
        (artifact, slot): (&Artifact, &Slot),
        backup: &Path,
        cx: &Context,
    ) -> Result<Standby> {
        let told = details(artifact)?;
        if told.entries > FILES {
            let (entries, most) = (text::count(told.entries), text::count(FILES));
            return Ok(Standby::None {
                why: format!(
                    "it has {entries} entries, and more than {most} are not cloned while the deployment waits"
                ),
            });
        }
        let path = place.directory().unwrap_or(Path::new(""));
        let live = Dir::open(path).at("open", path)?;
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut standing = Standing::new(
            &live,
            around(place, &live, cx).as_deref(),
            backup,
            told.packed.begun,
            cx,
        )?;
        standing.use_for(&self.name, true);
        let made = standing
            .make(&live, cx)
            .and_then(|aside| clone_all(&live, &aside.dir, (artifact, slot), told.packed.begun, cx));
        match made {
            Ok(files) => Ok(Standby::Clones {
                home: standing.home.name().to_owned(),
                place: standing
                    .home
                    .shown(live.shown())
                    .with_file_name("clones")
                    .display()
                    .to_string(),
                files,
            }),
            Err(error) => {
                if let Err(left) = standing.remove(cx) {
                    cx.note(Level::Warn, format!("what was made to stand by is still there: {left}"));
                }
                Err(error)
            }
        }
    }

    /// Once a volume is copied: what stood by of its other copies goes, since it holds on to blocks for one copy at most, and so
    /// does what was made for a backup that never became one. `home`: what stands by of this copy.
    pub(super) fn only(&self, home: Option<&str>, cx: &Context) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let left = Standing::all(cx).and_then(|all| {
            for one in all {
                if one.is_for(&self.name) && home != Some(one.home.name()) {
                    one.leave(&self.name, true, cx)?;
                } else if !one.is_of_run(cx) && !one.is_of_backup()? {
                    one.remove(cx)?;
                }
            }
            Ok(())
        });
        if let Err(error) = left {
            let what = format!(
                "what stood by of an earlier copy of {} is still there: {error}",
                self.name
            );
            cx.note(Level::Warn, what);
        }
    }

    /// What stands in for the files of a copy, or why nothing does.
    pub(super) fn stand_in(&self, details: &Details, cx: &Context) -> std::result::Result<StandIn, String> {
        if !self.stands_by {
            return Err("`standby = \"never\"` is set".to_owned());
        }
        if self.force_read {
            return Err("`force_read` is set".to_owned());
        }
        let (name, below) = match &details.standby {
            Some(Standby::Snapshot { home, below, .. }) => (home, Some(below)),
            Some(Standby::Clones { home, .. }) => (home, None),
            Some(Standby::None { why }) => return Err(why.clone()),
            None => return Err("the copy is of a guard that had none".to_owned()),
        };
        let standing = Standing::named(name, cx).map_err(|error| error.to_string())?;
        let standing = standing.ok_or("it is not there any more")?;
        let aside = standing.open().map_err(|error| error.to_string())?;
        let aside = aside.ok_or("it was removed")?;
        let Some(below) = below else {
            let found = StandIn::of_clones(&aside.dir);
            return found.map_err(|error| format!("its list of clones cannot be read: {error}"));
        };
        let below = unescaped(below).ok_or("its recorded path is malformed")?;
        let unopened = |error| format!("the snapshot cannot be opened: {error}");
        let root = aside.dir.dir(standing.home.name().as_bytes()).map_err(unopened)?;
        if !ground::is_subvolume(&root) {
            return Err(format!("{} is another one", root.shown().display()));
        }
        Ok(StandIn::Snapshot(root.dir(&below).map_err(unopened)?))
    }

    /// The same for a way back, which tells people where something stood by and does not any more.
    pub(super) fn stand_in_told(&self, details: &Details, cx: &Context) -> Option<StandIn> {
        match self.stand_in(details, cx) {
            Ok(found) => Some(found),
            Err(why) => {
                let stood = matches!(
                    details.standby,
                    Some(Standby::Snapshot { kept: true, .. } | Standby::Clones { .. })
                );
                let level = if stood { Level::Warn } else { Level::Detail };
                let what = format!(
                    "nothing stands by of {}: {why}; its files come out of the backup",
                    self.name
                );
                cx.note(level, what);
                None
            }
        }
    }

    /// Room for a way back on a file system that is full to others, as far as a standby has kept some.
    ///
    /// # Errors
    /// It is kept, and cannot be given back.
    pub(super) fn make_room(details: &Details, cx: &Context) -> Result<()> {
        let Some(Standby::Snapshot { home, .. } | Standby::Clones { home, .. }) = &details.standby else {
            return Ok(());
        };
        match Standing::named(home, cx)? {
            Some(standing) => standing.make_room(),
            None => Ok(()),
        }
    }

    /// Whether it is still there, for the journal.
    pub(super) fn standing_by(&self, artifact: &Artifact, cx: &Context) -> Result<StandingBy> {
        let details = details(artifact)?;
        let place = match &details.standby {
            Some(Standby::Snapshot { place, .. }) => place.clone(),
            Some(Standby::Clones { place, files, .. }) => format!("clones of {} files in {place}", text::count(*files)),
            Some(Standby::None { .. }) | None => String::new(),
        };
        Ok(match self.stand_in(&details, cx) {
            Ok(_) => StandingBy::Ready { kept_as: place },
            Err(why) => StandingBy::Without { why },
        })
    }

    /// What stands by until the run is over goes; what is kept with a backup stays.
    pub(super) fn stand_down_now(&self, cx: &Context) -> Result<()> {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = Standing::all(cx)?;
        let ours = ours
            .into_iter()
            .filter(|one| one.is_of_run(cx) && one.is_for(&self.name));
        ours.into_iter().try_for_each(|one| one.leave(&self.name, false, cx))
    }

    /// What stands by of a copy whose backup is deleted goes.
    pub(super) fn release_standby(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let Some(Standby::Snapshot { home, .. } | Standby::Clones { home, .. }) = details(artifact)?.standby else {
            return Ok(());
        };
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        match Standing::named(&home, cx)? {
            Some(standing) => standing.leave(&self.name, true, cx),
            None => Ok(()),
        }
    }

    /// What `guard check` says of a standby: the ground is tried.
    pub(super) fn survey_standby(&self, place: &Place, cx: &Context, survey: &mut Survey) {
        let found = match ground::of(self, place) {
            Ok(Ground::Snapshot { subvolume, below }) => {
                let whole = below.is_empty();
                match self.moment(place, (&subvolume, &below), &cx.scratch, false, cx) {
                    Ok(_) => {
                        if let Err(error) = self.stand_down_now(cx) {
                            survey.warn(error.to_string(), "remove it by `btrfs subvolume delete`");
                        }
                        let life = if whole {
                            "with the backup"
                        } else {
                            "until the run is over"
                        };
                        survey.fact(format!(
                            "standby: a snapshot of {}, {life}",
                            subvolume.shown().display()
                        ));
                        return;
                    }
                    Err(error) => {
                        let why = format!("a snapshot failed ({})", text::chain(&error));
                        Ok(ground::or_clones(&subvolume, why))
                    }
                }
            }
            other => other,
        };
        match found {
            Ok(Ground::Snapshot { .. }) => {}
            Ok(Ground::Clones { why }) => survey.fact(format!("standby: clones of its files, since {why}")),
            Ok(Ground::Plain { why, could: false }) => survey.fact(format!("no standby: {why}")),
            Ok(Ground::Plain { why, could: true }) => survey.warn(
                format!("nothing will stand by of the {}: {why}", place.shown),
                "a rollback writes its files out of the backup, as everywhere else; `standby = \"never\"` if that is wanted",
            ),
            Err(error) => survey.fact(format!("no standby: {error}")),
        }
    }
}

/// A moment that was taken, and what the manifest says of it.
fn moment_of(dir: Dir, standing: &Standing, below: &[u8], kept: bool) -> Moment {
    let place = format!("the snapshot {}", dir.shown().display());
    Moment {
        taken: standing.taken,
        standby: Standby::Snapshot {
            home: standing.home.name().to_owned(),
            below: escaped(below),
            place,
            kept,
        },
        dir,
    }
}

/// The volume's root in a snapshot, which is shown to be of this very directory.
fn rooted(standing: &Standing, below: &[u8], live: &Dir) -> Result<Dir> {
    let gone = || ResourceError::new("the snapshot is gone");
    let aside = standing.open()?.ok_or_else(gone)?;
    let name = standing.home.name().as_bytes();
    let shown = aside.dir.shown_at(name);
    let root = aside.dir.dir(name).at("open", &shown)?;
    let dir = root.dir(below).at("open", &root.shown_at(below))?;
    let (taken, now) = (
        dir.object().at("look at", dir.shown())?,
        live.object().at("look at", live.shown())?,
    );
    if taken.inode != now.inode {
        return Err(ResourceError::new(format!(
            "{} was moved meanwhile",
            live.shown().display()
        )));
    }
    Ok(dir)
}

/// Clones what is as the index says, and writes down which clone is of what. Returns how many files it was.
fn clone_all(live: &Dir, home: &Dir, (artifact, slot): (&Artifact, &Slot), begun: i64, cx: &Context) -> Result<u64> {
    let spoiled = |error| ResourceError::because("could not read the index of the copy", error);
    let into = home.make(CLONES).at("create the directory", &home.shown_at(CLONES))?;
    let mut lines = chunks::index_of(artifact, slot).map_err(spoiled)?;
    let mut clones = Vec::new();
    while let Some(line) = lines.next().map_err(spoiled)? {
        if cx.stop.is_asked() {
            return Err(ResourceError::new("stopped because guard was asked to stop"));
        }
        // What is so young may be written to again within the same tick, unseen.
        let is_young = line.seen.changed.0 >= begun - chunks::TICK || line.node.mtime.0 >= begun - chunks::TICK;
        if line.node.shape != Shape::File || is_young {
            continue;
        }
        if let Some(is) =
            clone_one(live, &into, &line.node.path, line.seen).at("clone", &live.shown_at(&line.node.path))?
        {
            clones.push(Cloned {
                of: line.seen,
                is,
                size: line.node.size,
            });
        }
    }
    // On disk before the list says so.
    syncfs(&into).at("sync", into.shown())?;
    let list = listed(&clones).map_err(|error| ResourceError::because("could not list the clones", error))?;
    home.write_whole(LIST, &list).at("write", &home.shown_at(LIST))?;
    Ok(clones.len() as u64)
}

/// Clones a file that is the one that was seen, before and after; `None`: it is not.
fn clone_one(live: &Dir, into: &Dir, path: &[u8], seen: Seen) -> std::io::Result<Option<Seen>> {
    let file = match live.file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let is_same = || Ok::<_, std::io::Error>(Seen::of(&fstat(&file)?) == seen);
    if !is_same()? {
        return Ok(None);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let clone = openat(into, name_of(seen).as_str(), flags, Mode::from(0o600))?;
    // A file that is written in place shares nothing, as with `chattr +C`: it comes out of the backup.
    if ioctl_ficlone(&clone, &file).is_err() || !is_same()? {
        return Ok(None);
    }
    Ok(Some(Seen::of(&fstat(&clone)?)))
}
