//! What databases do alike: the names of those beside a live one, rows as a fingerprint has them, records of migrations, the
//! proof by loading a copy, and the watch over a dump.

pub(crate) mod migration_records;
pub(crate) mod proof;
pub(crate) mod rows;
pub(crate) mod side_names;
pub(crate) mod stall;
