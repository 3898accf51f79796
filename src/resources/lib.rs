//! Resources: things with state that a deployment can change, and that guard can copy and put back.

mod aside;
mod attire;
mod carry_over;
pub mod compose;
mod error;
mod escapes;
mod files;
mod git;
mod held;
pub mod images;
mod kind;
mod mariadb;
mod names;
mod objects;
mod placed;
mod postgres;
mod progress;
mod reading;
mod records;
mod redis;
mod rows;
mod slot;
mod sqlite;
mod stall;
mod survey;
mod toll;
pub mod volume;
mod wanted;
mod way;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use error::{ResourceError, Result};
pub use held::{Held, Hold};
pub use kind::{Built, KINDS, Kind, Site, copied_keys, kind};
pub use placed::Placed;
pub use slot::{OPENED, Slot};
pub use survey::{Obstacle, Survey};

use guard_model::artifact::{Artifact, CarriedOver, Displaced, Live, Prepared, Work};
use guard_model::fingerprint::Fingerprint;
use guard_model::foreign::Material;
use guard_model::name::ResourceName;
use guard_model::policy::DataRestore;
use guard_system::context::Context;
use guard_system::servers::User;

/// A moment in the life of a release, as resources are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The deploy command begins: what is written from now on may be the release's.
    DeployBegins,
    /// It has ended, in whatever way.
    DeployEnded,
}

/// A thing with state. Its acts block; the engine gives each a thread of its own.
///
/// Every act may be cut off at any instant and called again: whatever it makes outside has a name that follows from
/// `cx.token()` and the resource's name, so that a second call finds what the first one made.
pub trait Resource: Send + Sync {
    /// The name in `guard.toml`.
    fn name(&self) -> &ResourceName;

    /// The further project that it belongs to, by its name in the settings; `None`: the one that the settings are of.
    fn project(&self) -> Option<&str> {
        None
    }

    /// Tells it the directories of all git checkouts that are resources: one inside another is left to its own resource.
    fn leave_to_others(&mut self, checkouts: &[PathBuf]) {
        let _ = checkouts;
    }

    /// What would keep this resource from being copied or put back, each a finding for `guard check`; production is only
    /// read. Empty: the way back is open.
    fn survey(&self, cx: &Context) -> Survey;

    /// Tries beside what is live whether it would come up from a copy, as a restore would do it, where nothing proves that yet;
    /// `newest` is its newest copy. `guard check` calls it once [`Resource::survey`] has found nothing in the way, and what it
    /// finds is added there. What it makes it removes.
    fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        let _ = (newest, cx, survey);
    }

    /// What it is like now; cheap, and equal exactly when nothing has to be put back.
    ///
    /// # Errors
    /// It cannot be read.
    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint>;

    /// Copies it into the slot, and proves the copy. A slot that holds the leavings of an earlier try is written over.
    ///
    /// # Errors
    /// It cannot be read, the copy cannot be written, or the copy is not sound.
    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact>;

    /// Makes a copy in guard's own form from what somebody else made by hand; production is only read. The slot is used as by
    /// [`Resource::capture`], and what comes of it is restored in no other way.
    ///
    /// # Errors
    /// This kind takes no such part, or the part is not sound (`copy_is_bad`).
    fn adopt(&self, material: &Material, slot: &Slot, cx: &Context) -> Result<Artifact> {
        let _ = (material, slot, cx);
        let what = format!("{} takes nothing from a backup made by hand", self.name());
        Err(ResourceError::new(what))
    }

    /// Reads the whole copy, and says that it is sound and is what the manifest lists. Production is not touched.
    ///
    /// # Errors
    /// It is not (`copy_is_bad`), or it cannot be read.
    fn prove(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        let _ = cx;
        slot.compare(artifact)
    }

    /// Restores the copy beside the live resource, compares it, and removes it again: the strongest proof that a kind has.
    ///
    /// # Errors
    /// The copy is not sound (`copy_is_bad`), or it cannot be restored here.
    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.prove(artifact, slot, cx)
    }

    /// Looks whether a copy could be put back where the resource is now; cheap, and only reads.
    ///
    /// # Errors
    /// It could not, as when it was taken from another server.
    fn agrees(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let _ = (artifact, cx);
        Ok(())
    }

    /// Removes what a capture of this run left standing by, once the run is over and did without it. Safe to repeat.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn stand_down(&self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Looks whether what going back to this copy takes beside the copy itself is still there, now that the deploy command has
    /// run, and gets back what can be had again. Returns what was gone and is there again, each a sentence.
    ///
    /// # Errors
    /// Something is gone and cannot be had again, so that this copy could not be put back now.
    fn secure(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Vec<String>> {
        let _ = (artifact, slot, cx);
        Ok(Vec::new())
    }

    /// Notes in the run's directory that this moment has come, where a rollback has to tell what was written before it from
    /// what came after. Only reads.
    ///
    /// # Errors
    /// It cannot be noted; a rollback then takes less along.
    fn mark(&self, mark: Mark, cx: &Context) -> Result<()> {
        let _ = (mark, cx);
        Ok(())
    }

    /// Whether [`Resource::prepare`] itself compares the copy with its manifest; else that is done before it.
    fn compares_copies(&self) -> bool {
        false
    }

    /// Stages the copy beside the live resource, so that the swap is short; production is not touched. Says whether there
    /// is anything to do, and what it costs.
    ///
    /// # Errors
    /// The copy is bad, or it cannot be staged.
    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared>;

    /// Swaps in what was prepared, and keeps what was there. Safe to repeat.
    ///
    /// # Errors
    /// The swap did not take place, or only a part of it did; repeating it goes on.
    fn restore(&self, prepared: &Prepared, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Displaced>;

    /// The same while those in `beside` are put back by threads of their own, for what has to be exchanged together.
    ///
    /// # Errors
    /// As [`Resource::restore`]; or one of those that go together has failed.
    fn restore_beside(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        beside: &[&Prepared],
        cx: &Context,
    ) -> Result<Displaced> {
        let _ = beside;
        self.restore(prepared, artifact, slot, cx)
    }

    /// Whether a restore has made sure by itself that what is live now is the copy, and what was taken along: it is not
    /// compared again then, which takes time, and fails where somebody writes already.
    fn is_compared(&self, displaced: &Displaced) -> bool {
        let _ = displaced;
        false
    }

    /// What a restore took along from the state that it displaced: the live resource is then meant to differ from the copy.
    fn carried(&self, displaced: &Displaced) -> Option<CarriedOver> {
        let _ = displaced;
        None
    }

    /// Keeps clients from changing what a restore or an undo has put in, until [`Resource::let_in`]: an act in surroundings that
    /// are fenced does so by itself from its exchange on, where the kind can, and this sees to it. Safe to repeat.
    ///
    /// # Errors
    /// They cannot be kept out.
    fn shut_out(&self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Lets clients in again, whoever shut them out: this guard, or one that was killed. Returns whether they were shut out.
    /// Safe to repeat.
    ///
    /// # Errors
    /// They are, or may be, still shut out.
    fn let_in(&self, cx: &Context) -> Result<bool> {
        let _ = cx;
        Ok(false)
    }

    /// Whether clients are shut out now, and stay so until somebody lets them in. Cheap; only reads.
    ///
    /// # Errors
    /// It cannot be asked.
    fn is_shut(&self, cx: &Context) -> Result<bool> {
        let _ = cx;
        Ok(false)
    }

    /// The processes of this host that have what is live open, as far as this user may see them: who of them is not stopped may
    /// write while it goes back.
    fn holders(&self, cx: &Context) -> Vec<User> {
        let _ = cx;
        Vec::new()
    }

    /// Those that have open what was put aside: what they write goes there, and not into what is live.
    fn holders_of_displaced(&self, displaced: &Displaced) -> Vec<User> {
        let _ = displaced;
        Vec::new()
    }

    /// Makes services take up what this run has put back, once they run: tests and reloads that go through them. Returns what
    /// could not be asked, each a sentence. Safe to repeat.
    ///
    /// # Errors
    /// It is refused, or not taken up.
    fn take_up(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        let _ = (displaced, cx);
        Ok(Vec::new())
    }

    /// How the live resource compares with the copy.
    ///
    /// # Errors
    /// The copy's own description cannot be read. A live resource that cannot be read is `Live::Unknown`.
    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live>;

    /// The same with the copy itself at hand: what a description cannot tell is compared with what the copy holds.
    ///
    /// # Errors
    /// As for [`Resource::check`].
    fn compare(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<Live> {
        let _ = slot;
        self.check(artifact, cx)
    }

    /// Whether a way back may leave things where they are that the copy does not know: only [`Resource::compare`] tells them
    /// from what goes back.
    fn keeps_new(&self) -> bool {
        false
    }

    /// Which release is live, part by part, in words that differ exactly when another one is: by this somebody else's
    /// deployment is noticed. A part that does not run is left out: that it has died says nothing of who deployed. Empty
    /// where the kind cannot tell one release from another.
    ///
    /// # Errors
    /// It cannot be read.
    fn live_release(&self, cx: &Context) -> Result<BTreeMap<String, String>> {
        let _ = cx;
        Ok(BTreeMap::new())
    }

    /// Bytes that what a restore displaced takes; `None` where the kind cannot tell.
    ///
    /// # Errors
    /// It cannot be read; it may be gone.
    fn weigh(&self, displaced: &Displaced, cx: &Context) -> Result<Option<u64>> {
        let _ = (displaced, cx);
        Ok(None)
    }

    /// Swaps back what a restore displaced, and returns what that displaced in turn, so that an undo can be undone. Safe
    /// to repeat.
    ///
    /// # Errors
    /// What was displaced is not there any more, or the swap failed.
    fn undo(&self, displaced: &Displaced, cx: &Context) -> Result<Displaced>;

    /// The same while those in `beside` are swapped back by threads of their own, for what has to be exchanged together.
    ///
    /// # Errors
    /// As [`Resource::undo`]; or one of those that go together has failed.
    fn undo_beside(&self, displaced: &Displaced, beside: &[&Displaced], cx: &Context) -> Result<Displaced> {
        let _ = beside;
        self.undo(displaced, cx)
    }

    /// What going back to this copy would cost now, each a sentence: `discards 3 rows in users since 14:00:07`. Only reads.
    ///
    /// # Errors
    /// The live resource or the copy's description cannot be read.
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let _ = (artifact, cx);
        Ok(Vec::new())
    }

    /// The same as the policy has it: what stays is told as staying. The copy itself is at hand.
    ///
    /// # Errors
    /// As for [`Resource::price`].
    fn outlook(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Vec<String>> {
        let _ = slot;
        if rows::tables(&artifact.fingerprint).is_empty() {
            return self.price(artifact, cx);
        }
        let now = self.fingerprint(cx)?;
        match rows::work(data, &artifact.fingerprint, &now) {
            Work::Unchanged => Ok(Vec::new()),
            Work::Changed(_) => self.price(artifact, cx),
            Work::Left(why) | Work::Withheld(why) | Work::Gone(why) => {
                Ok(rows::staying(&artifact.fingerprint, &now, &why))
            }
        }
    }

    /// The price of what was prepared as it is now, when nobody writes any more; `None` where it has not changed, or the kind
    /// cannot tell.
    ///
    /// # Errors
    /// It cannot be told now; the one that was told stands.
    fn reprice(
        &self,
        prepared: &Prepared,
        artifact: &Artifact,
        slot: &Slot,
        cx: &Context,
    ) -> Result<Option<Vec<String>>> {
        let _ = (prepared, artifact, slot, cx);
        Ok(None)
    }

    /// What swapping back what a restore displaced would cost now, each a sentence.
    ///
    /// # Errors
    /// One of the two cannot be read.
    fn undo_price(&self, displaced: &Displaced, cx: &Context) -> Result<Vec<String>> {
        let _ = (displaced, cx);
        Ok(Vec::new())
    }

    /// What was written since this copy was put in place of what was displaced, and goes when that is swapped back; each a
    /// sentence. Only reads. Empty where [`Resource::undo_price`] tells it, by what was displaced.
    ///
    /// # Errors
    /// The live resource or the copy's description cannot be read.
    fn written_since(&self, displaced: &Displaced, put_back: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let _ = (displaced, put_back, cx);
        Ok(Vec::new())
    }

    /// Whether what a restore displaced has rows that can be salvaged.
    fn holds_rows(&self, displaced: &Displaced) -> bool {
        let _ = displaced;
        false
    }

    /// Writes the rows that only the displaced state has into a directory, but for those of `tables`, which are put into
    /// the live resource. Returns what was done, each a sentence. Safe to repeat.
    ///
    /// # Errors
    /// What was displaced is not there any more, or the rows cannot be read or written.
    fn salvage(&self, displaced: &Displaced, tables: &[String], into: &Path, cx: &Context) -> Result<Vec<String>> {
        let _ = (displaced, tables, into, cx);
        let what = format!("{} keeps no rows that could be salvaged", self.name());
        Err(ResourceError::new(what))
    }

    /// Gives files back that a restore put aside and that match one of these patterns, where nothing has their names; what lies
    /// aside stays whole. Returns what was done, and what else lies there, each a sentence; `command` is how that is asked for.
    /// Without patterns it only looks. Safe to repeat.
    ///
    /// # Errors
    /// What was displaced is not there any more, or files cannot be read or made.
    fn salvage_files(
        &self,
        displaced: &Displaced,
        patterns: &[String],
        command: &str,
        cx: &Context,
    ) -> Result<Vec<String>> {
        let _ = (displaced, patterns, command, cx);
        let what = format!("{} keeps no files that could be salvaged", self.name());
        Err(ResourceError::new(what))
    }

    /// Removes what a restore displaced, when retention says so. What is gone already is fine.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn forget(&self, displaced: &Displaced, cx: &Context) -> Result<()>;

    /// Removes what `prepare` staged and nobody swapped in. What is gone already is fine.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    fn discard(&self, prepared: &Prepared, cx: &Context) -> Result<()> {
        let _ = (prepared, cx);
        Ok(())
    }

    /// Lets go of what a copy holds outside of its backup, as a pinned image, when that is deleted. Safe to repeat.
    ///
    /// # Errors
    /// It is there and cannot be let go.
    fn release(&self, artifact: &Artifact, cx: &Context) -> Result<()> {
        let _ = (artifact, cx);
        Ok(())
    }

    /// Undoes what a killed act of this run left held, as a paused container; called before anything else is done.
    ///
    /// # Errors
    /// It cannot be undone.
    fn settle(&self, cx: &Context) -> Result<()> {
        let _ = cx;
        Ok(())
    }

    /// Keeps guards on any host from this resource while what is returned lives; they are told 63 bytes of `holder`.
    ///
    /// # Errors
    /// It cannot be asked.
    fn hold(&self, holder: &str, cx: &Context) -> Result<Held> {
        let _ = (holder, cx);
        Ok(Held::Nothing)
    }

    /// Its names, each of which tells it from every other thing: `file /srv/app/app.db`, `volume shop_data`,
    /// `cluster 7312…, database shop`. Two resources that share one are the same thing; the first name is the one that
    /// changes least. Empty where it cannot be told now, and for what may lie anywhere, as a checkout. Cheap; only reads.
    fn identity(&self, cx: &Context) -> Vec<String> {
        let _ = cx;
        Vec::new()
    }

    /// The paths of this host that it consists of, absolute: two runs that share one, or of which one lies in the other's,
    /// keep each other waiting.
    fn grounds(&self, cx: &Context) -> Vec<PathBuf> {
        let _ = cx;
        Vec::new()
    }

    /// Which release is live, for people who choose a backup: `1a2b3c4 Fix the basket (v1.4.1)`, `app shop/app:1.4.1`. Empty
    /// where the kind has none.
    fn shown_release(&self, cx: &Context) -> Vec<String> {
        let _ = cx;
        Vec::new()
    }

    /// The compose services that this resource needs running while it is copied and put back: a database's own.
    fn needs_running(&self) -> Vec<String> {
        Vec::new()
    }

    /// The compose services whose containers going back replaces: until then they may still write, so they are stopped.
    fn replaces(&self, prepared: &Prepared) -> Vec<String> {
        let _ = prepared;
        Vec::new()
    }

    /// The compose services that have to be stopped before a restore or its undo: the server whose files are replaced.
    fn stops(&self) -> Vec<String> {
        Vec::new()
    }

    /// The Docker volumes and host paths whose users have to be stopped before a restore.
    fn occupies(&self) -> Vec<String> {
        Vec::new()
    }
}
