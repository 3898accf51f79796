//! What is secret stays so: in no output, no file of guard's but the copies, and no command line of what guard starts.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Stage, same};
use crate::support::program::Program;

/// The secrets of the shop, in the forms that a leak may take.
fn forms(env: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for line in env
        .lines()
        .filter(|line| !line.starts_with('#') && line.contains("CANARY"))
    {
        let (_, value) = line.split_once('=').unwrap();
        let output = Command::new("bash")
            .args(["-c", "printf %s \"$0\" | base64 -w0", value])
            .output()
            .unwrap();
        let encoded = String::from_utf8(output.stdout).unwrap();
        // The last group of base64 depends on what follows.
        forms.push(encoded[..encoded.len() - 4].to_owned());
    }
    // How each begins, however the rest is cut or escaped; the last is what the release `config` makes of one.
    forms.extend(["pgCANARY", "skCANARY", "osCANARY", "mailCANARY", "rotatedCANARY"].map(str::to_owned));
    forms
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else if entry.file_type().unwrap().is_file() {
            found.push(entry.path());
        }
    }
}

/// Runs guard under strace; the programs that it and its descendants started, and the output.
fn traced(guard: &Program, trace: &Path, args: &[&str]) -> (String, String, Option<i32>) {
    let plain = guard.command(args);
    // Only root looks into guard; who is not takes a namespace in which they are.
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new("strace")
    } else {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "strace"]);
        command
    };
    command
        .args(["-f", "-qq", "-s", "65535", "-e", "trace=execve", "-o"])
        .arg(trace)
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(plain.get_current_dir().unwrap());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (std::fs::read_to_string(trace).unwrap(), text, output.status.code())
}

#[test]
fn fault_m7_no_secret_leaves() {
    let stage = Stage::open();
    let env = std::fs::read_to_string(stage.shop.directory().join(".env")).unwrap();
    let forms = forms(&env);
    let hidden = |what: &str, text: &str| {
        for form in &forms {
            let line = text.lines().find(|line| line.contains(form));
            assert!(line.is_none(), "{what} shows {form}: {}", line.unwrap_or_default());
        }
    };
    let before = stage.state();
    let trace = stage.shop.directory().join(".git/trace");
    let always = ["deploy", "--again", "--data-restore", "always", "--"];
    let runs = [
        (
            vec!["--output", "json"],
            always.to_vec(),
            vec!["./deploy.sh", "leaks"],
            21,
        ),
        (vec![], vec!["rollback", "--undo", "--yes"], vec![], 32),
        (vec!["-v"], vec!["rollback", "--undo", "--yes"], vec![], 0),
        (vec![], always.to_vec(), vec!["./deploy.sh", "config"], 21),
        (vec!["-v"], vec!["check"], vec![], 0),
    ];
    for (front, middle, back, code) in runs {
        let args = [front, middle, back].concat();
        let (programs, output, ended) = traced(&stage.guard(), &trace, &args);
        assert_eq!(ended, Some(code), "{args:?}:\n{output}");
        hidden(&format!("the output of {args:?}"), &output);
        // The release's own script is not guard's.
        let of_guard: Vec<&str> = programs
            .lines()
            .filter(|line| !line.contains("[\"sed\", \"-i\""))
            .collect();
        hidden(&format!("a command line under {args:?}"), &of_guard.join("\n"));
        assert!(programs.lines().count() > 20, "the trace is empty");
        let shell = programs
            .lines()
            .find(|line| line.contains("sh\", [\"") && line.contains("\"-c\""));
        assert!(shell.is_none(), "a shell was started by {args:?}: {shell:?}");
    }
    same("leaks, undone, and config", &stage.state(), &before, &[]);

    let mut found = Vec::new();
    files(&stage.shop.state(), &mut found);
    assert!(found.len() > 30, "{found:?}");
    for path in found {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        // The copies themselves are what they are for: the .env of either release, and the dump.
        let is_copy = text.starts_with("COMPOSE_PROJECT_NAME=") || path.parent().is_some_and(|at| at.ends_with("db"));
        if !is_copy {
            hidden(&path.display().to_string(), &text);
        }
    }
}
