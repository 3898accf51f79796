//! SQLite databases: copied page by page while they are in use, restored beside the live file, swapped in by one exchange.

mod copy;
mod reading;
mod swap;

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Built, Kind, Resource, ResourceError, Result, Site, Slot, Survey, rows};
use crate::model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use crate::model::fingerprint::Fingerprint;
use crate::model::name::ResourceName;
use crate::model::plan::StageName;
use crate::model::policy::DataRestore;
use crate::model::section::Section;
use crate::model::text::bytes;
use crate::system::context::Context;
use crate::system::disk::{self, At};
use swap::Places;

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
}

/// What the copy tells beside its bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Details {
    /// The file, absolute.
    path: PathBuf,
    taken_at: DateTime<Utc>,
    /// `wal`, `delete`.
    journal_mode: String,
}

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    section.required_text("path")?;
    let path = site.directory.join(section.path("path")?);
    Some(Box::new(Sqlite { name, path }))
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

    fn survey(&self, _: &Context) -> Survey {
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
        let looked = self
            .require()
            .and_then(|()| copy::open(&self.path))
            .and_then(|connection| {
                let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
                let mode = mode.map_err(|error| copy::failed("read", &self.path, error))?;
                let size = std::fs::metadata(&self.path).at("look at", &self.path)?.len();
                let directory = self.path.parent().unwrap_or(&self.path);
                Ok((mode, size, disk::free_bytes(directory)?))
            });
        match looked {
            Ok((mode, size, free)) => {
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
        survey
    }

    fn fingerprint(&self, _: &Context) -> Result<Fingerprint> {
        self.require()?;
        let mut connection = copy::open(&self.path)?;
        reading::fingerprint(&mut connection).map_err(|error| copy::failed("read", &self.path, error))
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        self.require()?;
        let taken_at = cx.clock.now();
        let connection = copy::open(&self.path)?;
        let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
        let journal_mode = mode.map_err(|error| copy::failed("read", &self.path, error))?;
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
        copy::copy(&connection, &self.path, &draft, cx)?;
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
        // A file that the release has removed reads as an empty database: all of it comes back.
        let is_there = disk::exists(&self.path)?;
        let now = if is_there {
            self.fingerprint(cx)
        } else {
            Ok(Fingerprint::default())
        };
        let (work, price) = match now {
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
        let places = Places::of(&self.path, &cx.token())?;
        if work.is_needed() {
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
            return Ok(swap::displaced(&self.name, None));
        }
        swap::restore(&self.name, &swap::read(&prepared.details)?)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        Self::details(artifact)?;
        if !disk::exists(&self.path)? {
            return Ok(Live::Differs(vec!["database".to_owned()]));
        }
        Ok(match self.fingerprint(cx) {
            Ok(now) => match now.differences(&artifact.fingerprint) {
                same if same.is_empty() => Live::Matches,
                differences => Live::Differs(differences),
            },
            Err(error) => Live::Unknown(error.to_string()),
        })
    }

    fn undo(&self, displaced: &Displaced, _: &Context) -> Result<Displaced> {
        swap::undo(&self.name, displaced)
    }

    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let details = Self::details(artifact)?;
        let now = self.fingerprint(cx)?;
        Ok(rows::price(
            &artifact.fingerprint,
            &now,
            details.taken_at,
            cx.clock.now(),
        ))
    }

    fn weigh(&self, displaced: &Displaced, _: &Context) -> Result<Option<u64>> {
        swap::weigh(displaced)
    }

    fn forget(&self, displaced: &Displaced, _: &Context) -> Result<()> {
        swap::forget(displaced)
    }

    fn discard(&self, prepared: &Prepared, _: &Context) -> Result<()> {
        if prepared.work.is_needed() {
            swap::discard(&swap::read(&prepared.details)?)?;
        }
        Ok(())
    }

    fn identity(&self, _: &Context) -> Vec<String> {
        vec![format!("file {}", disk::real_path(&self.path).display())]
    }

    fn grounds(&self, _: &Context) -> Vec<PathBuf> {
        vec![disk::real_path(&self.path)]
    }

    fn occupies(&self) -> Vec<String> {
        vec![self.path.display().to_string()]
    }
}
