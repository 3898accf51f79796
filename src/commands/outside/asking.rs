//! What goes along to the host: the words as they were typed, the variables that are meant for guard, and who can answer.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::listener::Local;
use guard_config::env;
use guard_model::exit::ExitCode;
use guard_report::style::Ci;
use guard_run::outcome::Refusal;
use guard_run::request::{GlobalArgs, OutputForm, Request};
use guard_run::session::Session;
use guard_system::environment::Environment;
use guard_system::outside::{Start, Target};

/// What a CI system says that guard reads: where it is, and how long the job may take.
const MARKS: [&str; 6] = [
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "CI_JOB_TIMEOUT",
    "CI_JOB_STARTED_AT",
    "NO_COLOR",
];

/// Where `guard report --into` goes.
pub const INTO: &str = "into";

/// What is started at the host, and where its files go here.
pub(super) struct Asking {
    pub(super) start: Start,
    pub(super) files: BTreeMap<String, Local>,
    /// Whether Ctrl-C is a question.
    pub(super) asks: bool,
}

/// Whether a person sits at the terminal.
pub(super) fn is_interactive(session: &Session) -> bool {
    let is_job = session.environment.text("CI").is_some_and(|ci| ci != "false");
    !is_job && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// What is asked of the host.
///
/// # Errors
/// A variable that is to go along is not set.
pub(super) fn asking(
    words: &[OsString],
    request: &Request,
    global: &GlobalArgs,
    target: &Target,
    session: &Session,
) -> Result<Asking, Refusal> {
    let environment = &session.environment;
    let mut variables = env::travelling(environment);
    variables.extend(
        MARKS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), environment.text(name)?.to_owned()))),
    );
    for name in &global.send_env {
        let Some(value) = environment.text(name) else {
            let what = format!("{name} is to go along to the host, and it is not set here");
            return Err(Refusal::new(ExitCode::USAGE, what));
        };
        variables.push((name.clone(), value.to_owned()));
    }
    // A guard that goes on in its place tells it in the same form.
    let form = global.output.map(|form| match form {
        OutputForm::Human => "human",
        OutputForm::Plain => "plain",
        OutputForm::Json => "json",
    });
    variables.extend(form.map(|form| ("GUARD_OUTPUT".to_owned(), form.to_owned())));
    let is_interactive = is_interactive(session);
    if is_interactive && session.style.colour && environment.text("GUARD_COLOR").is_none() {
        variables.push(("GUARD_COLOR".to_owned(), "always".to_owned()));
    }
    let (files, named) = files(session.style.ci.as_ref(), environment, request);
    Ok(Asking {
        start: Start {
            words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            variables,
            files: named,
            called_as: format!("guard --host {target}"),
            answers: is_interactive,
        },
        files,
        asks: is_interactive && changes(request),
    })
}

/// Whether a request is one that somebody would not want to end by a slip.
fn changes(request: &Request) -> bool {
    matches!(
        request,
        Request::Deploy(_)
            | Request::Rollback(_)
            | Request::Undo(_)
            | Request::Resume(_)
            | Request::Backup(_)
            | Request::Abort(_)
    )
}

type Files = (BTreeMap<String, Local>, Vec<(String, String)>);

/// The files that the command writes for somebody here: where each goes, and the variables that name them at the host.
fn files(ci: Option<&Ci>, environment: &Environment, request: &Request) -> Files {
    let mut files = BTreeMap::new();
    let mut named = Vec::new();
    let mut take = |variable: Option<&str>, name: &str, path: &Path, is_appended: bool| {
        let path = path.to_owned();
        files.insert(name.to_owned(), Local { path, is_appended });
        named.extend(variable.map(|variable| (variable.to_owned(), name.to_owned())));
    };
    match ci {
        Some(Ci::GitHub { summary, output }) => {
            for (variable, path) in [("GITHUB_STEP_SUMMARY", summary), ("GITHUB_OUTPUT", output)] {
                if let Some(path) = path {
                    take(Some(variable), variable, path, true);
                }
            }
        }
        Some(Ci::GitLab { dotenv, junit, report }) => {
            take(Some("GUARD_GITLAB_DOTENV"), "guard.env", dotenv, false);
            take(Some("GUARD_GITLAB_JUNIT"), "guard-junit.xml", junit, false);
            take(Some("GUARD_GITLAB_REPORT"), "guard-report.html", report, false);
            take(None, "guard-report.md", &report.with_extension("md"), false);
        }
        None => {}
    }
    if let Request::Report(asked) = request
        && let Some(into) = &asked.into
    {
        take(None, INTO, &here(into, environment), false);
    }
    (files, named)
}

/// A path of this machine.
fn here(path: &Path, environment: &Environment) -> PathBuf {
    let directory = std::env::current_dir().ok().or_else(|| environment.path("PWD"));
    directory.map_or_else(|| path.to_owned(), |directory| directory.join(path))
}
