//! Drills on the shop: one of each kind, with faults that only an engine can have.

use serde_json::Value;

use super::{Stage, same};
use crate::support::program::Ran;

/// Drills one fault of the shop, and returns what came of it.
#[track_caller]
fn drill(stage: &Stage, fault: &str, code: i32) -> Value {
    let args = ["drill", "--fault", fault, "--within", "2s", "--output", "json"];
    let ran: Ran = stage.guard().run(&args).expect(code);
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    last["result"]["drills"][0].clone()
}

/// The networks of the database's container, and the names that it has there.
fn networks(stage: &Stage) -> String {
    stage.shop.sh(&format!(
        "docker inspect -f '{{{{range $n, $c := .NetworkSettings.Networks}}}}{{{{$n}}}} {{{{$c.Aliases}}}}{{{{end}}}}' {}-postgres-1",
        stage.shop.project()
    ))
}

#[test]
fn a_drill_of_each_kind_leaves_the_shop_as_it_was() {
    let stage = Stage::bare();
    stage.settle("");
    stage.gate("6s");
    let settings = stage.shop.sh("cat guard.toml");
    // The smoke test waits 20 s for what is broken on purpose.
    let settings = settings.replace("[verify]\ncommands = [\"./smoke.sh\"]", "");
    std::fs::write(
        stage.shop.directory().join("guard.toml"),
        format!("drill = true\n{settings}"),
    )
    .unwrap();
    let (before, connected) = (stage.state(), networks(&stage));
    let killed = || {
        stage.shop.sh(&format!(
            "docker inspect -f '{{{{.State.StartedAt}}}}' {}-app-1",
            stage.shop.project()
        ))
    };
    let started = killed();
    for (fault, noticed) in [
        ("service-killed", true),
        ("database-cut", true),
        ("config-broken", true),
    ] {
        let told = drill(&stage, fault, 0);
        assert_eq!(
            (&told["equal"], &told["was_noticed"]),
            (&true.into(), &noticed.into()),
            "{told}"
        );
        assert_eq!(told["lost"], 0, "{told}");
        let compared = told["compared"].to_string();
        for resource in ["db:", "objects:", "code:", "config:", "compose:", "images:"] {
            assert!(compared.contains(resource), "{resource} was not compared: {told}");
        }
        same(fault, &stage.state(), &before, &[]);
        assert!(stage.shop.get("/version").contains("\"v1\""), "{fault}");
    }
    assert_ne!(killed(), started, "the application was started again");
    assert_eq!(networks(&stage), connected);
}
