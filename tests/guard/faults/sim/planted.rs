//! Safeguards that can be taken out of the simulated acts, one at a time: the harness has to notice each.

/// A safeguard that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A copy takes its place in the backup before its bytes are synced.
    CopyUnsynced,
    /// The directory of a backup is not synced before its manifest is written.
    CopysNameUnsynced,
    /// The manifest is not synced.
    ManifestUnsynced,
    /// A copy's failed sync is tried again, and the second answer is believed.
    SyncTriedAgain,
    /// The staged copy is not synced before it is swapped in.
    StageUnsynced,
    /// What is found staged is taken for whole.
    StageTrusted,
    /// The names of what is displaced lack the run's own.
    DisplacedNameShared,
    /// The copy's digest is not compared before it is staged.
    DigestNotCompared,
    /// The swap is not synced before its step is done.
    SwapUnsynced,
    /// A repeated swap does not look whether it was done.
    SwapNotProbed,
    /// The copy is written over what is live.
    WrittenInPlace,
    /// What was displaced is removed.
    DisplacedRemoved,
    /// What runs is not stopped for the swap.
    NotQuiesced,
    /// What was as it was is not looked at again when what writes is stopped.
    NotRechecked,
    /// The way back's proof does not look.
    ProofSkipped,
    /// The lock is not taken.
    NoLock,
    /// A lock is taken over after an hour by the wall clock.
    LockExpires,
    /// What is left of a killed run's command is not ended.
    LeftoversLive,
    /// An unfinished run does not keep a new one from beginning.
    UnfinishedIgnored,
    /// The parts of an older backup are written over by the new one.
    BackupNameShared,
    /// A copy that stands by is marked as whole before it is, so that half of one is believed.
    StandbyMarkedEarly,
    /// The way back does not take over the load of a copy that was to stand by, and both go on.
    StandbyLoadsOn,
    /// What stood by is not removed at the end of a run.
    StandbyLeft,
}

/// All of them.
pub const ALL: [Bug; 23] = [
    Bug::CopyUnsynced,
    Bug::CopysNameUnsynced,
    Bug::ManifestUnsynced,
    Bug::SyncTriedAgain,
    Bug::StageUnsynced,
    Bug::StageTrusted,
    Bug::DisplacedNameShared,
    Bug::DigestNotCompared,
    Bug::SwapUnsynced,
    Bug::SwapNotProbed,
    Bug::WrittenInPlace,
    Bug::DisplacedRemoved,
    Bug::NotQuiesced,
    Bug::NotRechecked,
    Bug::ProofSkipped,
    Bug::NoLock,
    Bug::LockExpires,
    Bug::LeftoversLive,
    Bug::UnfinishedIgnored,
    Bug::BackupNameShared,
    Bug::StandbyMarkedEarly,
    Bug::StandbyLoadsOn,
    Bug::StandbyLeft,
];
