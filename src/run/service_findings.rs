//! Looks for what is behind each named service: a Compose service, a unit of systemd.

use crate::findings::Report;
use crate::project::Project;
use guard_config::{BehindSettings, ServiceSettings};
use guard_model::setting::nearest;
use guard_model::text::chain;
use guard_system::systemd;

/// Looks for what is behind each named service, or these. What is nowhere is told with its line; nothing is done by it.
pub(crate) fn look(project: &Project, only: &[String], report: &mut Report) {
    let compose = project
        .compose
        .as_ref()
        .filter(|_| project.settings.services.has_compose());
    let declared = compose.map(|compose| compose.services(&project.cx));
    let is_asked = |service: &&ServiceSettings| only.is_empty() || only.contains(&service.name);
    for service in project.settings.services.named.iter().filter(is_asked) {
        let about = format!("service {}", service.name);
        let place = &service.place;
        match &service.behind {
            BehindSettings::Compose(name) => match &declared {
                None => report.refuse(
                    &about,
                    format!("{place}: there is no Compose project whose service {name:?} could be"),
                    "name its files by `files` under [compose]",
                ),
                Some(Ok(all)) if !all.contains(name) => {
                    let hint = nearest(name, all.iter().map(String::as_str));
                    let hint = hint.unwrap_or_else(|| format!("there are: {}", all.join(", ")));
                    let what = format!("{place}: the Compose project has no service {name:?}");
                    report.refuse(&about, what, hint);
                }
                // Files that Compose refuses are told by the look at the project.
                Some(Ok(_) | Err(_)) => report.fact(&about, words(service)),
            },
            BehindSettings::Systemd(unit) => unit_look(service, unit, project, report),
            BehindSettings::Commands { .. } => report.fact(&about, words(service)),
        }
    }
}

fn unit_look(service: &ServiceSettings, unit: &str, project: &Project, report: &mut Report) {
    let (about, place) = (format!("service {}", service.name), &service.place);
    match systemd::state(unit, None, &project.cx) {
        Err(error) => report.refuse(
            &about,
            format!("{place}: systemd cannot be asked for {unit}: {}", chain(&error)),
            "run guard where systemd runs the unit, or say `stop` and `start` in place of `systemd`",
        ),
        Ok(state) => match state.trouble() {
            None => report.fact(&about, format!("{}, {}", words(service), state.words())),
            Some(trouble) if state.load == "masked" => report.refuse(
                &about,
                format!("{place}: {unit}: {trouble}"),
                format!("systemctl unmask {unit}"),
            ),
            Some(trouble) => {
                let known = systemd::services(&project.cx).unwrap_or_default();
                let hint = nearest(unit, known.iter().map(String::as_str));
                let hint = hint.unwrap_or_else(|| "see `systemctl list-unit-files`".to_owned());
                report.refuse(&about, format!("{place}: {unit}: {trouble}"), hint);
            }
        },
    }
}

/// What a service is, in words.
fn words(service: &ServiceSettings) -> String {
    let mut text = service.behind.words();
    let resources = service.resources.iter().map(ToString::to_string);
    let mut needs: Vec<String> = service.needs.iter().cloned().chain(resources).collect();
    needs.dedup();
    if !needs.is_empty() {
        text = format!("{text}, needs {}", needs.join(", "));
    }
    text
}
