//! `[services]`: commands for all, and services with names of their own; what is wrong is told with its place.

use std::time::Duration;

use guard::config::{BehindSettings, DrainSettings};
use guard::model::name::ProbeName;

use super::{FINE, Project, holds};

fn with(text: &str) -> Project {
    Project::new(&format!("{FINE}{text}"))
}

#[test]
fn services_are_read_with_what_they_need_and_what_is_run_around_them() {
    let project = with(
        "[resources.db]\nkind = \"sqlite\"\npath = \"app.db\"\n\
         [services]\nstop = \"halt\"\nstart = \"go\"\n\
         [services.web]\nsystemd = \"web\"\nneeds = [\"api\", \"db\"]\ndrain = \"10s\"\n\
         [services.api]\nstart = \"./up\"\nstop = \"./down\"\nstatus = [\"./is\", \"up\"]\ndrain = \"./drain now\"\nwithin = 30\n\
         before_copy = [\"one ${A}\", \"two\"]\nafter_start = \"three\"\nreload = \"four\"\n\
         [services.api.health]\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n",
    );
    let settings = project.settings();
    assert_eq!((settings.services.stop.len(), settings.services.start.len()), (1, 1));
    let [web, api] = settings.services.named.as_slice() else {
        panic!("two services, in the order of the file");
    };
    assert_eq!(web.behind, BehindSettings::Systemd("web.service".to_owned()));
    assert_eq!(
        (web.needs.as_slice(), web.resources.len()),
        (["api".to_owned()].as_slice(), 1)
    );
    assert_eq!(web.drain, Some(DrainSettings::Wait(Duration::from_secs(10))));
    // A unit is asked by its own signs, and the probe is called as the service is.
    assert_eq!(web.health.as_ref().map(ProbeName::as_str), Some("web"));
    assert_eq!(api.health.as_ref().map(ProbeName::as_str), Some("api"));
    let kinds: Vec<(&str, &str)> = settings
        .probes
        .iter()
        .map(|one| (one.name.as_str(), one.kind.as_str()))
        .collect();
    assert!(
        kinds.contains(&("web", "systemd")) && kinds.contains(&("api", "tcp")),
        "{kinds:?}"
    );
    assert_eq!(api.within, Duration::from_secs(30));
    assert_eq!(
        api.before_copy,
        [vec!["one", "${A}"], vec!["two"]],
        "commands stay as they are written"
    );
    assert!(matches!(&api.drain, Some(DrainSettings::Run(commands)) if commands[0] == ["./drain", "now"]));
    assert!(matches!(&api.behind, BehindSettings::Commands { status: Some(status), .. } if status == &["./is", "up"]));
    assert_eq!(api.commands().count(), 8, "all of them are looked for by `guard check`");
}

#[test]
fn what_a_base_file_declares_can_be_taken_away() {
    let project = with("[services.web]\nsystemd = \"web\"\n[environments.dev.services]\nweb = false\n");
    assert_eq!(project.settings().services.named.len(), 1);
    let dev = with("[services.web]\nsystemd = \"web\"\n[environments.dev.services]\nweb = false\n");
    assert!(dev.flag("environment", "dev").settings().services.named.is_empty());
}

#[test]
fn a_health_that_names_a_probe_is_that_probe() {
    let text = "[probes.site]\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n[services.web]\nsystemd = \"web\"\nhealth = \"site\"\n";
    let settings = with(text).settings();
    assert_eq!(
        settings.services.named[0].health.as_ref().map(ProbeName::as_str),
        Some("site")
    );
    assert_eq!(settings.probes.len(), 1);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_the_nearest_name() {
    for (text, told) in [
        (
            "[services.api]\nsystemd = \"api\"\nneeds = [\"redsi\"]\n[services.redis]\nsystemd = \"redis\"\n",
            &[
                "guard.toml:4:10",
                "no service or resource \"redsi\"",
                "did you mean `redis`?",
            ] as &[&str],
        ),
        (
            "[services.api]\nsystemd = \"api\"\nneeds = [\"queue\"]\n[services.queue]\nsystemd = \"q\"\nneeds = [\"api\"]\n",
            &["guard.toml:7:10", "api → queue → api"],
        ),
        (
            "[services.api]\nsystemd = \"api\"\nneeds = [\"api\"]\n",
            &["guard.toml:4:10", "api → api"],
        ),
        (
            "[services.api]\nsystemd = \"api\"\ncompose = \"api\"\n",
            &["guard.toml:3:11", "a service is one of the two"],
        ),
        (
            "[services.api]\nsystemd = \"api\"\nstart = \"x\"\nstop = \"y\"\n",
            &["guard.toml:5:8", "stands beside `systemd`"],
        ),
        (
            "[services.api]\nstart = \"x\"\n",
            &["guard.toml:3:9", "stop and start belong together"],
        ),
        (
            "[services.api]\nneeds = []\n",
            &["says nothing of what is behind it", "compose = \"api\""],
        ),
        (
            "[services.api]\nsystemd = \"api\"\nbefore_strat = \"x\"\n",
            &["unknown key `services.api.before_strat`", "before_start"],
        ),
        (
            "[services.api]\nsystemd = \"api\"\nhealth = \"sit\"\n[probes.site]\nkind = \"tcp\"\naddress = \"a:1\"\n",
            &["no probe \"sit\"", "`site`"],
        ),
        (
            "[services.api]\nsystemd = \"api\"\nhealth = { kind = \"htpp\" }\n",
            &["there is no kind \"htpp\"", "`http`"],
        ),
        (
            "[services.api]\nsystemd = \"api\"\nhealth = { kind = \"tcp\", address = \"a:1\" }\n[probes.api]\nkind = \"tcp\"\naddress = \"a:1\"\n",
            &["[probes.api] has the same name"],
        ),
        (
            "[services.a]\nsystemd = \"x\"\n[services.b]\nsystemd = \"x.service\"\n",
            &["`services.b`: is x.service, as `services.a` is"],
        ),
        ("[services.reload]\nsystemd = \"x\"\n", &["stands for commands"]),
        (
            "[services.api]\nsystemd = \"api\"\ndrain = true\n",
            &["services.api.drain"],
        ),
        ("[services]\nsotp = \"x\"\n", &["unknown key `services.sotp`", "`stop`"]),
        ("[services]\nstop = \"x\"\n", &["stop and start belong together"]),
    ] {
        holds(&with(text).refusal(), told);
    }
}

#[test]
fn projects_that_need_each_other_are_told() {
    let files = |text: &str| {
        let project = with(text);
        for name in ["one", "two"] {
            std::fs::create_dir(project.path(name)).unwrap();
            std::fs::write(project.path(&format!("{name}/compose.yml")), "services: {}\n").unwrap();
        }
        project
    };
    let circle = files(
        "[projects.one]\ndirectory = \"one\"\nneeds = [\"two\"]\n[projects.two]\ndirectory = \"two\"\nneeds = [\"one\"]\n",
    );
    holds(&circle.refusal(), &["in a circle: one, two"]);
    let unknown =
        files("[projects.one]\ndirectory = \"one\"\nneeds = [\"tow\"]\n[projects.two]\ndirectory = \"two\"\n");
    holds(
        &unknown.refusal(),
        &["guard.toml:4", "there is no [projects.tow]", "`two`"],
    );
    let fine = files("[projects.one]\ndirectory = \"one\"\nneeds = [\"two\"]\n[projects.two]\ndirectory = \"two\"\n");
    assert_eq!(fine.settings().projects[0].needs, ["two"]);
}
