//! A symbolic link that names the live release, as in `current -> releases/41`.

use std::path::{Path, PathBuf};

use guard::model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard::model::fingerprint::Fingerprint;
use guard::model::name::ResourceName;
use guard::model::plan::StageName;
use guard::model::policy::DataRestore;
use guard::model::section::Section;
use guard::resources::{Built, Kind, Resource, ResourceError, Result, Site, Slot, Survey};
use guard::system::context::Context;
use guard::system::disk::{self, At};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind's entry in the list of kinds.
pub const KIND: Kind = Kind {
    key: "link",
    about: "a symbolic link that names the live release",
    captured_in: StageName::Surroundings,
    restored_in: StageName::Code,
    build,
};

struct Link {
    name: ResourceName,
    path: PathBuf,
}

/// Where a swap leads the link, and where it led before.
#[derive(Serialize, Deserialize)]
struct Turn {
    to: PathBuf,
    from: PathBuf,
}

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    section.required_text("path")?;
    let path = site.directory.join(section.path("path")?);
    Some(Box::new(Link { name, path }))
}

fn value<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| ResourceError::because("could not describe the link", error))
}

fn read<T: for<'d> Deserialize<'d>>(value: &Value) -> Result<T> {
    serde_json::from_value(value.clone())
        .map_err(|error| ResourceError::because("could not read what was recorded of the link", error))
}

impl Link {
    fn target(&self) -> Result<PathBuf> {
        Ok(std::fs::read_link(&self.path).at("read the link", &self.path)?)
    }

    /// Leads the link elsewhere in one step: at no moment is there no link.
    fn lead(&self, to: &Path, cx: &Context) -> Result<()> {
        let beside = disk::sibling(&self.path, &format!(".guard-{}", cx.token()));
        if disk::exists(&beside)? {
            // A try that was cut off left it.
            disk::remove_file(&beside)?;
        }
        std::os::unix::fs::symlink(to, &beside).at("make the link", &beside)?;
        Ok(disk::replace(&beside, &self.path)?)
    }

    /// Makes the swap, and says what it displaced. A second call finds the link where it should be, and says the same.
    fn turn(&self, turn: &Turn, cx: &Context) -> Result<Displaced> {
        let now = self.target()?;
        let from = if now == turn.to { turn.from.clone() } else { now };
        self.lead(&turn.to, cx)?;
        Ok(Displaced {
            resource: self.name.clone(),
            kept_as: vec![format!("{}, to which {} led", from.display(), self.path.display())],
            details: value(&Turn {
                to: from,
                from: turn.to.clone(),
            })?,
        })
    }
}

impl Resource for Link {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn survey(&self, _: &Context) -> Survey {
        let mut survey = Survey::default();
        match self.target() {
            Ok(target) => survey.fact(format!("leads to {}", target.display())),
            Err(error) => survey.refuse(error.to_string(), "make the link, or correct `path`"),
        }
        survey
    }

    fn fingerprint(&self, _: &Context) -> Result<Fingerprint> {
        Ok(Fingerprint::default().with("target", self.target()?.to_string_lossy()))
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let target = self.target()?;
        let file = slot.keep_bytes(target.as_os_str().as_encoded_bytes(), "target")?;
        Ok(Artifact {
            resource: self.name.clone(),
            project: None,
            kind: KIND.key.to_owned(),
            fingerprint: self.fingerprint(cx)?,
            files: vec![file],
            details: value(&target)?,
            summary: format!("leads to {}", target.display()),
            not_kept: Vec::new(),
            tools: Vec::new(),
        })
    }

    fn prepare(&self, artifact: &Artifact, _: &Slot, _: DataRestore, cx: &Context) -> Result<Prepared> {
        let differences = self.fingerprint(cx)?.differences(&artifact.fingerprint);
        let turn = Turn {
            to: read(&artifact.details)?,
            from: self.target()?,
        };
        Ok(Prepared {
            resource: self.name.clone(),
            work: if differences.is_empty() {
                Work::Unchanged
            } else {
                Work::Changed(differences)
            },
            details: value(&turn)?,
            price: Vec::new(),
        })
    }

    fn restore(&self, prepared: &Prepared, _: &Artifact, _: &Slot, cx: &Context) -> Result<Displaced> {
        self.turn(&read(&prepared.details)?, cx)
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        Ok(match self.fingerprint(cx) {
            Err(error) => Live::Unknown(error.to_string()),
            Ok(now) if now == artifact.fingerprint => Live::Matches,
            Ok(now) => Live::Differs(now.differences(&artifact.fingerprint)),
        })
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        self.turn(&read(&displaced.details)?, cx)
    }

    fn forget(&self, _: &Displaced, _: &Context) -> Result<()> {
        // A target is a word in the journal: nothing of it is outside.
        Ok(())
    }
}
