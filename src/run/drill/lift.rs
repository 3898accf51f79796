//! The fault is taken away again, by whoever finishes the run; each of it may be repeated.

use std::path::Path;

use crate::drill::agents::{LIFTED, OVER, await_end};
use crate::drill::record::{Act, Agent, DrillRecord};
use guard_model::event::Level;
use guard_system::context::Context;
use guard_system::disk;
use guard_system::docker::docker;

fn mark(run: &Path, name: &str, cx: &Context) {
    if let Err(error) = disk::write_whole(&run.join(name), b"") {
        cx.note(Level::Warn, format!("the drill's fault may last: {error}"));
    }
}

/// Ends the fault: nothing is broken on purpose any more. What the fault has broken is for the way back to mend.
pub fn lift(run: &Path, record: &DrillRecord, cx: &Context) {
    let cx = &cx.unstoppable();
    mark(run, LIFTED, cx);
    let ending: Vec<&Agent> = record.agents.iter().filter(|agent| agent.what != "proxy").collect();
    await_end(&ending, cx);
    for act in &record.acts {
        if let Act::Cut {
            container,
            network,
            aliases,
            address,
        } = act
        {
            connect(container, network, (aliases, address.as_deref()), cx);
        }
    }
}

/// Puts a container on a network again, unless it is there.
fn connect(container: &str, network: &str, (aliases, address): (&[String], Option<&str>), cx: &Context) {
    let form = "{{range $name, $_ := .NetworkSettings.Networks}}{{println $name}}{{end}}";
    let asked = docker().args(["inspect", "--type", "container", "--format", form, container]);
    let networks = cx.output(&asked).map(|output| output.text()).unwrap_or_default();
    if networks.lines().any(|known| known.trim() == network) {
        return;
    }
    let mut call = docker().args(["network", "connect"]);
    for alias in aliases {
        call = call.args(["--alias", alias]);
    }
    if let Some(address) = address {
        call = call.args(["--ip", address]);
    }
    if let Err(error) = cx.output(&call.args([network, container])) {
        cx.note(
            Level::Error,
            format!("THE DRILL'S FAULT IS STILL THERE: {container} is not on the network {network} again: {error}"),
        );
    }
}

/// Takes away all that the drill has brought: the fault, its processes, its files. What was brought down and is not up again is
/// started; each such service is a sentence, since the way back should have done that.
#[must_use]
pub fn end(run: &Path, record: &DrillRecord, cx: &Context) -> Vec<String> {
    lift(run, record, cx);
    let cx = &cx.unstoppable();
    mark(run, OVER, cx);
    await_end(&record.agents.iter().collect::<Vec<_>>(), cx);
    let mut told = Vec::new();
    for act in &record.acts {
        let Act::Down { containers } = act else { continue };
        for id in containers {
            let form = "{{.State.Running}} {{.Name}}";
            let state = cx.output(&docker().args(["inspect", "--type", "container", "--format", form, id]));
            // A container that is gone was made anew by the way back.
            let Some(name) = state
                .ok()
                .and_then(|output| output.text().strip_prefix("false /").map(str::to_owned))
            else {
                continue;
            };
            told.push(format!(
                "{name} was not running after the way back: the drill started it again"
            ));
            if let Err(error) = cx.output(&docker().args(["start", id])) {
                cx.note(
                    Level::Error,
                    format!("THE DRILL'S FAULT IS STILL THERE: {name} does not start: {error}"),
                );
            }
        }
    }
    told
}
