//! A resource by protocol: a program that keeps to it, and programs that do not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use guard::model::artifact::{Artifact, Prepared, Work};
use guard::model::event::{Audience, Event, Voice};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, ResourceError, Site, Slot, Survey};

use super::promises::{Subject, hold};
use crate::support::Scene;
use crate::support::kinds::{build, list, text, try_build_of};

/// A program for a file `live`. What stands in `faults` it does wrong.
pub const PROGRAM: &str = r#"#!/bin/sh
set -eu
act=$1
asked=$(cat)
get() { printf '%s' "$asked" | jq -r "$1 // empty"; }
has() { grep -q -x -e "$1" faults 2>/dev/null; }
live=$(get .target.path)
live=${live:-$PWD/live}
directory=$(get .directory)
token=$(get .token)
next=$live.next-$token
aside=$live.aside-$token
if has "$act:hang"; then echo "$act hangs" >&2; sleep 1000; fi
if has "$act:slow"; then touch "$act.begun"; sleep 2; fi
if has "$act:fails"; then echo "with canary-of-a-program" >&2; exit 3; fi
if has "$act:bad-copy"; then exit 65; fi
if has "$act:nothing"; then echo '{}'; exit 0; fi
if has "$act:silent"; then exit 0; fi
if has "$act:no-json"; then printf '{"parts": {\n  "a": "1" 2\n}}\n'; exit 0; fi
if has "$act:wrong-key"; then echo '{"partz": {"secret": "canary-of-a-program"}}'; exit 0; fi
if has "$act:loud"; then yes | head -c 3000000; exit 0; fi
if has "$act:touches"; then echo touched >>"$live"; fi
# It begins again from nothing, and has thrown away what it would need.
if has "$act:torn"; then rm "$live"; sleep 0.5; fi
own() { if has own-undo; then echo '"undo",'; fi; }
case $act in
  describe)
    number=1; if has old; then number=7; fi
    echo "{\"protocol\": $number, \"abilities\": [$(own) \"scratch\", \"price\", \"discard\"], \"facts\": [\"tries\"]}" ;;
  fingerprint)
    salt=; if has fingerprint:salted; then salt=$(date +%N); fi
    jq -n --rawfile content "$live" --arg mode "$(stat -c %a "$live")" --arg salt "$salt" '{parts: {content: ($content + $salt), mode: $mode}}' ;;
  capture)
    cp -p "$live" "$directory/file"
    if has capture:link; then ln -s file "$directory/link"; fi
    mkdir "$directory/more"; echo more >"$directory/more/of it"
    kept=$(stat -c %a "$live"); if has capture:secret; then kept=canary-of-a-program; fi
    jq -n --arg kept "$kept" '{summary: "a file with canary-of-a-program", details: {mode: $kept}}' ;;
  stage)
    cp "$directory/file" "$next.part"; chmod "$(get .details.mode)" "$next.part"
    if has stage:eats; then rm "$directory/file"; fi
    mv "$next.part" "$next"; echo '{}' ;;
  exchange)
    if has own-undo; then [ -e "$aside" ] || ln "$live" "$aside"; fi
    if [ -e "$next" ]; then mv -f "$next" "$live"; fi
    jq -n --arg aside "$aside" '{kept: ["file \($aside)"], displaced: {aside: $aside}}' ;;
  check)
    if cmp -s "$live" "$directory/file"; then echo '{"differs": []}'; else echo '{"differs": ["content"]}'; fi ;;
  undo)
    from=$(get .displaced.aside)
    [ -e "$aside" ] || ln "$live" "$aside"
    cp -p "$from" "$next"; mv -f "$next" "$live"
    jq -n --arg aside "$aside" '{kept: ["file \($aside)"], displaced: {aside: $aside}}' ;;
  forget) rm -f "$(get .displaced.aside)"; echo '{}' ;;
  discard) rm -f "$next" "$next.part"; echo '{}' ;;
  price) echo '{"price": ["discards 2 lines"]}' ;;
  scratch) cp -p "$live" "$directory/live"; jq -n --arg path "$directory/live" '{target: {path: $path}}' ;;
  spoil) date +%N >>"$live"; echo '{}' ;;
  unscratch) echo '{}' ;;
  *) exit 2 ;;
esac
"#;

struct Stage {
    scene: Scene,
    resource: Box<dyn Resource>,
}

fn site(scene: &Scene) -> Site {
    Site {
        directory: scene.project(),
        compose: None,
        stops: false,
        checkouts: Vec::new(),
        only: guard::resources::Narrowed::default(),
    }
}

fn script(path: PathBuf, content: &str) {
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Stage {
    fn new(faults: &[&str]) -> Self {
        Self::with(faults, &[])
    }

    fn with(faults: &[&str], keys: &[(&str, &str)]) -> Self {
        let scene = Scene::new();
        scene.cx.redaction.learn("canary-of-a-program");
        script(scene.project().join("program"), PROGRAM);
        fs::write(scene.project().join("live"), "as it was\n").unwrap();
        let all: Vec<(&str, &str)> = std::iter::once(("command", "./program"))
            .chain(keys.iter().copied())
            .collect();
        let resource = build("command", &all, &site(&scene));
        let stage = Self { scene, resource };
        stage.fault(faults);
        stage
    }

    fn fault(&self, faults: &[&str]) {
        fs::write(self.scene.project().join("faults"), faults.join("\n")).unwrap();
    }

    fn live(&self) -> PathBuf {
        self.scene.project().join("live")
    }

    fn slot(&self) -> Slot {
        Slot::new(&self.scene.backup(), self.resource.name())
    }

    fn capture(&self) -> Result<Artifact, ResourceError> {
        self.resource.capture(&self.slot(), &self.scene.cx)
    }

    fn prepare(&self, artifact: &Artifact, data: DataRestore) -> Result<Prepared, ResourceError> {
        self.resource.prepare(artifact, &self.slot(), data, &self.scene.cx)
    }

    fn sweep(&self) -> Survey {
        let mut survey = Survey::default();
        self.resource.sweep(&self.scene.cx, &mut survey);
        survey
    }
}

/// An error as it is told, with what to do.
fn told(error: &ResourceError) -> String {
    let hint = error.hint.clone().unwrap_or_default();
    format!("{} ({hint})", guard::model::text::chain(error))
}

impl Subject for Stage {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }

    fn spoil_live(&self) {
        fs::write(self.live(), "spoilt\n").unwrap();
        fs::set_permissions(self.live(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn observe(&self) -> String {
        let mode = fs::metadata(self.live()).unwrap().permissions().mode();
        format!("{mode:o} {}", fs::read_to_string(self.live()).unwrap())
    }
}

#[test]
fn a_program_keeps_the_promises_by_what_guard_keeps_for_it_and_by_itself() {
    for faults in [[].as_slice(), &["own-undo"]] {
        let stage = Stage::new(faults);
        hold(&stage, &stage.scene);
    }
}

#[test]
fn what_a_program_does_wrong_is_told_with_its_act_and_no_secret() {
    let cases: &[(&str, &[&str])] = &[
        (
            "describe:silent",
            &["`describe` by ./program", "answered nothing", "`{}` at least"],
        ),
        ("old", &["speaks protocol 7, and this guard speaks 1"]),
        (
            "fingerprint:no-json",
            &[
                "`fingerprint` by ./program",
                "line 2, byte 12",
                "24 from its beginning",
                "one JSON object",
            ],
        ),
        ("fingerprint:wrong-key", &["`partz`", "`parts`"]),
        ("fingerprint:nothing", &["missing field `parts`"]),
        ("fingerprint:fails", &["exit code 3", "with [REDACTED]"]),
        ("fingerprint:hang", &["was ended after 1.0 s", "resources.db.timeout"]),
        (
            "fingerprint:loud",
            &["more than 1.0 MB to standard output", "files of `directory`"],
        ),
    ];
    for (fault, expected) in cases {
        let keys: &[(&str, &str)] = if fault.ends_with("hang") {
            &[("timeout", "1s")]
        } else {
            &[]
        };
        let stage = Stage::with(&[fault], keys);
        let survey = stage.resource.survey(&stage.scene.cx);
        let [obstacle] = survey.obstacles.as_slice() else {
            panic!("{fault}: {survey:?}")
        };
        let said = format!("{} ({})", obstacle.what, obstacle.advice);
        assert!(obstacle.refuses, "{fault}: {said}");
        for part in *expected {
            assert!(said.contains(part), "{fault}: {part:?} is missing in: {said}");
        }
        assert!(!said.contains("canary"), "{said}");
    }
}

#[test]
fn a_capture_that_would_be_no_way_back_is_refused() {
    let cases: &[(&str, &[&str])] = &[
        ("capture:nothing", &["missing field `summary`"]),
        ("capture:link", &["\"link\"", "which is no file", "tar"]),
        ("capture:secret", &["a secret in `details`"]),
        (
            "capture:touches",
            &["was written to while it was copied, 3 times, in: content", "`parts`"],
        ),
        ("fingerprint:salted", &["was written to while it was copied"]),
        ("capture:fails", &["could not capture db", "[REDACTED]"]),
    ];
    for (fault, expected) in cases {
        let stage = Stage::new(&[fault]);
        let error = stage.capture().expect_err(fault);
        for part in *expected {
            assert!(
                told(&error).contains(part),
                "{fault}: {part:?} is missing in: {}",
                told(&error)
            );
        }
        assert!(!told(&error).contains("canary"), "{}", told(&error));
    }
    let stage = Stage::new(&[]);
    let artifact = stage.capture().unwrap();
    assert_eq!(artifact.summary, "a file with [REDACTED]");
    let listed: Vec<&str> = artifact.files.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(listed, ["db/copy/file", "db/copy/more/of it", "db/program"]);
    let written = serde_json::to_string(&artifact).unwrap();
    assert!(
        !written.contains("as it was"),
        "a part's value is kept as a digest: {written}"
    );
}

#[test]
fn an_exchange_that_ends_well_and_does_nothing_is_seen() {
    for act in ["exchange:nothing", "undo:nothing"] {
        let stage = Stage::new(&["own-undo", act]);
        let artifact = stage.capture().unwrap();
        stage.spoil_live();
        let prepared = stage.prepare(&artifact, DataRestore::Always).unwrap();
        let restored = stage
            .resource
            .restore(&prepared, &artifact, &stage.slot(), &stage.scene.cx);
        let done = restored.and_then(|displaced| stage.resource.undo(&displaced, &stage.scene.cx));
        let error = done.expect_err(act);
        let expected = format!(
            "`{}` by ./program ended with 0 and changed nothing",
            act.split(':').next().unwrap()
        );
        assert!(told(&error).contains(&expected), "{}", told(&error));
        // A second try is the same, and a program that was mended goes on from there.
        stage.fault(&["own-undo"]);
        let displaced = stage
            .resource
            .restore(&prepared, &artifact, &stage.slot(), &stage.scene.cx)
            .unwrap();
        assert!(stage.observe().contains("as it was"));
        stage.resource.undo(&displaced, &stage.scene.cx).unwrap();
        assert!(stage.observe().contains("spoilt"));
    }
}

#[test]
fn an_exchange_that_was_killed_keeps_the_failed_state_and_not_its_own_half() {
    for faults in [[].as_slice(), &["own-undo"]] {
        let stage = Stage::with(&[faults, &["exchange:hang"]].concat(), &[("timeout", "2s")]);
        let artifact = stage.capture().unwrap();
        stage.spoil_live();
        let failed = stage.observe();
        let prepared = stage.prepare(&artifact, DataRestore::Always).unwrap();
        let restore = || {
            stage
                .resource
                .restore(&prepared, &artifact, &stage.slot(), &stage.scene.cx)
        };
        assert!(told(&restore().unwrap_err()).contains("was ended after 2.0 s"));
        // What a first try has done half is no state to come back to.
        fs::write(stage.live(), "half\n").unwrap();
        stage.fault(faults);
        if faults.is_empty() {
            let displaced = restore().unwrap();
            stage.resource.undo(&displaced, &stage.scene.cx).unwrap();
            assert_eq!(stage.observe(), failed);
        } else {
            restore().unwrap();
            assert!(stage.observe().contains("as it was"));
        }
    }
}

#[test]
fn what_is_live_and_broken_goes_back_all_the_same() {
    let stage = Stage::new(&[]);
    let artifact = stage.capture().unwrap();
    stage.fault(&["fingerprint:fails", "capture:fails"]);
    let prepared = stage.prepare(&artifact, DataRestore::Always).unwrap();
    assert!(
        prepared.price.concat().contains("replaces what cannot be read"),
        "{prepared:?}"
    );
    fs::write(stage.live(), "broken").unwrap();
    let displaced = stage
        .resource
        .restore(&prepared, &artifact, &stage.slot(), &stage.scene.cx)
        .unwrap();
    stage.fault(&[]);
    assert!(stage.observe().contains("as it was"));
    assert!(displaced.kept_as.concat().contains("nothing of it"), "{displaced:?}");
    let error = stage.resource.undo(&displaced, &stage.scene.cx).unwrap_err();
    assert!(
        told(&error).contains("nothing was kept of what db was"),
        "{}",
        told(&error)
    );
    // A program that is not there is another thing: nothing is known of what is live.
    fs::remove_file(stage.scene.project().join("program")).unwrap();
    stage.fault(&[]);
    let stranger = stage.resource.fingerprint(&stage.scene.cx).unwrap_err();
    assert!(told(&stranger).contains("was not found"), "{}", told(&stranger));
}

#[test]
fn a_release_that_breaks_the_program_does_not_break_the_way_back() {
    let stage = Stage::new(&[]);
    let artifact = stage.capture().unwrap();
    stage.spoil_live();
    script(stage.scene.project().join("program"), "#!/bin/sh\nexit 9\n");
    let prepared = stage.prepare(&artifact, DataRestore::Always).unwrap();
    stage
        .resource
        .restore(&prepared, &artifact, &stage.slot(), &stage.scene.cx)
        .unwrap();
    assert!(stage.observe().contains("as it was"));
    let live = stage
        .resource
        .compare(&artifact, &stage.slot(), &stage.scene.cx)
        .unwrap();
    assert_eq!(live, guard::model::artifact::Live::Matches);
}

#[test]
fn an_encrypted_copy_lies_nowhere_as_it_is_and_goes_back() {
    let stage = Stage::new(&[]);
    let (identity, recipient) = guard::system::cipher::new_identity();
    let mut cipher = guard::system::cipher::Cipher::default();
    cipher.add_recipient(&recipient).unwrap();
    cipher.add_identities(&identity).unwrap();
    let slot = stage.slot().sealed(std::sync::Arc::new(cipher));
    let cx = &stage.scene.cx;
    let artifact = stage.resource.capture(&slot, cx).unwrap();
    assert!(
        artifact.files.iter().all(guard::model::artifact::FileEntry::is_sealed),
        "{artifact:?}"
    );
    for place in [stage.scene.backup(), cx.scratch.clone()] {
        for entry in walkdir::WalkDir::new(place)
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_type().is_file())
        {
            let bytes = fs::read(entry.path()).unwrap();
            let is_plain = bytes.windows(9).any(|part| part == b"as it was");
            assert!(!is_plain, "{} is plain", entry.path().display());
        }
    }
    stage.spoil_live();
    let prepared = stage
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .unwrap();
    stage.resource.restore(&prepared, &artifact, &slot, cx).unwrap();
    assert!(stage.observe().contains("as it was"));
    let live = stage.resource.compare(&artifact, &slot, cx).unwrap();
    assert_eq!(live, guard::model::artifact::Live::Matches);
}

#[test]
fn a_program_that_cannot_be_started_is_told_with_what_to_do() {
    let stage = Stage::new(&[]);
    let path = stage.scene.project().join("program");
    let refused = || {
        let survey = stage.resource.survey(&stage.scene.cx);
        let obstacle = survey.obstacles.first().expect("refused").clone();
        format!("{} ({})", obstacle.what, obstacle.advice)
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused().contains("chmod +x ./program"), "{}", refused());
    script(path.clone(), "no first line");
    // The kernel says so of what is neither a program nor a script; a shell would have run it.
    assert!(refused().contains("`#!/bin/sh`"), "{}", refused());
    fs::remove_file(&path).unwrap();
    assert!(refused().contains("was not found"), "{}", refused());
}

#[test]
fn the_policy_for_data_is_kept_and_configuration_is_none() {
    let stage = Stage::new(&[]);
    let artifact = stage.capture().unwrap();
    stage.spoil_live();
    let work = |stage: &Stage, data| stage.prepare(&artifact, data).unwrap();
    assert!(matches!(work(&stage, DataRestore::Never).work, Work::Left(_)));
    let withheld = work(&stage, DataRestore::IfNoWrites);
    assert!(
        matches!(&withheld.work, Work::Withheld(why) if why.contains("discards 2 lines")),
        "{withheld:?}"
    );
    assert_eq!(work(&stage, DataRestore::Auto).price, ["discards 2 lines"]);
    let other = build(
        "command",
        &[("command", "./program"), ("holds", "configuration")],
        &site(&stage.scene),
    );
    let prepared = other
        .prepare(&artifact, &stage.slot(), DataRestore::Never, &stage.scene.cx)
        .unwrap();
    assert!(prepared.work.is_needed());
}

#[test]
fn a_sweep_says_which_promise_is_broken() {
    for faults in [[].as_slice(), &["own-undo"]] {
        let stage = Stage::new(faults);
        let before = stage.observe();
        let survey = stage.sweep();
        assert!(survey.obstacles.is_empty() && survey.facts.len() >= 5, "{survey:?}");
        assert_eq!(stage.observe(), before);
        let strays = fs::read_dir(stage.scene.project()).unwrap().count();
        assert_eq!(strays, 3, "the program, its faults and the file");
    }
    let cases = [
        (
            "fingerprint:salted",
            "the fingerprint is equal exactly when",
            "asked twice",
        ),
        ("capture:touches", "capture only reads", "after `capture`"),
        (
            "spoil:nothing",
            "the fingerprint is equal exactly when",
            "`spoil` ended with 0",
        ),
        ("stage:touches", "staging does not touch", "after `stage`"),
        (
            "exchange:nothing",
            "an exchange ends with what was copied",
            "changed nothing",
        ),
        (
            "exchange:touches",
            "an exchange that was cut off",
            "after `exchange` was called twice",
        ),
        ("undo:touches", "undo brings back", "after the undo of the undo"),
        (
            "discard:touches",
            "forgetting and discarding do not touch",
            "after `discard`",
        ),
        (
            "unscratch:fails",
            "a scratch copy can be made and removed",
            "exit code 3",
        ),
    ];
    for (fault, promise, what) in cases {
        // `touches` appends before the act itself: what replaces the file hides that once, and what keeps it does not.
        let stage = Stage::new(&["own-undo", fault]);
        let survey = stage.sweep();
        let broken = survey.obstacles.iter().find(|one| one.refuses);
        let broken = broken.unwrap_or_else(|| panic!("{fault}: {survey:?}"));
        assert!(
            broken.what.contains(promise) && broken.what.contains(what),
            "{fault}: {}",
            broken.what
        );
        assert!(!broken.what.contains("canary"), "{}", broken.what);
    }
}

#[test]
fn an_exchange_that_cannot_be_called_again_is_found_by_killing_it() {
    let stage = Stage::new(&["exchange:torn"]);
    let survey = stage.sweep();
    let broken = survey.obstacles.iter().find(|one| one.refuses).expect("it is found");
    assert!(broken.what.contains("an exchange that was cut off"), "{}", broken.what);
}

struct Heard(std::sync::Mutex<Vec<String>>);

impl Audience for Heard {
    fn tell(&self, event: &Event) {
        if let Event::Note { text, .. } = event {
            self.0.lock().unwrap().push(text.clone());
        }
    }
}

#[test]
fn a_server_that_an_act_leaves_behind_is_told() {
    let mut stage = Stage::new(&[]);
    let heard = std::sync::Arc::new(Heard(std::sync::Mutex::default()));
    stage.scene.cx.voice = Voice::new(heard.clone());
    let with = PROGRAM.replace(
        "  capture)\n",
        "  capture)\n    setsid sleep 30 >/dev/null 2>&1 </dev/null & echo $! >sleeper\n",
    );
    script(stage.scene.project().join("program"), &with);
    stage.capture().unwrap();
    let pid = fs::read_to_string(stage.scene.project().join("sleeper")).unwrap();
    std::process::Command::new("kill").arg(pid.trim()).status().unwrap();
    let notes = heard.0.lock().unwrap().join("\n");
    assert!(
        notes.contains("`capture` by ./program left processes behind") && notes.contains("sleep"),
        "{notes}"
    );
}

#[test]
fn wrong_settings_are_told_with_the_nearest_right_ones() {
    let scene = Scene::new();
    let wrong = |keys: &[(&str, guard::model::setting::Value)]| {
        let Err(problems) = try_build_of("command", keys, &site(&scene)) else {
            panic!("it is wrong")
        };
        problems
            .iter()
            .map(|one| format!("{} {:?}", one.message, one.hint))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(wrong(&[]).contains("`resources.db.command`: is missing"));
    assert!(wrong(&[("command", text("./p")), ("holds", text("dat"))]).contains("did you mean `data`"));
    assert!(wrong(&[("command", text("./p")), ("time_out", text("1s"))]).contains("did you mean `timeout`"));
    assert!(wrong(&[("command", text("./p")), ("stops", list(&["app"]))]).contains("there is none"));
}
