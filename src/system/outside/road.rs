//! The road to a host: the system's own `ssh`, one connection for all calls, and the program that is brought along.
//!
//! What is run there is a fixed word for the login shell, whichever that is: everything that varies goes by standard input.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::frames::{Frame, Frames, Hello, Said};
use super::program::{Bringing, machine};
use super::target::Target;
use crate::call::Call;
use crate::context::Context;
use crate::disk::{At, DiskError};
use crate::processes::CallError;

/// How long a connection may take. With `ServerAlive…` below, a dead link ends a call after nine seconds.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a person may take to answer `ssh`, which may ask for a passphrase or about an unknown host.
const PERSON: Duration = Duration::from_mins(5);
/// How long a look may take.
const LOOK: Duration = Duration::from_mins(1);
/// How long the program may take on its way.
const BRING: Duration = Duration::from_mins(30);
/// The host says every second that it is there. Silent for so long, the link is dead, whatever `ssh` believes.
const SILENCE: Duration = Duration::from_secs(20);
/// How often what is to be said is looked for.
const TICK: Duration = Duration::from_millis(30);
/// How long a call has to end behind the last word.
const GRACE: Duration = Duration::from_millis(500);
/// The exit code of `ssh` where there is no connection; also that of a program that was ended by a signal.
const NO_LINK: i32 = 255;
/// What the host says in the first line of a look.
const LOOKED: &str = "guard-look 1";
/// The last word of an upload.
const KEPT: &str = "guard-kept";

/// Why a host cannot be used. Nothing was started there.
#[derive(Debug, thiserror::Error)]
pub enum RoadError {
    /// No connection.
    #[error("could not reach {host}: {why}")]
    Unreached {
        /// Where.
        host: String,
        /// What `ssh` said.
        why: String,
    },
    /// It is there and cannot run guard.
    #[error("{host} cannot run the guard that was brought along: {why}")]
    Unfit {
        /// Where.
        host: String,
        /// Why.
        why: String,
        /// What can be done.
        advice: String,
    },
    /// The program cannot be put there.
    #[error("could not put guard's program on {host}: {why}")]
    Unkept {
        /// Where.
        host: String,
        /// What the host said.
        why: String,
    },
    /// Something on this machine.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// `ssh` itself.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl RoadError {
    /// Whether another try may find the link up.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreached { .. })
    }
}

/// Those who speak and listen while a visit goes on.
pub trait Calls: Sync {
    /// What is to be said to the host now.
    fn said(&self) -> Option<Said>;
    /// A frame from the host.
    fn frame(&self, frame: Frame);
    /// Whether the last frame has come.
    fn is_over(&self) -> bool;
    /// Whether nobody wants to hear more.
    fn is_left(&self) -> bool;
}

/// A road to one host.
pub struct Road {
    target: Target,
    ssh: Vec<String>,
    cx: Context,
    /// Whether a person sits at the terminal, whom `ssh` may ask.
    is_interactive: bool,
    /// Where the connection's socket is.
    place: tempfile::TempDir,
}

impl Road {
    /// A road that is not built yet. `ssh` is the program with options of the user's own; `cx` must not be stopped by the wish
    /// to stop, which is the host's to hear.
    ///
    /// # Errors
    /// There is no place for the connection's socket.
    pub fn new(target: Target, ssh: Vec<String>, is_interactive: bool, cx: Context) -> Result<Self, DiskError> {
        // Short: a socket's path has about a hundred characters at most.
        let root = std::path::Path::new("/tmp");
        let place = tempfile::Builder::new().prefix("guard-").tempdir_in(root);
        let place = place.at("make a directory in", root)?;
        Ok(Self {
            target,
            ssh,
            cx,
            is_interactive,
            place,
        })
    }

    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("s")
    }

    /// `ssh` with these options, to the host, where it runs this.
    fn call(&self, options: &[&str], remote: Option<&str>, may_ask: bool) -> Call {
        let (program, own) = self
            .ssh
            .split_first()
            .map_or(("ssh", &[][..]), |(program, own)| (program, own));
        let mut call = Call::new(program).args(own);
        // A user's own words come first, and win.
        for option in [
            "ServerAliveInterval=3",
            "ServerAliveCountMax=3",
            "RequestTTY=no",
            "ForwardX11=no",
            "ForwardAgent=no",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
        ] {
            call = call.args(["-o", option]);
        }
        call = call.args(["-o", &format!("ConnectTimeout={}", CONNECT.as_secs())]);
        if !may_ask {
            call = call.args(["-o", "BatchMode=yes"]);
        }
        call = call.args(options).arg("-S").arg(self.socket());
        let call = call.args(self.target.words()).args(remote).grace(GRACE);
        // In a group of its own it hears no Ctrl-C, and may not read the terminal.
        if may_ask { call.in_our_group() } else { call }
    }

    fn unreached(&self, why: &str) -> RoadError {
        let lines: Vec<&str> = why.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        RoadError::Unreached {
            host: self.target.to_string(),
            why: if lines.is_empty() {
                "ssh said nothing".to_owned()
            } else {
                lines.join("; ")
            },
        }
    }

    /// Builds the connection that all calls share.
    ///
    /// # Errors
    /// The host is unknown, does not answer, or lets nobody in.
    pub fn connect(&self) -> Result<(), RoadError> {
        // It stays behind as a process of its own, out of reach of the terminal's Ctrl-C, and ends when nobody has used it
        // for a minute: so it does where guard is killed as well.
        let options = [
            "-M",
            "-N",
            "-f",
            "-o",
            "ControlPersist=60",
            "-o",
            "ExitOnForwardFailure=no",
        ];
        let limit = if self.is_interactive { PERSON } else { CONNECT * 2 };
        let made = self
            .cx
            .outcome(&self.call(&options, None, self.is_interactive).timeout(limit));
        match made {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(self.unreached(&output.stderr)),
            Err(CallError::TimedOut { .. }) => Err(self.unreached("it did not answer in time")),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the connection; the next one begins anew.
    pub fn disconnect(&self) {
        if !self.socket().exists() {
            return;
        }
        let ended = self.call(&["-O", "exit"], None, false).timeout(GRACE * 4);
        // One that is dead needs no end; its socket must not keep the next one waiting.
        let _gone = self.cx.outcome(&ended);
        let _gone = std::fs::remove_file(self.socket());
    }

    /// Sees to it that the program is at the host, whole.
    ///
    /// # Errors
    /// The link is lost, the host is another machine, or it has no place.
    pub fn bring(&self, program: &Bringing, tell: &dyn Fn(String)) -> Result<(), RoadError> {
        let script = format!(
            "echo '{LOOKED}'\nuname -s\nuname -m\numask 077\nd=${{XDG_CACHE_HOME:-$HOME/.cache}}/guard/programs/{digest}\n\
             if test -x \"$d/guard\"; then touch \"$d\"; echo there; exit 0; fi\n\
             mkdir -p \"$d\" && test -w \"$d\" && echo absent\n",
            digest = program.digest
        );
        let call = self
            .call(&["-T"], Some("exec /bin/sh"), false)
            .input(script)
            .timeout(LOOK);
        let looked = self.outcome(&call)?;
        let said = looked.text();
        let answers: Vec<&str> = said
            .lines()
            .skip_while(|line| !line.ends_with(LOOKED))
            .skip(1)
            .collect();
        let [system, its_machine, rest @ ..] = answers.as_slice() else {
            return Err(self.unfit(&format!("it has no usable /bin/sh ({})", looked.stderr.trim())));
        };
        let is_fit = program.machine.is_none_or(|ours| ours == machine(its_machine));
        if *system != "Linux" || !is_fit {
            let ours = program.machine.unwrap_or("another machine");
            return Err(self.unfit(&format!(
                "it is {system} on {its_machine}, and the program is for Linux on {ours}"
            )));
        }
        match rest {
            ["there"] => Ok(()),
            ["absent"] => self.upload(program, tell),
            _ => Err(self.unkept(&looked.stderr)),
        }
    }

    fn upload(&self, program: &Bringing, tell: &dyn Fn(String)) -> Result<(), RoadError> {
        let megabytes = program.bytes.div_ceil(1_000_000);
        tell(format!(
            "bringing guard's program to {}: {megabytes} MB",
            self.target.host()
        ));
        // Whole or not at all; one that was cut off is removed by the next one, and so is what nobody has used for a month.
        let remote = format!(
            "exec /bin/sh -c 'umask 077; r=\"${{XDG_CACHE_HOME:-$HOME/.cache}}/guard/programs\"; d=\"$r/{digest}\"; p=\"$d/$$.part\"; \
             find \"$r\" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf {{}} + ; find \"$d\" -name \"*.part\" -mmin +60 -exec rm -f {{}} + ; \
             cat >\"$p\" && echo \"{digest}  $p\" | sha256sum -c - >/dev/null && chmod 700 \"$p\" && mv -f \"$p\" \"$d/guard\" && echo {KEPT} \
             || {{ rm -f \"$p\"; exit 74; }}'",
            digest = program.digest
        );
        let mut file = File::open(&program.path).at("open", &program.path)?;
        let mut feed = |to: &mut dyn Write| {
            let mut buffer = vec![0; 256 * 1024];
            loop {
                let count = file.read(&mut buffer)?;
                if count == 0 {
                    return Ok(());
                }
                to.write_all(buffer.get(..count).unwrap_or_default())?;
            }
        };
        let call = self.call(&["-T"], Some(&remote), false).timeout(BRING);
        match self.cx.push(&call, &mut feed) {
            Ok(output) if output.text().ends_with(KEPT) => Ok(()),
            Ok(output) => Err(self.unkept(&output.stderr)),
            Err(CallError::Exit { exit, stderr, .. }) if exit.ends_with(&NO_LINK.to_string()) => {
                Err(self.unreached(&stderr))
            }
            Err(CallError::Exit { stderr, .. }) => Err(self.unkept(&stderr)),
            Err(CallError::TimedOut { .. }) => Err(self.unreached("the program did not arrive in time")),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins the visit there, or goes on with it, and hears its words until it is over or the link is lost.
    ///
    /// # Errors
    /// The program does not run there.
    pub fn visit(&self, program: &Bringing, hello: &Hello, calls: &dyn Calls) -> Result<(), RoadError> {
        let remote = format!(
            "exec /bin/sh -c '\"${{XDG_CACHE_HOME:-$HOME/.cache}}/guard/programs/{}/guard\" {} serve'",
            program.digest,
            super::visit::COMMAND
        );
        let first = serde_json::to_vec(hello).map_err(|error| self.unreached(&error.to_string()))?;
        let heard = std::sync::Mutex::new((Frames::default(), self.cx.clock.steady()));
        let mut sink = |bytes: &[u8]| {
            let mut heard = heard.lock().map_err(|_| io::Error::other("a listener panicked"))?;
            heard.1 = self.cx.clock.steady();
            heard.0.take(bytes)?.into_iter().for_each(|frame| calls.frame(frame));
            Ok(())
        };
        let mut feed = |to: &mut dyn Write| self.converse(&first, &heard, calls, to);
        let result = self
            .cx
            .converse(&self.call(&["-T"], Some(&remote), false), &mut sink, &mut feed);
        if calls.is_over() {
            return Ok(());
        }
        let has_begun = heard.lock().is_ok_and(|heard| heard.0.has_begun());
        match result {
            Err(CallError::Exit { exit, stderr, .. }) if !has_begun && !exit.ends_with(&NO_LINK.to_string()) => {
                Err(self.unfit(stderr.trim()))
            }
            Err(error @ (CallError::NotFound { .. } | CallError::Start { .. })) => Err(error.into()),
            // Whatever else it was, the link is gone, and the host goes on.
            _ => Ok(()),
        }
    }

    fn converse(
        &self,
        first: &[u8],
        heard: &std::sync::Mutex<(Frames, Duration)>,
        calls: &dyn Calls,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        to.write_all(first)?;
        to.write_all(b"\n")?;
        to.flush()?;
        while !calls.is_over() && !calls.is_left() {
            while let Some(said) = calls.said() {
                serde_json::to_writer(&mut *to, &said)?;
                to.write_all(b"\n")?;
                to.flush()?;
            }
            let last = heard.lock().map_err(|_| io::Error::other("a listener panicked"))?.1;
            if self.cx.clock.steady().saturating_sub(last) > SILENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the host is silent"));
            }
            // An empty line, so as to learn that the call has ended.
            to.write_all(b"\n")?;
            to.flush()?;
            self.cx.clock.sleep(TICK);
        }
        Ok(())
    }

    fn outcome(&self, call: &Call) -> Result<crate::processes::Output, RoadError> {
        match self.cx.outcome(call) {
            Ok(output) if output.status.code() == Some(NO_LINK) => Err(self.unreached(&output.stderr)),
            Ok(output) => Ok(output),
            Err(CallError::TimedOut { .. }) => Err(self.unreached("it did not answer in time")),
            Err(error) => Err(error.into()),
        }
    }

    fn unkept(&self, why: &str) -> RoadError {
        RoadError::Unkept {
            host: self.target.to_string(),
            why: why.trim().replace('\n', "; "),
        }
    }

    /// Why a program does not run is in what the loader or the shell says of it.
    fn unfit(&self, why: &str) -> RoadError {
        let is_libc = ["GLIBC", "not found", "No such file", "libc", "Exec format"];
        let advice = if is_libc.iter().any(|word| why.contains(word)) {
            "the host has another C library than this machine, or an older one: bring a guard that was built for it"
        } else {
            "bring a guard that was built for it"
        };
        RoadError::Unfit {
            host: self.target.to_string(),
            why: why.trim().replace('\n', "; "),
            advice: advice.to_owned(),
        }
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.disconnect();
    }
}
