//! The strategy `blue-green`: the release comes up on the side that is idle, and visitors are led to it when it is well. Going
//! back is one switch; services are stopped only where data goes back with it.

use std::time::Duration;

use guard_model::event::Level;
use guard_model::text::chain;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::Recorded;

use super::in_place::InPlace;
use crate::commands::run_all;
use crate::front::FrontError;
use crate::quiesce::Affected;
use crate::side::Side;
use crate::sides::{Roles, Sides};
use crate::start::Extent;
use crate::strategy::{Moved, Strategy};
use crate::wait::Wanted;
use crate::{Result, ServiceError, Services};

/// The note that the way back has put the page up and stopped both sides; in the run's directory.
const STOPPED: &str = "sides-stopped";

/// Two sides, of which visitors see one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlueGreen;

impl Strategy for BlueGreen {
    fn name(&self) -> &'static str {
        "blue-green"
    }

    fn before_release(&self, services: &Services, cx: &Context) -> Result<()> {
        if let Some(sides) = services.sides_of_all() {
            let live = sides.serving(cx)?.name.clone();
            let idle = sides.other(&live).to_owned();
            cx.note(
                Level::Info,
                format!("{live} is live, and the release comes up on {idle}"),
            );
            let led = false;
            Roles { live, idle, led }.note(cx).map_err(FrontError::from)?;
        }
        InPlace.before_release(services, cx)
    }

    /// The live side goes on serving, so nobody has to be kept out.
    fn hold_traffic(&self, _services: &Services, _cx: &Context) {}

    /// Only a way back that had to stop both sides has put the page up.
    fn admit_traffic(&self, services: &Services, cx: &Context) -> Result<()> {
        if was_stopped(cx) {
            InPlace.admit_traffic(services, cx)?;
        }
        Ok(())
    }

    fn stop(&self, services: &Services, affected: &Affected, cx: &Context) -> Result<Vec<String>> {
        if !affected.data {
            return Ok(Vec::new());
        }
        let mut stopped = Vec::new();
        let mut affected = affected.clone();
        if let Some(sides) = services.sides_of_all() {
            // Written first: whoever goes on after a kill has to take the page down and to start what was stopped.
            disk::write_whole(&cx.scratch.join(STOPPED), b"").map_err(FrontError::from)?;
            services.maintenance_on(cx);
            run_all(&services.stop, "stop", cx)?;
            for side in &sides.both {
                run_of_side(side, &side.stop, "stop", cx)?;
                stopped.extend(side.stop.iter().map(|words| format!("`{}`", words.join(" "))));
            }
        }
        services.add_sides(&mut affected, |_| true);
        stopped.extend(services.stop_users(&affected, cx)?);
        Ok(stopped)
    }

    fn stop_more(&self, services: &Services, affected: &Affected, cx: &Context) -> Result<Vec<String>> {
        self.stop(
            services,
            &Affected {
                data: true,
                ..affected.clone()
            },
            cx,
        )
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
        // What the old files do not name is the failed side, which is kept for people to look at.
        let extent = match extent {
            Extent::Whole => &Extent::Noted,
            other => other,
        };
        let stopped = was_stopped(cx);
        let mut services = services.clone();
        if !stopped {
            services.start.clear();
        }
        services.bring_back(recorded, extent, wanted, limit, cx)
    }

    fn retire(&self, services: &Services, recorded: &Recorded, cx: &Context) -> Result<Vec<String>> {
        let Some(sides) = services.sides.as_deref().filter(|sides| sides.keeps_failed) else {
            return InPlace.retire(services, recorded, cx);
        };
        let failed = Roles::noted(cx)?.map(|roles| roles.idle);
        let failed = failed
            .as_deref()
            .and_then(|name| sides.named(name))
            .map(|(_, side)| side);
        match (failed, &services.project) {
            (Some(side), Some(project)) if side.project.as_ref() == Some(project) => Ok(Vec::new()),
            (Some(side), None) => services.stop_added_but(recorded, &side.services, cx),
            _ => InPlace.retire(services, recorded, cx),
        }
    }

    fn moves_traffic(&self) -> bool {
        true
    }

    fn serving(&self, services: &Services, cx: &Context) -> Result<Option<String>> {
        let Some(sides) = services.sides_of_all() else {
            return Ok(None);
        };
        Ok(Some(sides.serving(cx)?.name.clone()))
    }

    fn start_side(&self, services: &Services, name: &str, cx: &Context) -> Result<bool> {
        let Some((_, side)) = services.sides_of_all().and_then(|sides| sides.named(name)) else {
            return Ok(false);
        };
        if side.start.is_empty() || side.is_reached() {
            return Ok(false);
        }
        cx.note(Level::Info, format!("starts {name}"));
        run_of_side(side, &side.start, "start", cx)?;
        Ok(true)
    }

    fn leave_side(&self, services: &Services, name: &str, cx: &Context) -> Result<()> {
        let sides = services.sides_of_all().filter(|sides| !sides.keeps_failed);
        if let Some((_, side)) = sides.and_then(|sides| sides.named(name)) {
            stop_side(side, services, cx)?;
        }
        Ok(())
    }

    fn move_traffic(&self, services: &Services, to: &str, cx: &Context) -> Result<Option<Moved>> {
        let Some(sides) = services.sides_of_all() else {
            return Ok(None);
        };
        let moved = sides.switch(to, cx)?;
        Ok(Some(Moved {
            to: to.to_owned(),
            from: sides.other(to).to_owned(),
            moved,
        }))
    }

    fn settle(&self, services: &Services, gone: Duration, cx: &Context) -> Result<Vec<String>> {
        let Some(sides) = services.sides_of_all() else {
            return Ok(Vec::new());
        };
        let Some(roles) = Roles::noted(cx)? else {
            return Ok(Vec::new());
        };
        let Some((_, old)) = sides.named(&roles.live) else {
            return Ok(Vec::new());
        };
        if !wait(sides.grace.saturating_sub(gone), &old.name, cx) {
            return Ok(Vec::new());
        }
        let serving = sides.serving(cx)?;
        if serving.name != roles.idle {
            cx.note(
                Level::Warn,
                format!("{} is left running: somebody has led visitors back to it", old.name),
            );
            return Ok(Vec::new());
        }
        stop_side(old, services, cx)
    }
}

/// Waits for the grace; `false`: a person wants to stop.
fn wait(grace: Duration, old: &str, cx: &Context) -> bool {
    /// How often it is looked whether somebody wants to stop.
    const GLANCE: Duration = Duration::from_millis(100);
    if !grace.is_zero() {
        let grace = guard_model::text::duration(grace);
        cx.note(
            Level::Info,
            format!("the release is kept; {old} stays up for {grace}, in which going back is one switch (Ctrl-C)"),
        );
    }
    let begun = cx.clock.steady();
    while cx.clock.steady().saturating_sub(begun) < grace {
        if cx.stop.is_asked() {
            return false;
        }
        cx.clock.sleep(GLANCE.min(grace));
    }
    !cx.stop.is_asked()
}

/// Stops a side that nobody is led to any more.
fn stop_side(side: &Side, services: &Services, cx: &Context) -> Result<Vec<String>> {
    run_of_side(side, &side.stop, "stop", cx)?;
    let mut stopped: Vec<String> = side.stop.iter().map(|words| format!("`{}`", words.join(" "))).collect();
    if !side.services.is_empty() {
        stopped.extend(services.stop_named(Some(&side.services), cx)?);
    }
    if let Some(project) = &side.project {
        let (services, there) = services.of_project(Some(project), cx);
        let names = services.stop_named(None, &there)?;
        stopped.extend(names.into_iter().map(|name| format!("{project}/{name}")));
    }
    Ok(stopped)
}

/// Runs the commands of a side, each with its name and address.
fn run_of_side(side: &Side, commands: &[Vec<String>], stage: &str, cx: &Context) -> Result<()> {
    let mut cx = cx.clone();
    let others = cx.announced.iter().filter(|(name, _)| !name.starts_with("GUARD_SIDE"));
    cx.announced = std::sync::Arc::new(others.cloned().chain(side.variables()).collect());
    run_all(commands, stage, &cx)
}

fn was_stopped(cx: &Context) -> bool {
    disk::exists(&cx.scratch.join(STOPPED)).unwrap_or_else(|error| {
        cx.note(Level::Warn, chain(&error));
        true
    })
}

impl From<FrontError> for ServiceError {
    fn from(error: FrontError) -> Self {
        Self::Front(error)
    }
}

impl Services {
    /// The sides, where these are the settings' own services and not those of a further project.
    fn sides_of_all(&self) -> Option<&Sides> {
        self.sides.as_deref().filter(|_| self.project.is_none())
    }

    /// Adds the services of the sides that are in this project.
    fn add_sides(&self, affected: &mut Affected, chosen: impl Fn(&Side) -> bool) {
        let sides = self.sides.iter().flat_map(|sides| &sides.both);
        for side in sides.filter(|side| chosen(side)) {
            if self.project.is_none() {
                affected.replaced.extend(side.services.iter().cloned());
            } else if side.project == self.project {
                affected.all = true;
            }
        }
    }
}
