//! What receivers get to read: whole, escaped for each, without secrets, over TLS that is checked.

use guard::model::notice::Severity;
use serde_json::{Value, json};

use super::{Receiver, notice, target, told};
use crate::probes::tls::{authority, serve_body};
use crate::support::Scene;

/// What a service may say of itself.
const WORDS: &[&str] = &[
    "<!channel>",
    "<!here|x>",
    "<@U024BE7LH>",
    "<https://evil.example|https://good.example>",
    "@everyone",
    "@Channel",
    "\"}],{",
    "\\u0000",
    "\r\n",
    "\n.\r\n",
    "\u{202e}gpj",
    "\u{1b}]0;title\u{7}",
    "\0",
    "&lt;!here&gt;",
    "*bold* `code`",
    "😀",
    "CANARYsecret-4711",
];

#[test]
fn fault_j15_no_text_becomes_a_command_of_the_receivers() {
    let scene = Scene::new();
    scene.cx.redaction.learn("CANARYsecret-4711");
    let slack = Receiver::answering(&["200 OK"]);
    let hook = Receiver::answering(&["200 OK"]);
    let targets = vec![
        target("slack", &json!({"url": slack.url(), "allow_private": true})).unwrap(),
        target("webhook", &json!({"url": hook.url(), "allow_private": true})).unwrap(),
    ];
    let notices: Vec<_> = (0..WORDS.len())
        .map(|turn| {
            let text: String = (0..WORDS.len())
                .map(|at| WORDS[(turn * 7 + at) % WORDS.len()])
                .collect();
            let mut notice = notice(&text);
            notice.lines = WORDS.iter().map(ToString::to_string).collect();
            notice.lines.push("x".repeat(1_000_000));
            notice
        })
        .collect();
    for chunk in notices.chunks(8) {
        told(targets.clone(), chunk, &scene);
    }
    let bodies = [slack.bodies(), hook.bodies()].concat();
    assert_eq!(bodies.len(), 2 * WORDS.len());
    for body in bodies {
        let value: Value = serde_json::from_str(&body).expect("JSON");
        let text = value["text"].as_str().unwrap();
        let lower = text.to_lowercase();
        for call in ["@everyone", "@channel", "@here"] {
            assert!(!lower.contains(call), "{text}");
        }
        assert!(!text.contains("CANARY") && text.contains("[REDACTED]"), "{text}");
        assert!(
            !text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
            "{text:?}"
        );
        assert!(text.chars().count() < 4_000, "{}", text.chars().count());
        assert!(text.contains("shop (production) on web-1"), "{text}");
        if value.get("link_names").is_some() {
            assert!(
                !text.contains(['<', '>']) && text.contains("&lt;!channel&gt;"),
                "{text}"
            );
            assert_eq!(value["link_names"], false);
        } else {
            assert_eq!(
                (&value["occasion"], &value["severity"]),
                (&json!("kept"), &json!("info"))
            );
            assert!(!value["title"].as_str().unwrap().contains('\n'));
        }
    }
}

#[test]
fn a_target_hears_only_what_is_grave_enough() {
    let scene = Scene::new();
    let receiver = Receiver::answering(&["200 OK"]);
    let at = |severity: &str| {
        target(
            "webhook",
            &json!({"url": receiver.url(), "allow_private": true, "severity": severity}),
        )
        .unwrap()
    };
    let notices: Vec<_> = [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .map(|severity| guard::model::notice::Notice {
            severity,
            ..notice(severity.as_str())
        })
        .collect();
    let log = told(vec![at("info"), at("warning"), at("critical")], &notices, &scene);
    assert_eq!(log.len(), 6, "{log:?}");
    assert!(
        target(
            "webhook",
            &json!({"url": "https://hooks.example/x", "severity": "grave"})
        )
        .is_err()
    );
}

#[test]
fn https_is_checked_and_carries_the_token() {
    let authority = authority();
    let scene = Scene::new();
    std::fs::write(scene.project().join("ca.pem"), authority.as_ref().pem()).unwrap();
    let (server, heads) = serve_body(&authority, "127.0.0.1");
    let url = format!("https://127.0.0.1:{}/hook", server.port);
    let trusted = json!({"url": url, "allow_private": true, "ca_file": "ca.pem", "bearer_env": "PATH"});
    let stranger = json!({"url": url, "allow_private": true});
    let log = told(
        vec![target("webhook", &trusted).unwrap()],
        &[notice("over TLS")],
        &scene,
    );
    assert_eq!(log[0]["delivered"], true, "{log:?}");
    let heads = heads.lock().unwrap().clone();
    assert!(heads[0].to_lowercase().contains("authorization: bearer /"), "{heads:?}");
    let log = told(
        vec![target("webhook", &stranger).unwrap()],
        &[notice("to a stranger")],
        &scene,
    );
    assert_eq!(log[1]["delivered"], false, "{log:?}");
}

#[test]
fn a_command_is_given_the_notice_to_read() {
    let scene = Scene::new();
    let well = target("command", &json!({"command": "sh -c 'cat > heard.json'"})).unwrap();
    let sick = target("command", &json!({"command": ["sh", "-c", "echo broken >&2; exit 3"]})).unwrap();
    let endless = target("command", &json!({"command": "sleep 600"})).unwrap();
    let log = told(vec![well, sick, endless], &[notice("heard")], &scene);
    let heard: Value =
        serde_json::from_str(&std::fs::read_to_string(scene.project().join("heard.json")).unwrap()).unwrap();
    assert_eq!((&heard["title"], &heard["version"]), (&json!("heard"), &json!(1)));
    let delivered = log.iter().filter(|line| line["delivered"] == true).count();
    assert_eq!((log.len(), delivered), (3, 1), "{log:?}");
    assert!(
        log.iter()
            .any(|line| line["why"].as_str().is_some_and(|why| why.contains("exit code 3"))),
        "{log:?}"
    );
}
