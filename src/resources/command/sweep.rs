//! The promises of a resource, tried from outside on a scratch copy that the program makes: every act twice, and cut off.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::copy::{fill, fresh, look};
use super::program::Program;
use super::protocol::{Ability, Act, Asked, Checked, Nothing, Scratched};
use super::swap::{self, Source};
use crate::error::{ResourceError, Result};
use crate::survey::Survey;
use guard_model::artifact::Displaced;
use guard_model::fingerprint::Fingerprint;
use guard_model::text;
use guard_system::context::Context;
use guard_system::processes::CallError;

/// The moments of an act at which it is killed, in hundredths of the time that it took when nobody killed it.
const MOMENTS: [u32; 3] = [15, 50, 85];

/// What each promise is called, as in docs/adding-a-resource.md.
const READS: &str = "capture only reads, and twice is once";
const PRINTS: &str = "the fingerprint is equal exactly when nothing has to be put back";
const STAGES: &str = "staging does not touch what is live";
const SWAPS: &str = "an exchange ends with what was copied";
const AGAIN: &str = "an exchange that was cut off is done by calling it again";
const UNDOES: &str = "undo brings back what was displaced";
const FORGETS: &str = "forgetting and discarding do not touch what is live";

/// A promise that is not kept.
struct Broken {
    promise: &'static str,
    what: String,
    advice: Option<String>,
}

type Kept<T> = std::result::Result<T, Broken>;

/// Where a program is tried.
struct Bench {
    program: Program,
    root: PathBuf,
    cx: Context,
    token: String,
}

/// A copy that was taken there.
struct Taken {
    directory: PathBuf,
    details: Value,
    print: Fingerprint,
}

impl Taken {
    fn source(&self) -> Source<'_> {
        Source {
            directory: &self.directory,
            details: &self.details,
        }
    }
}

/// Does something on a scratch copy, which is removed behind it.
fn on_scratch<T>(program: &Program, cx: &Context, work: impl FnOnce(&Bench) -> T) -> Result<T> {
    let held = cx.momentary("guard-check-")?;
    let token = format!("{}_check{}", cx.token(), std::process::id());
    let root = held.path().to_owned();
    let (place, run) = (root.join("scratch"), root.join("run"));
    fresh(&place)?;
    fresh(&run)?;
    let cx = Context {
        scratch: run,
        ..cx.clone()
    };
    let asked = Asked {
        directory: Some(&place),
        ..Asked::default()
    };
    let scratched: Scratched = program.ask(Act::Scratch, &asked, &token, &cx)?;
    let bench = Bench {
        program: program.on(scratched.target),
        root,
        cx,
        token,
    };
    let found = work(&bench);
    // Also where somebody asked to stop: nobody else would remove it.
    let cx = bench.cx.unstoppable();
    let gone: Result<Nothing> = bench.program.ask(Act::Unscratch, &Asked::default(), &bench.token, &cx);
    gone.map(|_| found)
}

/// Restores a copy into a scratch copy and compares it; where the program makes none, that is told.
///
/// # Errors
/// The copy cannot be restored, or is another one then (`copy_is_bad`).
pub(super) fn rehearse(program: &Program, from: &Source<'_>, print: &Fingerprint, cx: &Context) -> Result<()> {
    if !program.describe(&cx.token(), cx)?.can(Ability::Scratch) {
        let what = format!(
            "{}: only its files were compared: its program has no `scratch`",
            program.name
        );
        cx.note(guard_model::event::Level::Info, what);
        return Ok(());
    }
    let now = on_scratch(program, cx, |bench| {
        // What is live may be as the copy, and an exchange for the same proves nothing.
        let _: Nothing = bench
            .program
            .ask(Act::Spoil, &Asked::default(), &bench.token, &bench.cx)?;
        let staging = swap::stage(&bench.program, from, &bench.token, &bench.cx)?;
        swap::exchange(&bench.program, from, &staging, Some(print), &bench.cx)?;
        bench.program.fingerprint(&bench.token, &bench.cx)
    })??;
    let differences = now.differences(print);
    if differences.is_empty() {
        return Ok(());
    }
    Err(ResourceError::bad_copy(format!(
        "what was restored from it is not what was copied, in: {}",
        differences.join(", ")
    )))
}

/// Tries all promises, and adds what was found to the survey. Production is only read.
pub(super) fn sweep(program: &Program, survey: &mut Survey, cx: &Context) {
    let token = cx.token();
    let description = match program.describe(&token, cx) {
        Ok(description) => description,
        Err(error) => return survey.refuse(text::chain(&error), error.hint.unwrap_or_default()),
    };
    let mut tried = Vec::new();
    let found = if description.can(Ability::Scratch) {
        on_scratch(program, cx, |bench| bench.all(&mut tried))
    } else {
        survey.warn(
            "only `fingerprint` and `capture` were tried, on production: the program has no `scratch`",
            "let it make a scratch copy: docs/command.md",
        );
        on_production(program, cx, &mut tried)
    };
    for fact in tried {
        survey.fact(fact);
    }
    let broken = match found {
        Ok(Ok(())) => return,
        Ok(Err(broken)) => broken,
        Err(error) => Broken {
            promise: "a scratch copy can be made and removed",
            what: text::chain(&error),
            advice: error.hint,
        },
    };
    survey.refuse(
        format!(
            "broken promise: {}. {}",
            broken.promise,
            cx.redaction.clean(&broken.what)
        ),
        broken
            .advice
            .unwrap_or_else(|| "mend the program, then run the same check again".to_owned()),
    );
}

/// The acts that only read, where there is no scratch copy.
fn on_production(program: &Program, cx: &Context, tried: &mut Vec<String>) -> Result<Kept<()>> {
    let held = cx.momentary("guard-check-")?;
    let bench = Bench {
        program: program.clone(),
        root: held.path().to_owned(),
        cx: Context {
            scratch: held.path().to_owned(),
            ..cx.clone()
        },
        token: format!("{}_check{}", cx.token(), std::process::id()),
    };
    Ok(bench.reads(tried).map(|_| ()))
}

impl Bench {
    fn all(&self, tried: &mut Vec<String>) -> Kept<()> {
        let copied = self.reads(tried)?;
        self.stages(&copied, tried)?;
        let time = self.exchanges(&copied, tried)?;
        for (number, moment) in MOMENTS.into_iter().enumerate() {
            self.cut_exchange(&copied, number, time * moment / 100)?;
        }
        tried.push(format!(
            "exchange and undo, killed at {} moments of {}, and called again",
            MOMENTS.len(),
            text::duration(time)
        ));
        self.forgets(&copied, tried)
    }

    fn print(&self, promise: &'static str) -> Kept<Fingerprint> {
        let print = self.program.fingerprint(&self.token, &self.cx);
        print.map_err(|error| failed(promise, &error))
    }

    /// That what is live is of this state.
    fn is(&self, promise: &'static str, meant: &Fingerprint, when: &str) -> Kept<()> {
        let differences = self.print(promise)?.differences(meant);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Broken {
            promise,
            what: format!("{when} it differs in: {}", differences.join(", ")),
            advice: None,
        })
    }

    fn spoil(&self, of: &Fingerprint) -> Kept<Fingerprint> {
        let _: Nothing = self
            .program
            .ask(Act::Spoil, &Asked::default(), &self.token, &self.cx)
            .map_err(|error| failed(PRINTS, &error))?;
        let spoiled = self.print(PRINTS)?;
        if &spoiled == of {
            return Err(Broken {
                promise: PRINTS,
                what: "`spoil` ended with 0, and no part of `fingerprint` is another one".to_owned(),
                advice: Some("let a part follow from everything that a release can change".to_owned()),
            });
        }
        Ok(spoiled)
    }

    /// `fingerprint` and `capture`, twice and cut off.
    fn reads(&self, tried: &mut Vec<String>) -> Kept<Taken> {
        let print = self.print(PRINTS)?;
        self.is(PRINTS, &print, "asked twice, with nothing in between,")?;
        let directory = self.root.join("copy");
        let (filled, time) = self.timed(|| fill(&self.program, &directory, &self.token, &self.cx));
        filled.map_err(|error| failed(READS, &error))?;
        self.is(READS, &print, "after `capture`")?;
        for moment in MOMENTS {
            let program = self.program.killed_at(Act::Capture, time * moment / 100);
            cut(READS, fill(&program, &directory, &self.token, &self.cx).map(|_| ()))?;
            self.is(READS, &print, "after a `capture` that was killed")?;
        }
        let again = fill(&self.program, &directory, &self.token, &self.cx);
        let (captured, _) = again.map_err(|error| failed(READS, &error))?;
        self.is(READS, &print, "after `capture` was called again")?;
        if let Some(parts) = &captured.parts {
            let told = super::protocol::print_of(parts, &self.cx);
            if told != print {
                return Err(Broken {
                    promise: PRINTS,
                    what: format!(
                        "`parts` of `capture` are not those of `fingerprint`, in: {}",
                        told.differences(&print).join(", ")
                    ),
                    advice: None,
                });
            }
        }
        tried.push(format!(
            "fingerprint twice; capture twice, and killed at {} moments of {}",
            MOMENTS.len(),
            text::duration(time)
        ));
        Ok(Taken {
            directory,
            details: captured.details,
            print,
        })
    }

    fn checked(&self, copied: &Taken) -> Kept<Vec<String>> {
        let asked = Asked {
            directory: Some(&copied.directory),
            details: Some(&copied.details),
            ..Asked::default()
        };
        let checked = self.program.ask::<Checked>(Act::Check, &asked, &self.token, &self.cx);
        checked
            .map(|checked| checked.differs)
            .map_err(|error| failed(PRINTS, &error))
    }

    /// `stage`, twice and cut off, beside a state that differs.
    fn stages(&self, copied: &Taken, tried: &mut Vec<String>) -> Kept<()> {
        if let Some(part) = self.checked(copied)?.first() {
            return Err(Broken {
                promise: PRINTS,
                what: format!("`check` sees a difference where nothing was changed: {part}"),
                advice: None,
            });
        }
        let spoiled = self.spoil(&copied.print)?;
        if self.checked(copied)?.is_empty() {
            return Err(Broken {
                promise: PRINTS,
                what: "`check` sees no difference after `spoil`".to_owned(),
                advice: None,
            });
        }
        let (files, source) = (look(&copied.directory), copied.source());
        let (_, described) = self.timed(|| self.program.describe(&self.token, &self.cx));
        let (staged, time) = self.timed(|| swap::stage(&self.program, &source, &self.token, &self.cx));
        staged.map_err(|error| failed(STAGES, &error))?;
        let time = time.saturating_sub(described);
        self.is(STAGES, &spoiled, "after `stage`")?;
        for moment in MOMENTS {
            let program = self.program.killed_at(Act::Stage, time * moment / 100);
            let staged = swap::stage(&program, &source, &self.token, &self.cx);
            cut(STAGES, staged.map(|_| ()))?;
            self.is(STAGES, &spoiled, "after a `stage` that was killed")?;
        }
        let staged = swap::stage(&self.program, &source, &self.token, &self.cx);
        let staging = staged.map_err(|error| failed(STAGES, &error))?;
        self.is(STAGES, &spoiled, "after `stage` was called again")?;
        if look(&copied.directory) != files {
            return Err(Broken {
                promise: STAGES,
                what: "`stage` changed the files of the copy, which are only to be read".to_owned(),
                advice: Some("let it copy them into `staging`".to_owned()),
            });
        }
        let discarded = swap::discard(&self.program, &staging, &self.cx);
        discarded.map_err(|error| failed(FORGETS, &error))?;
        self.is(FORGETS, &spoiled, "after `discard`")?;
        tried.push(format!(
            "stage twice, and killed at {} moments of {}; discard",
            MOMENTS.len(),
            text::duration(time)
        ));
        Ok(())
    }

    /// A whole way back and its undo; returns how long the exchange takes.
    fn exchanges(&self, copied: &Taken, tried: &mut Vec<String>) -> Kept<Duration> {
        let spoiled = self.print(SWAPS)?;
        let source = copied.source();
        let staged = swap::stage(&self.program, &source, &self.token, &self.cx);
        let staging = staged.map_err(|error| failed(STAGES, &error))?;
        let swap = |program: &Program| swap::exchange(program, &source, &staging, Some(&copied.print), &self.cx);
        let displaced = swap(&self.program).map_err(|error| failed(SWAPS, &error))?;
        self.is(SWAPS, &copied.print, "after `exchange`")?;
        if let Some(part) = self.checked(copied)?.first() {
            return Err(Broken {
                promise: SWAPS,
                what: format!("after `exchange`, `check` still sees a difference: {part}"),
                advice: None,
            });
        }
        // Nothing is kept or compared beside the act itself this time.
        let (again, time) = self.timed(|| swap(&self.program));
        let again = again.map_err(|error| failed(AGAIN, &error))?;
        self.is(AGAIN, &copied.print, "after `exchange` was called twice")?;
        if again.kept_as != displaced.kept_as {
            return Err(Broken {
                promise: AGAIN,
                what: "called twice, `exchange` says of another place that what was displaced is there".to_owned(),
                advice: None,
            });
        }
        let undone = self.undone(&displaced, &spoiled, "after `undo`")?;
        self.undone(&undone, &copied.print, "after the undo of the undo")?;
        tried.push("exchange twice, undo, undo of the undo, check before and after".to_owned());
        Ok(time)
    }

    fn undone(&self, displaced: &Displaced, meant: &Fingerprint, when: &str) -> Kept<Displaced> {
        let undone = swap::undo(&self.program, displaced, &self.cx).map_err(|error| failed(UNDOES, &error))?;
        self.is(UNDOES, meant, when)?;
        Ok(undone)
    }

    /// A way back that is killed in the middle of its exchange and done again, and so is its undo.
    fn cut_exchange(&self, copied: &Taken, number: usize, after: Duration) -> Kept<()> {
        let spoiled = self.spoil(&copied.print)?;
        let (token, source) = (format!("{}_{number}", self.token), copied.source());
        let staged = swap::stage(&self.program, &source, &token, &self.cx);
        let staging = staged.map_err(|error| failed(STAGES, &error))?;
        let swap = |program: &Program| swap::exchange(program, &source, &staging, Some(&copied.print), &self.cx);
        cut(AGAIN, swap(&self.program.killed_at(Act::Exchange, after)).map(|_| ()))?;
        let displaced = swap(&self.program).map_err(|error| failed(AGAIN, &error))?;
        let when = format!("killed after {} and called again,", text::duration(after));
        self.is(AGAIN, &copied.print, &when)?;
        for act in [Act::Undo, Act::Exchange] {
            // One of the two is what undoes it.
            let undone = swap::undo(&self.program.killed_at(act, after), &displaced, &self.cx);
            if undone.is_err() {
                cut(UNDOES, undone.map(|_| ()))?;
                break;
            }
        }
        self.undone(&displaced, &spoiled, &format!("undone, {when}"))
            .map(|_| ())
    }

    fn forgets(&self, copied: &Taken, tried: &mut Vec<String>) -> Kept<()> {
        let (token, source) = (format!("{}_last", self.token), copied.source());
        let staged = swap::stage(&self.program, &source, &token, &self.cx);
        let staging = staged.map_err(|error| failed(STAGES, &error))?;
        let displaced = swap::exchange(&self.program, &source, &staging, Some(&copied.print), &self.cx);
        let displaced = displaced.map_err(|error| failed(SWAPS, &error))?;
        for _ in 0..2 {
            swap::forget(&self.program, &displaced, &self.cx).map_err(|error| failed(FORGETS, &error))?;
            swap::discard(&self.program, &staging, &self.cx).map_err(|error| failed(FORGETS, &error))?;
        }
        self.is(FORGETS, &copied.print, "after `forget` and `discard`, each twice,")?;
        tried.push("forget and discard twice".to_owned());
        Ok(())
    }

    fn timed<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        let begun = self.cx.clock.steady();
        let done = work();
        (done, self.cx.clock.steady().saturating_sub(begun))
    }
}

fn failed(promise: &'static str, error: &ResourceError) -> Broken {
    Broken {
        promise,
        what: text::chain(error),
        advice: error.hint.clone(),
    }
}

/// What came of an act that was to be killed: it was, or it had ended before. Anything else is a failure of its own.
fn cut(promise: &'static str, done: Result<()>) -> Kept<()> {
    let Err(error) = done else { return Ok(()) };
    let cause = error
        .source
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<CallError>());
    if matches!(cause, Some(CallError::TimedOut { .. })) {
        return Ok(());
    }
    Err(failed(promise, &error))
}
