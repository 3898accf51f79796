//! One line of a journal: the envelope around a record, and the sum that ties it to the line before.

use serde::Deserialize;
use serde_json::value::RawValue;

use guard_model::fact::Record;
use guard_system::disk::sha256_hex;

/// The version of the lines that this guard writes, and the newest that it reads: each that was ever written. A fact, a step or
/// a stage that is added raises it, so that an older guard says that a newer one is needed, and not that a line is damaged. Since 2: steps that
/// switch traffic and tell a price, and standbys.
pub const VERSION: u64 = 2;

/// The sum before the first line.
pub(super) const ORIGIN: &str = "";

#[derive(Deserialize)]
struct Version {
    v: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'l> {
    #[serde(rename = "v")]
    version: u64,
    sum: String,
    #[serde(borrow)]
    record: &'l RawValue,
}

/// Why a line is not the one that was written.
#[derive(Debug)]
pub(super) enum Wrong {
    /// A newer guard wrote it.
    Newer(u64),
    /// It is whole, and was changed afterwards, in words.
    Changed(String),
    /// Anything else, in words.
    Bad(String),
}

/// Since version 2 the version is part of what is summed; before it, there was no other that a line could have been changed to.
fn sum(version: u64, before: &str, record: &str) -> String {
    let summed = match version {
        1 => format!("{before}{record}"),
        later => format!("{before}{later}{record}"),
    };
    let mut digest = sha256_hex(summed.as_bytes());
    digest.truncate(16);
    digest
}

fn envelope(version: u64, sum: &str, record: &str) -> String {
    format!(r#"{{"v":{version},"sum":"{sum}","record":{record}}}"#)
}

/// The line of a record, its end included, and its sum.
pub(super) fn write(before: &str, record: &Record) -> Result<(String, String), serde_json::Error> {
    let raw = serde_json::to_string(record)?;
    // What could not be read again must not be written: a number that is none becomes `null`, and the run unreadable.
    serde_json::from_str::<Record>(&raw)?;
    let sum = sum(VERSION, before, &raw);
    let mut line = envelope(VERSION, &sum, &raw);
    line.push('\n');
    Ok((line, sum))
}

/// The record of a line (without its end), and its sum.
pub(super) fn read(before: &str, expected_seq: u64, line: &[u8]) -> Result<(Record, String), Wrong> {
    let bad = |reason: &str| Wrong::Bad(reason.to_owned());
    let text = std::str::from_utf8(line).map_err(|_| bad("it is not UTF-8"))?;
    let version: Version =
        serde_json::from_str(text).map_err(|error| Wrong::Bad(format!("it is not a record: {error}")))?;
    if version.v > VERSION {
        return Err(Wrong::Newer(version.v));
    }
    let parsed: Envelope<'_> =
        serde_json::from_str(text).map_err(|error| Wrong::Bad(format!("it is not a record: {error}")))?;
    let raw = parsed.record.get();
    if parsed.sum != sum(parsed.version, before, raw) {
        return Err(bad("its checksum is not that of its contents and of the line before"));
    }
    // There is one way to write a line. Any other that JSON would allow was not written by guard.
    if envelope(parsed.version, &parsed.sum, raw) != text {
        return Err(bad("it is not written as guard writes it"));
    }
    let record: Record =
        serde_json::from_str(raw).map_err(|error| Wrong::Bad(format!("its record is not known: {error}")))?;
    if record.seq != expected_seq {
        return Err(Wrong::Bad(format!(
            "its number is {}, and {expected_seq} was to come",
            record.seq
        )));
    }
    Ok((record, parsed.sum))
}
