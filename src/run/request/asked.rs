//! Everything that can be asked.

use clap::Subcommand;

use crate::request::acting::{Abort, Backup, Decide, Deploy, Drill, Resume, Rollback};
use crate::request::looking::{
    Attach, Check, Completions, Copy, Delete, Demo, DemoPart, DrillPart, Fetch, Freeze, HistoryOf, Init, Inside, List,
    LogsOf, ManOf, Mark, Notify, Prune, ReportOf, Salvage, SchemaOf, Show, Verify, Watch,
};

/// One thing to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Request {
    /// Look at the directory and write a commented guard.toml
    Init(Init),
    /// Prove the way back before anyone goes forward
    #[command(alias = "validate")]
    Check(Check),
    /// Take a backup
    Backup(Backup),
    /// Back up, run the deploy command, verify, watch; keep the release or walk back
    Deploy(Box<Deploy>),
    /// In staging: inject a fault, go back, and prove that all is as it was
    Drill(Box<Drill>),
    /// A part of a drill
    #[command(hide = true, name = "drill-part")]
    DrillPart(DrillPart),
    /// Walk back to a backup
    Rollback(Rollback),
    /// The same as `rollback --undo`: back to the state before the last rollback
    #[command(hide = true)]
    Undo(Rollback),
    /// Finish a run that was cut off
    Resume(Resume),
    /// End an unfinished run as things are: nothing is put back, everything is kept
    Abort(Abort),
    /// While a release is watched elsewhere: roll back now, accept it now, or hold
    Decide(Decide),
    /// List the backups
    #[command(alias = "backups")]
    List(List),
    /// Show what a backup holds
    Show(Show),
    /// Read every byte of a backup and compare it with its manifest
    Verify(Verify),
    /// Copy backups to another place
    Copy(Copy),
    /// Bring a backup back from another place
    Fetch(Fetch),
    /// Delete backups
    Delete(Delete),
    /// Say what you know of a backup: good ones are chosen by themselves, bad ones never
    Mark(Mark),
    /// Delete what retention does not keep
    Prune(Prune),
    /// Take rows out of a database that a rollback put aside
    Salvage(Salvage),
    /// Say what is going on
    Status,
    /// Say what happened
    History(HistoryOf),
    /// Hear a run that goes on, to its end, and end with its code
    Attach(Attach),
    /// Print what the deploy and verify commands of a run have written
    Logs(LogsOf),
    /// Report on one run: what happened, why, what it cost, with plots
    Report(ReportOf),
    /// Watch production without a deployment; replay or simulate watches
    Watch(Watch),
    /// Send a test notice to everybody who is told of runs
    Notify(Notify),
    /// Freeze: refuse deployments until `guard unlock`
    Lock(Freeze),
    /// End a freeze
    Unlock,
    /// See a good and a bad deployment of a small project that guard brings along
    Demo(Demo),
    /// A part of the demo's project
    #[command(hide = true, name = "demo-part")]
    DemoPart(DemoPart),
    /// Print what guard.toml may hold as a JSON schema, for editors
    Schema(SchemaOf),
    /// Print the completions for a shell
    Completions(Completions),
    /// Print the manual page, or write one for each command
    Man(ManOf),
    /// Print the version
    Version,
    /// How guard calls itself beside a volume
    #[command(hide = true)]
    Inside(Inside),
}
