//! A volume that only the engine reaches: what the host's side of guard says to the one in the container, and hears.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read, Write};
use std::sync::mpsc::channel;

use serde_json::Value;

use super::agent::{Look, Seen, Wish};
use super::protocol::{awaited, hear, send_index};
use super::{capture, unpack};
use crate::error::{ResourceError, Result};
use crate::progress::Progress;
use crate::slot::Slot;
use crate::stream::piped;
use crate::trees::archive::Writer;
use crate::trees::chunks::form::{Form, Packed};
use crate::trees::chunks::{self, Differences, How, Swapped};
use crate::trees::copied::{self, Copied};
use crate::trees::details::Details;
use crate::trees::exchange_record::Own;
use crate::trees::frames::{Kind, Pieces, put};
use crate::trees::keep::Keep;
use crate::trees::node::Precision;
use guard_model::artifact::Artifact;
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::docker::{Inside, explained};
use guard_system::processes::CallError;

/// A volume, and guard in a container beside it.
pub(crate) struct RemoteVolume<'c> {
    pub(crate) volume: String,
    inside: Inside,
    cx: &'c Context,
}

impl<'c> RemoteVolume<'c> {
    pub(crate) fn of(volume: &str, cx: &'c Context) -> Result<Self> {
        let inside = Inside::of_volume(cx, volume).map_err(|error| {
            ResourceError::because(format!("could not reach into the volume {volume}"), error)
                .with_hint("run guard on the engine's own host, or with an engine of the same kind of machine")
        })?;
        Ok(Self {
            volume: volume.to_owned(),
            inside,
            cx,
        })
    }

    fn failed(&self, error: CallError) -> ResourceError {
        ResourceError::because(
            format!("could not act inside of the volume {}", self.volume),
            explained(error),
        )
    }

    /// Ends what a killed guard may still be doing there.
    fn clear(&self) -> Result<()> {
        self.inside.clear(self.cx).map_err(|error| {
            let what = format!("could not end what still works in the volume {}", self.volume);
            ResourceError::because(what, error)
        })
    }

    /// What lies aside in it.
    pub(crate) fn look(&self) -> Result<Look> {
        let looked = self.cx.output(&self.inside.call(&["look"], false, self.cx));
        understood(&looked.map_err(|error| self.failed(error))?.stdout)
    }

    /// The fingerprint of the volume, as if these directories (escaped paths) were not there, with its entries and the bytes of
    /// its files.
    pub(crate) fn portrait(&self, bare: &BTreeSet<String>, precision: Precision) -> Result<(Fingerprint, (u64, u64))> {
        let mut words = vec!["portrait", precision.word()];
        // A name may begin as an option does.
        let bare: Vec<String> = bare.iter().map(|path| format!("./{path}")).collect();
        words.extend(bare.iter().map(String::as_str));
        let call = self.inside.call(&words, false, self.cx);
        let told = self.cx.output(&call).map_err(|error| self.failed(error))?;
        let seen: Seen = understood(&told.stdout)?;
        Ok((seen.fingerprint, (seen.entries, seen.bytes)))
    }

    /// In which parts the volume differs from a copy. `told`: as for `chunks::differences`.
    pub(crate) fn differences(
        &self,
        copy: (&Artifact, &Slot),
        form: Form,
        told: (i64, Precision),
        keep: &Keep,
    ) -> Result<Differences> {
        self.by_index(&["differences"], copy, form, told, keep, self.cx)
    }

    /// Exchanges a whole tree that was staged, but for what is kept of what came since.
    pub(crate) fn swap_around(
        &self,
        name: &str,
        copy: (&Artifact, &Slot),
        form: Form,
        told: (i64, Precision),
        keep: &Keep,
    ) -> Result<Swapped> {
        self.clear()?;
        // An exchange must not be cut off by the first signal.
        self.by_index(&["around", name], copy, form, told, keep, &self.cx.unstoppable())
    }

    /// An act for which guard in the container is sent the index of a copy.
    fn by_index<T: for<'de> serde::Deserialize<'de>>(
        &self,
        act: &[&str],
        (artifact, slot): (&Artifact, &Slot),
        form: Form,
        (begun, precision): (i64, Precision),
        keep: &Keep,
        cx: &Context,
    ) -> Result<T> {
        let (begun, keep) = (begun.to_string(), keep.word()?);
        let words = [act, &[form.word(), precision.word(), begun.as_str(), keep.as_str()]].concat();
        let call = self.inside.call(&words, act.len() > 1, cx);
        let spoiled = |error| ResourceError::because("could not read the index of the copy", error);
        let mut index = chunks::packed_index(artifact, slot).map_err(spoiled)?;
        let mut feed = |pipe: &mut dyn Write| io::copy(&mut index, pipe).map(drop);
        let failed = |error| self.failed(error);
        let told = piped(&call, Some(&mut feed), failed, cx, |mut said| {
            let mut told = Vec::new();
            let unclear = |error| ResourceError::because("could not hear what guard said inside of a volume", error);
            said.read_to_end(&mut told).map_err(unclear)?;
            Ok(told)
        })?;
        understood(&told)
    }

    /// An act that changes something in the volume.
    pub(crate) fn act<T: for<'de> serde::Deserialize<'de>>(&self, words: &[&str]) -> Result<T> {
        self.clear()?;
        let done = self.cx.output(&self.inside.call(words, true, self.cx));
        understood(&done.map_err(|error| self.failed(error))?.stdout)
    }

    /// Copies the volume, whose files have about `expected` bytes, into the slot. What an earlier copy in chunks has does not
    /// come out of the container; `force`: all does.
    pub(crate) fn copy(
        &self,
        form: Form,
        slot: &Slot,
        level: i32,
        (force, expected): (bool, Option<u64>),
    ) -> Result<(Copied, Packed)> {
        let cx = self.cx;
        let earlier = match form {
            Form::Chunks => chunks::Earlier::of(slot, cx)?,
            Form::Archive => chunks::Earlier::default(),
        };
        let how = How {
            level,
            force,
            expected,
            // Its clock is the one that the times in the volume are of.
            begun: self.look()?.now,
        };
        let mut index = earlier.index(force)?;
        let mut feed = |pipe: &mut dyn Write| {
            let begun = index.as_ref().map(|(begun, _)| *begun);
            serde_json::to_writer(&mut *pipe, &begun)?;
            pipe.write_all(b"\n")?;
            match &mut index {
                Some((_, index)) => io::copy(index, pipe).map(drop),
                None => Ok(()),
            }
        };
        let call = self.inside.call(&["pack"], false, cx);
        let failed = |error| self.failed(error);
        let copied = piped(&call, Some(&mut feed), failed, cx, |messages| {
            let messages = BufReader::with_capacity(256 * 1024, messages);
            let copied = match form {
                Form::Chunks => chunks::copy_messages(messages, &earlier, slot, how, cx),
                Form::Archive => capture::copy_messages(messages, slot, level, expected, cx)
                    .map(|copied| (copied, Packed::begun(how.begun))),
            };
            match copied {
                // Why it was cut off, the other side says.
                Err(error) if is_cut_off(&error) => Ok(Err(error)),
                copied => copied.map(Ok),
            }
        });
        copied?
    }

    /// Hands the archive's entries to guard in the container, and seals what it made of them when the whole was sound.
    pub(crate) fn stage(&self, name: &str, artifact: &Artifact, slot: &Slot, details: &Details) -> Result<()> {
        self.clear()?;
        let cx = self.cx;
        let (mut unsound, mut is_gone) = (None, false);
        let mut progress = Progress::new(format!("stage {}", artifact.resource), Some(details.content_bytes), cx);
        let mut feed = |pipe: &mut dyn Write| {
            let mut writer = Writer::new(pipe);
            let read = unpack::read(artifact, slot, details, |node, data| {
                if cx.stop.is_asked() {
                    return Err(io::Error::new(io::ErrorKind::Interrupted, "guard was asked to stop"));
                }
                writer
                    .append(&node, data)
                    .inspect_err(|error| is_gone |= error.kind() == io::ErrorKind::BrokenPipe)?;
                progress.add(node.size);
                Ok(())
            });
            match read {
                Ok(()) => writer.finish().map(drop),
                // guard in the container gave up first, and says why.
                Err(_) if is_gone => Err(io::ErrorKind::BrokenPipe.into()),
                Err(error) => {
                    unsound = Some(error);
                    Err(io::Error::other("the copy could not be handed on"))
                }
            }
        };
        let answer = cx.push(&self.inside.call(&["stage", name], true, cx), &mut feed);
        let answer = match (unsound, answer) {
            (Some(error), _) => return Err(error),
            (None, answer) => answer.map_err(|error| self.failed(error))?,
        };
        if is_gone {
            return Err(ResourceError::new(format!(
                "guard in the volume {} did not read the whole copy",
                self.volume
            )));
        }
        let own: Own = understood(&answer.stdout)?;
        let own = serde_json::to_string(&own)
            .map_err(|error| ResourceError::because("could not tell the volume's own entry", error))?;
        let copy = &unpack::listed(artifact)?.sha256;
        let sealed = cx.output(&self.inside.call(&["seal", name, copy, &own], true, cx));
        sealed.map(drop).map_err(|error| self.failed(error))
    }

    /// Has what differs from a copy in chunks staged, or exchanged: guard in the container finds out what that is, and is sent
    /// only that.
    pub(crate) fn patch<T: for<'de> serde::Deserialize<'de>>(
        &self,
        wish: Wish,
        name: &str,
        (artifact, slot): (&Artifact, &Slot),
        (details, keep): (&Details, &Keep),
    ) -> Result<T> {
        self.clear()?;
        // An exchange must not be cut off by the first signal.
        let cx = &match wish {
            Wish::Stage => self.cx.clone(),
            Wish::Swap => self.cx.unstoppable(),
        };
        let (begun, keep) = (details.packed.begun.to_string(), keep.word()?);
        let words = [
            "patch",
            wish.word(),
            name,
            copied::mark(artifact)?,
            begun.as_str(),
            keep.as_str(),
        ];
        let call = self.inside.call(&words, true, cx);
        let (to, wishes) = channel();
        let mut unsound = None;
        let mut progress = Progress::new(format!("stage {}", artifact.resource), None, cx);
        let mut converse = move |pipe: &mut dyn Write| -> io::Result<()> {
            send_index(artifact, slot, pipe)?;
            while let Some(wanted) = awaited(&wishes, pipe)? {
                let mut archived = io::BufWriter::with_capacity(
                    256 * 1024,
                    Pieces {
                        to: &mut *pipe,
                        kind: Kind::Data,
                    },
                );
                let sent = chunks::send_wanted(artifact, slot, &wanted, &mut archived, &mut |bytes| {
                    if cx.stop.is_asked() {
                        return Err(io::Error::new(io::ErrorKind::Interrupted, "guard was asked to stop"));
                    }
                    progress.add(bytes);
                    Ok(())
                });
                sent.and_then(|()| archived.flush())?;
                drop(archived);
                put(pipe, Kind::Sound, b"")?;
                pipe.flush()?;
            }
            Ok(())
        };
        let mut feed = |pipe: &mut dyn Write| {
            converse(pipe).inspect_err(|error| {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    unsound = Some((error.kind(), error.to_string()));
                }
            })
        };
        let failed = |error| self.failed(error);
        let told = piped(&call, Some(&mut feed), failed, cx, move |said| hear(said, &to));
        let told = match unsound {
            Some((kind, why)) => {
                return Err(ResourceError {
                    copy_is_bad: matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof),
                    ..ResourceError::new(format!("could not read the copy of {}: {why}", artifact.resource))
                });
            }
            None => told?,
        };
        understood(&told)
    }
}

fn is_cut_off(error: &ResourceError) -> bool {
    let cause = error
        .source
        .as_ref()
        .and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

fn understood<T: for<'de> serde::Deserialize<'de>>(answer: &[u8]) -> Result<T> {
    let unclear = |error| ResourceError::because("could not understand what guard said inside of a volume", error);
    let mut value: Value = serde_json::from_slice(answer).map_err(unclear)?;
    if value.get("version").and_then(Value::as_str) != Some(env!("CARGO_PKG_VERSION")) {
        return Err(ResourceError::new(
            "the program `guard` on PATH is of another version than this guard",
        ));
    }
    serde_json::from_value(value.get_mut("told").map(Value::take).unwrap_or_default()).map_err(unclear)
}
