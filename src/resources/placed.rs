//! A resource of a further project: the same resource, with every act led to that project's engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Held, Mark, Resource, Result, Slot, Survey};
use guard_model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared};
use guard_model::fingerprint::Fingerprint;
use guard_model::foreign::Material;
use guard_model::name::ResourceName;
use guard_model::policy::DataRestore;
use guard_system::context::Context;
use guard_system::docker::Engine;
use guard_system::servers::User;

/// A resource, and where it is.
pub struct Placed {
    /// The resource itself.
    pub inner: Box<dyn Resource>,
    /// The project that it belongs to.
    pub project: String,
    /// The project's engine, where it is another one than that of the environment.
    pub engine: Option<Engine>,
}

impl Placed {
    fn there(&self, cx: &Context) -> Context {
        cx.at(self.engine.as_ref())
    }

    /// The copy, with the project that it is of: a run that puts another resource back has to know where this one belongs.
    fn own(&self, artifact: Artifact) -> Artifact {
        Artifact {
            project: Some(self.project.clone()),
            ..artifact
        }
    }
}

impl Resource for Placed {
    fn name(&self) -> &ResourceName {
        self.inner.name()
    }

    fn project(&self) -> Option<&str> {
        Some(&self.project)
    }

    fn leave_to_others(&mut self, checkouts: &[std::path::PathBuf]) {
        self.inner.leave_to_others(checkouts);
    }

    fn survey(&self, cx: &Context) -> Survey {
        self.inner.survey(&self.there(cx))
    }

    fn agrees(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        self.inner.agrees(artifact, &self.there(cx))
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        self.inner.fingerprint(&self.there(cx))
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let artifact = self.inner.capture(slot, &self.there(cx))?;
        Ok(self.own(artifact))
    }

    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let artifact = self.inner.adopt(material, slot, &self.there(cx))?;
        Ok(self.own(artifact))
    }

    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.inner.prove(artifact, slot, &self.there(cx))
    }

    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.inner.rehearse(artifact, slot, &self.there(cx))
    }

    fn stand_down(&self, cx: &Context) -> Result<()> {
        self.inner.stand_down(&self.there(cx))
    }

    fn mark(&self, mark: Mark, cx: &Context) -> Result<()> {
        self.inner.mark(mark, &self.there(cx))
    }

    fn secure(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Vec<String>> {
        self.inner.secure(artifact, slot, &self.there(cx))
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        self.inner.prepare(artifact, slot, data, &self.there(cx))
    }

    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced> {
        self.inner.restore(prepared, artifact, slot, &self.there(cx))
    }

    fn restore_beside(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        beside: &[&Prepared],
        cx: &Context,
    ) -> Result<Displaced> {
        self.inner
            .restore_beside(prepared, artifact, slot, beside, &self.there(cx))
    }

    fn compares_copies(&self) -> bool {
        self.inner.compares_copies()
    }

    fn keeps_new(&self) -> bool {
        self.inner.keeps_new()
    }

    fn is_compared(&self, displaced: &Displaced) -> bool {
        self.inner.is_compared(displaced)
    }

    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        self.inner.carried(displaced)
    }

    fn compare(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Live> {
        self.inner.compare(artifact, slot, &self.there(cx))
    }

    fn take_up(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        self.inner.take_up(displaced, &self.there(cx))
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        self.inner.check(artifact, &self.there(cx))
    }

    fn live_release(&self, cx: &Context) -> Result<BTreeMap<String, String>> {
        self.inner.live_release(&self.there(cx))
    }

    fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
        self.inner.weigh(displaced, &self.there(cx))
    }

    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced> {
        self.inner.undo(displaced, &self.there(cx))
    }

    fn undo_beside(&self, displaced: &Displaced, beside: &[&Displaced], cx: &Context) -> Result<Displaced> {
        self.inner.undo_beside(displaced, beside, &self.there(cx))
    }

    fn shut_out(&self, cx: &Context) -> Result<()> {
        self.inner.shut_out(&self.there(cx))
    }

    fn let_in(&self, cx: &Context) -> Result<bool> {
        self.inner.let_in(&self.there(cx))
    }

    fn is_shut(&self, cx: &Context) -> Result<bool> {
        self.inner.is_shut(&self.there(cx))
    }

    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        self.inner.price(artifact, &self.there(cx))
    }

    fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        self.inner.try_back(newest, &self.there(cx), survey);
    }

    fn outlook(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        self.inner.outlook(artifact, slot, data, &self.there(cx))
    }

    fn reprice(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        cx: &Context,
    ) -> Result<Option<Vec<String>>> {
        self.inner.reprice(prepared, artifact, slot, &self.there(cx))
    }

    fn holders(&self, cx: &Context) -> Vec<User> {
        self.inner.holders(&self.there(cx))
    }

    fn holders_of_displaced(&self, displaced: &Displaced) -> Vec<User> {
        self.inner.holders_of_displaced(displaced)
    }

    fn undo_price(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        self.inner.undo_price(displaced, &self.there(cx))
    }

    fn written_since(&self, displaced: &Displaced, put_back: &Artifact, cx: &Context) -> Result<Vec<String>> {
        self.inner.written_since(displaced, put_back, &self.there(cx))
    }

    fn holds_rows(&self, displaced: &Displaced) -> bool {
        self.inner.holds_rows(displaced)
    }

    fn salvage(&self, displaced: &Displaced, tables: &[String], into: &Path, cx: &Context) -> Result<Vec<String>> {
        self.inner.salvage(displaced, tables, into, &self.there(cx))
    }

    fn salvage_files(
        &self,
        displaced: &Displaced,
        patterns: &[String],
        command: &str,
        cx: &Context,
    ) -> Result<Vec<String>> {
        self.inner.salvage_files(displaced, patterns, command, &self.there(cx))
    }

    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()> {
        self.inner.forget(displaced, &self.there(cx))
    }

    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        self.inner.discard(prepared, &self.there(cx))
    }

    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        self.inner.release(artifact, &self.there(cx))
    }

    fn settle(&self, cx: &Context) -> Result<()> {
        self.inner.settle(&self.there(cx))
    }

    fn hold(&self, holder: &str, cx: &Context) -> Result<Held> {
        self.inner.hold(holder, &self.there(cx))
    }

    fn needs_running(&self) -> Vec<String> {
        self.inner.needs_running()
    }

    fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        self.inner.replaces(prepared)
    }

    fn identity(&self, cx: &Context) -> Vec<String> {
        self.inner.identity(&self.there(cx))
    }

    fn grounds(&self, cx: &Context) -> Vec<PathBuf> {
        self.inner.grounds(&self.there(cx))
    }

    fn shown_release(&self, cx: &Context) -> Vec<String> {
        self.inner.shown_release(&self.there(cx))
    }

    fn stops(&self) -> Vec<String> {
        self.inner.stops()
    }

    fn occupies(&self) -> Vec<String> {
        self.inner.occupies()
    }
}
