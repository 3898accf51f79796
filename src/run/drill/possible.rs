//! Which faults can be injected here, and why not the others.

use std::path::PathBuf;

use crate::assembly::Owned;
use crate::drill::agents::RESERVE;
use crate::drill::target;
use crate::project::Project;
use guard_model::drill::Fault;
use guard_model::text;
use guard_resources::abilities::Harm;
use guard_system::disk;

/// More room than this is not taken from a disk: to fill it takes what a drill has no use for.
const MOST_ROOM: u64 = 2 * 1024 * 1024 * 1024 * 1024;

/// The harm that a fault does to resources, where it is done to them.
#[must_use]
pub fn harm(fault: &Fault) -> Option<Harm> {
    Some(match fault.name {
        "rows-deleted" => Harm::LostRows,
        "migration-fails" => Harm::HalfMigration,
        "objects-deleted" => Harm::LostFiles,
        "config-broken" => Harm::BrokenFiles,
        _ => return None,
    })
}

/// The resources that know this harm.
pub fn harmed(harm: Harm, resources: &[Owned]) -> impl Iterator<Item = &Owned> {
    resources.iter().filter(move |owned| owned.resource.knows_harm(harm))
}

/// The directory whose file system is filled: that of a SQLite file or a directory that is a resource, else guard's own.
#[must_use]
pub fn disk_of_data(project: &Project, resources: &[Owned]) -> PathBuf {
    let mut paths = resources
        .iter()
        .filter(|owned| matches!(owned.kind.key, "sqlite" | "volume"))
        .flat_map(|owned| {
            let (resource, cx) = owned.resource.at(&project.cx);
            resource.grounds(&cx)
        });
    let found = paths.find_map(|path| path.ancestors().find(|path| path.is_dir()).map(PathBuf::from));
    found.unwrap_or_else(|| project.state.clone())
}

/// Whether a fault can be injected here.
///
/// # Errors
/// It cannot; why, in a sentence.
pub fn possible(fault: &Fault, project: &Project, resources: &[Owned]) -> Result<(), String> {
    if let Some(harm) = harm(fault) {
        return match harmed(harm, resources).next() {
            Some(_) => Ok(()),
            None => Err(match harm {
                Harm::LostRows | Harm::HalfMigration => "no database is declared in which guard could do that",
                Harm::LostFiles => "no volume or directory is declared",
                Harm::BrokenFiles => "no configuration file is declared (kind \"files\")",
            }
            .to_owned()),
        };
    }
    let has_commands = !project.settings.services.start.is_empty();
    match fault.name {
        "service-killed" | "service-stopped" | "service-restarting" => match target::application(project) {
            Ok(target::Target::Processes(_)) | Err(_) if !has_commands => Err(
                "nothing would start it again: no service runs in a container, and `services.start` is not set"
                    .to_owned(),
            ),
            Ok(_) => Ok(()),
            Err(_) if fault.name != "service-killed" && !project.settings.services.stop.is_empty() => Ok(()),
            Err(why) => Err(why),
        },
        "http-errors" | "http-slow" if target::proxied(project).is_empty() => {
            Err("no probe asks by plain HTTP, and before others no proxy can stand".to_owned())
        }
        "database-cut" => target::database(project).map(|_| ()),
        "disk-full" => {
            let directory = disk_of_data(project, resources);
            match disk::free_bytes(&directory) {
                Ok(free) if free <= 2 * RESERVE => Err(format!("{} is nearly full by itself", directory.display())),
                Ok(free) if free > MOST_ROOM => {
                    Err(format!("{} are free at {}", text::bytes(free), directory.display()))
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        }
        _ => Ok(()),
    }
}
