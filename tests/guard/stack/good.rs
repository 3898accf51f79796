//! Good releases stay, with settings and without; and what a deploy command did before it failed is undone.

use std::time::Duration;

use super::traffic::Traffic;
use super::{Stage, same};

#[test]
fn a_good_release_stays() {
    let stage = Stage::open();
    let traffic = Traffic::begin(&stage.shop.url(""));
    let ran = stage.guard().run(&["deploy", "--", "./deploy.sh", "v2"]).expect(0);
    let count = traffic.count();
    eprintln!("v2: {} requests answered, {} lost", count.answered, count.lost);
    ran.says("Production is new, verified");
    assert!(stage.shop.get("/version").contains("\"v2\""));
    assert!(stage.state()["schema"].contains("email"));
    assert_eq!(stage.shop.sh("git symbolic-ref HEAD").trim(), "refs/heads/v2");
}

#[test]
fn a_release_that_starts_slowly_stays() {
    let stage = Stage::open();
    stage.gate("40s");
    stage
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "slow-start"])
        .expect(0);
    assert!(stage.shop.get("/version").contains("slow-start"));
}

#[test]
fn nothing_has_to_be_set() {
    let stage = Stage::bare();
    let guard = stage.guard().env("GUARD_MONITOR_DURATION", "25s");
    let ran = guard.run(&["deploy", "--", "./deploy.sh", "v2"]).expect(0);
    ran.says("there is no guard.toml");
    assert!(stage.shop.get("/version").contains("\"v2\""));
    let before = stage.state();
    let always = [
        "deploy",
        "--again",
        "--data-restore",
        "always",
        "--",
        "./deploy.sh",
        "crash",
    ];
    guard.run(&always).expect(21);
    same("crash, found without settings", &stage.state(), &before, &[]);
}

#[test]
fn a_deploy_command_that_fails_is_undone() {
    let stage = Stage::open();
    let before = stage.state();
    let always = ["deploy", "--again", "--data-restore", "always", "--"];
    let ran = stage
        .guard()
        .run(&[&always[..], &["sh", "-c", "./deploy.sh migrate; exit 7"]].concat());
    ran.expect(20).says("exit code 7");
    same("the deploy that failed", &stage.state(), &before, &[]);
    // One that fails before it changes anything costs nobody a restart.
    let running = stage
        .shop
        .sh("docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort");
    stage.guard().run(&[&always[..], &["false"]].concat()).expect(24);
    let still = stage
        .shop
        .sh("docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort");
    let of_shop = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.contains(stage.shop.project()))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(of_shop(&running), of_shop(&still));
}

#[test]
fn a_release_that_dies_under_watch_is_walked_back() {
    let stage = Stage::open();
    stage.settle("");
    let before = stage.state();
    let always = [
        "deploy",
        "--data-restore",
        "always",
        "--monitor-duration",
        "60s",
        "--",
        "./deploy.sh",
        "v2",
    ];
    let ran = std::thread::scope(|scope| {
        let running = scope.spawn(|| stage.guard().run(&always));
        while !running.is_finished() {
            let watched = stage.runs().first().is_some_and(|run| {
                std::fs::read_to_string(run.join("journal.jsonl")).is_ok_and(|text| text.contains("\"step\":\"watch\""))
            });
            if watched {
                stage.shop.sh("docker compose stop app");
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        running.join().unwrap()
    });
    ran.expect(22);
    same("v2 that died", &stage.state(), &before, &[]);
}
