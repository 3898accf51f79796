//! The way ahead until the deploy command: copies, and the seal that makes them a backup.

use std::collections::BTreeMap;

use super::failure::failed;
use super::step_runner::StepRunner;
use crate::history::History;
use guard_model::artifact::FileEntry;
use guard_model::event::Level;
use guard_model::fact::{Failure, StepOutput};
use guard_model::name::ResourceName;
use guard_model::plan::Action;
use guard_model::text;
use guard_resources::{Resource, Slot};
use guard_store::{Backup, Knowledge, Listed, Manifest, ManifestInput};
use guard_system::context::Context;
use guard_system::disk;

/// The settings in a backup.
pub const SETTINGS: &str = "guard.toml";

impl StepRunner {
    /// Copies one resource, and proves the copy.
    pub(super) fn capture(&self, name: &ResourceName, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        let member = self.resource(name)?;
        let (resource, there) = member.at(cx);
        let sealing = self.slot(history, name);
        let slot = self.after_earlier(sealing.clone(), name, cx);
        let artifact = match self.adopting.get(name) {
            Some(material) => resource.adopt(material, &slot, &there),
            None => resource.capture(&slot, &there),
        };
        let mut artifact = member.sign(artifact.map_err(|error| failed(&error, cx))?);
        sealing.shut(&mut artifact).map_err(|error| failed(&error, cx))?;
        Ok(StepOutput::Captured(artifact))
    }

    /// The slot with the newest earlier copy of its resource, where there is one that can be believed.
    fn after_earlier(&self, slot: Slot, name: &ResourceName, cx: &Context) -> Slot {
        let listed = self.store.list().unwrap_or_else(|error| {
            cx.note(
                Level::Warn,
                format!(
                    "{name} is copied whole, since the earlier backups cannot be listed: {}",
                    text::chain(&error)
                ),
            );
            Vec::new()
        });
        // Nothing is shared with a copy that others can read, or that not everybody can who should.
        let recipients = self.cipher.recipients();
        // Nor with a copy of another thing of this name: what is unchanged is told by comparing with this one.
        let ours = self
            .resources
            .get(name)
            .map(|member| member.at(cx))
            .map(|(resource, there)| resource.identity(&there))
            .unwrap_or_default();
        let is_of_same = |manifest: &Manifest| {
            let theirs = manifest.identities.get(name).map(Vec::as_slice).unwrap_or_default();
            let is_known = !theirs.is_empty() && !ours.is_empty();
            manifest.environment == self.seal.environment && (!is_known || theirs.iter().any(|one| ours.contains(one)))
        };
        let found = listed.into_iter().find_map(|listed| match listed {
            Listed::Backup(Backup {
                directory, manifest, ..
            }) if manifest.recipients == recipients && is_of_same(&manifest) => {
                let artifact = manifest
                    .artifacts
                    .into_iter()
                    .find(|artifact| &artifact.resource == name);
                artifact.map(|artifact| (directory, artifact))
            }
            _ => None,
        });
        match found {
            Some((directory, artifact)) => slot.after(&directory, artifact),
            None => slot,
        }
    }

    /// What the resources that were copied tell of themselves; what was adopted is not what is live.
    fn told_of(
        &self,
        history: &History,
        tell: impl Fn(&dyn Resource, &Context) -> Vec<String>,
        cx: &Context,
    ) -> BTreeMap<ResourceName, Vec<String>> {
        let copied = history
            .artifacts()
            .filter(|one| !self.adopting.contains_key(&one.resource));
        let told = copied.filter_map(|one| {
            let (resource, there) = self.resources.get(&one.resource)?.at(cx);
            Some((one.resource.clone(), tell(resource, &there)))
        });
        told.filter(|(_, words)| !words.is_empty()).collect()
    }

    /// Writes the manifest. Without it there is no backup.
    pub(super) fn seal(&self, history: &History, cx: &Context) -> Result<StepOutput, Failure> {
        self.services.end_copy(cx);
        let plan = history.plan();
        let known_good = match history.yielded(&Action::Baseline) {
            Some(StepOutput::Baseline { complaints, tally }) if complaints.is_empty() && tally.checks > 0 => {
                Knowledge::KnownGood
            }
            Some(StepOutput::Baseline { complaints, .. }) if !complaints.is_empty() => {
                Knowledge::Tainted(complaints.join("; "))
            }
            // Where nobody was asked, the last release may have passed its verification, and still be there.
            _ if self.seal.is_vouched => Knowledge::KnownGood,
            _ => Knowledge::Unknown,
        };
        let draft = self.store.draft(&plan.backup);
        let failed = |error: &(dyn std::error::Error + 'static)| Failure::from_error(error);
        let settings = draft.directory().join(SETTINGS);
        disk::write_whole(&settings, self.seal.settings.as_bytes()).map_err(|error| failed(&error))?;
        let (bytes, sha256) = disk::sha256_file(&settings).map_err(|error| failed(&error))?;
        let input = ManifestInput {
            artifacts: history.artifacts().cloned().collect(),
            known_good,
            run: Some(history.run().clone()),
            environment: self.seal.environment.clone(),
            target: Some(self.seal.target.clone()),
            identities: self.told_of(history, |resource, there| resource.identity(there), cx),
            live: self.told_of(history, |resource, there| resource.shown_release(there), cx),
            side: self.side_now(cx),
            description: self.seal.description.clone(),
            command: plan.command.iter().map(|word| cx.redaction.clean(word)).collect(),
            git: None,
            // An adopted backup has the name of an old one and is not old: retention counts from here.
            recipients: self.cipher.recipients(),
            begun: (!self.adopting.is_empty()).then(|| cx.clock.now()),
            settings: Some(FileEntry {
                path: SETTINGS.to_owned(),
                bytes,
                sha256,
            }),
        };
        let backup = self.store.seal(&draft, input).map_err(|error| failed(&error))?;
        // What was held for a copy is healthy again before a deploy command comes that waits for it.
        cx.aside.settle();
        let size = text::bytes(backup.manifest.bytes());
        cx.note(
            Level::Info,
            format!(
                "backup {} is complete: {size} in {}",
                plan.backup,
                backup.directory.display()
            ),
        );
        Ok(StepOutput::Nothing)
    }
}
