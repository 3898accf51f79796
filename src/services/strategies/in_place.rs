//! The strategy `in-place`: the release takes the place of what ran, behind the maintenance page; by Compose, or by commands.

use std::time::Duration;

use guard_system::context::Context;
use guard_system::docker::Recorded;

use crate::quiesce::Affected;
use crate::start::Extent;
use crate::strategy::Strategy;
use crate::wait::Wanted;
use crate::{Result, Services};

/// What ran is stopped, put back and started where it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InPlace;

impl Strategy for InPlace {
    fn name(&self) -> &'static str {
        "in-place"
    }

    fn before_release(&self, services: &Services, cx: &Context) -> Result<()> {
        services.note_what_runs(cx)
    }

    fn hold_traffic(&self, services: &Services, cx: &Context) {
        services.maintenance_on(cx);
    }

    fn admit_traffic(&self, services: &Services, cx: &Context) -> Result<()> {
        services.maintenance_off(cx)
    }

    fn stop(&self, services: &Services, affected: &Affected, cx: &Context) -> Result<Vec<String>> {
        services.quiesce(affected, cx)
    }

    fn stop_more(&self, services: &Services, affected: &Affected, cx: &Context) -> Result<Vec<String>> {
        services.stop_users(affected, cx)
    }

    fn start(
        &self,
        services: &Services,
        recorded: Option<&Recorded>,
        extent: &Extent,
        wanted: Wanted,
        limit: Duration,
        cx: &Context,
    ) -> Result<()> {
        services.bring_back(recorded, extent, wanted, limit, cx)
    }

    fn retire(&self, services: &Services, recorded: &Recorded, cx: &Context) -> Result<Vec<String>> {
        services.stop_added(recorded, cx)
    }
}
