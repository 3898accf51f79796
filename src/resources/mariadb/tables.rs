//! Which tables and views a database has.

use super::reach::{Reach, literal};
use crate::error::Result;
use guard_system::context::Context;

/// The script of a database that may be swapped in.
pub(crate) const CODE: &str = "__guard_code";

/// The script of what is live, written before a swap; the swap makes it [`CODE`].
pub(crate) const PENDING: &str = "__guard_pending";

/// The script of what has been swapped in, until it was run; the swap makes it of [`CODE`].
pub(crate) const SWAPPED: &str = "__guard_swapped";

/// A script that is being written.
pub(crate) const WRITING: &str = "__guard_writing";

/// The names of guard's own tables.
pub(crate) const OWN: [&str; 4] = [CODE, PENDING, SWAPPED, WRITING];

/// A condition that holds for one schema, exactly as it is written: the server's own comparison knows no capitals.
pub(crate) fn within(column: &str, schema: &str) -> String {
    let schema = literal(schema);
    format!("{column} = {schema} AND BINARY {column} = {schema}")
}

/// The character set and collation of a schema; `None` where there is no such schema.
pub(crate) fn standard(reach: &Reach, schema: &str, cx: &Context) -> Result<Option<(String, String)>> {
    let script = format!(
        "SELECT JSON_ARRAY(DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME) FROM information_schema.SCHEMATA WHERE {};",
        within("SCHEMA_NAME", schema)
    );
    Ok(reach.rows(&script, cx)?.pop())
}

/// The names of the tables of a schema that are of one of these types, but for guard's own, and where their numbering is.
pub(crate) fn listed(reach: &Reach, schema: &str, is_view: bool, cx: &Context) -> Result<Vec<(String, Option<u64>)>> {
    let types = if is_view {
        "'VIEW'"
    } else {
        "'BASE TABLE', 'SYSTEM VERSIONED'"
    };
    let own: Vec<String> = OWN.iter().map(|name| literal(name)).collect();
    let script = format!(
        "SELECT JSON_ARRAY(TABLE_NAME, AUTO_INCREMENT) FROM information_schema.TABLES \
         WHERE {} AND TABLE_TYPE IN ({types}) AND TABLE_NAME NOT IN ({}) ORDER BY TABLE_NAME;",
        within("TABLE_SCHEMA", schema),
        own.join(", ")
    );
    reach.rows(&script, cx)
}

/// The names of a schema's tables, or of its views; guard's own are not among them.
pub(crate) fn names(reach: &Reach, schema: &str, is_view: bool, cx: &Context) -> Result<Vec<String>> {
    Ok(listed(reach, schema, is_view, cx)?
        .into_iter()
        .map(|(name, _)| name)
        .collect())
}
