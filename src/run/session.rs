//! What every command needs before it can say a word: the reporter, the runtime, the signals, then the settings.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::assembly;
use crate::outcome::Refusal;
use crate::project::Project;
use crate::request::{Color, GlobalArgs, OutputForm, Request, flags};
use guard_config::{Request as Wish, Settings, locate, told};
use guard_model::event::{Level, Voice};
use guard_model::exit::ExitCode;
use guard_model::secret::Redaction;
use guard_model::text::typed;
use guard_report::printer::{Reporter, Streams, size_of_stderr};
use guard_report::style::{Color as Colour, Flags, Output, Style, Terminal, Volume};
use guard_report::tables::WIDTH_OF_PIPES;
use guard_system::clock::{Clock, MachineClock};
use guard_system::context::Context;
use guard_system::docker::{Configurations, Roads};
use guard_system::environment::Environment;
use guard_system::outside::{CALLED_AS, Visit};
use guard_system::stop::Stop;
use guard_system::{disk, runtime, signals};

/// How long the end waits for a reader that is slow or gone.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a command sits down: it can speak, and hear a wish to stop.
pub struct Session {
    /// Who says everything.
    pub reporter: Arc<Reporter>,
    /// How.
    pub style: Style,
    /// The environment.
    pub environment: Environment,
    /// What must be in no text.
    pub redaction: Redaction,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The wish to stop.
    pub stop: Stop,
    /// Where probes run and signals arrive.
    pub runtime: tokio::runtime::Handle,
    /// Whether this process is guard, called by somebody: only then can it be started once more to watch over itself.
    pub is_program: bool,
    /// The visit that it is a part of, where it was asked for from another machine.
    pub visit: Option<Visit>,
    /// By which roads engines are asked, for all that this session does.
    roads: Roads,
    /// What Compose has made of the projects' files.
    configurations: Configurations,
    runtime_owner: tokio::runtime::Runtime,
}

impl Session {
    /// Sits down.
    ///
    /// # Errors
    /// The kernel refuses threads or signal handlers; the exit code is all that can be said then.
    pub fn open(global: &GlobalArgs, environment: Environment) -> Result<Self, ExitCode> {
        let terminal = Terminal {
            is_terminal: std::io::stderr().is_terminal(),
            columns: size_of_stderr().map(|(columns, _)| columns),
        };
        let style = Style::detect(&environment, terminal, flags_of(global));
        let called_as = environment.text(CALLED_AS).unwrap_or("guard");
        let program = program_of(called_as, global, environment.text("GUARD_ENVIRONMENT").is_some());
        let visit = Visit::of(&environment);
        // At a host that is reached from outside, whoever asked hears the end of the job.
        let is_job = visit.is_none() && environment.text("CI").is_some_and(|ci| ci != "false");
        let mut session = Self::seated(style.with_program(program), Streams::of_this_process(), environment)?;
        session.hear()?;
        // Elsewhere a parent may end as it likes: `nohup guard …` outlives its shell.
        if is_job {
            let listening = session
                .runtime_owner
                .block_on(async { signals::listen_to_parent(&session.stop) });
            listening.map_err(|_| ExitCode::BUG)?;
        }
        session.is_program = true;
        session.visit = visit;
        Ok(session)
    }

    fn hear(&self) -> Result<(), ExitCode> {
        let reporter: Arc<Reporter> = self.reporter.clone();
        let voice = Voice::new(reporter);
        let tell = move |pause: Duration| {
            let pause = guard_model::text::duration(pause);
            voice.note(Level::Info, format!("guard was suspended for {pause}, and goes on"));
        };
        let listening = self.runtime_owner.block_on(async {
            signals::listen(&self.stop)?;
            signals::listen_to_continue(self.clock.clone(), tell)
        });
        listening.map_err(|_| ExitCode::BUG)
    }

    /// Sits down as a watcher: plain lines for its log, and nothing for the CI system, whose job is over by then.
    ///
    /// # Errors
    /// The kernel refuses threads or signal handlers.
    pub fn of_watcher(environment: Environment, program: String) -> Result<Self, ExitCode> {
        let flags = Flags {
            output: Some(Output::Plain),
            color: Colour::Never,
            volume: Volume::Normal,
        };
        let mut style = Style::detect(&environment, Terminal::default(), flags);
        style.ci = None;
        let session = Self::seated(style.with_program(program), Streams::of_this_process(), environment)?;
        session.hear()?;
        Ok(session)
    }

    /// Sits down inside somebody else's program: nothing is said, and no signal is taken from it.
    ///
    /// # Errors
    /// The kernel refuses threads.
    pub fn silent(environment: Environment) -> Result<Self, ExitCode> {
        let terminal = Terminal {
            is_terminal: false,
            columns: None,
        };
        let mut style = Style::detect(&environment, terminal, flags_of(&GlobalArgs::default()));
        style.ci = None;
        let streams = Streams {
            out: Box::new(std::io::sink()),
            err: Box::new(std::io::sink()),
            size: Box::new(|| None),
        };
        Self::seated(style, streams, environment)
    }

    fn seated(style: Style, streams: Streams, environment: Environment) -> Result<Self, ExitCode> {
        let (clock, redaction, stop) = (MachineClock::start(), Redaction::default(), Stop::default());
        let begun = Reporter::start(style.clone(), streams, clock.clone(), redaction.clone());
        let reporter = begun.map_err(|_| ExitCode::BUG)?;
        let runtime_owner = runtime::begin().map_err(|_| ExitCode::BUG)?;
        let runtime = runtime_owner.handle().clone();
        Ok(Self {
            reporter,
            style,
            environment,
            redaction,
            clock,
            stop,
            runtime,
            is_program: false,
            visit: None,
            roads: Roads::default(),
            configurations: Configurations::default(),
            runtime_owner,
        })
    }

    /// The settings' wish of a request: flags, environment, the kinds that there are.
    ///
    /// # Errors
    /// The current directory is gone.
    pub fn wish(&self, request: &Request, global: &GlobalArgs) -> Result<Wish, Refusal> {
        let start = std::env::current_dir().map_err(|error| {
            Refusal::of_error(ExitCode::USAGE, &error).because("the current directory cannot be used")
        })?;
        let mut wish = self.wish_from(&start);
        wish.flags = flags::of(request, global);
        wish.judges = matches!(request, Request::Deploy(_) | Request::Check(_));
        Ok(wish)
    }

    /// The user who is behind this process, where the environment tells it.
    #[must_use]
    pub fn user(&self) -> Option<String> {
        let told = self
            .environment
            .text("SUDO_USER")
            .or_else(|| self.environment.text("USER"));
        told.map(str::to_owned)
    }

    /// The wish of a directory and an environment alone.
    #[must_use]
    pub fn wish_from(&self, start: &std::path::Path) -> Wish {
        let resource_kinds = guard_resources::KINDS.iter().map(|kind| kind.key).collect();
        let probe_kinds = guard_probes::KINDS.iter().map(|kind| kind.key).collect();
        let mut wish = Wish::new(start, self.environment.clone(), resource_kinds, probe_kinds);
        wish.fronts = guard_services::FRONTS.to_vec();
        wish.strategies = guard_services::STRATEGIES.iter().map(|one| one.name()).collect();
        wish
    }

    /// The surroundings in a directory.
    #[must_use]
    pub fn context(&self, directory: &std::path::Path) -> Context {
        let audience: Arc<Reporter> = self.reporter.clone();
        let mut cx = Context::new(
            directory,
            self.environment.clone(),
            self.clock.clone(),
            Voice::new(audience),
        );
        cx.redaction = self.redaction.clone();
        cx.stop = self.stop.clone();
        cx.roads = self.roads.clone();
        cx.configurations = self.configurations.clone();
        cx
    }

    /// Reads the settings, or finds what there is, and lays everything out.
    ///
    /// # Errors
    /// The settings are wrong, or the state directory cannot be used.
    pub fn project(&self, request: &Request, global: &GlobalArgs) -> Result<Project, Refusal> {
        let wish = self.wish(request, global)?;
        let location = locate(&wish).map_err(|problems| Refusal::of_problems(&problems))?;
        let cx = self.context(&location.directory);
        let settings = Settings::load(&wish, &cx).map_err(|mut problems| {
            if let Some(settings) = Settings::in_part(&wish) {
                problems.extend(assembly::further_problems(&settings, &cx));
                problems = told(&settings.source, problems);
            }
            let refusal = Refusal::of_problems(&problems);
            // Only where there is no file: `guard init` never writes over one.
            if disk::exists(&location.file).unwrap_or(true) {
                return refusal;
            }
            refusal.next(
                "to write settings to start from",
                format!("{} init", self.style.program),
            )
        })?;
        let cx = self.context(&settings.directory);
        if settings.discovered {
            cx.note(
                Level::Info,
                format!(
                    "there is no guard.toml: going by what is found here; `{} init --print` shows it",
                    self.style.program
                ),
            );
        }
        for warning in &settings.warnings {
            cx.note(Level::Warn, warning.to_string());
        }
        Project::open(settings, wish, cx, self.runtime.clone())
    }

    /// Sees to it that the command to run next is about this place: what is typed as it is told leads to the same project, file
    /// and environment.
    fn place_next(&self, refusal: &mut Refusal) {
        if let Some(next) = &mut refusal.account.next
            && let Some(rest) = next.command.strip_prefix("guard ")
            && !next.command.starts_with(&self.style.program)
        {
            next.command = format!("{} {rest}", self.style.program);
        }
    }

    /// Tells a refusal, with the command to run next as it can be typed here, and says with which code guard ends.
    #[must_use]
    pub fn told(&self, mut refusal: Refusal) -> ExitCode {
        self.place_next(&mut refusal);
        self.reporter.account(&refusal.account);
        self.tell_refusal(&refusal);
        refusal.exit
    }

    /// Tells a refusal to whoever reads JSON.
    fn tell_refusal(&self, refusal: &Refusal) {
        if self.style.json {
            let account = serde_json::to_value(&refusal.account).unwrap_or(Value::Null);
            let exit = refusal.exit.number();
            let production = refusal.exit.meaning().map(|meaning| meaning.production);
            let mut result =
                json!({ "outcome": "refused", "exit_code": exit, "production": production, "error": account });
            if let (Some(result), Value::Object(details)) = (result.as_object_mut(), *refusal.details.clone()) {
                result.extend(details);
            }
            self.reporter.finish(Some(result), PATIENCE);
        }
    }

    /// Answers with this JSON object as the result, where JSON was asked for: the last word.
    #[must_use]
    pub fn answer(&self, mut value: Value) -> ExitCode {
        if let Some(map) = value.as_object_mut() {
            map.insert("exit_code".to_owned(), Value::from(ExitCode::DONE.number()));
        }
        self.reporter.finish(Some(value), PATIENCE);
        ExitCode::DONE
    }

    /// Tells the exit code to whoever reads JSON, unless a result was told before.
    pub fn conclude(&self, exit: ExitCode) {
        if self.style.json {
            let result = json!({ "exit_code": exit.number() });
            self.reporter.finish(Some(result), PATIENCE);
        }
    }

    /// Says the last word.
    pub fn close(self) {
        self.reporter.finish(None, PATIENCE);
        // A probe that hangs must not hold up the end.
        self.runtime_owner.shutdown_background();
    }
}

/// How this guard is called about the same place once more.
fn program_of(called_as: &str, global: &GlobalArgs, is_environment_set: bool) -> String {
    let mut program = called_as.to_owned();
    // Who asks from outside is told how to ask from there.
    if called_as == "guard"
        && let Some(host) = &global.host
    {
        program = format!("{program} --host {host}");
    }
    for (flag, path) in [("-C", &global.directory), ("--config", &global.config)] {
        if let Some(path) = path {
            program = format!("{program} {flag} {}", typed(&path.display().to_string()));
        }
    }
    match &global.environment {
        // Where a variable says it, the next command in this shell hears it too.
        Some(name) if !is_environment_set => format!("{program} --environment {}", typed(name)),
        _ => program,
    }
}

fn flags_of(global: &GlobalArgs) -> Flags {
    Flags {
        output: global.output.map(|form| match form {
            OutputForm::Human => Output::Human,
            OutputForm::Plain => Output::Plain,
            OutputForm::Json => Output::Json,
        }),
        color: match global.color {
            Some(Color::Always) => Colour::Always,
            Some(Color::Never) => Colour::Never,
            Some(Color::Auto) | None => Colour::Auto,
        },
        volume: match (global.quiet, global.verbose) {
            (true, _) => Volume::Quiet,
            (_, true) => Volume::Verbose,
            _ => Volume::Normal,
        },
    }
}

/// The columns that a table on standard output may take: those of the terminal, or what a pipe is given.
#[must_use]
pub fn width_of_stdout() -> usize {
    let columns = std::io::stdout().is_terminal().then(size_of_stderr).flatten();
    columns.map_or(WIDTH_OF_PIPES, |(columns, _)| usize::from(columns))
}
