//! How a resource is now, beside its copy, in words.

use crate::assembly::Owned;
use crate::encryption;
use crate::project::Project;
use guard_model::artifact::{Artifact, Live};
use guard_model::text;
use guard_store::Backup;

/// How a resource is now, beside its copy in a backup.
#[must_use]
pub fn now(owned: &Owned, artifact: &Artifact, backup: &Backup, project: &Project) -> String {
    let told = |what: &str, parts: &[String]| text::shortened(&format!("{what}: {}", parts.join(", ")), 120);
    let (resource, cx) = owned.resource.at(&project.cx);
    match resource.check(artifact, &cx) {
        Ok(Live::Matches) => "as in the backup: nothing to do".to_owned(),
        // By its description alone; with the copy at hand, what stays where it is in a way back makes no difference.
        Ok(Live::Differs(parts)) if resource.keeps_new() => {
            let slot = encryption::slot(backup, owned.resource.name(), project).ok();
            match slot.map(|slot| resource.compare(artifact, &slot, &cx)) {
                Some(Ok(Live::Matches)) => told("as in the backup but for what stays", &parts),
                Some(Ok(Live::Differs(parts))) => told("differs", &parts),
                _ => told("differs", &parts),
            }
        }
        Ok(Live::Differs(parts)) => told("differs", &parts),
        Ok(Live::Unknown(why)) => format!("cannot be compared: {why}"),
        Err(error) => format!("cannot be compared: {error}"),
    }
}
