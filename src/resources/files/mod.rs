//! Configuration files: kept one by one with owner and mode, replaced in one rename each, tested before they are taken up.

mod build;
mod drafts;
mod drill;
mod list;
mod replace;
mod secrets;
mod selection;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(super) use self::build::KIND;

use self::drafts::Drafts;
use self::list::{Content, Entry, Recorded, fingerprint};
use self::replace::Stock;
use self::selection::{BLOBS, Files, LIST};
use crate::abilities::{Abilities, Leftovers, Location, Price, Reload, Size};
use crate::contract::Resource;
use crate::error::{ResourceError, Result};
use crate::names::{escaped, unescaped};
use crate::slot::Slot;
use crate::survey::Survey;
use crate::trees::toll::Toll;
use guard_model::artifact::{Artifact, Displaced, FileEntry, Live, Prepared, Work};
use guard_model::event::Level;
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::policy::DataRestore;
use guard_model::text;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::processes::CallError;

fn json<T: serde::Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| ResourceError::because("could not describe the files", error))
}

fn stock(details: &Value) -> Result<Stock> {
    serde_json::from_value(details.clone())
        .map_err(|error| ResourceError::because("could not understand the record of the files", error))
}

fn recorded(artifact: &Artifact) -> Result<Recorded> {
    // Guards before wrote only a list of the files.
    let found = if artifact.details.is_array() {
        serde_json::from_value(artifact.details.clone()).map(|entries| Recorded {
            entries,
            directories: None,
        })
    } else {
        serde_json::from_value(artifact.details.clone())
    };
    found.map_err(|error| ResourceError {
        copy_is_bad: true,
        ..ResourceError::because(
            format!("could not understand what the manifest says of {}", artifact.resource),
            error,
        )
    })
}

/// Whether a command was not run at all, as in a container that does not run: it has said nothing of the files then.
fn is_unasked(error: &ResourceError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<CallError>() {
            Some(CallError::Exit { exit, stderr, .. }) => {
                let said = stderr.to_lowercase();
                let silent = [
                    "is not running",
                    "no such container",
                    "no such service",
                    "no container found",
                ];
                return matches!(exit.as_str(), "exit code 126" | "exit code 127")
                    || silent.iter().any(|word| said.contains(word));
            }
            Some(CallError::TimedOut { .. } | CallError::Stopped { .. }) => return false,
            Some(_) => return true,
            None => cause = error.source(),
        }
    }
    false
}

impl Files {
    fn run(&self, commands: &[Vec<String>], what: &str, cx: &Context) -> Result<()> {
        for words in commands {
            let Some(call) = Call::of_words(words) else { continue };
            let call = cx
                .announced
                .iter()
                .fold(call.directory(&self.directory), |call, (name, value)| {
                    call.env(name, value)
                });
            cx.output(&call).map_err(|error| {
                ResourceError::because(format!("the {what} command of {} failed", self.name), error)
            })?;
        }
        Ok(())
    }

    /// What going back to these entries means for the files that are there.
    fn toll(&self, meant: &[Entry], cx: &Context) -> Result<Toll> {
        let live = self.look(cx)?.entries;
        let mut toll = Toll::default();
        let bytes = |entry: &Entry| match &entry.content {
            Content::File { bytes, .. } => *bytes,
            Content::Symlink { .. } => 0,
        };
        let path = |entry: &Entry| unescaped(&entry.path).unwrap_or_default();
        for entry in &live {
            match meant.iter().find(|other| other.path == entry.path) {
                None => toll.came.add(&path(entry), bytes(entry)),
                Some(other) if !other.is_like(entry) => toll.changed.add(&path(entry), bytes(entry)),
                Some(_) => {}
            }
        }
        for entry in meant
            .iter()
            .filter(|entry| !live.iter().any(|other| other.path == entry.path))
        {
            toll.gone.add(&path(entry), bytes(entry));
        }
        Ok(toll)
    }

    /// Runs what needs no container, while services are still down: a unit that is started next has to be the old one. It is
    /// all run again when they are up, and only that counts.
    fn take_up_early(&self, cx: &Context) {
        let all = self.check.iter().chain(&self.after);
        let goes_inside = |words: &Vec<String>| words.iter().any(|word| word.contains("docker"));
        if all.clone().next().is_none() || all.clone().any(goes_inside) {
            return;
        }
        let early = self.run(&self.check, "check", cx);
        if let Err(error) = early.and_then(|()| self.run(&self.after, "after", cx)) {
            let why = text::chain(&error);
            cx.note(
                Level::Info,
                format!("{why}; it is tried again when the services are up"),
            );
        }
    }

    /// Tries what the way back will need: a new file beside each, of its owner and with all that it has; one for each directory
    /// and each of these.
    fn try_out(&self, entries: &[Entry]) -> Result<()> {
        let mut tried = BTreeSet::new();
        for entry in entries {
            let Some(metadata) = &entry.metadata else { continue };
            let place = self.directory.join(entry.below()?);
            if tried.insert((place.parent().map(Path::to_owned), metadata.word())) {
                metadata.try_beside(&place)?;
            }
            metadata.refuse_locked(&place)?;
        }
        Ok(())
    }

    /// Where this run keeps what it displaces; the serial tells a restore from an undo, and that from its own undo.
    fn blobs(&self, cx: &Context, serial: &str) -> PathBuf {
        cx.scratch.join(format!("{}-{serial}", self.name))
    }

    /// Puts the stock in place and what is there aside; the check decides whether it stays.
    fn exchange(&self, stock: &Stock, serial: &str, cx: &Context) -> Result<Displaced> {
        let blobs = self.blobs(cx, serial);
        let record = blobs.join(LIST);
        replace::prove(stock)?;
        let before = if let Some(bytes) = disk::read_optional(&record)? {
            // A repeat: what was displaced was written down before anything was replaced.
            serde_json::from_slice(&bytes)
                .map_err(|error| ResourceError::because(format!("could not understand {}", record.display()), error))?
        } else {
            disk::create_private_dir(&blobs)?;
            let live = self.list(cx, |below| replace::keep(&self.directory, below, &blobs))?;
            let before = Stock {
                recorded: Recorded {
                    entries: live.entries,
                    directories: Some(live.directories),
                },
                blobs: escaped(blobs.as_os_str().as_bytes()),
            };
            disk::write_whole(&record, json(&before)?.to_string().as_bytes())?;
            before
        };
        self.put(stock, cx)?;
        self.take_up_early(cx);
        Ok(Displaced {
            resource: self.name.clone(),
            details: json(&before)?,
            kept_as: vec![format!("files in {}", blobs.display())],
        })
    }
}

impl Resource for Files {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            drills: Some(self),
            leftovers: Some(self),
            reload: Some(self),
            price: Some(self),
            size: Some(self),
            location: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        let mut survey = Survey::default();
        match self.look(cx) {
            Ok(listing) => {
                for lost in listing.not_kept {
                    survey.warn(format!("not kept: {lost}"), "only regular files and links are kept");
                }
                if listing.entries.is_empty() {
                    survey.refuse(
                        format!("nothing matches {}", self.written.join(", ")),
                        "correct `paths`; they start from the directory of guard.toml",
                    );
                }
                let bytes = listing.entries.iter().map(|entry| match &entry.content {
                    Content::File { bytes, .. } => *bytes,
                    Content::Symlink { .. } => 0,
                });
                let bytes = bytes.sum();
                survey.fact(format!(
                    "{}, {}",
                    text::plural(listing.entries.len() as u64, "file"),
                    text::bytes(bytes)
                ));
                survey.copy_bytes = Some(bytes);
                survey.side_bytes = Some(bytes);
                if let Err(error) = self.try_out(&listing.entries) {
                    survey.refuse(
                        text::chain(&error),
                        error
                            .hint
                            .unwrap_or_else(|| "correct that, then run `guard check` again".to_owned()),
                    );
                }
            }
            Err(error) => survey.refuse(
                error.to_string(),
                error
                    .hint
                    .unwrap_or_else(|| "let guard's user read these files".to_owned()),
            ),
        }
        survey
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        let now = self.look(cx)?;
        Ok(fingerprint(&now.entries, &now.directories))
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let drafts = Drafts::of(slot, cx)?;
        let blobs = drafts.directory();
        let mut files: Vec<FileEntry> = Vec::new();
        let listing = self.list(cx, |below| {
            let Some(entry) = replace::keep(&self.directory, below, blobs)? else {
                return Ok(None);
            };
            if let Content::File { bytes, sha256 } = &entry.content {
                secrets::learn_file(&blobs.join(sha256), *bytes, &cx.redaction)?;
                let file = FileEntry {
                    path: format!("{}/{BLOBS}/{sha256}", self.name),
                    bytes: *bytes,
                    sha256: sha256.clone(),
                };
                if !files.contains(&file) {
                    files.push(file);
                }
            }
            Ok(Some(entry))
        })?;
        files = drafts.keep(files, slot)?;
        let fingerprint = fingerprint(&listing.entries, &listing.directories);
        let recorded = Recorded {
            entries: listing.entries,
            directories: Some(listing.directories),
        };
        let details = json(&recorded)?;
        let shown = serde_json::to_vec_pretty(&recorded.entries)
            .map_err(|error| ResourceError::because("could not describe the files", error))?;
        files.push(slot.keep_bytes(&shown, LIST)?);
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KIND.key.to_owned(),
            fingerprint,
            summary: text::plural(recorded.entries.len() as u64, "file"),
            files,
            details,
            not_kept: listing.not_kept,
            tools: Vec::new(),
        })
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, _data: DataRestore, cx: &Context) -> Result<Prepared> {
        slot.compare(artifact)?;
        let recorded = recorded(artifact)?;
        let live = self.look(cx)?;
        let mut parts = recorded.differences(&live);
        parts.extend(recorded.times(&live));
        let work = if parts.is_empty() {
            Work::Unchanged
        } else {
            self.ready(&recorded)?;
            Work::Changed(parts)
        };
        let stock = Stock {
            recorded,
            blobs: escaped(slot.opened(artifact, &cx.scratch)?.join(BLOBS).as_os_str().as_bytes()),
        };
        replace::prove(&stock)?;
        // That files change is what a release is for; those that it brought, or somebody else, go.
        let price = match &work {
            Work::Changed(_) => {
                let Toll { came, .. } = self.toll(&stock.recorded.entries, cx)?;
                let lost = Toll {
                    came,
                    ..Toll::default()
                };
                lost.price("file", None, DataRestore::Always)
            }
            _ => Vec::new(),
        };
        Ok(Prepared {
            resource: self.name.clone(),
            work,
            details: json(&stock)?,
            price,
        })
    }

    fn restore(&self, prepared: &Prepared, _artifact: &Artifact, _slot: &Slot, cx: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(Displaced {
                resource: self.name.clone(),
                details: Value::Null,
                kept_as: Vec::new(),
            });
        }
        self.exchange(&stock(&prepared.details)?, "displaced", cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        let recorded = recorded(artifact)?;
        Ok(match self.look(cx) {
            Err(error) => Live::Unknown(error.to_string()),
            Ok(live) => match recorded.differences(&live) {
                parts if parts.is_empty() => Live::Matches,
                parts => Live::Differs(parts),
            },
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        if displaced.details.is_null() {
            return Ok(displaced.clone());
        }
        let stock = stock(&displaced.details)?;
        let from = stock.directory()?;
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let serial = name
            .strip_prefix(&format!("{}-", self.name))
            .unwrap_or(&name)
            .to_owned();
        self.exchange(&stock, &format!("{serial}-undone"), cx)
    }

    fn forget(&self, displaced: &Displaced, _cx: &Context) -> Result<()> {
        if displaced.details.is_null() {
            return Ok(());
        }
        let blobs = stock(&displaced.details)?.directory()?;
        let trash = disk::sibling(&blobs, "-trash");
        disk::remove_tree(&blobs, &trash)?;
        match std::fs::remove_dir(&trash) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ResourceError::because(
                format!("could not remove {}", trash.display()),
                error,
            )),
            _ => Ok(()),
        }
    }
}

impl Leftovers for Files {
    fn settle(&self, _cx: &Context) -> Result<()> {
        for root in &self.roots {
            let root = self.directory.join(root);
            disk::remove_strays(root.parent().unwrap_or(&self.directory))?;
            let inside = walkdir::WalkDir::new(&root).into_iter().flatten();
            inside
                .filter(|entry| entry.file_type().is_dir())
                .try_for_each(|entry| disk::remove_strays(entry.path()))?;
        }
        Ok(())
    }
}

impl Reload for Files {
    fn take_up(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        if displaced.details.is_null() {
            return Ok(Vec::new());
        }
        let mut unasked = Vec::new();
        for (commands, what) in [(&self.check, "check"), (&self.after, "after")] {
            match self.run(commands, what, cx) {
                Ok(()) => {}
                Err(error) if is_unasked(&error) => {
                    let sentence = format!(
                        "the {what} command of {} cannot be run here: {}",
                        self.name,
                        text::chain(&error)
                    );
                    unasked.push(sentence);
                }
                Err(error) => {
                    return Err(error.with_hint(format!(
                        "the files are back; correct {what} of {} in guard.toml, or leave it out with --skip {}",
                        self.name, self.name
                    )));
                }
            }
        }
        Ok(unasked)
    }
}

impl Price for Files {
    fn outlook(&self, artifact: &Artifact, _: &Slot, _: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let toll = self.toll(&recorded(artifact)?.entries, cx)?;
        Ok(toll.price("file", None, DataRestore::Always))
    }
}

impl Size for Files {
    fn weigh(&self, displaced: &Displaced, _cx: &Context) -> Result<Option<u64>> {
        Ok(Some(disk::weight(&stock(&displaced.details)?.directory()?)?))
    }
}

impl Location for Files {
    fn grounds(&self, _: &Context) -> Vec<PathBuf> {
        let roots = self.roots.iter().map(|root| self.directory.join(root));
        roots.map(|root| disk::real_path(&root)).collect()
    }
}
