//! Blue-green by the real binary, behind real fronts, with visitors who ask all the time.

use crate::support::embedded::until;
use crate::support::two_sides::{Kind, Made, TwoSides, Visitors, is_there};

/// A release that is kept, and one that fails once visitors are at it. Returns the requests that were lost.
fn forward_and_back(project: &TwoSides) -> Vec<String> {
    let visitors = Visitors::of(project);
    let kept = project.guard().run(&["deploy", "--", "./deploy.sh", "2", "good"]);
    kept.expect(0)
        .says("blue is live, and the release comes up on green")
        .says("Visitors are at green");
    assert_eq!(project.side().as_deref(), Some("green"));
    assert_eq!(
        project.answer_of("blue"),
        None,
        "the old side is stopped when the release is kept"
    );
    let failed = project.guard().run(&["deploy", "--", "./deploy.sh", "3", "late"]);
    let failed = failed
        .expect(22)
        .says("Visitors are at blue")
        .says("switch traffic back");
    assert!(
        failed.stderr.contains("The failed side blue is kept"),
        "{}",
        failed.stderr
    );
    assert!(failed.stderr.contains("Nothing had to be stopped"), "{}", failed.stderr);
    assert_eq!(project.side().as_deref(), Some("green"));
    assert_eq!(
        project.answer_of("blue").as_deref(),
        Some("blue 3\n"),
        "the failed side is kept"
    );
    assert_eq!(project.page(), "", "no page where no data goes back");
    assert_eq!(project.sh("cat release.txt"), "2\n");
    assert_eq!(project.sh("cat ../deploys.log"), "green 2 good\nblue 3 late\n");
    let (count, lost) = visitors.count();
    assert!(count > 300, "{count} requests");
    lost
}

fn loses_nothing(kind: Kind) {
    let project = TwoSides::new(kind);
    project.guard().run(&["check"]).expect(0);
    assert_eq!(forward_and_back(&project), [""; 0]);
}

#[test]
fn a_marker_in_nginx_loses_no_request() {
    loses_nothing(Kind::NginxMarker);
}

#[test]
fn a_link_in_nginx_loses_no_request() {
    loses_nothing(Kind::NginxLink);
}

#[test]
fn a_marker_in_caddy_loses_no_request() {
    loses_nothing(Kind::CaddyMarker);
}

#[test]
fn haproxy_loses_no_request_and_serves_the_same_side_after_a_restart() {
    let mut project = TwoSides::new(Kind::Haproxy);
    assert_eq!(forward_and_back(&project), [""; 0]);
    project.stop_front();
    project.start_front();
    until(|| project.side().is_some());
    assert_eq!(
        project.side().as_deref(),
        Some("green"),
        "{}",
        project.sh("cat ../servers")
    );
    project.guard().run(&["check"]).expect(0);
}

#[test]
fn the_loss_of_a_reload_is_told_and_the_rest_of_the_file_stays() {
    let project = TwoSides::new(Kind::NginxFile);
    let checked = project.guard().run(&["check"]).expect(0);
    assert!(
        checked.stdout.contains("closes idle kept connections"),
        "{}",
        checked.stdout
    );
    let _some_may_be_lost = forward_and_back(&project);
    let file = project.sh("cat ../upstream.conf");
    let green = project.port_of("green");
    assert_eq!(
        file,
        format!("# The sides.\nupstream app {{\n    server 127.0.0.1:{green} max_fails=0; # one\n}}\n")
    );
}

#[test]
fn caddys_admin_api_switches_and_its_loss_is_told() {
    let project = TwoSides::new(Kind::CaddyApi);
    let checked = project.guard().run(&["check"]).expect(0);
    assert!(
        checked.stdout.contains("loads its whole configuration anew"),
        "{}",
        checked.stdout
    );
    let _some_may_be_lost = forward_and_back(&project);
}

#[test]
fn the_users_own_switch_is_asked_and_led() {
    let project = TwoSides::new(Kind::Command);
    assert_eq!(forward_and_back(&project), [""; 0]);
}

/// Sides of Compose: the same, and a rollback by hand starts the side that was stopped.
fn composed(made: Made) {
    let project = TwoSides::of(Kind::NginxMarker, made, "");
    project.guard().run(&["check"]).expect(0);
    assert_eq!(forward_and_back(&project), [""; 0]);
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "4", "good"])
        .expect(0)
        .says("Visitors are at blue");
    assert_eq!(project.answer_of("green"), None);
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert_eq!(project.side().as_deref(), Some("green"));
    assert_eq!(project.answer_of("green").as_deref(), Some("green 2\n"));
    assert_eq!(project.sh("cat release.txt"), "2\n");
}

#[test]
fn the_sides_may_be_services_of_a_compose_project() {
    composed(Made::Service);
}

#[test]
fn the_sides_may_be_compose_projects() {
    composed(Made::Project);
}

#[test]
fn a_release_that_fails_on_its_own_address_never_sees_a_visitor() {
    let project = TwoSides::new(Kind::NginxMarker);
    project.sh("sed -i 's/gate = \"2m\"/gate = \"1s\"/' guard.toml");
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "2", "bad"])
        .expect(21)
        .says("side-green");
    assert!(
        !project.journal().contains(&begun("switch-traffic")),
        "{}",
        project.journal()
    );
    assert_eq!(project.side().as_deref(), Some("blue"));
    // A verify command is told which side to look at.
    project.sh("rm -rf ../green.release");
    let verify = "sh -c 'test $GUARD_STAGE = prove || { curl -s $GUARD_SIDE_ADDRESS >../seen; false; }'";
    let failed = project.guard().run(&[
        "deploy",
        "--again",
        "--verify",
        verify,
        "--",
        "./deploy.sh",
        "3",
        "good",
    ]);
    failed.expect(21);
    assert_eq!(project.sh("cat ../seen"), "green 3\n");
    assert_eq!(project.side().as_deref(), Some("blue"));
}

/// Killed where the journal says this, and resumed: visitors are where they were, or at the release where that was kept.
fn killed_at(project: &TwoSides, mode: &str, at: &str, code: i32, side: &str) {
    let before = project.runs();
    let mut guard = project
        .alone()
        .start(&["deploy", "--again", "--", "./deploy.sh", "2", mode]);
    let says = || project.runs() > before && project.journal().contains(at);
    until(|| says() || guard.try_wait().unwrap().is_some());
    let _gone = guard.kill();
    let killed = guard.wait().unwrap();
    let resumed = project.alone().run(&["resume"]);
    let journal = project.journal();
    assert!(journal.contains(at), "{at} is not in:\n{journal}");
    // The kill comes too late for a step behind which nothing is left to do.
    let ended = if killed.code().is_some() {
        killed.code()
    } else {
        resumed.code
    };
    assert_eq!(ended, Some(code), "killed at {at}: {}", resumed.everything());
    project.alone().run(&["resume"]).expect(0);
    assert_eq!(
        project.side().as_deref(),
        Some(side),
        "killed at {at}:\n{}",
        resumed.everything()
    );
}

fn begun(step: &str) -> String {
    format!("\"begun\":{{\"step\":\"{step}\"")
}

fn done(step: &str) -> String {
    format!("\"done\":{{\"step\":\"{step}\"")
}

#[test]
fn killed_at_each_act_of_the_way_back_visitors_are_at_the_old_side() {
    let project = TwoSides::new(Kind::NginxMarker);
    for at in [
        begun("switch-back"),
        done("switch-back"),
        begun("start"),
        begun("prove"),
    ] {
        killed_at(&project, "late", &at, 22, "blue");
    }
    assert_eq!(project.sh("cat release.txt"), "1\n");
}

#[test]
fn killed_at_each_act_ahead_visitors_are_at_the_release() {
    let project = TwoSides::new(Kind::NginxMarker);
    // Each release that is kept changes the sides.
    let live = ["green", "blue"].into_iter().cycle();
    let acts = [
        begun("gate"),
        begun("switch-traffic"),
        done("switch-traffic"),
        begun("settle"),
    ];
    for (at, to) in acts.iter().zip(live) {
        killed_at(&project, "good", at, 0, to);
        let old = if to == "green" { "blue" } else { "green" };
        assert_eq!(
            project.answer_of(old),
            None,
            "{at}: the old side is stopped when the release is kept"
        );
    }
}

#[test]
fn a_changed_schema_is_told_before_the_switch_and_goes_back_behind_the_page() {
    // A link says where it leads to, also where nobody is there.
    for kind in [Kind::NginxMarker, Kind::NginxLink] {
        a_changed_schema_goes_back(&TwoSides::new(kind));
    }
}

fn a_changed_schema_goes_back(project: &TwoSides) {
    let schema = "sqlite3 app.db 'ALTER TABLE users ADD COLUMN mail TEXT'";
    let failed = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "2", "late", schema])
        .expect(22);
    let told = failed
        .stderr
        .find("has changed the schema of db: blue passes its probes with it at this moment")
        .expect(&failed.stderr);
    assert!(
        told < failed.stderr.find("Visitors are at green").expect("it switched"),
        "{}",
        failed.stderr
    );
    assert_eq!(
        project.sh("sqlite3 app.db .schema"),
        "CREATE TABLE users (name TEXT);\n"
    );
    assert_eq!(project.page(), "on off ");
    assert_eq!(project.side().as_deref(), Some("blue"));
    assert_eq!(
        project.answer_of("blue").as_deref(),
        Some("blue 1\n"),
        "the old side was started again"
    );
    assert_eq!(
        project.answer_of("green"),
        None,
        "nothing of the release writes to what was put back"
    );
    let journal = project.journal();
    let at = |text: &str| {
        journal
            .find(text)
            .unwrap_or_else(|| panic!("{text} is not in {journal}"))
    };
    assert!(
        at("\"done\":{\"step\":\"switch-back\"") < at("\"begun\":{\"step\":\"quiesce\""),
        "{journal}"
    );
}

#[test]
fn a_rollback_by_hand_starts_the_old_side_and_an_undo_leads_visitors_to_the_other_again() {
    let project = TwoSides::new(Kind::NginxMarker);
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "2", "good"])
        .expect(0);
    assert_eq!(project.answer_of("blue"), None);
    let visitors = Visitors::of(&project);
    project.guard().run(&["rollback", "--yes"]).expect(0);
    assert_eq!(
        (project.side().as_deref(), project.sh("cat release.txt").as_str()),
        (Some("blue"), "1\n")
    );
    project.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    assert_eq!(
        (project.side().as_deref(), project.sh("cat release.txt").as_str()),
        (Some("green"), "2\n")
    );
    assert_eq!(visitors.count().1, [""; 0]);
}

#[test]
fn the_old_side_stays_for_its_grace_and_an_interruption_in_it_goes_back() {
    let project = TwoSides::new(Kind::NginxMarker);
    project.sh("sed -i 's/^\\[blue_green.sides.blue\\]/[blue_green]\\ngrace = \"1m\"\\nfailed_side = \"stop\"\\n&/' guard.toml");
    let mut guard = project.guard().start(&["deploy", "--", "./deploy.sh", "2", "good"]);
    until(|| project.journal().contains("\"begun\":{\"step\":\"settle\"") || guard.try_wait().unwrap().is_some());
    assert_eq!(
        (project.side().as_deref(), project.answer_of("blue").as_deref()),
        (Some("green"), Some("blue 1\n"))
    );
    crate::support::embedded::signal(&guard, rustix::process::Signal::INT);
    assert_eq!(crate::support::embedded::end(&mut guard).code(), Some(23));
    assert_eq!(project.side().as_deref(), Some("blue"));
    assert_eq!(project.answer_of("green"), None, "`failed_side = \"stop\"`");
}

#[test]
fn an_undo_leads_nobody_to_a_side_at_which_nobody_was() {
    let project = TwoSides::new(Kind::NginxMarker);
    project.sh("sed -i 's/gate = \"2m\"/gate = \"1s\"/' guard.toml");
    project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "2", "bad"])
        .expect(21);
    project.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    assert_eq!(project.side().as_deref(), Some("blue"));
}

#[test]
fn what_is_wrong_with_sides_and_front_is_told_at_its_place() {
    let project = TwoSides::new(Kind::NginxMarker);
    let fine = project.sh("cat guard.toml");
    let (blue, green) = (project.port_of("blue"), project.port_of("green"));
    let cases = [
        ("side = \"green\"", "side = \"gren\"".to_owned(), "there is no side \"gren\" (did you mean `green`?)"),
        ("kind = \"marker\"", "kind = \"market\"".to_owned(), "there is no kind \"market\" (did you mean `marker`?)"),
        ("strategy = \"blue-green\"", String::new(), "`blue_green`: says nothing without `strategy = \"blue-green\"`"),
        ("[blue_green.sides.blue]", "[blue_green.sides.red]\naddress = \"127.0.0.1:1\"\nhealth = \"http://127.0.0.1:1/\"\n[blue_green.sides.blue]".to_owned(), "there have to be two sides, and there are: blue, green, red"),
        ("header = \"X-Side\"", String::new(), "url and header belong together"),
        ("stop = [\"./side.sh stop\"]\n[blue_green.sides.green]", "[blue_green.sides.green]".to_owned(), "stop and start belong together"),
        ("[blue_green.front]", "[blue_green.front]\nlose = 1".to_owned(), "unknown key `blue_green.front.lose`"),
    ];
    for (old, new, told) in cases {
        assert!(fine.contains(old), "{old}");
        project.write("guard.toml", &fine.replacen(old, &new, 1));
        let checked = project.guard().run(&["check"]).expect(2);
        assert!(
            checked.stderr.contains(told),
            "{told:?} is missing in:\n{}",
            checked.stderr
        );
        assert!(checked.stderr.contains("guard.toml:"), "{}", checked.stderr);
    }
    project.write("guard.toml", &fine.replace(&green.to_string(), &blue.to_string()));
    project
        .guard()
        .run(&["check"])
        .expect(2)
        .says("blue and green answer at one address");
    project.write(
        "guard.toml",
        &fine.replace(&format!("address = \"127.0.0.1:{green}\""), "address = \"8082\""),
    );
    project.guard().run(&["check"]).expect(2).says("\"8082\" is no address");
}

#[test]
fn a_front_that_serves_neither_side_refuses_before_anything() {
    let project = TwoSides::new(Kind::NginxFile);
    let refused = |told: &str| {
        let refused = project
            .guard()
            .run(&["deploy", "--", "./deploy.sh", "2", "good"])
            .expect(10);
        assert!(
            refused.stderr.contains(told),
            "{told:?} is missing in:\n{}",
            refused.stderr
        );
        assert!(!is_there(&project.place("deploys.log")));
    };
    let (fine, blue) = (project.sh("cat ../upstream.conf"), project.port_of("blue"));
    let write = |text: String| std::fs::write(project.place("upstream.conf"), text).unwrap();
    write(fine.replace(&blue.to_string(), "9"));
    refused("upstream.conf:3 names 127.0.0.1:9, which is the address of no side");
    write(fine.replace("# one", "\n    server 10.0.0.9:80;"));
    refused("holds more than one `server`");
    // A file that names the other side, and was not taken up.
    write(fine.replace(&blue.to_string(), &project.port_of("green").to_string()));
    refused("says green, and visitors get blue");
    write(fine);
    project.guard().run(&["check"]).expect(0);
}

#[test]
fn a_switch_whose_test_or_reload_fails_leaves_the_front_as_it_was() {
    let project = TwoSides::new(Kind::NginxFile);
    let before = project.sh("cat ../upstream.conf");
    let settings = project.sh("cat guard.toml");
    for (old, told) in [
        ("\"-t\"]", "could not test the front's configuration"),
        ("\"reload\"]", "could not make the front take up"),
    ] {
        project.write("guard.toml", &settings.replace(old, "\"-no\"]"));
        let failed = project
            .guard()
            .run(&["deploy", "--again", "--", "./deploy.sh", "2", "good"]);
        failed.expect(20).says(told).says("the front serves as before");
        assert_eq!(
            (project.side().as_deref(), project.sh("cat ../upstream.conf")),
            (Some("blue"), before.clone())
        );
    }
    // A reload that ends well and does nothing is seen.
    project.write("guard.toml", &settings.replace("\"-s\", \"reload\"]", "\"-t\"]"));
    let failed = project
        .guard()
        .run(&["deploy", "--again", "--", "./deploy.sh", "2", "good"]);
    failed
        .expect(20)
        .says("visitors are not seen there: blue still answers");
    assert_eq!(project.side().as_deref(), Some("blue"));
}
