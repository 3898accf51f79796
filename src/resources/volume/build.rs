//! Reads a volume's keys from its table in `guard.toml`.

use std::sync::OnceLock;

use super::source::{KEY, Target, Volume};
use crate::carry_over::CarryOver;
use crate::definition::{Built, Kind, Site};
use crate::trees::chunks::form::Form;
use crate::trees::details::Mode;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::section::Section;

/// `kind = "volume"`.
pub const KIND: Kind = Kind {
    key: KEY,
    about: "a Docker volume or a directory, with owners, modes, times, links and attributes",
    captured_in: StageName::Volumes,
    restored_in: StageName::Data,
    build,
};

/// The keys: `volume` (a compose volume's key, or a volume's name in the engine) or `path` (a directory); `mode`, how it is
/// copied while its containers run: `live`, `pause`, `stop`; `compression`, zstd's level from 1 to 19; `form`, one `archive`, or `chunks` that
/// backups share, or `auto`; `force_read`, which reads also what cannot have changed; `through_engine`,
/// which reaches the volume only through the engine's API even where its directory could be read, as for an engine on
/// another host; `standby`, whether something stands by of it on ground that copies in an instant: `auto`, `never`; `carry_over`, which files a rollback leaves where they are: `none`, or `new-files`.
fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let volume = section.word("volume");
    let path = section.path("path");
    let modes = [("live", Mode::Live), ("pause", Mode::Pause), ("stop", Mode::Stop)];
    let mode = section.choice("mode", &modes).unwrap_or(Mode::Live);
    let level = section
        .whole("compression", 1..=19)
        .and_then(|level| i32::try_from(level).ok())
        .unwrap_or(3);
    let forms = [
        ("archive", Some(Form::Archive)),
        ("chunks", Some(Form::Chunks)),
        ("auto", None),
    ];
    let form = section.choice("form", &forms).unwrap_or(None);
    let force_read = section.flag("force_read").unwrap_or(false);
    let through_engine = section.flag("through_engine").unwrap_or(false);
    let stands = [("auto", true), ("never", false)];
    let stands_by = section.choice("standby", &stands).unwrap_or(true);
    let carry_over = CarryOver::of(section);
    let target = match (volume, path) {
        (Some(volume), None) => Target::Volume(volume),
        (None, Some(path)) => Target::Path(site.directory.join(path)),
        (Some(_), Some(_)) => {
            section.problem("path", "stands beside `volume`; a resource has one of the two", None);
            return None;
        }
        (None, None) => {
            if !section.has("volume") && !section.has("path") {
                section.problem(
                    "volume",
                    "is missing",
                    Some("name a volume, or a directory with `path`".to_owned()),
                );
            }
            return None;
        }
    };
    Some(Box::new(Volume {
        name,
        target,
        mode,
        level,
        form,
        force_read,
        stands_by,
        through_engine,
        carry_over,
        project: site.compose.as_ref().map(|compose| compose.project.clone()),
        compose: site.compose.clone(),
        found: OnceLock::new(),
        bytes: OnceLock::new(),
    }))
}
