//! What a kind can do beside the contract: small traits, each one idea, that are asked for and may be missing.

mod clients;
mod copies;
mod cost;
mod drills;
mod surroundings;
mod swaps;

pub use self::clients::{Access, Reload, Users};
pub use self::copies::{Adoption, CopyProof, Holdings, Occasion, Standby, StandingBy, Sweep, Trial};
pub use self::cost::{FileSalvage, Price, RowSalvage, Size};
pub(crate) use self::drills::nothing_to_harm;
pub use self::drills::{Drills, Harm};
pub use self::surroundings::{Exclusion, Location, Releases, ServiceNeeds};
pub use self::swaps::{Account, Comparison, Group, Leftovers, Mark, Moments, Together};

/// The abilities of a resource. `None`: it has no such ability, and callers are given the plain answer, which
/// `resources/asking.rs` tells for each question.
#[derive(Clone, Copy, Default)]
pub struct Abilities<'r> {
    /// It can keep clients out of what was put in.
    pub access: Option<&'r dyn Access>,
    /// A restore says more of itself than what it displaced.
    pub account: Option<&'r dyn Account>,
    /// It can take over what was backed up by hand.
    pub adoption: Option<&'r dyn Adoption>,
    /// What is live can be compared with the copy itself.
    pub comparison: Option<&'r dyn Comparison>,
    /// It can take part in a drill.
    pub drills: Option<&'r dyn Drills>,
    /// Guards on other hosts can be kept away.
    pub exclusion: Option<&'r dyn Exclusion>,
    /// Single files that were put aside can be given back.
    pub files: Option<&'r dyn FileSalvage>,
    /// A copy holds something outside of its backup.
    pub holdings: Option<&'r dyn Holdings>,
    /// Acts leave something behind that has to be cleaned up.
    pub leftovers: Option<&'r dyn Leftovers>,
    /// It has names that tell it from every other thing, or paths of its own.
    pub location: Option<&'r dyn Location>,
    /// It has to be told when the deploy command begins and ends.
    pub moments: Option<&'r dyn Moments>,
    /// Going back can cost something.
    pub price: Option<&'r dyn Price>,
    /// A copy can be proven by more than its checksums.
    pub proof: Option<&'r dyn CopyProof>,
    /// One release can be told from another.
    pub releases: Option<&'r dyn Releases>,
    /// Services have to be told of what was put back.
    pub reload: Option<&'r dyn Reload>,
    /// Rows that were put aside can be given back.
    pub rows: Option<&'r dyn RowSalvage>,
    /// It needs services to run or to be stopped.
    pub services: Option<&'r dyn ServiceNeeds>,
    /// What was put aside can be weighed.
    pub size: Option<&'r dyn Size>,
    /// A copy can be made ready while the release is deployed and watched.
    pub standby: Option<&'r dyn Standby>,
    /// Its promises can be tried from outside.
    pub sweep: Option<&'r dyn Sweep>,
    /// Several of its kind can be swapped as one.
    pub together: Option<&'r dyn Together>,
    /// A way back can be tried before there is a copy that was ever put back.
    pub trial: Option<&'r dyn Trial>,
    /// The processes that have it open are known.
    pub users: Option<&'r dyn Users>,
}
