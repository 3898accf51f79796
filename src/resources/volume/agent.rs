//! What guard does in a container beside a volume that no directory of this host shows: the same acts, on `/volume`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::salvage::salvage;
use super::{place, space};
use crate::error::{ResourceError, Result};
use crate::trees::chunks::form::Form;
use crate::trees::chunks::{self, Host, Known, Lines};
use crate::trees::exchange::Patch;
use crate::trees::exchange_record::{self, Own, Side};
use crate::trees::frames::{Kind, put};
use crate::trees::keep::Keep;
use crate::trees::node::Precision;
use crate::trees::private_names::is_ours;
use crate::trees::put_aside::{Aside, Home};
use crate::trees::stage::Stage;
use crate::trees::{archive, walk};
use crate::wanted::Wanted;
use guard_model::fingerprint::Fingerprint;
use guard_system::context::Context;
use guard_system::disk::{self, At, Dir, Object};
use guard_system::docker::MOUNT;

/// What there is in a volume besides its content.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Look {
    /// Bytes that are free.
    pub(crate) free: u64,
    /// What lies aside in it, by name.
    pub(crate) asides: BTreeMap<String, exchange_record::Seen>,
    /// The time there, in seconds since 1970; 0 where that is here.
    pub(crate) now: i64,
    /// Which directories these are, and those in which nothing is staged whole.
    #[serde(default)]
    pub(crate) homes: BTreeMap<String, Object>,
    /// The database whose data directory is in it.
    #[serde(default)]
    pub(crate) database: Option<String>,
}

/// Looks at what lies aside in a live tree.
///
/// # Errors
/// It cannot be read.
pub(crate) fn look(live: &Dir) -> Result<Look> {
    let (mut asides, mut homes) = (BTreeMap::new(), BTreeMap::new());
    for name in live.names().at("read the directory", live.shown())? {
        let Some(name) = Some(&name).filter(|name| is_ours(name)).and_then(|name| name.to_str()) else {
            continue;
        };
        // What somebody else has put there under such a name is a part of the volume.
        let Ok(Some(aside)) = Home::inside(name).open(live) else {
            continue;
        };
        homes.insert(name.to_owned(), aside.dir.object().at("look at", aside.shown())?);
        if let Some(seen) = aside.seen()? {
            asides.insert(name.to_owned(), seen);
        }
    }
    let live = live.shown();
    Ok(Look {
        free: disk::free_bytes(live)?,
        now: 0,
        asides,
        homes,
        // What cannot be looked at here tells for itself when it is copied.
        database: place::database_in(live)
            .ok()
            .flatten()
            .map(|server| server.name.to_owned()),
    })
}

/// What a volume looks like.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) entries: u64,
    /// Bytes in its files.
    pub(crate) bytes: u64,
}

/// What is to be done with what differs from a copy in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Staged.
    Stage,
    /// Looked at once more, and exchanged.
    Swap,
}

impl Wish {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Swap => "swap",
        }
    }
}

/// Does an act in the volume at `/volume`. Acts that hand on much write it to `out`; the others return what they tell.
/// `libraries` alone is asked on the host: it tells what the program is linked with.
///
/// # Errors
/// The words mean nothing, or the act failed; it may be done again.
pub fn inside(
    words: &[String],
    mut input: Box<dyn Read + Send>,
    out: &mut dyn Write,
    cx: &Context,
) -> Result<Option<String>> {
    let live = Path::new(MOUNT);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = match words.as_slice() {
        ["libraries"] => return libraries().map(Some),
        ["look"] => serde_json::to_value(Look {
            now: cx.clock.now().timestamp(),
            ..look(&opened(live)?)?
        }),
        ["portrait", precision @ ("nanoseconds" | "seconds"), bare @ ..] => {
            let precision = precision_of(precision);
            let bare = bare
                .iter()
                .filter_map(|path| path.strip_prefix("./"))
                .map(str::to_owned)
                .collect();
            let (fingerprint, (entries, bytes)) = walk::portrait_without(&opened(live)?, &bare, precision, cx)?;
            serde_json::to_value(Seen {
                fingerprint,
                entries,
                bytes,
            })
        }
        [
            "differences",
            form @ ("archive" | "chunks"),
            precision @ ("nanoseconds" | "seconds"),
            begun,
            keep,
        ] => {
            let told = (time_of(begun)?, precision_of(precision));
            let keep = Keep::of_word(keep)?;
            serde_json::to_value(chunks::differences(
                &Dir::open(live).at("open", live)?,
                (form_of(form), input),
                told,
                &keep,
                cx,
            )?)
        }
        [
            "around",
            name,
            form @ ("archive" | "chunks"),
            precision @ ("nanoseconds" | "seconds"),
            begun,
            keep,
        ] => {
            let told = (time_of(begun)?, precision_of(precision));
            around((live, name), (form_of(form), input), told, &Keep::of_word(keep)?, cx).map(serde_json::to_value)?
        }
        ["pack"] => return pack(live, input, out, cx).map(|()| None),
        ["stage", name] => serde_json::to_value(stage(&made(live, name)?, &mut input)?),
        ["seal", name, copy, own] => {
            let own: Own = serde_json::from_str(own)
                .map_err(|error| ResourceError::because("could not understand the volume's own entry", error))?;
            Patch::new(&named(live, name)?).staged(copy, &own)?;
            Ok(Value::Null)
        }
        ["swap", name, side @ ("before" | "after")] => {
            let aside = named(live, name)?;
            let stays = walk::Stays::of(&aside.live, cx)?;
            serde_json::to_value(Patch::new(&aside).swap(side_of(side), &stays)?)
        }
        ["patch", wish @ ("stage" | "swap"), name, copy, begun, keep] => {
            let (begun, keep) = (time_of(begun)?, Keep::of_word(keep)?);
            let mut host = Host::new(input, out, (*copy).to_owned(), begun);
            let told = if *wish == Wish::Stage.word() {
                let aside = made(live, name)?;
                let free = disk::free_bytes(live)?;
                let room = |bytes| space::room("volume", free, bytes);
                serde_json::to_value(chunks::prepare(&mut host, &aside, &keep, &room, cx)?)
            } else {
                serde_json::to_value(chunks::swap_in(&mut host, &named(live, name)?, &keep, cx)?)
            };
            let told = signed(&told.map_err(untold)?);
            let said = put(out, Kind::Told, told.as_bytes()).and_then(|()| out.flush());
            return said.map(|()| None).map_err(untold);
        }
        ["salvage", name, patterns @ ..] => {
            let plain = patterns.iter().filter_map(|one| one.strip_prefix("./"));
            let wanted = Wanted::of(&plain.map(str::to_owned).collect::<Vec<_>>())?;
            serde_json::to_value(salvage(&named(live, name)?, &wanted, cx)?)
        }
        ["remove", name] => {
            if let Some(aside) = home(name)?.open(&opened(live)?)? {
                aside.remove()?;
            }
            Ok(Value::Null)
        }
        _ => {
            return Err(ResourceError::new(
                "this is how guard calls itself inside of a volume; there is nothing in it for people",
            ));
        }
    };
    told.map(|told| Some(signed(&told))).map_err(untold)
}

fn opened(live: &Path) -> Result<Dir> {
    Ok(Dir::open(live).at("open", live)?)
}

fn untold(error: impl std::error::Error + Send + Sync + 'static) -> ResourceError {
    ResourceError::because("could not tell what was found", error)
}

/// What is told, with the version of who tells it.
fn signed(told: &Value) -> String {
    json!({ "version": env!("CARGO_PKG_VERSION"), "told": told }).to_string()
}

fn precision_of(word: &str) -> Precision {
    if word == Precision::Nanoseconds.word() {
        Precision::Nanoseconds
    } else {
        Precision::Seconds
    }
}

/// Exchanges a whole tree that is staged, but for what is kept, by the index that comes.
fn around(
    (live, name): (&Path, &str),
    (form, mut input): (Form, Box<dyn Read + Send>),
    told: (i64, Precision),
    keep: &Keep,
    cx: &Context,
) -> Result<chunks::Swapped> {
    let unread = |error| ResourceError::because("could not read the index of the copy", error);
    let mut index = Vec::new();
    input.read_to_end(&mut index).map_err(unread)?;
    let lines = || Lines::of_form(form, Box::new(io::Cursor::new(index.clone()))).map_err(unread);
    chunks::swap_whole(&lines, told, &named(live, name)?, keep, cx)
}

fn form_of(word: &str) -> Form {
    if word == Form::Chunks.word() {
        Form::Chunks
    } else {
        Form::Archive
    }
}

fn time_of(word: &str) -> Result<i64> {
    word.parse()
        .map_err(|error| ResourceError::because("could not understand a time", error))
}

fn side_of(word: &str) -> Side {
    if word == Side::Before.word() {
        Side::Before
    } else {
        Side::After
    }
}

/// Hands on the tree. The first line of `input` says when an earlier copy was begun, and its index follows; or `null`.
fn pack(root: &Path, input: Box<dyn Read + Send>, out: &mut dyn Write, cx: &Context) -> Result<()> {
    let unclear = |error| ResourceError::because("could not understand what is known of an earlier copy", error);
    let mut input = BufReader::new(input);
    let mut line = String::new();
    input.read_line(&mut line).map_err(unclear)?;
    let begun: Option<i64> = serde_json::from_str(&line).map_err(|error| unclear(error.into()))?;
    let lines = begun.map(|_| Lines::of(Box::new(input))).transpose().map_err(unclear)?;
    let mut out = BufWriter::with_capacity(256 * 1024, out);
    chunks::send(
        &opened(root)?,
        Known::of(lines, begun.unwrap_or_default()),
        &mut out,
        cx,
    )
}

fn home(word: &str) -> Result<Home> {
    Home::of_word(word).ok_or_else(|| ResourceError::new(format!("{word:?} is no name of guard's")))
}

fn named(live: &Path, word: &str) -> Result<Aside> {
    let found = home(word)?.open(&opened(live)?)?;
    found.ok_or_else(|| ResourceError::new(format!("{word} is not there any more")))
}

/// The same, made where it is not there.
fn made(live: &Path, word: &str) -> Result<Aside> {
    let (live, home) = (opened(live)?, home(word)?);
    match home.open(&live)? {
        Some(aside) => Ok(aside),
        None => home.make(&live),
    }
}

/// Builds the tree of an archive aside; it counts only when it is sealed, after the whole copy was found to be sound.
fn stage(aside: &Aside, input: &mut dyn Read) -> Result<Own> {
    let unstaged = |error| ResourceError::because("could not stage the copy", error);
    let place = aside.clear()?;
    let mut stage = Stage::new(&place).at("open", place.shown())?;
    archive::read(io::BufReader::with_capacity(256 * 1024, input), |node, data| {
        stage.make(node, data)
    })
    .map_err(unstaged)?;
    Ok(Own::of(&stage.finish().map_err(unstaged)?))
}

/// The files that are mapped into this process and hold code: the program's libraries.
fn libraries() -> Result<String> {
    let maps = Path::new("/proc/self/maps");
    let file = std::fs::File::open(maps).at("open", maps)?;
    let mut found = std::collections::BTreeSet::new();
    for line in io::BufReader::new(file).lines() {
        let line = line.at("read", maps)?;
        if let Some(at) = line.find('/') {
            let path = line.get(at..).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            if name.contains(".so") {
                found.insert(path.to_owned());
            }
        }
    }
    Ok(found.into_iter().map(|path| path + "\n").collect())
}
