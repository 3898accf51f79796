//! `host`: this machine's processors, memory and disk. Told only, unless somebody says that they decide.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::basics::Basics;
use super::limits::number;
use super::{Built, Expectation, Kind, Probe, Site};
use guard_model::health::{Answer, Class, Numbers};
use guard_model::name::ProbeName;
use guard_model::section::Section;
use guard_system::context::Context;
use guard_system::disk;

pub(super) const KIND: Kind = Kind {
    key: "host",
    about: "this machine has processor time, memory and disk left",
    build,
    numbers: Numbers::Named(&["cpu", "memory", "disk"]),
};

struct Host {
    basics: Basics,
    /// The most that may be used, in percent.
    cpu: f64,
    memory: f64,
    disk: f64,
    path: PathBuf,
    /// Busy and all ticks at the reading before.
    ticks: Mutex<Option<(u64, u64)>>,
}

fn build(name: ProbeName, section: &mut Section<'_>, _site: &Site) -> Built {
    let basics = Basics::read_as(name, section, false);
    let mut most = |key: &str| {
        let given = number(section, key).unwrap_or(95.0);
        if (0.0..=100.0).contains(&given) {
            return Some(given);
        }
        section.problem(key, "is a percentage, 0 to 100", None);
        None
    };
    let (cpu, memory, disk) = (most("max_cpu")?, most("max_memory")?, most("max_disk")?);
    Some(Box::new(Host {
        basics,
        cpu,
        memory,
        disk,
        path: section.path("path").unwrap_or_else(|| PathBuf::from(".")),
        ticks: Mutex::default(),
    }))
}

#[async_trait]
impl Probe for Host {
    fn name(&self) -> &ProbeName {
        &self.basics.name
    }

    fn decides(&self) -> bool {
        self.basics.decides
    }

    fn describe(&self) -> String {
        format!("this machine, and the disk of {}", self.path.display())
    }

    async fn read(&self, _expectation: &Expectation, cx: &Context) -> Answer {
        let file = |name: &str| {
            disk::read_text_optional(name.as_ref())
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        let cpu = self.cpu(&file("/proc/stat"));
        let memory = memory(&file("/proc/meminfo"));
        // A network disk can hang; the look at it may not hold up the schedule.
        let path = cx.resolve(&self.path);
        let looked = tokio::time::timeout(
            self.basics.timeout,
            tokio::task::spawn_blocking(move || disk::used_percent(&path)),
        );
        let space = looked.await.ok().and_then(Result::ok).and_then(Result::ok);
        let figures = [
            ("cpu", cpu, self.cpu),
            ("memory", memory, self.memory),
            ("disk", space, self.disk),
        ];
        let shown: Vec<String> = figures
            .iter()
            .map(|(name, percent, _)| {
                percent.map_or_else(|| format!("{name} ?"), |percent| format!("{name} {percent:.0} %"))
            })
            .collect();
        let note = shown.join(", ");
        let told = figures
            .iter()
            .filter_map(|(name, percent, _)| Some(((*name).to_owned(), (*percent)?)))
            .collect();
        let answer = if figures
            .iter()
            .any(|(_, percent, most)| percent.is_some_and(|percent| percent > *most))
        {
            Answer::failed(Class::Exit, note)
        } else if figures.iter().all(|(_, percent, _)| percent.is_none()) {
            Answer::unknown(Class::NoData, note)
        } else {
            Answer::ok(note)
        };
        answer.with_figures(told)
    }
}

impl Host {
    /// How busy the processors were since the reading before, in percent; `None` at the first.
    fn cpu(&self, stat: &str) -> Option<f64> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
        // The fields guest and guest_nice are part of user and nice already.
        let all: u64 = ticks.iter().take(8).sum();
        let idle = ticks.get(3)? + ticks.get(4)?;
        let now = (all.saturating_sub(idle), all);
        let mut kept = self.ticks.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.replace(now)?;
        let (busy, all) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        percent(busy, all)
    }
}

/// How much memory is not available, in percent.
fn memory(info: &str) -> Option<f64> {
    let field = |name: &str| -> Option<u64> {
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let all = field("MemTotal")?;
    percent(all.saturating_sub(field("MemAvailable")?), all)
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}
