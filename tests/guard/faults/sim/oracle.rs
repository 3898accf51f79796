//! Who judges a simulated run: knows what is true, sees every operation, and asks nothing of guard's own judgement.
//!
//! The six promises: what is old stays whole until what is new is verified; one actor at a time; every effect is announced
//! before and confirmed after; any beginning of a run can be finished by one command; the exit code tells the state of
//! production; nothing verified is deleted.

use std::collections::BTreeSet;

use guard::model::name::RunKind;

use super::disk::Disk;
use super::world::Touch;

/// What is true of one resource.
#[derive(Debug, Clone)]
pub struct Truth {
    /// Its name: `r0`.
    pub name: String,
    /// Whether it holds data, which must not be swapped while something runs.
    pub is_data: bool,
    /// What was live when the run began.
    pub before: String,
    /// What is live when the whole release is there.
    pub after: String,
    /// What the way back leads to.
    pub goal: String,
    /// What was live just before it was put back.
    pub displaced: Option<String>,
}

/// The judge.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    /// Which journey this is.
    pub kind: Option<RunKind>,
    /// The run, once it has begun.
    pub run: String,
    /// The backup that the run makes or goes back to.
    pub backup: String,
    /// Whether the release is good, and all of it.
    pub is_good: bool,
    /// Whether a copy was damaged after it was sealed: then the way back may be refused, and nothing else.
    pub is_rotten: bool,
    /// Whether the failed release came up after a power loss, and wrote into what was put back: then a person is needed.
    pub is_spoiled: bool,
    /// Whether the old state passes its probes.
    pub is_old_well: bool,
    /// Whether something was made to fail: then the proof may have failed without a reason in the old state.
    pub is_disturbed: bool,
    /// The resources.
    pub truths: Vec<Truth>,
    /// How often the deploy command was begun.
    pub deploys: u32,
    /// Whether the run was cut off and somebody goes on with it: whoever wanted the deploy command is gone.
    pub is_resumed: bool,
    /// Whether something that stood by could not be removed, which guard tells.
    pub is_left_told: bool,
    /// What was found wrong.
    pub wrong: Vec<String>,
}

/// The file of a run's journal.
pub fn journal(run: &str) -> String {
    format!("runs/{run}/journal")
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

impl Oracle {
    fn say(&mut self, what: String) {
        if self.wrong.len() < 5 {
            self.wrong.push(what);
        }
    }

    fn holds(disk: &Disk, name: &str, wanted: &str) -> bool {
        disk.durable(name) == Some(wanted.as_bytes())
    }

    /// Whether a step stands announced and not ended on the durable disk.
    fn is_announced(&self, disk: &Disk, step: &str) -> bool {
        let journal = text(disk.sure(&journal(&self.run)));
        let begun = journal.rfind(&format!("{{\"begun\":{{\"step\":\"{step}\"}}"));
        let ended = ["done", "failed"]
            .into_iter()
            .filter_map(|word| journal.rfind(&format!("{{\"{word}\":{{\"step\":\"{step}\"")))
            .max();
        begun > ended
    }

    /// An operation is about to take place.
    pub fn sees(&mut self, disk: &Disk, guard: u32, working: &BTreeSet<u32>, is_up: bool, touch: &Touch<'_>) {
        if working.iter().any(|other| *other != guard) {
            self.say(format!("guard {guard} acts while {working:?} work: {touch:?}"));
        }
        match *touch {
            Touch::Exchange(one, other) => self.sees_swap(disk, is_up, one, other),
            Touch::Create(name) | Touch::Remove(name) | Touch::Write(name, ..) | Touch::Rename(_, name) => {
                self.sees_loss(disk, name, touch);
                if let Touch::Rename(from, to) = touch
                    && !to.starts_with("aside/")
                {
                    self.sees_loss(disk, from, touch);
                }
                if let Some((_, resource)) = name.strip_prefix("backup/").and_then(|rest| rest.split_once('/'))
                    && !resource.contains('.')
                {
                    let step = if resource == "manifest" {
                        "seal".to_owned()
                    } else {
                        format!("capture/{resource}")
                    };
                    self.needs_announcement(disk, &step, touch);
                }
            }
            _ => {}
        }
    }

    fn needs_announcement(&mut self, disk: &Disk, step: &str, touch: &Touch<'_>) {
        if !self.is_announced(disk, step) {
            self.say(format!("{step} was not announced on disk before {touch:?}"));
        }
    }

    /// Nothing verified is removed or written over, and nothing live is.
    fn sees_loss(&mut self, disk: &Disk, name: &str, touch: &Touch<'_>) {
        let sealed = name
            .strip_prefix("backup/")
            .and_then(|rest| rest.split('/').next())
            .is_some_and(|stamp| disk.has(&format!("backup/{stamp}/manifest")));
        let is_kept = (sealed && !name.contains(".tmp")) || name.starts_with("aside/") || name.starts_with("live/");
        if is_kept && disk.has(name) {
            self.say(format!("something verified is lost: {touch:?}"));
        }
    }

    fn sees_swap(&mut self, disk: &Disk, is_up: bool, one: &str, other: &str) {
        let (live, beside) = if one.starts_with("live/") {
            (one, other)
        } else {
            (other, one)
        };
        let Some(index) = self
            .truths
            .iter()
            .position(|truth| live == format!("live/{}", truth.name))
        else {
            return self.say(format!("a swap of {one} and {other}"));
        };
        let truth = self.truths[index].clone();
        let verb = if self.kind == Some(RunKind::Undo) {
            "undo"
        } else {
            "restore"
        };
        let step = format!("{verb}/{}", truth.name);
        self.needs_announcement(disk, &step, &Touch::Exchange(one, other));
        if !Self::holds(disk, beside, &truth.goal) {
            self.say(format!("{beside} is swapped in and is not durably what was promised"));
        }
        if truth.is_data && is_up {
            self.say(format!("{live} is swapped while something uses it"));
        }
        if truth.displaced.is_none() {
            self.truths[index].displaced = Some(text(disk.read(live)));
        }
    }

    /// The deploy command is about to begin.
    pub fn sees_deploy(&mut self, disk: &Disk) {
        self.deploys += 1;
        if self.is_resumed {
            self.say("a resumed run went ahead to the deploy command".to_owned());
        }
        if self.deploys > 1 {
            self.say("the deploy command runs twice".to_owned());
        }
        if !self.is_announced(disk, "deploy") {
            self.say("the deploy command was not announced on disk".to_owned());
        }
        self.needs_way_back(disk);
    }

    /// A copy of a resource is about to be loaded beside the deployment.
    pub fn sees_standby(&mut self, disk: &Disk, resource: &str) {
        let journal = text(disk.sure(&journal(&self.run)));
        let last = |word: &str| journal.rfind(word);
        let begun = last(&format!(
            "{{\"standby\":{{\"resource\":\"{resource}\",\"state\":\"loading\"}}"
        ));
        if begun.is_none() || begun < last("{\"reopened\":") {
            self.say(format!(
                "a copy of {resource} is loaded, which was not announced on disk"
            ));
        }
        if begun < last("{\"begun\":{\"step\":\"deploy\"}") {
            self.say(format!("a copy of {resource} is loaded before the deploy command"));
        }
    }

    fn needs_way_back(&mut self, disk: &Disk) {
        if self.is_rotten {
            return;
        }
        let stamp = self.backup.clone();
        let is_sealed = disk.durable(&format!("backup/{stamp}/manifest")).is_some();
        for truth in self.truths.clone() {
            if !(is_sealed && Self::holds(disk, &format!("backup/{stamp}/{}", truth.name), &truth.goal)) {
                self.say(format!("there is no way back for {}", truth.name));
            }
        }
    }

    /// What the journal says, for whoever has to understand a failure.
    pub fn facts(&self, disk: &Disk) -> String {
        let journal = text(disk.read(&journal(&self.run)));
        let facts = journal.lines().filter_map(|line| line.split("\"fact\":").nth(1));
        facts
            .map(|fact| fact.chars().take(150).collect::<String>() + "\n")
            .collect()
    }

    /// Whether the run has come to its end: from then on guard does nothing.
    pub fn is_over(&self, disk: &Disk) -> bool {
        let journal = text(disk.read(&journal(&self.run)));
        journal.rfind("{\"closed\":") > journal.rfind("{\"reopened\":")
    }

    /// What is durable is all that is left: what the journal calls done must be true.
    pub fn looks_after_power_loss(&mut self, disk: &Disk) {
        if self.deploys > 0 {
            self.needs_way_back(disk);
        }
        let journal = text(disk.read(&journal(&self.run)));
        let is_done = |verb: &str, name: &str| journal.contains(&format!("{{\"done\":{{\"step\":\"{verb}/{name}\""));
        let stamp = self.backup.clone();
        for truth in self.truths.clone() {
            let name = &truth.name;
            if !self.is_rotten
                && is_done("capture", name)
                && !Self::holds(disk, &format!("backup/{stamp}/{name}"), &truth.before)
            {
                self.say(format!("the copy of {name} was called done and is not there"));
            }
            let is_back = !self.is_spoiled && (is_done("restore", name) || is_done("undo", name));
            if is_back && !Self::holds(disk, &format!("live/{name}"), &truth.goal) {
                self.say(format!("{name} was called put back and is not"));
            }
        }
    }

    /// A run of guard ended with this code: is production what the code says?
    pub fn hears(&mut self, disk: &Disk, is_up: bool, code: u8) {
        let live = |truth: &Truth| text(disk.read(&format!("live/{}", truth.name)));
        let all = |wanted: fn(&Truth) -> &str| self.truths.iter().all(|truth| live(truth) == wanted(truth));
        let is_deploy = self.kind == Some(RunKind::Deploy);
        let is_back = all(|truth| &truth.goal);
        let is_kept = self.truths.iter().all(|truth| {
            let aside = format!("aside/{}.{}", truth.name, self.run);
            truth
                .displaced
                .as_ref()
                .is_none_or(|displaced| text(disk.read(&aside)) == *displaced)
        });
        let is_swapped = self.truths.iter().any(|truth| truth.displaced.is_some());
        let has_begun = text(disk.read(&journal(&self.run))).contains("{\"begun\":{\"step\":\"deploy\"}");
        let is_true = match code {
            0 if is_deploy => self.is_good && is_up && self.deploys == 1 && all(|truth| &truth.after),
            0 if self.kind == Some(RunKind::Backup) => all(|truth| &truth.before),
            10 | 11 | 13 | 14 | 40 => self.deploys == 0 && all(|truth| &truth.before),
            // Nothing was deployed, and nobody turned back from it.
            20..=24 if is_deploy && !has_begun => false,
            0 | 20..=24 => is_back && is_kept && is_up && self.is_old_well,
            // What stopped half-way must be resumable, which the next call shows.
            30 | 33 => true,
            31 | 36 => !is_swapped,
            32 => is_back && is_kept && (!self.is_old_well || self.is_disturbed || (!is_up && !is_swapped)),
            34 => !is_swapped && all(|truth| &truth.after) && self.deploys == 1,
            _ => false,
        };
        let stands = disk.below("stage/").into_iter().any(|name| name.contains(&self.run));
        if stands && !self.is_left_told && !matches!(code, 30 | 33 | 36) {
            self.say(format!("something still stands by after {code}"));
        }
        if !is_true {
            let found: Vec<String> = self.truths.iter().map(live).collect();
            let what = format!(
                "exit code {code} does not tell the truth: {found:?}, up: {is_up}, {:?}",
                self.truths
            );
            self.say(what);
        }
    }
}
