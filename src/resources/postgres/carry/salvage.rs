//! The carrying that a person asks for later: from the database that a restore put aside into the one that is live.

use std::path::Path;

use super::release::windows;
use super::wish::CarryOver;
use super::work::{Job, carry};
use crate::error::{ResourceError, Result};
use crate::postgres::database::Postgres;
use crate::postgres::exchange::eviction_but;
use crate::postgres::reach::Reach;
use crate::postgres::sql::ident;
use guard_model::text::plural;
use guard_system::context::Context;

/// Exports what only the database `aside` has to a directory, but for the rows of these tables, which are put into the
/// live one. Returns what was done, each a sentence. Done twice, the second time finds nothing to put in.
pub(crate) fn salvage(
    of: &Postgres,
    aside: &str,
    tables: &[String],
    directory: &Path,
    cx: &Context,
) -> Result<Vec<String>> {
    let reach = Reach::open(of, cx)?;
    let maintenance = reach.maintenance(cx)?;
    if !reach.databases(maintenance, cx)?.iter().any(|name| name == aside) {
        return Err(ResourceError::new(format!(
            "the database {aside}, which was put aside, is not there any more"
        )));
    }
    let doors = |open: bool| {
        let script = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open};", ident(aside));
        reach.run(maintenance, &script, cx).map(|_| ())
    };
    let fence = |pid: &str| {
        doors(false)?;
        let script = eviction_but(aside, pid);
        reach.run(maintenance, &script, cx).map(|_| ())
    };
    let wish = match tables {
        [] => CarryOver::None,
        [all] if all == "all" => CarryOver::Inserts,
        names => CarryOver::Tables(names.to_vec()),
    };
    // Who names a table has seen what is in it.
    let windows = match &wish {
        CarryOver::Inserts => Some(windows(&wish, &of.name, cx)?),
        CarryOver::None | CarryOver::Tables(_) => None,
    };
    let job = Job {
        failed: aside,
        restored: &reach.database,
        wish: &wish,
        windows: windows.as_deref(),
        directory: directory.to_owned(),
        fence: &fence,
        mark: String::new(),
        tells_gone: false,
    };
    doors(true)?;
    let account = carry(&reach, &job, cx).inspect_err(|_| {
        // It was closed before, and nobody should write to it.
        let _told = doors(false);
    })?;
    let mut sentences = account.sentences();
    if sentences.is_empty() {
        sentences.push("the live database has every row of the one that was put aside".to_owned());
    }
    let files = plural(account.files.len() as u64, "file");
    sentences.push(format!("{files} and account.json are in {}", directory.display()));
    Ok(sentences)
}
