//! How things are said: live, plain or as JSON, with or without colour, and in which CI system.

use std::path::PathBuf;

use guard_system::environment::Environment;

/// What the user asked for by flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--output`.
    pub output: Option<Output>,
    /// `--color`.
    pub color: Color,
    /// `-q` and `-v`.
    pub volume: Volume,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Live on a terminal, else plain.
    Human,
    /// Lines.
    Plain,
    /// JSON on stdout; stderr says only what is wrong and how it ended.
    Json,
}

/// `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// Where there is a live display.
    #[default]
    Auto,
    /// Also in plain lines.
    Always,
    /// Nowhere.
    Never,
}

/// How much is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    /// Warnings, errors and the last words.
    Quiet,
    /// What matters.
    #[default]
    Normal,
    /// Details too.
    Verbose,
}

/// What standard error is connected to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Whether it is a terminal.
    pub is_terminal: bool,
    /// Its columns, where they are known.
    pub columns: Option<u16>,
}

/// The form of what is said to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A display that is painted again and again.
    Live,
    /// Lines.
    Plain,
}

/// The CI system, with the files through which it takes results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ci {
    /// GitHub Actions.
    GitHub {
        /// `$GITHUB_STEP_SUMMARY`.
        summary: Option<PathBuf>,
        /// `$GITHUB_OUTPUT`.
        output: Option<PathBuf>,
    },
    /// GitLab CI.
    GitLab {
        /// `$GUARD_GITLAB_DOTENV`, else `guard.env` in the project's directory.
        dotenv: PathBuf,
        /// `$GUARD_GITLAB_JUNIT`, else `guard-junit.xml` in the project's directory.
        junit: PathBuf,
        /// `$GUARD_GITLAB_REPORT`, else `guard-report.html` in the project's directory; the Markdown stands beside it.
        report: PathBuf,
    },
}

/// How things are said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// The form of what people read, on stderr.
    pub form: Form,
    /// Whether stdout carries JSON.
    pub json: bool,
    /// The CI system, if any.
    pub ci: Option<Ci>,
    /// Whether colours are used.
    pub colour: bool,
    /// Whether more than ASCII can be shown.
    pub unicode: bool,
    /// How much is said.
    pub volume: Volume,
    /// How guard is called in the commands that it recommends: `guard`, `guard -C /srv/shop`.
    pub program: String,
}

/// A terminal with fewer columns has no room for a display.
const NARROWEST: u16 = 30;

impl Style {
    /// The style that fits. An explicit `--output human` overrules `NO_COLOR`, which by itself asks for plain lines: who
    /// sets it does not want escape sequences.
    #[must_use]
    pub fn detect(environment: &Environment, terminal: Terminal, flags: Flags) -> Self {
        let json = flags.output == Some(Output::Json);
        let ci = ci(environment);
        let calm = ci.is_some() || environment.text("CI").is_some_and(|ci| ci != "false");
        let capable = environment.text("TERM").is_some_and(|term| term != "dumb")
            && terminal.columns.is_none_or(|columns| columns >= NARROWEST);
        let colourless = flags.color == Color::Never || environment.text("NO_COLOR").is_some();
        let asked = flags.output == Some(Output::Human) || flags.color == Color::Always;
        let live = terminal.is_terminal
            && capable
            && match flags.output {
                Some(Output::Plain | Output::Json) => false,
                _ if flags.volume == Volume::Quiet => false,
                _ => asked || (!calm && environment.text("NO_COLOR").is_none()),
            };
        Self {
            form: if live { Form::Live } else { Form::Plain },
            json,
            ci,
            colour: flags.color == Color::Always || (live && !colourless),
            unicode: is_unicode(environment),
            // With JSON on stdout, stderr is for what a person has to see.
            volume: if json && flags.volume == Volume::Normal {
                Volume::Quiet
            } else {
                flags.volume
            },
            program: "guard".to_owned(),
        }
    }

    /// The style with another way of calling guard in recommended commands.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<String>) -> Self {
        self.program = program.into();
        self
    }
}

fn ci(environment: &Environment) -> Option<Ci> {
    let is = |name| environment.text(name).is_some_and(|value| value == "true");
    if is("GITHUB_ACTIONS") {
        return Some(Ci::GitHub {
            summary: environment.path("GITHUB_STEP_SUMMARY"),
            output: environment.path("GITHUB_OUTPUT"),
        });
    }
    if !is("GITLAB_CI") {
        return None;
    }
    let project = environment.path("CI_PROJECT_DIR").unwrap_or_else(|| PathBuf::from("."));
    let path = |name, default| environment.path(name).unwrap_or_else(|| project.join(default));
    Some(Ci::GitLab {
        dotenv: path("GUARD_GITLAB_DOTENV", "guard.env"),
        junit: path("GUARD_GITLAB_JUNIT", "guard-junit.xml"),
        report: path("GUARD_GITLAB_REPORT", "guard-report.html"),
    })
}

fn is_unicode(environment: &Environment) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| environment.text(name));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_uppercase();
        locale.contains("UTF-8") || locale.contains("UTF8")
    })
}
