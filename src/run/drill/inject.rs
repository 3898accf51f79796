//! The deploy command of a drill: the user's own, where one was given, and then the fault.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::assembly::Owned;
use crate::drill::agents::{self, MODE};
use crate::drill::possible::{disk_of_data, harm, harmed};
use crate::drill::record::{Act, DrillRecord};
use crate::drill::target::{self, Target};
use crate::outcome::{Outcome, Refusal};
use crate::project::Project;
use guard_engine::history::History;
use guard_journal::Run;
use guard_model::drill::Fault;
use guard_model::exit::ExitCode;
use guard_model::text;
use guard_resources::abilities::Harm;
use guard_system::call::Call;
use guard_system::disk;
use guard_system::docker::{Container, docker};

/// The word behind which the user's own command stands.
pub const WORD: &str = "inject";

/// What a failure is told as.
type Done<T = String> = Result<T, Box<dyn std::error::Error>>;

/// Runs the user's command and injects the fault of the run that this is the deploy command of.
///
/// # Errors
/// The command failed, or the fault could not be injected; it may be there in part, and whoever finishes the run removes it.
pub fn inject(command: &[String], project: &Project) -> Outcome {
    let refuse = |why: String| Refusal::new(ExitCode::REFUSED, why);
    let run = project
        .cx
        .environment
        .path("GUARD_EVENTS")
        .and_then(|events| events.parent().map(Path::to_path_buf))
        .ok_or_else(|| refuse("this is the deploy command of a drill, and of nothing else".to_owned()))?;
    let record = DrillRecord::of(&run).map_err(|error| refuse(error.to_string()))?;
    let record = record.filter(|record| record.injected_at.is_none());
    let record = record.ok_or_else(|| refuse("the run is no drill, or its fault was injected before".to_owned()))?;
    let fault = record
        .fault()
        .ok_or_else(|| refuse(format!("there is no fault {:?}", record.fault)))?;
    if !command.is_empty() {
        deploy(command, project).map_err(|error| refuse(error.to_string()))?;
    }
    let mut injection = Injection {
        run,
        record,
        project,
        resources: project.resources()?,
    };
    let done = injection
        .inject(fault)
        .map_err(|error| refuse(format!("the fault could not be injected: {error}")))?;
    say(&format!("drill: {done}"));
    // The third statement has failed, and so does whoever has called it.
    if harm(fault) == Some(Harm::HalfMigration) {
        return Err(refuse("the migration failed".to_owned()));
    }
    Ok(ExitCode::DONE)
}

fn say(line: &str) {
    // Whoever does not listen misses a line.
    let _lost = writeln!(std::io::stdout(), "{line}");
}

fn deploy(command: &[String], project: &Project) -> Done<()> {
    let Some(call) = Call::of_words(command) else {
        return Ok(());
    };
    let mut out = std::io::stdout();
    let output = project
        .cx
        .stream(&call.in_our_group().merged(), &mut |bytes: &[u8]| out.write_all(bytes))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the deploy command ended with {}", output.exit()).into())
}

struct Injection<'p> {
    run: PathBuf,
    record: DrillRecord,
    project: &'p Project,
    resources: Vec<Owned>,
}

impl Injection<'_> {
    /// Writes down that the fault begins now, and what has to be undone of it.
    fn announce(&mut self, acts: Vec<Act>) -> Done<()> {
        self.record.acts.extend(acts);
        self.record.injected_at = Some(self.project.cx.clock.now());
        Ok(self.record.write(&self.run)?)
    }

    fn inject(&mut self, fault: &Fault) -> Done {
        let done = match fault.name {
            "service-killed" => self.bring_down(true)?,
            "service-stopped" => self.bring_down(false)?,
            "service-restarting" => self.restart_in_a_loop()?,
            "http-errors" | "http-slow" => self.answer_badly(fault.name)?,
            "database-cut" => self.cut()?,
            "disk-full" => self.fill()?,
            "guard-killed" => self.kill_guard()?,
            _ => self.harm(fault)?,
        };
        self.record.done = Some(done.clone());
        self.record.write(&self.run)?;
        Ok(done)
    }

    fn docker<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Done {
        Ok(self.project.cx.output(&docker().args(words))?.text())
    }

    fn commands(&self, commands: &[Vec<String>]) -> Done<()> {
        for words in commands {
            if let Some(call) = Call::of_words(words) {
                self.project.cx.output(&call)?;
            }
        }
        Ok(())
    }

    fn bring_down(&mut self, kills: bool) -> Done {
        let stop = self.project.settings.services.stop.clone();
        match target::application(self.project) {
            Ok(Target::Container(container)) => {
                self.announce(vec![Act::Down {
                    containers: vec![container.id.clone()],
                }])?;
                let words = if kills {
                    vec!["kill", "--signal", "KILL", &container.id]
                } else {
                    vec!["stop", &container.id]
                };
                self.docker(words)?;
                Ok(format!(
                    "{} the service {}",
                    if kills { "killed" } else { "stopped" },
                    container.service
                ))
            }
            Ok(Target::Processes(_)) | Err(_) if !kills && !stop.is_empty() => {
                self.announce(Vec::new())?;
                self.commands(&stop)?;
                Ok("stopped what `services.stop` stops".to_owned())
            }
            Ok(Target::Processes(processes)) => {
                self.announce(Vec::new())?;
                for pid in &processes {
                    agents::kill(*pid);
                }
                let numbers: Vec<String> = processes.iter().map(ToString::to_string).collect();
                Ok(format!("killed what listens there (pid {})", numbers.join(", ")))
            }
            Err(why) => Err(why.into()),
        }
    }

    fn start_agent(&mut self, what: &str, words: &[String]) -> Done {
        self.announce(Vec::new())?;
        let (agent, told) = agents::start(&self.run, what, words)?;
        self.record.agents.push(agent);
        self.record.write(&self.run)?;
        Ok(told)
    }

    fn restart_in_a_loop(&mut self) -> Done {
        let services = &self.project.settings.services;
        let (commands, what) = if let Ok(Target::Container(container)) = target::application(self.project) {
            let words = ["docker", "restart", "--time", "0", &container.id].map(str::to_owned);
            (vec![words.to_vec()], format!("the service {}", container.service))
        } else {
            let all = services.stop.iter().chain(&services.start);
            (all.cloned().collect(), "what `services.start` starts".to_owned())
        };
        let directory = self.project.settings.directory.display().to_string();
        self.start_agent("loop", &[directory, serde_json::to_string(&commands)?])?;
        Ok(format!("restarts {what} over and over"))
    }

    fn answer_badly(&mut self, name: &str) -> Done {
        let (mode, what) = if name == "http-errors" {
            ("errors", "every second answer to the probes is 500")
        } else {
            ("slow", "answers to the probes come 15 s late")
        };
        self.announce(Vec::new())?;
        disk::write_whole(&self.run.join(MODE), mode.as_bytes())?;
        Ok(what.to_owned())
    }

    fn cut(&mut self) -> Done {
        let container = target::database(self.project)?;
        let told = self.docker([
            "inspect",
            "--type",
            "container",
            "--format",
            "{{json .NetworkSettings.Networks}}",
            &container.id,
        ])?;
        let networks: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&told)?;
        let acts: Vec<Act> = networks
            .iter()
            .filter(|(name, _)| *name != "host" && *name != "none")
            .map(|(name, of)| cut_of(name, of, &container))
            .collect();
        if acts.is_empty() {
            return Err("the database's container is on no network".into());
        }
        self.announce(acts.clone())?;
        for act in &acts {
            if let Act::Cut { container, network, .. } = act {
                self.docker(["network", "disconnect", network, container])?;
            }
        }
        Ok(format!(
            "took the service {} off {}",
            container.service,
            text::plural(acts.len() as u64, "network")
        ))
    }

    fn fill(&mut self) -> Done {
        let directory = disk_of_data(self.project, &self.resources);
        let taken = self.start_agent("room", &[directory.display().to_string()])?;
        let taken = text::bytes(taken.parse().unwrap_or_default());
        Ok(format!("filled the disk of {} with {taken}", directory.display()))
    }

    fn kill_guard(&mut self) -> Done {
        let run = Run {
            id: self
                .run
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default()
                .parse()?,
            directory: self.run.clone(),
        };
        let history = History::of(&run.read()?)?;
        let guard = history.actor().pid;
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        // A number that was given again, or a shell in between, is not guard.
        if parent != i32::try_from(guard).ok() {
            return Err(format!("guard is the process {guard}, and this is not its child").into());
        }
        self.announce(Vec::new())?;
        self.record.done = Some("killed guard".to_owned());
        self.record.write(&self.run)?;
        agents::kill(guard);
        Ok("killed guard".to_owned())
    }

    fn harm(&mut self, fault: &Fault) -> Done {
        let harm = harm(fault).ok_or("nobody knows how")?;
        self.announce(Vec::new())?;
        let mut done = Vec::new();
        let mut failed = None;
        for owned in harmed(harm, &self.resources) {
            let (resource, cx) = owned.resource.at(&self.project.cx);
            match resource.harm(harm, &cx) {
                Ok(Some(what)) => done.push(what),
                Ok(None) => {}
                // Another one may have something to lose.
                Err(error) => failed = Some(error),
            }
        }
        if let (Some(error), true) = (failed, done.is_empty()) {
            return Err(error.into());
        }
        if harm == Harm::BrokenFiles {
            done.push(self.take_up());
        }
        Ok(done.join("; "))
    }

    /// Has what runs take up what was broken, as a deployment would.
    fn take_up(&self) -> String {
        let containers = target::restartable(self.project);
        for container in &containers {
            // With broken configuration it may well not come up again.
            let _whatever = self.docker(["restart", "--time", "3", &container.id]);
        }
        let services = &self.project.settings.services;
        let _whatever = self
            .commands(&services.stop)
            .and_then(|()| self.commands(&services.start));
        format!("restarted {}", text::plural(containers.len() as u64, "container"))
    }
}

/// What has to be known to put a container on a network again as it was.
fn cut_of(network: &str, of: &serde_json::Value, container: &Container) -> Act {
    let texts = |key: &str| {
        let list = of.get(key).and_then(serde_json::Value::as_array);
        let texts = list.into_iter().flatten().filter_map(serde_json::Value::as_str);
        texts.map(str::to_owned).collect::<Vec<_>>()
    };
    // The engine gives every container its short id as a name, and does so again.
    let mut aliases = texts("Aliases");
    aliases.retain(|alias| !container.id.starts_with(alias.as_str()));
    let address = of
        .pointer("/IPAMConfig/IPv4Address")
        .and_then(serde_json::Value::as_str);
    Act::Cut {
        container: container.id.clone(),
        network: network.to_owned(),
        aliases,
        address: address.filter(|address| !address.is_empty()).map(str::to_owned),
    }
}
