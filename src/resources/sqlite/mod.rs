//! SQLite databases: copied page by page while they are in use, restored beside the live file, swapped in by one exchange.

mod copy;
mod drill;
mod pinned;
mod reading;
mod stand_in;
mod swap;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use self::pinned::{Pinned, Standing};
use self::swap::Places;
use crate::abilities::{Abilities, Account, Leftovers, Location, Price, ServiceNeeds, Size, Users};
use crate::contract::Resource;
use crate::definition::{Built, Kind, Site};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::sql::rows;
use crate::survey::Survey;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_model::section::Section;
use guard_model::text::bytes;
use guard_system::context::Context;
use guard_system::disk::{self, At};
use guard_system::servers::{self, User};

/// The kind's entry in the list of kinds.
pub(super) const KIND: Kind = Kind {
    key: "sqlite",
    about: "an SQLite database file",
    captured_in: StageName::Databases,
    restored_in: StageName::Data,
    build,
};

/// The copy's name in the backup.
const COPY: &str = "database.sqlite";

/// One database file.
#[derive(Debug)]
struct Sqlite {
    name: ResourceName,
    path: PathBuf,
    /// The settings know how to stop what uses it, beside containers.
    is_stopped: bool,
}

/// What the copy tells beside its bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Details {
    /// The file, absolute.
    path: PathBuf,
    taken_at: DateTime<Utc>,
    /// `wal`, `delete`.
    journal_mode: String,
    /// Which file it was, and what it had beside its content; an older guard did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned: Option<Pinned>,
}

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    section.required_text("path")?;
    let path = site.directory.join(section.path("path")?);
    let is_stopped = site.stops;
    Some(Box::new(Sqlite { name, path, is_stopped }))
}

impl Sqlite {
    fn require(&self) -> Result<()> {
        if disk::exists(&self.path)? {
            return Ok(());
        }
        let what = format!("there is no database file {}", self.path.display());
        Err(ResourceError::new(what)
            .with_hint("correct `path`, or start the application once so that it makes the file"))
    }

    /// The file as it is found now, whatever links lead to it.
    fn live(&self) -> Result<PathBuf> {
        self.require()?;
        Ok(std::fs::canonicalize(&self.path).at("look at", &self.path)?)
    }

    /// The file that a copy goes back to: the one that it was taken from, unless the settings name another one by now.
    fn place(&self, details: &Details) -> Result<PathBuf> {
        match details.pinned.as_ref().filter(|_| details.path == self.path) {
            Some(pinned) => pinned.place(&self.path),
            None => match std::fs::canonicalize(&self.path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(self.path.clone()),
                found => Ok(found.at("look at", &self.path)?),
            },
        }
    }

    /// What a place holds; an empty database where there is none.
    fn now(place: &Path) -> Result<Fingerprint> {
        match pinned::stands_at(place)? {
            Standing::Nothing => Ok(Fingerprint::default()),
            Standing::File => {
                let mut connection = copy::open(place)?;
                reading::fingerprint(&mut connection).map_err(|error| copy::failed("read", place, error))
            }
            Standing::Other(noun) => Err(ResourceError::new(format!(
                "{noun} stands in the place of {}",
                place.display()
            ))),
        }
    }

    fn details(artifact: &Artifact) -> Result<Details> {
        serde_json::from_value(artifact.details.clone()).map_err(|error| ResourceError {
            copy_is_bad: true,
            ..ResourceError::because("could not read what the manifest says about the database", error)
        })
    }
}

impl Resource for Sqlite {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            drills: Some(self),
            account: Some(self),
            leftovers: Some(self),
            users: Some(self),
            price: Some(self),
            size: Some(self),
            location: Some(self),
            services: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        let mut survey = Survey::default();
        let refuse = |survey: &mut Survey, error: &ResourceError| {
            let cause = error
                .source
                .as_ref()
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            let advice = error
                .hint
                .clone()
                .unwrap_or_else(|| "correct it, then run `guard check` again".to_owned());
            survey.refuse(format!("{error}{cause}"), advice);
        };
        let looked = self.live().and_then(|live| {
            let mut connection = copy::open(&live)?;
            let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
            let mode = mode.map_err(|error| copy::failed("read", &live, error))?;
            let own = stand_in::needed(&mut connection).map_err(|error| copy::failed("check", &live, error))?;
            let size = std::fs::metadata(&live).at("look at", &live)?.len();
            let directory = live.parent().unwrap_or(&live);
            pinned::try_out(&live)?;
            Ok((mode, size, disk::free_bytes(directory)?, own))
        });
        match looked {
            Ok((mode, size, free, own)) => {
                if !own.is_empty() {
                    let own: Vec<String> = own.iter().map(ToString::to_string).collect();
                    survey.fact(format!(
                        "indexes by the application's own {} are copied as they are; their order is not looked at",
                        own.join(", ")
                    ));
                }
                survey.fact(format!(
                    "SQLite {}, journal {mode}, {}",
                    rusqlite::version(),
                    bytes(size)
                ));
                survey.copy_bytes = Some(size);
                survey.side_bytes = Some(size);
                if free < size.saturating_mul(6) / 5 {
                    let what = format!(
                        "{} free beside the file, and a restore needs {}",
                        bytes(free),
                        bytes(size)
                    );
                    survey.refuse(what, "free some space on that disk");
                }
            }
            Err(error) => refuse(&mut survey, &error),
        }
        let (stopped, left): (Vec<User>, Vec<User>) = self
            .holders(cx)
            .into_iter()
            .partition(|user| self.is_stopped || user.is_in_container());
        for user in stopped {
            survey.fact(format!("open in {}", user.shown()));
        }
        for user in left {
            let what = format!(
                "{} has it open, and nothing stops that for a way back: what it writes then goes into the file that is put aside",
                user.shown()
            );
            survey.warn(what, "set `stop` and `start` under [services]");
        }
        survey
    }

    fn fingerprint(&self, _: &Context) -> Result<Fingerprint> {
        Self::now(&self.live()?)
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let live = self.live()?;
        let taken_at = cx.clock.now();
        let connection = copy::open(&live)?;
        let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
        let journal_mode = mode.map_err(|error| copy::failed("read", &live, error))?;
        let pinned = Some(Pinned::of(&self.path, &live)?);
        // A copy that is to be encrypted is nowhere in the backup as it is, not even for a moment.
        let directory = if slot.is_sealed() {
            cx.scratch.clone()
        } else {
            slot.directory()
        };
        disk::create_private_dir(&directory)?;
        let work = tempfile::Builder::new().prefix(".guard-").tempdir_in(&directory);
        let work = work.at("make a directory in", &directory)?;
        let draft = work.path().join(COPY);
        copy::copy(&connection, &live, &draft, cx)?;
        copy::prove(&draft)?;
        let mut copied = copy::open(&draft)?;
        let read = |error| copy::failed("read", &draft, error);
        let fingerprint = reading::fingerprint(&mut copied).map_err(read)?;
        copied.close().map_err(|(_, error)| read(error))?;
        let mut staged = slot.stage(COPY)?;
        let mut file = File::open(&draft).at("open", &draft)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer).at("read", &draft)? {
                0 => break,
                count => staged.write(buffer.get(..count).unwrap_or_default())?,
            }
        }
        let entry = slot.keep(staged, COPY)?;
        let shown = self.path.file_name().unwrap_or_default().to_string_lossy();
        let path = self.path.clone();
        let details = serde_json::to_value(Details {
            path,
            taken_at,
            journal_mode,
            pinned,
        });
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KIND.key.to_owned(),
            summary: rows::summary(&shown, &fingerprint),
            fingerprint,
            files: vec![entry],
            details: details.map_err(|error| ResourceError::because("could not describe the database", error))?,
            not_kept: Vec::new(),
            tools: vec![("sqlite".to_owned(), rusqlite::version().to_owned())],
        })
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        let details = Self::details(artifact)?;
        let place = self.place(&details)?;
        let (work, price) = match Self::now(&place) {
            Ok(now) => (
                rows::work(data, &artifact.fingerprint, &now),
                rows::price(&artifact.fingerprint, &now, details.taken_at, cx.clock.now()),
            ),
            // A damaged file is put back, too, unless data is to be left alone.
            Err(error) if data == DataRestore::Never => return Err(error),
            Err(error) => (
                Work::Changed(vec!["database".to_owned()]),
                vec![format!("replaces an unreadable file: {error}")],
            ),
        };
        let mut places = Places::of(&place, &cx.token())?;
        let (mut work, mut price) = (work, price);
        if let Some(pinned) = details.pinned.as_ref().filter(|_| details.path == self.path) {
            places.metadata = Some(pinned.metadata.clone());
            places.above.clone_from(&pinned.above);
            places.link = pinned.moved_link(&self.path)?;
            if !work.is_needed() && !matches!(work, Work::Withheld(_)) {
                places.dress = pinned.to_dress(&place)?;
                let mut parts = Vec::new();
                if places.dress.is_some() {
                    parts.push("owner, mode or attributes of the file".to_owned());
                }
                if places.link.is_some() {
                    parts.push(format!("the link {}", self.path.display()));
                }
                if !parts.is_empty() {
                    places.stays = true;
                    if let Work::Left(why) = &work {
                        price.push(format!("rows: {why}"));
                    }
                    work = Work::Changed(parts);
                }
            }
        }
        if work.is_needed() && !places.stays {
            slot.compare(artifact)?;
            let lost = || ResourceError::bad_copy("the manifest lists no copy of the database");
            let mut copy = slot.read(artifact.files.first().ok_or_else(lost)?)?;
            swap::stage(&mut copy, &places, &details.journal_mode)?;
            copy.finish()?;
        }
        let details = serde_json::to_value(&places)
            .map_err(|error| ResourceError::because("could not describe the staged file", error))?;
        let price = if work == Work::Unchanged { Vec::new() } else { price };
        Ok(Prepared {
            resource: self.name.clone(),
            work,
            details,
            price,
        })
    }

    fn restore(&self, prepared: &Prepared, _: &Artifact, _: &Slot, _: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(swap::nothing(&self.name));
        }
        swap::restore(&self.name, &swap::read(&prepared.details)?)
    }

    fn check(&self, artifact: &Artifact, _: &Context) -> Result<Live> {
        let details = Self::details(artifact)?;
        let place = self.place(&details)?;
        if matches!(pinned::stands_at(&place)?, Standing::Nothing) {
            return Ok(Live::Differs(vec!["database".to_owned()]));
        }
        let mut differences = match Self::now(&place) {
            Ok(now) => now.differences(&artifact.fingerprint),
            Err(error) => return Ok(Live::Unknown(error.to_string())),
        };
        if let Some(pinned) = details.pinned.as_ref().filter(|_| details.path == self.path)
            && pinned.to_dress(&place)?.is_some()
        {
            differences.push("owner, mode or attributes of the file".to_owned());
        }
        Ok(if differences.is_empty() {
            Live::Matches
        } else {
            Live::Differs(differences)
        })
    }

    fn undo(&self, displaced: &Displaced, _: &Context) -> Result<Displaced> {
        swap::undo(&self.name, displaced)
    }

    fn forget(&self, displaced: &Displaced, _: &Context) -> Result<()> {
        swap::forget(displaced)
    }
}

impl Account for Sqlite {
    fn is_compared(&self, displaced: &Displaced) -> bool {
        swap::is_dressed(displaced)
    }
}

impl Leftovers for Sqlite {
    fn discard(&self, prepared: &Prepared, _: &Context) -> Result<()> {
        if prepared.work.is_needed() {
            swap::discard(&swap::read(&prepared.details)?)?;
        }
        Ok(())
    }
}

impl Users for Sqlite {
    fn holders(&self, _: &Context) -> Vec<User> {
        let live = self.live().unwrap_or_else(|_| self.path.clone());
        servers::holders_of(&swap::whole(&live))
    }

    fn holders_of_displaced(&self, displaced: &Displaced, _: &Context) -> Vec<User> {
        servers::holders_of(&swap::put_aside(displaced))
    }
}

impl Price for Sqlite {
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let details = Self::details(artifact)?;
        let now = Self::now(&self.place(&details)?)?;
        Ok(rows::price(
            &artifact.fingerprint,
            &now,
            details.taken_at,
            cx.clock.now(),
        ))
    }

    fn outlook(&self, artifact: &Artifact, _: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let now = self.fingerprint(cx)?;
        rows::outlook(data, &artifact.fingerprint, &now, || self.price(artifact, cx))
    }

    fn written_since(&self, displaced: &Displaced, put_back: &Artifact, _: &Context) -> Result<Vec<String>> {
        // A file that stayed and was only given another owner has its rows all the time.
        if swap::put_aside(displaced).is_empty() {
            return Ok(Vec::new());
        }
        let now = Self::now(&self.place(&Self::details(put_back)?)?)?;
        Ok(rows::written_since(&put_back.fingerprint, &now))
    }
}

impl Size for Sqlite {
    fn weigh(&self, displaced: &Displaced, _: &Context) -> Result<Option<u64>> {
        swap::weigh(displaced)
    }
}

impl Location for Sqlite {
    fn identity(&self, _: &Context) -> Vec<String> {
        vec![format!("file {}", disk::real_path(&self.path).display())]
    }

    fn grounds(&self, _: &Context) -> Vec<PathBuf> {
        vec![disk::real_path(&self.path)]
    }
}

impl ServiceNeeds for Sqlite {
    fn occupies(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }
}
