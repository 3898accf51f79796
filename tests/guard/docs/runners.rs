//! The GitHub Action and the GitLab component, whose steps are run as the runners run them: the files are read by a YAML
//! reader that nobody here wrote, inputs are put in, and each script goes to the shell that the runner would take.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const SETTINGS: &str = "project = \"runners\"\nverify = \"none\"\n[monitor]\nduration = \"3s\"\n[resources.web]\nkind = \"files\"\n\
    paths = [\"web.conf\"]\n[environments.production]\n";

/// The documents of a file in this tree.
fn documents(name: &str) -> Vec<Value> {
    let read = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let told = Command::new("/usr/bin/python3")
        .args(["-c", read])
        .arg(super::root().join(name))
        .output()
        .unwrap();
    assert!(
        told.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&told.stderr)
    );
    serde_json::from_slice(&told.stdout).unwrap()
}

/// A project whose deploy command is given, in a directory with a blank in its name.
struct Place {
    root: tempfile::TempDir,
    /// What the runner has set, and what steps have added.
    variables: BTreeMap<String, String>,
}

impl Place {
    fn new(variables: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("the shop");
        std::fs::create_dir(&project).unwrap();
        std::fs::write(project.join("guard.toml"), SETTINGS).unwrap();
        std::fs::write(project.join("web.conf"), "old\n").unwrap();
        std::fs::create_dir(root.path().join("build")).unwrap();
        let mut place = Self {
            root,
            variables: BTreeMap::new(),
        };
        place.variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        place.set("GUARD_STATE_ROOT", place.path("state"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn set(&mut self, name: &str, path: PathBuf) {
        self.variables
            .insert(name.to_owned(), path.into_os_string().into_string().unwrap());
    }

    fn deployed(&self) -> String {
        std::fs::read_to_string(self.path("the shop/web.conf")).unwrap()
    }

    /// Runs a script in a shell and returns its exit code and what it said.
    fn run(&self, shell: &[&str], script: &str, variables: &BTreeMap<String, String>) -> (i32, String) {
        let file = self.path("step.sh");
        std::fs::write(&file, script).unwrap();
        let told = Command::new(shell[0])
            .args(&shell[1..])
            .arg(&file)
            .current_dir(self.path("build"))
            .env_clear()
            .envs([
                ("PATH", std::env::var("PATH").unwrap()),
                ("HOME", self.path("build").display().to_string()),
            ])
            .envs(&self.variables)
            .envs(variables)
            .output()
            .unwrap();
        let said = [told.stdout, told.stderr].concat();
        (
            told.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

/// The lines `NAME=VALUE` of a file that a step has written to.
fn pairs(path: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What the action did: the exit code of each script by its step's name, and the outputs that it promises.
type Acted = (Vec<(String, i32, String)>, BTreeMap<String, String>);

/// Runs the action's steps as GitHub's runner does: conditions, expressions in `env` alone, and `GITHUB_OUTPUT`.
fn act(place: &mut Place, given: &[(&str, &str)]) -> Acted {
    let action = documents("action.yml").remove(0);
    let input = |name: &str| {
        let told = given
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned());
        let declared = &action["inputs"][name];
        assert!(!declared.is_null(), "{name} is no input of the action");
        told.or_else(|| declared["default"].as_str().map(str::to_owned))
            .unwrap_or_else(|| panic!("{name} is required"))
    };
    for (name, file) in [("GITHUB_OUTPUT", "output"), ("GITHUB_STEP_SUMMARY", "summary")] {
        place.set(name, place.path(file));
    }
    place.set("RUNNER_TEMP", place.path("build"));
    let (mut done, mut has_failed) = (Vec::new(), false);
    for step in action["runs"]["steps"].as_array().unwrap() {
        let name = step["name"].as_str().unwrap().to_owned();
        let is_always = step["if"]
            .as_str()
            .is_some_and(|condition| condition.starts_with("always()"));
        let Some(script) = step["run"].as_str() else {
            assert_eq!(step["uses"], "actions/upload-artifact@v4", "{name}");
            continue;
        };
        if has_failed && !is_always {
            continue;
        }
        assert!(
            !script.contains("${{"),
            "{name}: an input in a script is a way in for whoever writes it"
        );
        let mut variables = BTreeMap::new();
        for (variable, value) in step["env"].as_object().unwrap() {
            let value = value.as_str().unwrap();
            let value = match value
                .strip_prefix("${{ inputs.")
                .and_then(|rest| rest.strip_suffix(" }}"))
            {
                Some(asked) => {
                    let (name, other) = asked.split_once(" || env.").unwrap_or((asked, ""));
                    let told = input(name).replace("${{ github.sha }}", "0123abc");
                    let other = place.variables.get(other).cloned().unwrap_or_default();
                    if told.is_empty() { other } else { told }
                }
                None => value.to_owned(),
            };
            variables.insert(variable.clone(), value);
        }
        assert_eq!(step["shell"], "bash", "{name}");
        let (code, said) = place.run(
            &["bash", "--noprofile", "--norc", "-eo", "pipefail"],
            script,
            &variables,
        );
        has_failed |= code != 0;
        done.push((name, code, said));
    }
    let outputs = pairs(&place.path("output"));
    for (name, told) in action["outputs"].as_object().unwrap() {
        assert_eq!(told["value"], format!("${{{{ steps.guard.outputs.{name} }}}}"));
        assert!(
            outputs.contains_key(name),
            "{name} is promised and not set: {outputs:?}"
        );
    }
    (done, outputs)
}

const DEPLOY: &str = "printf '%s\\n' \"it's new\" >web.conf\n";

#[test]
fn the_action_deploys_and_turns_back_as_a_runner_runs_it() {
    let guard = env!("CARGO_BIN_EXE_guard").to_owned();
    let mut place = Place::new(&[
        ("CI", "true"),
        ("GITHUB_ACTIONS", "true"),
        ("GUARD_ERROR_THRESHOLD", "0.5"),
    ]);
    let shop = place.path("the shop").display().to_string();
    let given = [
        ("run", DEPLOY),
        ("directory", &shop),
        ("program", &guard),
        ("environment", "production"),
        ("monitor-duration", "3s"),
    ];
    let (done, outputs) = act(&mut place, &given);
    assert!(done.iter().all(|(_, code, _)| *code == 0), "{done:#?}");
    assert_eq!(place.deployed(), "it's new\n");
    assert_eq!(outputs["outcome"], "deployed");
    assert!(place.path("build/guard-report.html").is_file());

    let bad = format!("{DEPLOY}echo broken >web.conf\nexit 3\n");
    let given = [("run", bad.as_str()), ("directory", &shop), ("program", &guard)];
    std::fs::remove_file(place.path("output")).unwrap();
    let (done, outputs) = act(&mut place, &given);
    let code = |name: &str| {
        done.iter()
            .find(|(known, _, _)| known == name)
            .map(|(_, code, _)| *code)
    };
    assert_eq!(code("Deploy"), Some(20), "{done:#?}");
    assert_eq!(code("Finish what was cut off"), Some(0), "{done:#?}");
    assert_eq!(place.deployed(), "it's new\n", "as before the bad release");
    assert_eq!(outputs["rolled_back"], "true");
}

/// Changes each text of a document.
fn fill(value: &mut Value, change: &dyn Fn(String) -> String) {
    match value {
        Value::String(text) => *text = change(std::mem::take(text)),
        Value::Array(all) => all.iter_mut().for_each(|value| fill(value, change)),
        Value::Object(all) => all.values_mut().for_each(|value| fill(value, change)),
        _ => {}
    }
}

/// Runs the component's jobs as GitLab's runner does: inputs are put in before a job is made of the second document.
#[test]
fn the_component_deploys_and_turns_back_as_a_runner_runs_it() {
    let program = env!("CARGO_BIN_EXE_guard").to_owned();
    for (run, code, after) in [
        ("echo new >web.conf", 0, "new\n"),
        ("echo bad >web.conf; exit 3", 20, "old\n"),
    ] {
        let mut place = Place::new(&[
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_COMMIT_SHORT_SHA", "0123abc"),
        ]);
        place.set("CI_PROJECT_DIR", place.path("build"));
        let shop = place.path("the shop").display().to_string();
        let given = [
            ("run", run),
            ("directory", &shop),
            ("program", &program),
            ("environment", "production"),
            ("monitor_duration", "3s"),
        ];
        let spec = documents("templates/deploy.yml").remove(0);
        let inputs = spec["spec"]["inputs"].as_object().unwrap();
        let value = |name: &str| {
            let told = given.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            told.or(inputs[name]["default"].as_str())
                .unwrap_or_else(|| panic!("{name} is required"))
        };
        let mut jobs = documents("templates/deploy.yml").remove(1);
        fill(&mut jobs, &|mut text| {
            for name in inputs.keys() {
                text = text.replace(&format!("$[[ inputs.{name} ]]"), value(name));
            }
            assert!(!text.contains("$[["), "{text}: no such input");
            text
        });
        let mut codes = Vec::new();
        for job in ["guard-deploy", "guard-finish"] {
            let job = &jobs[job];
            assert_eq!(job["resource_group"], "guard-production", "one at a time");
            let mut variables = BTreeMap::new();
            for (name, value) in job["variables"].as_object().unwrap() {
                let value = value.as_str().or(value["value"].as_str()).unwrap();
                variables.insert(name.clone(), value.to_owned());
            }
            let lines: Vec<&str> = job["script"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap())
                .collect();
            let (code, said) = place.run(&["bash", "-eo", "pipefail"], &lines.join("\n"), &variables);
            codes.push(code);
            assert!(code == 0 || code == 20, "{code}: {said}");
        }
        assert_eq!(codes, [code, 0]);
        assert_eq!(place.deployed(), after);
        for kept in jobs["guard-deploy"]["artifacts"]["paths"].as_array().unwrap() {
            assert!(
                place.path("build").join(kept.as_str().unwrap()).is_file(),
                "{kept} was not written"
            );
        }
    }
}
