//! Exit codes: each one says what state production is in.

use serde::{Deserialize, Serialize};

use super::fact::{Ending, RollbackCause};
use super::name::RunKind;

/// The code that guard ends with. 124–127 and 128+n are never used: a wrapped command's own code must not look like ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExitCode(u8);

impl ExitCode {
    /// Production is new and verified; after `guard rollback`: restored and proven. Nothing else is 0.
    pub const DONE: Self = Self(0);
    /// Production is untouched: the command line or the settings are wrong.
    pub const USAGE: Self = Self(2);
    /// Production is untouched: `guard check` refused, or a rollback could not be made ready.
    pub const REFUSED: Self = Self(10);
    /// Production is untouched: the backup failed, or could not be proven.
    pub const BACKUP_FAILED: Self = Self(11);
    /// Production is untouched by this call: another run holds the lock.
    pub const LOCKED: Self = Self(12);
    /// Production is untouched by this call: an unfinished run is there.
    pub const UNFINISHED: Self = Self(13);
    /// Production is untouched: interrupted before the deploy command began.
    pub const INTERRUPTED_EARLY: Self = Self(14);
    /// Production is old and verified: the deploy command failed, its outcome is unknown, or traffic could not be
    /// switched to its release; rolled back.
    pub const DEPLOY_FAILED: Self = Self(20);
    /// Production is old and verified: verification failed; rolled back.
    pub const VERIFY_FAILED: Self = Self(21);
    /// Production is old and verified: the watch failed, or proved too little; rolled back.
    pub const WATCH_FAILED: Self = Self(22);
    /// Production is old and verified: interrupted, or a person decided to go back; rolled back.
    pub const INTERRUPTED: Self = Self(23);
    /// Production is old and verified: the deploy command failed, and there was nothing to put back.
    pub const NOTHING_TO_UNDO: Self = Self(24);
    /// Production is mixed: the way back stopped half-way.
    pub const STUCK: Self = Self(30);
    /// Production is new and failed: the rollback was withheld.
    pub const WITHHELD: Self = Self(31);
    /// Production is old and unhealthy: rolled back, but the old state does not pass its probes.
    pub const RESTORED_UNHEALTHY: Self = Self(32);
    /// Production is mixed and resumable: interrupted in a phase that must be finished.
    pub const CUT_OFF: Self = Self(33);
    /// Production is new and unproven: too little evidence to judge, or a person held it; the release was left in place.
    pub const INCONCLUSIVE: Self = Self(34);
    /// Production is as it was left: a person has ended an unfinished run as things were.
    pub const ABANDONED: Self = Self(35);
    /// Production is new and failed: the way back could not be made ready, and nothing was put back.
    pub const UNREADY: Self = Self(36);
    /// Production is old and differs: a drill was rolled back, and what is there is not what was there before.
    pub const DIFFERS: Self = Self(37);
    /// Production is as the run says that goes on at the host: the link to it was lost, or left.
    pub const LOST: Self = Self(38);
    /// Production is untouched: the backup was not found or is damaged.
    pub const NO_BACKUP: Self = Self(40);
    /// Production is untouched: the backup or journal was made by a newer guard.
    pub const NEWER: Self = Self(41);
    /// Production is as the journal says: a bug in guard.
    pub const BUG: Self = Self(70);

    /// The number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// The code of this number; `None`: guard ends with no such code.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        let code = Self(number);
        code.meaning().map(|meaning| meaning.code)
    }

    /// The line of [`TABLE`] for this code.
    #[must_use]
    pub fn meaning(self) -> Option<&'static Meaning> {
        TABLE.iter().find(|meaning| meaning.code == self)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.0)
    }
}

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The code.
    pub code: ExitCode,
    /// What state production is in: `old, verified`.
    pub production: &'static str,
    /// When guard ends with it.
    pub when: &'static str,
}

const fn row(code: ExitCode, production: &'static str, when: &'static str) -> Meaning {
    Meaning { code, production, when }
}

/// All codes, in order.
pub const TABLE: &[Meaning] = &[
    row(
        ExitCode::DONE,
        "new, verified",
        "deployed, verified and watched, or accepted by a person; after `guard rollback`: restored and proven",
    ),
    row(
        ExitCode::USAGE,
        "untouched",
        "the command line or the settings are wrong",
    ),
    row(
        ExitCode::REFUSED,
        "untouched",
        "`guard check` refused, or a rollback could not be made ready",
    ),
    row(
        ExitCode::BACKUP_FAILED,
        "untouched",
        "the backup failed, or could not be proven",
    ),
    row(ExitCode::LOCKED, "untouched by this call", "another run holds the lock"),
    row(
        ExitCode::UNFINISHED,
        "untouched by this call",
        "an unfinished run is there: `guard resume`",
    ),
    row(
        ExitCode::INTERRUPTED_EARLY,
        "untouched",
        "interrupted before the deploy command began",
    ),
    row(
        ExitCode::DEPLOY_FAILED,
        "old, verified",
        "the deploy command failed, or traffic could not be switched to its release; rolled back",
    ),
    row(
        ExitCode::VERIFY_FAILED,
        "old, verified",
        "verification failed; rolled back",
    ),
    row(ExitCode::WATCH_FAILED, "old, verified", "the watch failed; rolled back"),
    row(
        ExitCode::INTERRUPTED,
        "old, verified",
        "interrupted, or a person decided to roll back; rolled back",
    ),
    row(
        ExitCode::NOTHING_TO_UNDO,
        "old, verified",
        "the deploy command failed, and there was nothing to put back",
    ),
    row(
        ExitCode::STUCK,
        "mixed",
        "the rollback stopped half-way; `guard resume` continues",
    ),
    row(
        ExitCode::WITHHELD,
        "new, failed",
        "the rollback was withheld (`--no-rollback`, the policy, or a way back that is gone)",
    ),
    row(
        ExitCode::RESTORED_UNHEALTHY,
        "old, unhealthy",
        "rolled back, but the old state does not pass its probes",
    ),
    row(
        ExitCode::CUT_OFF,
        "mixed, resumable",
        "interrupted in a phase that must be finished: `guard resume`",
    ),
    row(
        ExitCode::INCONCLUSIVE,
        "new, unproven",
        "too little evidence to judge, or a person held it; the release was left in place",
    ),
    row(
        ExitCode::ABANDONED,
        "as it was left",
        "`guard abort`: a person has ended an unfinished run as things were",
    ),
    row(
        ExitCode::UNREADY,
        "new, failed",
        "the way back could not be made ready, so nothing was put back; `guard resume` tries again",
    ),
    row(
        ExitCode::DIFFERS,
        "old, differing",
        "`guard drill`: rolled back, and something is not as it was before; the lines name it",
    ),
    row(
        ExitCode::LOST,
        "as the run at the host says",
        "the link to the host was lost or left, and the run goes on there: `guard attach`",
    ),
    row(
        ExitCode::NO_BACKUP,
        "untouched",
        "the backup was not found or is damaged",
    ),
    row(
        ExitCode::NEWER,
        "untouched",
        "the backup or journal was made by a newer guard",
    ),
    row(ExitCode::BUG, "as the journal says", "a bug in guard"),
];

impl Ending {
    /// The code that a run of this ending ends with.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        match self {
            // A rollback that was asked for and found everything as it should be has reached its goal.
            Self::Captured
            | Self::Deployed
            | Self::RolledBack(RollbackCause::Asked)
            | Self::NothingToUndo(RollbackCause::Asked) => ExitCode::DONE,
            Self::Inconclusive => ExitCode::INCONCLUSIVE,
            Self::Untouched(RollbackCause::BackupFailed) => ExitCode::BACKUP_FAILED,
            // A person asked for a rollback, and the copy is not there or not sound.
            Self::Untouched(RollbackCause::Asked) => ExitCode::NO_BACKUP,
            Self::Untouched(RollbackCause::Interrupted) => ExitCode::INTERRUPTED_EARLY,
            Self::Untouched(_) | Self::Unprepared(_) => ExitCode::REFUSED,
            Self::RolledBack(
                RollbackCause::DeployFailed
                | RollbackCause::SwitchFailed
                | RollbackCause::DeployUnknown
                | RollbackCause::BackupFailed
                | RollbackCause::Refused,
            ) => ExitCode::DEPLOY_FAILED,
            Self::RolledBack(RollbackCause::VerifyFailed) => ExitCode::VERIFY_FAILED,
            Self::RolledBack(RollbackCause::WatchFailed | RollbackCause::Inconclusive) => ExitCode::WATCH_FAILED,
            Self::RolledBack(RollbackCause::Interrupted | RollbackCause::Decided) => ExitCode::INTERRUPTED,
            Self::NothingToUndo(_) => ExitCode::NOTHING_TO_UNDO,
            Self::Withheld(_) => ExitCode::WITHHELD,
            Self::RestoredUnhealthy(_) => ExitCode::RESTORED_UNHEALTHY,
            Self::Unready(_) => ExitCode::UNREADY,
            Self::Stuck(_) => ExitCode::STUCK,
            Self::Abandoned => ExitCode::ABANDONED,
        }
    }

    /// The state of production in the words of [`TABLE`].
    #[must_use]
    pub fn production(self) -> &'static str {
        match self {
            Self::Captured | Self::Untouched(_) | Self::Unprepared(_) => "untouched",
            Self::Deployed => "new, verified",
            Self::Inconclusive => "new, unproven",
            Self::RolledBack(_) | Self::NothingToUndo(_) => "old, verified",
            Self::Withheld(_) | Self::Unready(_) => "new, failed",
            Self::RestoredUnhealthy(_) => "old, unhealthy",
            Self::Stuck(_) => "mixed",
            Self::Abandoned => "as it was left",
        }
    }

    /// The same for a run of this kind. An undo brings back what a rollback put aside, which may be the new state or the
    /// old one.
    #[must_use]
    pub fn production_after(self, kind: RunKind) -> &'static str {
        match self {
            Self::RolledBack(_) | Self::NothingToUndo(_) if kind == RunKind::Undo => "restored, verified",
            Self::RestoredUnhealthy(_) if kind == RunKind::Undo => "restored, unhealthy",
            other => other.production(),
        }
    }

    /// Why the run went back, where it did.
    #[must_use]
    pub fn turn(self) -> Option<RollbackCause> {
        match self {
            Self::Captured | Self::Deployed | Self::Inconclusive | Self::Abandoned => None,
            Self::Untouched(turn)
            | Self::Unprepared(turn)
            | Self::RolledBack(turn)
            | Self::NothingToUndo(turn)
            | Self::Withheld(turn)
            | Self::RestoredUnhealthy(turn)
            | Self::Unready(turn)
            | Self::Stuck(turn) => Some(turn),
        }
    }

    /// Whether the run did what it was asked to.
    #[must_use]
    pub fn is_good(self) -> bool {
        self.exit_code() == ExitCode::DONE
    }
}
