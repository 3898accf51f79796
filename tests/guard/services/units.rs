//! Named services that are units of systemd, under a real systemd: Redis, an API that needs it, and Prometheus, which is reloaded.

use crate::support::machine::Machine;

/// The settings of docs/recipes/services.md, word by word, with a shorter watch and hooks that tell of themselves.
fn settings() -> String {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes/services.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let hooks =
        ["before_stop", "after_stop", "before_start", "after_start"].map(|key| format!("{key} = \"./note.sh\"\n"));
    let own = "[services.api]\n";
    assert!(block.contains(own));
    let block = block.replace(own, &format!("{own}{}", hooks.concat()));
    let watch = "duration = \"3s\"\ninterval = \"200ms\"\nconsecutive_failures = 2\npersist = \"200ms\"\ngate = \"10s\"\nmin_samples = 3\n";
    format!("{block}\n[monitor]\n{watch}")
}

const NOTE: &str = r#"#!/bin/sh
echo "$GUARD_SERVICE_NAME $GUARD_STAGE $(systemctl is-active redis-server)" >>/srv/log
if [ "$(cat /srv/halt 2>/dev/null)" = "$GUARD_STAGE" ]; then touch /srv/reached; sleep 120; fi
"#;

const UNIT: &str = "[Service]\nWorkingDirectory=/srv/shop\nExecStart=/usr/bin/python3 api.py 8000 127.0.0.1:6379\n\
                    Restart=always\nRestartSec=100ms\n[Install]\nWantedBy=multi-user.target\n";

/// A machine on which all three run and are well.
fn machine() -> Machine {
    let machine = Machine::start();
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/services/api.py");
    machine.write("/srv/shop/api.py", &std::fs::read_to_string(fixture).unwrap());
    machine.write("/srv/shop/guard.toml", &settings());
    machine.write("/srv/shop/note.sh", NOTE);
    machine.write("/srv/shop/app.conf", "good 1");
    machine.write("/etc/systemd/system/api.service", UNIT);
    machine.ok("cd /srv/shop; chmod 600 guard.toml; chmod +x note.sh
         echo 'global: {scrape_interval: 61s}' >/srv/shop/prometheus.yml
         echo 'ARGS=--config.file=/srv/shop/prometheus.yml' >/etc/default/prometheus
         systemctl daemon-reload; systemctl start redis-server api prometheus");
    machine.until("curl -sf http://127.0.0.1:8000/health && curl -sf http://127.0.0.1:9090/-/healthy");
    machine
}

const PID: &str = "systemctl show -p MainPID --value prometheus";
const SCRAPES: &str =
    "curl -s http://127.0.0.1:9090/api/v1/status/config | grep -o 'scrape_interval: [0-9a-z]*' | head -n 1";

#[test]
fn redis_saves_the_api_waits_for_it_and_prometheus_is_reloaded() {
    let machine = machine();
    let pid = machine.ok(PID);
    machine.ok("rm -f /var/lib/redis/dump.rdb");
    machine.write(
        "/srv/shop/deploy.sh",
        "cd /srv/shop\necho bad 2 >app.conf\necho 'global: {scrape_interval: 62s}' >/srv/shop/prometheus.yml\n\
         systemctl kill --signal=HUP prometheus; systemctl restart api\n",
    );
    let ran = machine.sh("cd /srv/shop; guard deploy --no-watcher -- sh deploy.sh");
    assert_eq!(ran.code, Some(21), "{}", ran.text);
    machine.ok("test -s /var/lib/redis/dump.rdb");
    let log = machine.ok("cat /srv/log");
    let wanted = [
        "api before_stop active",
        "api after_stop active",
        // Redis, which it needs, runs and answers before.
        "api before_start active",
        "api after_start active",
    ];
    assert_eq!(log.lines().collect::<Vec<_>>(), wanted, "{}", ran.text);
    assert_eq!(machine.ok("curl -sf http://127.0.0.1:8000/health"), "well");
    assert_eq!(machine.ok(PID), pid, "Prometheus went on");
    assert_eq!(
        machine.ok(SCRAPES),
        "scrape_interval: 1m1s",
        "and took up what was put back"
    );
    let evidence = machine.ok("cd /var/lib/guard/*/runs/*deploy/evidence; cat units.txt; ls logs");
    assert!(
        evidence.contains("Id=api.service") && evidence.contains("api.service.log"),
        "{evidence}"
    );

    // Killed in between, and gone on with.
    machine.write("/srv/halt", "before_start");
    machine.ok("cd /srv/shop; rm /srv/log; (guard deploy --again --no-watcher -- sh deploy.sh >/srv/out 2>&1; :) & while [ ! -e /srv/reached ] && kill -0 $!; do sleep 0.1; done; cat /srv/out; [ -e /srv/reached ] && pkill -9 -x guard && rm /srv/halt");
    assert_eq!(
        machine.sh("systemctl is-active api").text,
        "inactive",
        "it was killed while the API stood"
    );
    let resumed = machine.sh("cd /srv/shop; guard resume");
    assert_eq!(resumed.code, Some(21), "{}", resumed.text);
    assert_eq!(machine.ok("curl -sf http://127.0.0.1:8000/health"), "well");
    assert_eq!(
        machine.ok("systemctl is-active api redis-server prometheus"),
        "active\nactive\nactive"
    );
    assert_eq!(machine.ok("cat /srv/log | grep -c after_stop"), "1");
    assert_eq!(machine.ok(SCRAPES), "scrape_interval: 1m1s");
}

#[test]
fn a_unit_that_is_nowhere_or_masked_is_told_with_its_line_and_the_nearest_name() {
    let machine = machine();
    machine.ok("cd /srv/shop; sed -i 's/systemd = \"redis-server\"/systemd = \"redis-sevrer\"/' guard.toml");
    let checked = machine.sh("cd /srv/shop; guard check");
    assert_eq!(checked.code, Some(10), "{}", checked.text);
    let told = checked.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("guard.toml:7:11"), "{told}");
    assert!(
        told.contains("no such unit") && told.contains("redis-server.service"),
        "{told}"
    );
    let refused = machine.sh("cd /srv/shop; guard deploy --no-watcher -- touch /srv/deployed");
    assert_eq!(refused.code, Some(10), "{}", refused.text);
    machine.ok("test ! -e /srv/deployed");
    machine.ok("cd /srv/shop; sed -i 's/redis-sevrer/redis-server/' guard.toml
         mv /etc/systemd/system/api.service /srv/; systemctl stop api; systemctl daemon-reload; systemctl mask api");
    let told = machine.sh("cd /srv/shop; guard check").text;
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        told.contains("masked") && told.contains("systemctl unmask api.service"),
        "{told}"
    );
}

#[test]
fn a_unit_that_crashes_and_comes_up_again_fails_the_watch_and_its_journal_is_read() {
    let machine = machine();
    // Only the unit's own signs, and its journal.
    machine.write(
        "/srv/shop/guard.toml",
        "[resources.config]\nkind = \"files\"\npaths = [\"app.conf\"]\n\
         [services.api]\nsystemd = \"api\"\n\
         [probes.lines]\nkind = \"log\"\nunits = [\"api\"]\nmax_per_minute = 2\n\
         [monitor]\nduration = \"20s\"\ninterval = \"200ms\"\ngate = \"5s\"\nmin_samples = 3\n",
    );
    // It dies each half second, and systemd calls it a success each time.
    let crashing = "printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c \"sleep 0.7; exit 0\"\\n[Unit]\\nStartLimitIntervalSec=0\\n' \
                    >/run/systemd/system/api.service.d/x.conf; systemctl daemon-reload; systemctl restart api";
    let ran = machine.sh(&format!(
        "cd /srv/shop; mkdir -p /run/systemd/system/api.service.d
         guard deploy --no-watcher --no-rollback -- sh -c 'echo good 2 >app.conf; {}'",
        crashing.replace('\'', "'\\''")
    ));
    assert_eq!(ran.code, Some(31), "{}", ran.text);
    assert!(
        ran.text.contains("api.service") && ran.text.contains("restart"),
        "{}",
        ran.text
    );
    machine.ok("rm /run/systemd/system/api.service.d/x.conf; systemctl daemon-reload; systemctl restart api; sleep 1");
    // Errors in the journal.
    let loud = "printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c \"while :; do echo fatal error; sleep 0.2; done\"\\n' \
                >/run/systemd/system/api.service.d/x.conf; systemctl daemon-reload; systemctl restart api";
    let ran = machine.sh(&format!(
        "cd /srv/shop; guard deploy --no-watcher --no-rollback -- sh -c 'echo good 3 >app.conf; {}'",
        loud.replace('\'', "'\\''")
    ));
    assert_eq!(ran.code, Some(31), "{}", ran.text);
    assert!(ran.text.contains("fatal error"), "{}", ran.text);
}
