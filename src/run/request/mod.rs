//! What a person can ask of guard, as data; the comments are what `--help` prints.

mod acting;
mod asked;
pub mod flags;
mod global;
mod looking;

pub use acting::{Abort, Backup, Decide, Deploy, Drill, Patience, Resume, Rollback, Selection, Standby};
pub use asked::Request;
pub use global::{Color, GlobalArgs, OutputForm, Words};
pub use looking::{
    Attach, Check, Completions, Copy, Delete, Demo, DemoPart, DrillPart, Fetch, Freeze, HistoryOf, Init, Inside, List,
    LogsOf, ManOf, Mark, Notify, Prune, ReportForm, ReportOf, Salvage, SchemaOf, Show, Verify, Watch,
};
