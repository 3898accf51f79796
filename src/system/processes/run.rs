//! Starts a program, feeds it and reads it until it has ended.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicBool, Ordering};

use super::outcome::{CallError, Output};
use super::reading::{Sink, read};
use crate::call::{ACT, ASIDE, Call, Input};
use crate::context::Context;
use crate::outside::{CALLED_AS, VISIT};

/// How many bytes of a program's standard error are kept for messages: its end.
const STDERR_KEPT: usize = 16 * 1024;
/// How many bytes of standard output `output` keeps in memory.
const STDOUT_KEPT: usize = 64 * 1024 * 1024;

/// Writes what a program reads; an error ends the program.
pub type Feed<'a> = &'a mut (dyn FnMut(&mut dyn Write) -> io::Result<()> + Send);

impl Context {
    /// Runs a program and keeps what it wrote.
    ///
    /// # Errors
    /// It could not be started, ended badly, took too long, or guard was asked to stop.
    pub fn output(&self, call: &Call) -> Result<Output, CallError> {
        self.succeeded(call, self.outcome(call)?)
    }

    /// Runs a program and keeps what it wrote, whatever its exit code.
    ///
    /// # Errors
    /// It could not be started, took too long, or guard was asked to stop.
    pub fn outcome(&self, call: &Call) -> Result<Output, CallError> {
        let mut stdout = Vec::new();
        let mut keep = |bytes: &[u8]| {
            if stdout.len() + bytes.len() > STDOUT_KEPT {
                return Err(io::Error::other("the program wrote more than 64 MiB"));
            }
            stdout.extend_from_slice(bytes);
            Ok(())
        };
        let output = self.run(call, &mut keep, None)?;
        Ok(Output { stdout, ..output })
    }

    /// Runs a program and hands on what it writes as it comes, whatever its exit code.
    ///
    /// # Errors
    /// It could not be started, took too long, the sink failed, or guard was asked to stop.
    pub fn stream(&self, call: &Call, sink: Sink<'_>) -> Result<Output, CallError> {
        self.run(call, sink, None)
    }

    /// Runs a program and hands on what it writes as it comes.
    ///
    /// # Errors
    /// It could not be started, ended badly, took too long, the sink failed, or guard was asked to stop.
    pub fn pull(&self, call: &Call, sink: Sink<'_>) -> Result<Output, CallError> {
        self.succeeded(call, self.run(call, sink, None)?)
    }

    /// Runs a program that reads what `feed` writes, and keeps what it wrote.
    ///
    /// # Errors
    /// It could not be started, ended badly, took too long, the feed failed, or guard was asked to stop.
    pub fn push(&self, call: &Call, feed: Feed<'_>) -> Result<Output, CallError> {
        let mut stdout = Vec::new();
        let mut keep = |bytes: &[u8]| {
            stdout.extend_from_slice(bytes);
            Ok(())
        };
        let output = self.run(call, &mut keep, Some(feed))?;
        self.succeeded(call, Output { stdout, ..output })
    }

    /// Runs a program that reads what `feed` writes, and hands on what it writes as it comes: a conversation. The feed
    /// should write now and then while it waits, so as to learn that the program is gone.
    ///
    /// # Errors
    /// It could not be started, ended badly, took too long, the sink or the feed failed, or guard was asked to stop.
    pub fn converse(&self, call: &Call, sink: Sink<'_>, feed: Feed<'_>) -> Result<Output, CallError> {
        self.succeeded(call, self.run(call, sink, Some(feed))?)
    }

    fn succeeded(&self, call: &Call, output: Output) -> Result<Output, CallError> {
        if output.status.success() {
            return Ok(output);
        }
        let call = call.shown(&self.redaction);
        Err(CallError::Exit {
            call,
            exit: output.exit(),
            stderr: output.stderr,
        })
    }

    fn run(&self, call: &Call, sink: Sink<'_>, feed: Option<Feed<'_>>) -> Result<Output, CallError> {
        if let Some(exec) = crate::docker::exec_of(self, call) {
            return exec?.run(call, sink, feed, self);
        }
        let shown = call.shown(&self.redaction);
        let data = |source| CallError::Data {
            call: shown.clone(),
            source,
        };
        let (stdout_reader, stdout_writer) = io::pipe().map_err(data)?;
        let (stderr_reader, stderr_writer) = io::pipe().map_err(data)?;
        let (stdin_reader, stdin_writer) = io::pipe().map_err(data)?;
        // One variable for all: an earlier binding would keep its own hold on the pipes, and a feed would never learn that
        // its reader is gone.
        let mut expression = self.expression(call, feed.is_some());
        if feed.is_some() {
            expression = expression.stdin_file(stdin_reader);
        }
        expression = if call.merges {
            // Nobody writes to it, and its reader has to see that at once.
            drop(stderr_writer);
            expression.stderr_to_stdout().stdout_file(stdout_writer)
        } else {
            expression.stdout_file(stdout_writer).stderr_file(stderr_writer)
        };
        let handle = expression.unchecked().start().map_err(|source| {
            if source.kind() == io::ErrorKind::NotFound && call.directory.as_ref().is_none_or(|dir| dir.is_dir()) {
                CallError::NotFound {
                    program: call.program(),
                }
            } else {
                CallError::Start {
                    call: shown.clone(),
                    source,
                }
            }
        })?;
        // The expression holds our ends of the pipes; without this the readers would wait for ever.
        drop(expression);
        let ended = AtomicBool::new(false);
        let broken = AtomicBool::new(false);
        let clock = self.clock.as_ref();
        std::thread::scope(|scope| {
            let _leash = self.leash(&handle, call, &ended);
            let out = scope.spawn(|| read(&stdout_reader, &ended, &broken, clock, sink));
            let err = scope.spawn(|| {
                let mut kept = Vec::new();
                let mut keep = |bytes: &[u8]| {
                    kept.extend_from_slice(bytes);
                    let surplus = kept.len().saturating_sub(STDERR_KEPT);
                    kept.drain(..surplus);
                    Ok(())
                };
                read(&stderr_reader, &ended, &broken, clock, &mut keep).map(|()| kept)
            });
            let feeder = feed.map(|feed| {
                let mut writer = stdin_writer;
                let broken = &broken;
                scope.spawn(move || {
                    let result = feed(&mut writer).and_then(|()| writer.flush());
                    // A program that ends before it has read all tells why by its own exit code.
                    let result = result.or_else(|error| {
                        if error.kind() == io::ErrorKind::BrokenPipe {
                            Ok(())
                        } else {
                            Err(error)
                        }
                    });
                    broken.fetch_or(result.is_err(), Ordering::SeqCst);
                    result
                })
            });
            let waited = self.wait(&handle, call, &shown, &broken);
            if call.is_foreign {
                // It may have changed files that no digest covers.
                self.configurations.forget();
            }
            ended.store(true, Ordering::SeqCst);
            let joined = |result: std::thread::Result<io::Result<()>>| {
                result.unwrap_or_else(|_| Err(io::Error::other("a reader panicked")))
            };
            let given = feeder.map_or(Ok(()), |thread| joined(thread.join()));
            let out = joined(out.join());
            let err = err
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a reader panicked")));
            given.and(out).map_err(data)?;
            let status = waited?;
            let stderr = self.redaction.clean(&String::from_utf8_lossy(&err.map_err(data)?));
            Ok(Output {
                status,
                stdout: Vec::new(),
                stderr,
            })
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    fn expression(&self, call: &Call, is_fed: bool) -> duct::Expression {
        let directory = call.directory.as_deref().unwrap_or(&self.directory);
        let mut expression = duct::cmd(call.program_in(directory), &call.args);
        expression = match &call.input {
            Input::Nothing if is_fed => expression,
            Input::Nothing => expression.stdin_null(),
            Input::Bytes(bytes) => expression.stdin_bytes(bytes.clone()),
            Input::Inherited => expression,
        };
        expression = expression.dir(directory);
        expression = crate::docker::led(self.engine.as_deref(), expression);
        // They are this guard's own: one that is called by the user's command is another.
        for name in [VISIT, CALLED_AS] {
            expression = expression.env_remove(name);
        }
        for name in &call.removed {
            expression = expression.env_remove(name);
        }
        for (name, value) in &call.env {
            expression = expression.env(name, value);
        }
        if self.run.is_some() && !call.is_foreign {
            expression = expression.env(ACT, &self.scratch);
            if self.is_expendable {
                expression = expression.env(ASIDE, &self.scratch);
            }
        }
        if let Some((uid, gid)) = call.user {
            // Groups of guard's own are given up by the standard library where it changes from root to another user.
            expression = expression.before_spawn(move |command| {
                command.uid(uid).gid(gid);
                Ok(())
            });
        }
        if call.shares_group {
            return expression;
        }
        expression.before_spawn(|command| {
            command.process_group(0);
            Ok(())
        })
    }
}
