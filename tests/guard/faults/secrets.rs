//! Canaries: secrets of every kind in every form, printed by all that may print, are in nothing that guard shows or keeps.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::figures::reached;
use crate::support::embedded::{Embedded, end, signal, until};
use crate::support::program::Ran;

/// A variable's, an env file's, the password within an address, and one that an address and a string of words name.
const CANARIES: [&str; 4] = [
    "cnr1/Q+w=&<b>\"q'$x\\e %41zü~",
    "cnr2-7f/Q+w=&<b>'q'$(x)`e`;ü",
    "cnr3@p:ss/%41&é'~x",
    "cnr4+tok&n/==x",
];

/// Writes each form of its words as another program would; a form's name, the text that is printed, and what of it must not
/// be seen. base64 stands within a longer text, whose neighbours decide about the characters at both ends.
const FORMS: &str = r#"
import base64, html, json, re, shlex, sys
from urllib.parse import quote, quote_plus
def lower(text): return re.sub(r'%[0-9A-F]{2}', lambda m: m.group().lower(), text)
forms = []
def form(name, text, needle=None): forms.append([name, text, needle or text])
for number, secret in enumerate(sys.argv[1:], 1):
    raw = secret.encode()
    form('plain', secret)
    form('URL', quote(secret, safe=''))
    form('URL, lower case', lower(quote(secret, safe='')))
    form('URL, path', quote(secret))
    form('URL, form', quote_plus(secret))
    form('URL, twice', quote(quote(secret, safe=''), safe=''))
    form('URL, twice, lower case', lower(quote(quote(secret, safe=''), safe='')))
    form('JSON', json.dumps(secret, ensure_ascii=False), json.dumps(secret, ensure_ascii=False)[1:-1])
    form('JSON, ASCII', json.dumps(secret), json.dumps(secret)[1:-1])
    twice = json.dumps(json.dumps(secret, ensure_ascii=False), ensure_ascii=False)
    form('JSON in JSON', twice, twice[3:-3])
    form('JSON in HTML', json.dumps(secret).replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026').replace("'", '\\u0027'))
    form('HTML', html.escape(secret))
    form('shell', shlex.quote(secret), shlex.quote(secret)[1:-1])
    form('Python', repr(secret), repr(secret)[1:-1])
    form('hexadecimal', raw.hex())
    form('hexadecimal, upper case', raw.hex().upper())
    for before in range(3):
        text = b'u:v'[:before] + raw + b'.end'
        first, last = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
        for name, encode in [('base64', base64.b64encode), ('base64 for URLs', base64.urlsafe_b64encode)]:
            whole = encode(text).decode()
            form(f'{name} at {before}', whole, whole[first:last])
json.dump(forms, sys.stdout)
"#;

const MORE: &str = r#"
[verify]
commands = ["cat ../leaks"]

[probes.leaks]
kind = "command"
command = ["sh", "-c", "echo $APP_PASSWORD >&2; cat ../some >&2; exec grep -q mode=good conf/app.conf"]

[notify.log]
kind = "command"
command = ["sh", "-c", "cat >> ../notices; echo >> ../notices"]

[notify.hook]
kind = "webhook"
url = "${HOOK}"
allow_private = true

[copy]
commands = ["cat ../leaks"]
"#;

/// A form of a secret, and what of it must not be seen.
struct Form {
    name: String,
    canary: String,
    text: String,
    needle: String,
}

fn forms() -> Vec<Form> {
    let mut python = Command::new("python3");
    let output = python.args(["-c", FORMS]).args(CANARIES).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Vec<(String, String, String)> = serde_json::from_slice(&output.stdout).unwrap();
    let each = told.len() / CANARIES.len();
    let forms = told.into_iter().enumerate().map(|(index, (name, text, needle))| Form {
        name,
        canary: CANARIES[index / each].to_owned(),
        text,
        needle,
    });
    forms.collect()
}

/// Everything that guard has shown or kept, by where.
#[derive(Default)]
struct Surfaces(BTreeMap<String, String>);

impl Surfaces {
    fn add(&mut self, what: &str, text: &str) {
        self.0.entry(what.to_owned()).or_default().push_str(text);
    }

    fn ran(&mut self, what: &str, ran: &Ran) {
        self.add(&format!("{what}: standard output"), &ran.stdout);
        self.add(&format!("{what}: standard error"), &ran.stderr);
    }

    /// The files below a directory, by their names; the copies themselves are what they are for.
    fn files(&mut self, directory: &Path) {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let copies = [
                "config",
                "config-displaced",
                "config-displaced-undone",
                "db",
                "objects",
                "code",
            ];
            let is_copy = copies.iter().any(|name| path.ends_with(name));
            if kind.is_dir() && !is_copy {
                self.files(&path);
            } else if kind.is_file() {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let is_known = name.contains('.');
                self.add(&if is_known { name } else { path.display().to_string() }, &text);
            }
        }
    }
}

fn secretive() -> (Embedded, Vec<Form>) {
    // On a busy machine a proof that had to wait for its turn is no bad one, and a bad release is waited for as long.
    let (hasty, patient) = (
        "gate = \"300ms\"\nmin_samples = 3\n",
        "gate = \"3s\"\nmin_samples = 3\n",
    );
    let project = Embedded::but(hasty, &format!("{patient}{MORE}"));
    let forms = forms();
    // Lines of their own, within others, and one long line of all; then one in two writes.
    let lines: Vec<String> = forms
        .iter()
        .map(|form| format!("{}: \u{ab}{}\u{bb}", form.name, form.text))
        .collect();
    let all = format!("{}\n{}\n", lines.join("\n"), lines.join(" "));
    std::fs::write(project.root().join("leaks"), all).unwrap();
    let some: Vec<&str> = forms.iter().step_by(7).map(|form| form.text.as_str()).collect();
    std::fs::write(project.root().join("some"), some.join("\n")).unwrap();
    let (one, other) = CANARIES[0].split_at(9);
    std::fs::write(project.root().join("one"), one).unwrap();
    std::fs::write(project.root().join("other"), format!("{other}\n")).unwrap();
    hold_token(&project);
    (project, forms)
}

/// Puts the second canary into the env file, whatever a release has made of it.
fn hold_token(project: &Embedded) {
    let env = std::fs::read_to_string(project.directory().join(".env")).unwrap();
    project.write(".env", &format!("{env}API_TOKEN=\"{}\"\n", CANARIES[1]));
}

/// A receiver of notices: what was posted.
fn receiver() -> (String, std::sync::Arc<std::sync::Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let ears = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            stream
                .set_read_timeout(Some(std::time::Duration::from_millis(300)))
                .unwrap();
            let mut bytes = vec![0; 65536];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                ears.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                if bytes[..count].ends_with(b"}") {
                    break;
                }
            }
            let _answered = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
    });
    (address.to_string(), heard)
}

fn short(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// As every character of a URL may be written.
fn encoded(text: &str) -> String {
    let codes: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    codes.concat()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one journey, from one surface to the next")]
fn fault_m7_m8_r15_no_secret_is_in_any_surface_in_any_form() {
    let (project, forms) = secretive();
    let (address, heard) = receiver();
    let address = format!("http://{address}/services/x?token={}", encoded(CANARIES[3]));
    let guard = |more: &[(&str, &str)]| {
        let guard = project
            .guard()
            .env("APP_PASSWORD", CANARIES[0])
            .env(
                "DATABASE_URL",
                &format!("postgres://app:{}@db/app", encoded(CANARIES[2])),
            )
            .env("HOOK", &address)
            .env("QUEUE", &format!("host=queue password='{}'", CANARIES[3]));
        more.iter().fold(guard, |guard, (name, value)| guard.env(name, value))
    };
    let mut seen = Surfaces::default();
    let in_words = format!("# {} {}", CANARIES[0], CANARIES[3]);
    let leaky = [
        "--",
        "./deploy.sh",
        "sick",
        "cat ../leaks ../one; sleep 0.1; cat ../other",
        &in_words,
    ];
    let worded =
        |front: &[&str]| -> Vec<String> { front.iter().chain(&leaky).map(|word| (*word).to_owned()).collect() };

    // Each way to tell a release that is bad, whose command, probes and checks print everything they know.
    // The same bad release over and over, which has to be said.
    let deploy = worded(&["deploy", "--again", "--description", CANARIES[0]]);
    seen.ran("plain", &guard(&[]).run(&short(&deploy)).expect(21));
    let verbose = worded(&["-v", "deploy", "--again"]);
    seen.ran("verbose", &guard(&[]).run(&short(&verbose)).expect(21));
    let json = worded(&["--output", "json", "deploy", "--again"]);
    seen.ran("JSON", &guard(&[]).run(&short(&json)).expect(21));
    let at = |name: &str| project.root().join(name).display().to_string();
    let (summary, output, dotenv, junit) = (at("summary"), at("output"), at("dotenv"), at("junit"));
    let github = [
        ("GITHUB_ACTIONS", "true"),
        ("CI", "true"),
        ("GITHUB_STEP_SUMMARY", &summary),
        ("GITHUB_OUTPUT", &output),
    ];
    seen.ran("GitHub", &guard(&github).run(&short(&deploy)).expect(21));
    let gitlab = [
        ("GITLAB_CI", "true"),
        ("CI", "true"),
        ("GUARD_GITLAB_DOTENV", &dotenv),
        ("GUARD_GITLAB_JUNIT", &junit),
    ];
    seen.ran("GitLab", &guard(&gitlab).run(&short(&deploy)).expect(21));
    for (what, path) in [
        ("GitHub's summary", summary),
        ("GitHub's output", output),
        ("GitLab's variables", dotenv),
        ("GitLab's report", junit),
    ] {
        seen.add(what, &std::fs::read_to_string(path).unwrap());
    }
    // On a terminal.
    let plain = guard(&[]).command(&short(&deploy));
    let words = std::iter::once(plain.get_program()).chain(plain.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''")));
    let line = format!("stty cols 220 rows 50; exec {}", quoted.collect::<Vec<_>>().join(" "));
    std::fs::write(project.root().join("terminal.sh"), line).unwrap();
    let mut terminal = Command::new("script");
    terminal
        .args(["-qec", "sh ../terminal.sh", "/dev/null"])
        .current_dir(project.directory())
        .stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    let shown = terminal.env_remove("NO_COLOR").env("TERM", "xterm").output().unwrap();
    seen.add("live display", &String::from_utf8_lossy(&shown.stdout));
    // A good release, whose checks print as well; then back, with a reason, and its undo.
    seen.ran(
        "good",
        &guard(&[]).run(&["deploy", "--", "./deploy.sh", "all"]).expect(0),
    );
    hold_token(&project);
    let back = ["rollback", "--yes", "--reason", CANARIES[1]];
    seen.ran("rollback", &guard(&[]).run(&back).expect(0));
    seen.ran("undo", &guard(&[]).run(&["rollback", "--undo", "--yes"]).expect(0));
    // guard is killed, and its watcher goes on; meanwhile nobody else can look into it.
    let mut killed = guard(&[]).start(&["deploy", "--", "./deploy.sh", "cat ../leaks; touch ../reached; sleep 3"]);
    until(|| project.root().join("reached").exists());
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", killed.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap()
        .to_owned();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    signal(&killed, rustix::process::Signal::KILL);
    end(&mut killed);
    let run = project.newest_run();
    until(|| run.join("result.json").exists());
    // What is asked afterwards.
    for words in [
        &["status"][..],
        &["history"],
        &["list"],
        &["show"],
        &["-v", "check"],
        &["notify"],
        &["resume"],
        &["copy"],
    ] {
        let ran = guard(&[]).run(words);
        assert!(!ran.everything().is_empty(), "{words:?}");
        seen.add(&format!("guard {}", words.last().unwrap()), &ran.everything());
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let mut watch = guard(&[]).start(&["watch", "--listen", &listen, "--metrics-file", "../figures.prom"]);
    let mut page = String::new();
    until(|| {
        if let Ok(mut stream) = TcpStream::connect(&listen) {
            let _asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            let _heard = stream.read_to_string(&mut page);
        }
        page.contains("200 OK") && project.root().join("figures.prom").exists()
    });
    signal(&watch, rustix::process::Signal::TERM);
    end(&mut watch);
    seen.add("the watch's page", &page);
    seen.add(
        "the watch's figures",
        &std::fs::read_to_string(project.root().join("figures.prom")).unwrap(),
    );
    seen.add(
        "notices to a command",
        &std::fs::read_to_string(project.root().join("notices")).unwrap(),
    );
    let bodies: Vec<String> = heard
        .lock()
        .unwrap()
        .split("POST ")
        .map(|told| told.split_once("\r\n").unwrap_or_default().1.to_owned())
        .collect();
    seen.add("notices to an address", &bodies.concat());
    seen.files(&project.state());

    let names: Vec<&String> = seen.0.keys().collect();
    for wanted in [
        "journal.jsonl",
        "manifest.json",
        "result.json",
        "incident.md",
        "incident.html",
        "deploy.log",
        "verify-1.log",
        "watcher.log",
        "notifications.jsonl",
        "probes.jsonl",
    ] {
        assert!(seen.0.contains_key(wanted), "{wanted} is not among {names:?}");
    }
    let (mut slips, mut spoken) = (Vec::new(), 1);
    for (surface, text) in &seen.0 {
        // A stream may have nothing to say, and a marker is a name alone.
        spoken += u32::from(!text.trim().is_empty());
        // A terminal's lines are cut to its width; what is left of a secret begins as the secret does.
        let starts = CANARIES.iter().map(|canary| ("its beginning", *canary, &canary[..7]));
        let whole = forms
            .iter()
            .map(|form| (form.name.as_str(), form.canary.as_str(), form.needle.as_str()));
        for (name, canary, needle) in whole.chain(starts) {
            if let Some(line) = text.lines().find(|line| line.contains(needle)) {
                let line: String = line.chars().take(300).collect();
                slips.push(format!("{surface} shows {canary} ({name}): {line}"));
            }
        }
    }
    assert!(slips.is_empty(), "{} leaks:\n{}", slips.len(), slips.join("\n"));
    // It was printed, and what was printed came through but for the secrets.
    let log = &seen.0["deploy.log"];
    let of_each = forms.len() / CANARIES.len();
    for form in forms.iter().take(of_each) {
        assert!(
            log.contains(&format!("{}: \u{ab}", form.name)),
            "{} was not printed",
            form.name
        );
    }
    assert!(log.matches("[REDACTED]").count() > forms.len(), "{log}");
    reached(
        "R15",
        "secrets in 12 surfaces, each in 8 forms: 0",
        &format!(
            "0 of {} canaries in {} surfaces, each in {of_each} forms and in two writes",
            CANARIES.len(),
            spoken
        ),
        "scripts/faults",
    );
}

#[test]
fn fault_m7_no_command_line_of_a_child_has_a_secret() {
    let (project, forms) = secretive();
    let trace = project.root().join("programs");
    let guard = project
        .guard()
        .env("APP_PASSWORD", CANARIES[0])
        .env("HOOK", "http://127.0.0.1:9/");
    let mut strace = crate::surroundings::behind_all(
        &[
            "strace",
            "-f",
            "-qq",
            "-s",
            "65535",
            "-e",
            "trace=execve",
            "-e",
            "signal=none",
            "-o",
            trace.to_str().unwrap(),
        ],
        &guard.command(&["deploy", "--", "./deploy.sh", "sick", "cat ../leaks"]),
    );
    let output = strace.output().unwrap();
    assert_eq!(output.status.code(), Some(21), "{output:?}");
    let text = std::fs::read_to_string(&trace).unwrap();
    let calls: Vec<&str> = text.lines().filter(|line| line.contains("execve(")).collect();
    assert!(calls.len() > 20, "{text}");
    for form in &forms {
        let shown = calls.iter().find(|line| line.contains(&form.needle));
        assert!(shown.is_none(), "{}: {shown:?}", form.name);
    }
}

/// Whether a program of this user can do this; root does it as nobody.
fn can(user: &[&str], words: &[&str]) -> bool {
    let all = [user, words].concat();
    let output = Command::new(all[0]).args(&all[1..]).output().unwrap();
    output.status.success()
}

#[test]
fn fault_m18_nobody_of_the_same_user_looks_into_guard() {
    let project = Embedded::with("verify = \"none\"\n[resources.config]\nkind = \"files\"\npaths = [\"conf/**\"]\n");
    let is_root = rustix::process::geteuid().is_root();
    let user: &[&str] = if is_root {
        &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    } else {
        &["env"]
    };
    if is_root {
        std::fs::set_permissions(project.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
        project.sh("chown -R 65534:65534 ..");
    }
    let plain = project
        .guard()
        .env("APP_PASSWORD", CANARIES[0])
        .env("HOME", "/")
        .command(&[
            "deploy",
            "--",
            "sh",
            "-c",
            "touch ../reached; sleep 600 & echo $! > ../child; wait",
        ]);
    let mut guard = crate::surroundings::behind_all(user, &plain);
    let mut guard = guard
        .current_dir(project.directory())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(project.root().join("said")).unwrap())
        .spawn()
        .unwrap();
    until(|| project.root().join("child").exists() || guard.try_wait().unwrap().is_some());
    let said = std::fs::read_to_string(project.root().join("said")).unwrap();
    assert!(guard.try_wait().unwrap().is_none(), "{said}");
    let child = std::fs::read_to_string(project.root().join("child")).unwrap();
    let (own, child) = (guard.id().to_string(), child.trim().to_owned());
    // The command's own process is as open as ever: the test can fail.
    let reads = |pid: &str, what: &str| can(user, &["head", "-c1", &format!("/proc/{pid}/{what}")]);
    assert!(reads(&child, "environ") && reads(&child, "maps"), "{child}");
    for what in ["environ", "maps", "mem", "auxv"] {
        assert!(!reads(&own, what), "{what} of guard can be read");
    }
    assert!(
        !can(user, &["timeout", "2", "strace", "-qq", "-p", &own]),
        "guard can be traced"
    );
    signal(&guard, rustix::process::Signal::TERM);
    end(&mut guard);
}
