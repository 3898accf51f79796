//! A bug in guard: what is kept and said of a panic, so that it can be reported and the run can be resumed.

use std::backtrace::Backtrace;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use guard_model::text::{sanitised, shortened};
use guard_system::disk;

/// The file in the run's directory.
const FILE: &str = "bug.log";
/// The longest message that is shown.
const LONGEST: usize = 500;

/// Where the run that is being driven keeps its things.
static RUN: Mutex<Option<PathBuf>> = Mutex::new(None);

/// From now on a panic, in whatever thread, is kept in the run's directory and told in one line, instead of a trace on the
/// terminal that explains nothing to whoever deploys.
pub fn expect() {
    std::panic::set_hook(Box::new(|info| told(info, &mut std::io::stderr())));
}

/// Whatever goes wrong from now on is kept in the directory of this run.
pub fn keep_in(run: &Path) {
    *RUN.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(run.to_owned());
}

/// Does something, and says what it panicked with, where it did.
///
/// # Errors
/// It panicked; the message.
pub fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        shown(text.unwrap_or("it said nothing"))
    })
}

fn shown(message: &str) -> String {
    sanitised(&shortened(message, LONGEST))
}

fn told(info: &PanicHookInfo<'_>, err: &mut dyn std::io::Write) {
    let message = shown(info.payload_as_str().unwrap_or("it said nothing"));
    let place = info
        .location()
        .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let run = RUN.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let mut line = format!("[ERROR] a bug in guard: {message} ({place})");
    if let Some(run) = run {
        let kept = run.join(FILE);
        let thread = std::thread::current().name().unwrap_or("without a name").to_owned();
        let trace = Backtrace::force_capture();
        let text = format!(
            "guard {}, thread {thread}: {message} at {place}\n{trace}\n",
            env!("CARGO_PKG_VERSION")
        );
        let written = disk::open_append(&kept).map(|mut file| file.write_all(text.as_bytes()));
        if matches!(written, Ok(Ok(()))) {
            let _infallible = write!(line, "; kept in {}", kept.display());
        }
    }
    // Whoever panics must not fail over a terminal that is gone.
    let _lost = writeln!(err, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_any_thread_is_kept_with_its_place_and_told_in_one_line() {
        let run = tempfile::tempdir().unwrap();
        keep_in(run.path());
        let said = std::sync::Arc::new(Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&said);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| told(info, &mut *heard.lock().unwrap())));
        let here = caught(|| panic!("with a \u{1b}[31mcolour"));
        let there = std::thread::spawn(|| panic!("elsewhere")).join();
        let fine = caught(|| 7);
        std::panic::set_hook(before);
        assert_eq!((here.unwrap_err().contains("colour"), fine), (true, Ok(7)));
        assert!(there.is_err());
        let said = String::from_utf8(said.lock().unwrap().clone()).unwrap();
        assert!(said.lines().count() == 2 && !said.contains('\u{1b}'), "{said}");
        let kept = std::fs::read_to_string(run.path().join(FILE)).unwrap();
        assert!(
            kept.contains("elsewhere at src/report/bug.rs:") && kept.contains("colour"),
            "{kept}"
        );
        assert!(said.contains("bug.log"), "{said}");
    }
}
