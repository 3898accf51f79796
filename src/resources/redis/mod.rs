//! Redis and Valkey servers: their memory written down and copied, loaded once by a server of its own, and put back by their files
//! while they are stopped.

mod capture;
mod layout;
mod reach;
mod reading;
mod server;
mod swap;
mod target;
mod trial;

use serde_json::Value;

use self::layout::{Details, Layout};
use self::reach::{Found, Reach};
use self::server::{KEY, Redis};
use self::swap::Staging;
use crate::abilities::{Abilities, CopyProof, Leftovers, Price, ServiceNeeds, Size, Trial};
use crate::contract::Resource;
use crate::definition::{Built, Kind, Site};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use crate::survey::Survey;
use crate::way::Way;
use guard_model::artifact::{Artifact, Displaced, Live, Prepared, Work};
use guard_model::fingerprint::Fingerprint;
use guard_model::name::ResourceName;
use guard_model::plan::StageName;
use guard_model::policy::DataRestore;
use guard_model::section::Section;
use guard_model::text;
use guard_system::context::Context;
use guard_system::disk;

/// The kind's entry in the list of kinds.
pub(super) const KIND: Kind = Kind {
    key: KEY,
    about: "a Redis or Valkey server, in a compose service or at a URL",
    captured_in: StageName::Databases,
    restored_in: StageName::Data,
    build,
};

fn build(name: ResourceName, section: &mut Section<'_>, site: &Site) -> Built {
    let parses = |url: &str| target::Target::of_url(url).map(|_| ());
    let way = Way::read(section, site, parses);
    let user = section.text("user");
    let password_env = section.text("password_env");
    let path = section.path("path");
    let way = way?;
    Some(Box::new(Redis {
        name,
        way,
        user,
        password_env,
        path,
        is_stopped: site.stops,
    }))
}

/// An error with its cause in one sentence.
fn whole(error: &ResourceError) -> String {
    let cause = error.source.as_ref().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

impl Redis {
    fn look(&self, cx: &Context, survey: &mut Survey) -> Result<()> {
        let reach = Reach::open(self, cx)?;
        if let Some((what, advice)) = capture::unfit(&reach, cx)? {
            survey.refuse(what, advice);
            return Ok(());
        }
        let layout = capture::layout(self, &reach, cx)?;
        let memory = reach.info("memory", cx)?;
        let size: u64 = memory.field("used_memory").parse().unwrap_or(0);
        let log = if layout.log == layout::Log::None {
            "no log of writes"
        } else {
            "a log of writes"
        };
        survey.fact(format!(
            "{}, {} in memory, {log}, files in {}",
            capture::version(&reach, cx)?,
            text::bytes(size),
            layout.directory.display()
        ));
        survey.copy_bytes = Some(size);
        survey.side_bytes = Some(size);
        if matches!(self.way, Way::Url(_)) && !self.is_stopped {
            survey.refuse(
                "the server is to be stopped while its files are replaced, and nothing says how",
                "set `stop` and `start` under [services]: `stop = [\"systemctl stop redis-server\"]`",
            );
        }
        // The rights, by what needs them: the look at one part, and an entry made where files are staged.
        reach.ask(0, &["DBSIZE"], cx)?;
        reading::observe(&reach, None, cx.clock.now().timestamp_millis(), cx)?;
        let free = disk::free_bytes(&layout.directory)?;
        if free < size.saturating_mul(2) {
            survey.refuse(
                format!(
                    "{} are free beside the server's files, and a restore needs {}",
                    text::bytes(free),
                    text::bytes(size.saturating_mul(2))
                ),
                "free some space on that disk",
            );
        }
        let trial = layout
            .directory
            .join(format!(".guard-redis-{}-check-{}", cx.token(), std::process::id()));
        let made = disk::create_new_dir(&trial).and_then(|()| disk::remove_empty(&trial));
        if let Err(error) = made {
            survey.refuse(
                format!("nothing can be put beside the server's files: {error}"),
                "run guard as root, or as the server's own user",
            );
        }
        Ok(())
    }

    /// How the server, or what lies there while it is stopped, compares with a copy.
    fn compared(&self, details: &Details, layout: Option<&Layout>, cx: &Context) -> Result<Vec<String>> {
        match Reach::find(self, cx)? {
            Found::Runs(reach) => {
                let now = reading::observe(&reach, None, details.seen.since, cx)?;
                Ok(now.differences(&details.seen, cx.clock.now().timestamp_millis()))
            }
            Found::Stopped(_) => {
                let layout = layout.unwrap_or(&details.layout);
                if capture::lies_there(details, layout)? {
                    return Ok(Vec::new());
                }
                // It was saved anew when it ended: what is in its files counts, not their bytes.
                Ok(match trial::of_files(layout, details.valkey, details.seen.since, cx) {
                    Ok(now) => now.differences(&details.seen, cx.clock.now().timestamp_millis()),
                    Err(_) => vec!["files".to_owned()],
                })
            }
        }
    }

    /// That the server does not run: it would write over what is put in its place when it ends.
    fn require_stopped(&self, cx: &Context) -> Result<()> {
        match Reach::find(self, cx) {
            Ok(Found::Stopped(_)) => Ok(()),
            Ok(Found::Runs(_)) => {
                let what = "the server still runs, and would write over what is put in its place; nothing was replaced";
                Err(ResourceError::new(what).with_hint("correct `stop` under [services], then `guard resume`"))
            }
            Err(error) => Err(error),
        }
    }
}

impl Resource for Redis {
    fn name(&self) -> &ResourceName {
        &self.name
    }

    fn abilities(&self) -> Abilities<'_> {
        Abilities {
            proof: Some(self),
            trial: Some(self),
            leftovers: Some(self),
            price: Some(self),
            size: Some(self),
            services: Some(self),
            ..Abilities::default()
        }
    }

    fn survey(&self, cx: &Context) -> Survey {
        let mut survey = Survey::default();
        if let Err(error) = self.look(cx, &mut survey) {
            let advice = error.hint.clone();
            let advice = advice.unwrap_or_else(|| "correct it, then run `guard check` again".to_owned());
            survey.refuse(whole(&error), advice);
        }
        survey
    }

    fn fingerprint(&self, cx: &Context) -> Result<Fingerprint> {
        let reach = Reach::open(self, cx)?;
        Ok(reading::observe(&reach, None, cx.clock.now().timestamp_millis(), cx)?.print())
    }

    fn capture(&self, slot: &Slot, cx: &Context) -> Result<Artifact> {
        capture::capture(self, slot, cx)
    }

    fn prepare(&self, artifact: &Artifact, slot: &Slot, data: DataRestore, cx: &Context) -> Result<Prepared> {
        let details = Details::of(artifact)?;
        let prepared = |work, details, price| Prepared {
            resource: self.name.clone(),
            work,
            details,
            price,
        };
        let found = Reach::find(self, cx)?;
        // What the server says of itself now counts; of one that does not run, what it said then.
        let (layout, differences, price) = match &found {
            Found::Runs(reach) => {
                let now = reading::observe(reach, None, details.seen.since, cx)?;
                let differences = now.differences(&details.seen, cx.clock.now().timestamp_millis());
                (capture::layout(self, reach, cx)?, differences, now.price(&details.seen))
            }
            Found::Stopped(_) => {
                let differences = self.compared(&details, None, cx)?;
                let price = vec!["the server does not run: what it held last is kept aside".to_owned()];
                (details.layout.clone(), differences, price)
            }
        };
        if differences.is_empty() {
            return Ok(prepared(Work::Unchanged, Value::Null, Vec::new()));
        }
        if data == DataRestore::Never {
            let why = "`data_restore = \"never\"`: data is left as it is".to_owned();
            return Ok(prepared(Work::Left(why), Value::Null, price));
        }
        slot.compare(artifact)?;
        let staging = Staging::of(layout, cx);
        if !staging.is_done()? {
            swap::stage(&staging, artifact, slot)?;
        }
        let staging = serde_json::to_value(&staging)
            .map_err(|error| ResourceError::because("could not describe what was prepared", error))?;
        Ok(prepared(Work::Changed(differences), staging, price))
    }

    fn restore(&self, prepared: &Prepared, _: &Artifact, _: &Slot, cx: &Context) -> Result<Displaced> {
        if !prepared.work.is_needed() {
            return Ok(displaced(self, None));
        }
        let staging = read(&prepared.details)?;
        if !staging.is_done()? {
            self.require_stopped(cx)?;
            swap::exchange(&staging)?;
        }
        Ok(displaced(self, Some(&staging)))
    }

    fn check(&self, artifact: &Artifact, cx: &Context) -> Result<Live> {
        let details = Details::of(artifact)?;
        Ok(match self.compared(&details, None, cx) {
            Ok(differences) if differences.is_empty() => Live::Matches,
            Ok(differences) => Live::Differs(differences),
            Err(error) => Live::Unknown(whole(&error)),
        })
    }

    fn undo(&self, done: &Displaced, cx: &Context) -> Result<Displaced> {
        if done.details.is_null() {
            return Ok(done.clone());
        }
        let staging = read(&done.details)?.turned();
        if !staging.is_done()? {
            self.require_stopped(cx)?;
            swap::exchange(&staging)?;
        }
        Ok(displaced(self, Some(&staging)))
    }

    fn forget(&self, done: &Displaced, _: &Context) -> Result<()> {
        if done.details.is_null() {
            return Ok(());
        }
        swap::remove(&read(&done.details)?.kept())
    }
}

impl CopyProof for Redis {
    fn rehearse(&self, artifact: &Artifact, slot: &Slot, cx: &Context) -> Result<()> {
        self.prove(artifact, slot, cx)?;
        let details = Details::of(artifact)?;
        let reach = Reach::open(self, cx)?;
        let loaded = trial::load(&reach, artifact, slot, details.seen.since, cx)?;
        let differences = loaded.differences(&details.seen, cx.clock.now().timestamp_millis());
        if differences.is_empty() {
            return Ok(());
        }
        let what = format!("the loaded keys are not the manifest's, in: {}", differences.join(", "));
        Err(ResourceError::bad_copy(what))
    }
}

impl Trial for Redis {
    fn try_back(&self, newest: Option<&Artifact>, cx: &Context, survey: &mut Survey) {
        if newest.is_some() {
            return;
        }
        match Reach::open(self, cx).and_then(|reach| capture::save(&reach, cx)) {
            Ok(()) => survey.untried = Some("its keys were never loaded from a copy yet".to_owned()),
            Err(error) => survey.refuse(
                whole(&error),
                error.hint.clone().unwrap_or_else(|| "see the server's log".to_owned()),
            ),
        }
    }
}

impl Leftovers for Redis {
    fn discard(&self, prepared: &Prepared, _: &Context) -> Result<()> {
        if prepared.details.is_null() {
            return Ok(());
        }
        let staging = read(&prepared.details)?;
        swap::remove(&staging.layout.directory.join(&staging.coming))
    }
}

impl Price for Redis {
    fn price(&self, artifact: &Artifact, cx: &Context) -> Result<Vec<String>> {
        let details = Details::of(artifact)?;
        let reach = Reach::open(self, cx)?;
        Ok(reading::observe(&reach, None, details.seen.since, cx)?.price(&details.seen))
    }

    fn written_since(&self, done: &Displaced, put_back: &Artifact, cx: &Context) -> Result<Vec<String>> {
        if done.details.is_null() {
            return Ok(Vec::new());
        }
        let details = Details::of(put_back)?;
        let reach = Reach::open(self, cx)?;
        let now = reading::observe(&reach, None, details.seen.since, cx)?;
        Ok(now.written_since(&details.seen, cx.clock.now().timestamp_millis()))
    }
}

impl Size for Redis {
    fn weigh(&self, done: &Displaced, _: &Context) -> Result<Option<u64>> {
        if done.details.is_null() {
            return Ok(Some(0));
        }
        let kept = read(&done.details)?.kept();
        let mut bytes = 0;
        for entry in walkdir::WalkDir::new(&kept) {
            let entry = entry.map_err(|error| ResourceError::because("could not look at what was put aside", error))?;
            let metadata = entry.metadata();
            bytes += metadata.map(|metadata| metadata.len()).unwrap_or_default();
        }
        Ok(Some(bytes))
    }
}

impl ServiceNeeds for Redis {
    fn stops(&self) -> Vec<String> {
        self.way.service().cloned().into_iter().collect()
    }
}

fn read(details: &Value) -> Result<Staging> {
    serde_json::from_value(details.clone())
        .map_err(|error| ResourceError::because("could not read what was put aside", error))
}

fn displaced(of: &Redis, staging: Option<&Staging>) -> Displaced {
    Displaced {
        resource: of.name.clone(),
        kept_as: staging
            .iter()
            .map(|staging| staging.kept().display().to_string())
            .collect(),
        details: staging
            .and_then(|staging| serde_json::to_value(staging).ok())
            .unwrap_or_default(),
    }
}
