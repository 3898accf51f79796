//! What is looked at of a blue-green deployment before anything begins: the front, and whether its sides are there.

use crate::findings::Report;
use crate::project::Project;
use guard_model::setting::nearest;
use guard_model::text::chain;
use guard_services::{FrontError, Side, Sides};

/// Asks the front which side it serves, and looks for the services of both sides.
pub(crate) fn look(project: &Project, report: &mut Report) {
    let services = project.services();
    let Some(sides) = services.sides.as_deref() else { return };
    let driver = sides.front.driver();
    match sides.agree(&project.cx) {
        Ok(live) => {
            let idle = sides.other(&live.name);
            report.fact(
                "front",
                format!(
                    "{}: visitors are at {}, a release comes up on {idle}",
                    driver.describe(),
                    live.name
                ),
            );
            if !live.is_reached() {
                report.warn(
                    "front",
                    format!(
                        "{} is live, and nothing accepts a connection at {}",
                        live.name, live.address
                    ),
                    "start it, or correct `address`",
                );
            }
        }
        Err(error) => report.refuse("front", chain(&error), advice(&error, sides)),
    }
    if let Some(loss) = driver.loss() {
        report.warn(
            "front",
            loss,
            "see \"Blue-green\" in docs/configuration.md for fronts that lose no request",
        );
    }
    if sides.eyes.is_none() {
        report.fact(
            "front",
            "its own word says which side it serves; `url` and `header` would also ask as a visitor does".to_owned(),
        );
    }
    let declared = project.compose.as_ref().map(|compose| compose.services(&project.cx));
    for side in &sides.both {
        if !side.can_be_stopped() {
            report.warn(
                "front",
                format!(
                    "nobody can stop {}: both sides go on running behind a release that is kept",
                    side.name
                ),
                "name its `services`, its `project`, or `stop` and `start`",
            );
        }
        match &declared {
            Some(Ok(declared)) => missing(side, declared, report),
            // What Compose refuses is told by its own line.
            Some(Err(_)) => {}
            None if side.services.is_empty() => {}
            None => report.refuse(
                "front",
                format!("the side {} names services, and there is no Compose project", side.name),
                "add [compose], or name `stop` and `start`",
            ),
        }
    }
}

fn missing(side: &Side, declared: &[String], report: &mut Report) {
    for service in side.services.iter().filter(|service| !declared.contains(service)) {
        let hint = nearest(service, declared.iter().map(String::as_str));
        report.refuse(
            "front",
            format!(
                "the side {} has no service {service:?} in the Compose project",
                side.name
            ),
            hint.unwrap_or_else(|| format!("there are: {}", declared.join(", "))),
        );
    }
}

fn advice(error: &FrontError, sides: &Sides) -> String {
    let [one, two] = &sides.both;
    match error {
        FrontError::Neither(_) | FrontError::Both(_) => format!(
            "lead it to one of the two, {} ({}) or {} ({}), or correct [blue_green]",
            one.name, one.address, two.name, two.address
        ),
        FrontError::Differs { .. } => "make the front take up its configuration, or put it back".to_owned(),
        _ => "start the front, or correct [blue_green.front]".to_owned(),
    }
}
