//! A copy loaded into a server of its own, at a socket nobody else knows, to see that it loads and what it holds.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::layout::{Details, Layout, Log};
use super::reach::Reach;
use super::reading::{Seen, observe};
use crate::error::{ResourceError, Result};
use crate::slot::Slot;
use guard_model::artifact::Artifact;
use guard_system::call::Call;
use guard_system::context::Context;
use guard_system::disk::{self, At};
use guard_system::docker;

/// How long a copy may take until it is loaded.
const LIMIT: Duration = Duration::from_mins(10);
/// How long a server may take until it says that it is loading: the processor may be crowded.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest path of a socket, in bytes, that every system takes.
const LONGEST: usize = 100;
/// Where paths are short.
const SHORT: &str = "/tmp";

/// Loads a copy, looks at it, and ends that server again.
///
/// # Errors
/// There is no server program, it does not load the copy, or it cannot be asked.
pub(super) fn load(reach: &Reach, artifact: &Artifact, slot: &Slot, since: i64, cx: &Context) -> Result<Seen> {
    let is_valkey = Details::of(artifact).is_ok_and(|details| details.valkey);
    let entry = artifact
        .files
        .first()
        .ok_or_else(|| ResourceError::bad_copy("the manifest lists no copy of the keys"))?;
    let mut copy = slot.read(entry)?;
    let name = format!("guard-{}-{}", cx.token(), std::process::id());
    let seen = match &reach.container {
        None => {
            let place = cx.momentary("guard-redis-")?;
            let file = place.path().join("dump.rdb");
            let mut staged = disk::create_private_file(&file)?;
            io::copy(&mut copy, &mut staged).at("write", &file)?;
            looked_at(reach, place.path(), &[], is_valkey, since, cx)
        }
        Some(container) => {
            let script = format!(
                "umask 077 && place=${{TMPDIR:-/tmp}}/{name} && mkdir \"$place\" && cat > \"$place/dump.rdb\" && printf %s \"$place\""
            );
            let call = docker::exec(&container.id, &[], true, &["sh", "-c", &script]);
            let mut feed = |writer: &mut dyn Write| io::copy(&mut copy, writer).map(|_| ());
            let pushed = cx.push(&call, &mut feed);
            let pushed =
                pushed.map_err(|error| ResourceError::because("could not hand the copy to the container", error))?;
            let place = pushed.text();
            let seen = looked_at(reach, Path::new(&place), &[], is_valkey, since, cx);
            let remove = docker::exec(&container.id, &[], false, &["rm", "-rf", "--", &place]);
            // The container's own temporary files go with it.
            let _gone_later = cx.unstoppable().output(&remove);
            seen
        }
    };
    copy.finish()?;
    seen
}

/// Looks into the files of a server that is stopped, by a copy of them.
///
/// # Errors
/// There is no server program on this host, or it does not load them.
pub(super) fn of_files(layout: &Layout, is_valkey: bool, since: i64, cx: &Context) -> Result<Seen> {
    let place = cx.momentary("guard-redis-")?;
    let copied = |from: &Path, to: &Path| -> Result<()> {
        if disk::exists(from)? {
            std::fs::copy(from, to).at("copy", from)?;
        }
        Ok(())
    };
    let live = &layout.directory;
    copied(&live.join(&layout.rdb), &place.path().join("dump.rdb"))?;
    let logged = match &layout.log {
        Log::None => Vec::new(),
        Log::File(name) => {
            copied(&live.join(name), &place.path().join(name))?;
            vec!["--appendonly", "yes", "--appendfilename", name]
        }
        Log::Directory { directory, name } => {
            let inside = place.path().join(directory);
            disk::create_private_dir(&inside)?;
            for file in disk::list(&live.join(directory))? {
                copied(&file, &inside.join(file.file_name().unwrap_or_default()))?;
            }
            vec![
                "--appendonly",
                "yes",
                "--appendfilename",
                name,
                "--appenddirname",
                directory,
            ]
        }
    };
    looked_at(&Reach::local(cx)?, place.path(), &logged, is_valkey, since, cx)
}

/// The programs that load a copy, those of the live server's own kind first: what a later version of the one wrote down, the
/// other one cannot read.
fn programs(is_valkey: bool) -> [&'static str; 2] {
    let mut programs = ["redis-server", "valkey-server"];
    if is_valkey {
        programs.reverse();
    }
    programs
}

/// Loads the files of a place by the first program that can, and looks.
fn looked_at(reach: &Reach, place: &Path, logged: &[&str], is_valkey: bool, since: i64, cx: &Context) -> Result<Seen> {
    // The live server's password is none of this one's.
    let reach = &reach.unnamed();
    let shown = place.display();
    // A socket's path is short; a longer one is made where paths are.
    let mut socket = format!("{shown}/s");
    let mut apart = None;
    if socket.len() > LONGEST && reach.container.is_none() {
        let place = tempfile::Builder::new().prefix("guard-redis-").tempdir_in(SHORT);
        let place = place.at("make a directory in", Path::new(SHORT))?;
        socket = format!("{}/s", place.path().display());
        apart = Some(place);
    }
    let settings = [
        "--port",
        "0",
        "--unixsocket",
        &socket,
        "--unixsocketperm",
        "600",
        "--dir",
        &place.to_string_lossy(),
        "--dbfilename",
        "dump.rdb",
        "--save",
        "",
        "--databases",
        "10000",
        "--daemonize",
        "yes",
        "--logfile",
        &format!("{shown}/log"),
        "--pidfile",
        &format!("{shown}/pid"),
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(logged.iter().map(|word| (*word).to_owned()))
    .collect::<Vec<_>>();
    let mut seen = Err(
        ResourceError::new("there is no redis-server or valkey-server to load the copy with")
            .with_hint("install the package redis-server here; it does not have to run"),
    );
    for program in programs(is_valkey) {
        let words: Vec<&str> = std::iter::once(program)
            .chain(settings.iter().map(String::as_str))
            .collect();
        let call = match &reach.container {
            Some(container) => docker::exec(&container.id, &[], false, &words),
            None => Call::new(program).args(settings.iter()),
        };
        if cx.output(&call).is_err() {
            continue;
        }
        seen = at_socket(reach, &socket, since, cx);
        if seen.is_ok() || cx.stop.is_asked() {
            break;
        }
    }
    drop(apart);
    seen
}

/// Waits until a server has loaded, looks, and ends it.
fn at_socket(reach: &Reach, socket: &str, since: i64, cx: &Context) -> Result<Seen> {
    let flags = ["-s".to_owned(), socket.to_owned()];
    let begun = cx.clock.steady();
    let seen = loop {
        match reach.ask_at(&flags, 0, &["PING"], cx) {
            Ok(_) => break observe(reach, Some(&flags), since, cx),
            Err(error) if cx.clock.steady().saturating_sub(begun) > LIMIT => break Err(error),
            Err(error) if cx.stop.is_asked() => break Err(error),
            // It is loading, or it has ended because it cannot.
            Err(error) => {
                let is_there =
                    error.to_string().contains("LOADING") || cx.clock.steady().saturating_sub(begun) < PATIENCE;
                if !is_there {
                    let what = "a server of the same kind does not load the copy";
                    break Err(ResourceError::bad_copy(what).with_hint("`redis-check-rdb` says what is wrong with it"));
                }
            }
        }
        cx.clock.sleep(Duration::from_millis(50));
    };
    // It has nothing that could be lost.
    let _ended = reach.ask_at(&flags, 0, &["SHUTDOWN", "NOSAVE"], &cx.unstoppable());
    seen
}
