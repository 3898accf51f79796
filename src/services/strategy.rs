//! What *forward* and *back* mean for services and traffic: the seam behind which a way to deploy stands.

use std::time::Duration;

use guard_system::context::Context;
use guard_system::docker::Recorded;

use crate::quiesce::Affected;
use crate::start::Extent;
use crate::wait::Wanted;
use crate::{Result, Services};

/// A way to deploy, for services and traffic. Data, code and images go back through their resources, whatever the strategy is.
///
/// `services` are those of one project, and `cx` is where they are reached: an act is called once for the settings' own project,
/// and once for each further one. The user's commands and the maintenance page are the own project's. Each act may be cut off at
/// any instant and called again, in another process; what it has to remember it writes down below `cx.scratch`.
pub trait Strategy: Send + Sync {
    /// Its name in the settings: `strategy = "…"`.
    fn name(&self) -> &'static str;

    /// Forward, just before the deploy command: notes what has to run again after a way back.
    ///
    /// # Errors
    /// It cannot be noted, so nothing is deployed.
    fn before_release(&self, services: &Services, cx: &Context) -> Result<()>;

    /// Keeps visitors from what is changed now. What cannot be done is told, and keeps nobody from going on.
    fn hold_traffic(&self, services: &Services, cx: &Context);

    /// Lets visitors in again: to the release, where the command has ended well, or to what is back.
    ///
    /// # Errors
    /// They may still be kept out.
    fn admit_traffic(&self, services: &Services, cx: &Context) -> Result<()>;

    /// Back: keeps visitors out, and stops what writes to that which is put back. Returns the names of what it stopped, whether it
    /// ran or not.
    ///
    /// # Errors
    /// Something may still write.
    fn stop(&self, services: &Services, affected: &Affected, cx: &Context) -> Result<Vec<String>>;

    /// Back: stops more, after a [`stop`](Self::stop) that has been: data was found changed when everything stood.
    ///
    /// # Errors
    /// Something may still write.
    fn stop_more(&self, services: &Services, affected: &Affected, cx: &Context) -> Result<Vec<String>>;

    /// Back: starts what ran when `recorded` was made, visitors still kept out. Within `limit` each service has to be as it is
    /// `wanted`.
    ///
    /// # Errors
    /// Something does not come up.
    fn start(
        &self,
        services: &Services,
        recorded: Option<&Recorded>,
        extent: &Extent,
        wanted: Wanted,
        limit: Duration,
        cx: &Context,
    ) -> Result<()>;

    /// Back, when what ran is up: takes away what the release has added beside it. Returns the names of what it stopped.
    ///
    /// # Errors
    /// Something of the release still runs.
    fn retire(&self, services: &Services, recorded: &Recorded, cx: &Context) -> Result<Vec<String>>;

    /// Whether a release comes up beside what is live, so that visitors are led to it in a stage of its own, and what was live
    /// is stopped in another once the release is kept. The acts below are asked only then.
    fn moves_traffic(&self) -> bool {
        false
    }

    /// The name of the side that visitors are at; `None` where there are no sides.
    ///
    /// # Errors
    /// The front cannot be asked, or serves neither side or both.
    fn serving(&self, _services: &Services, _cx: &Context) -> Result<Option<String>> {
        Ok(None)
    }

    /// Back: starts a side that does not answer, before visitors are led to it. Returns whether it had to be started.
    ///
    /// # Errors
    /// It cannot be started.
    fn start_side(&self, _services: &Services, _name: &str, _cx: &Context) -> Result<bool> {
        Ok(false)
    }

    /// Back, when visitors are not at this side any more: what becomes of the failed release there.
    ///
    /// # Errors
    /// It goes on running although it was not to.
    fn leave_side(&self, _services: &Services, _name: &str, _cx: &Context) -> Result<()> {
        Ok(())
    }

    /// Leads visitors to this side, and sees them arrive; the front is asked before and after.
    ///
    /// # Errors
    /// The front refuses, or visitors are not seen there.
    fn move_traffic(&self, _services: &Services, _to: &str, _cx: &Context) -> Result<Option<Moved>> {
        Ok(None)
    }

    /// Forward, when the release is kept: stops what was live before, after its grace, of which `gone` is over. Returns the
    /// names of what it stopped.
    ///
    /// # Errors
    /// It goes on running.
    fn settle(&self, _services: &Services, _gone: Duration, _cx: &Context) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// Visitors were led to a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// To this.
    pub to: String,
    /// From this.
    pub from: String,
    /// Whether the front had to be switched: it may have served that side already.
    pub moved: bool,
}
