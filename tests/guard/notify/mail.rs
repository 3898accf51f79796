//! Mail, to a server that speaks enough SMTP to be sent to.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use super::{notice, target, told};
use crate::probes::server::Server;
use crate::probes::tls::{accepting, authority};
use crate::support::Scene;

/// Speaks SMTP with one client; what was said to it, and the message.
fn converse(stream: impl Read + Write, said: &Mutex<String>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let send = |stream: &mut BufReader<_>, text: &str| -> std::io::Result<()> {
        let inner: &mut _ = BufReader::get_mut(stream);
        Write::write_all(inner, text.as_bytes())?;
        Write::flush(inner)
    };
    send(&mut stream, "220 mail.test ready\r\n")?;
    let mut in_message = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        said.lock().unwrap().push_str(&line);
        if in_message {
            if line == ".\r\n" {
                in_message = false;
                send(&mut stream, "250 kept\r\n")?;
            }
            continue;
        }
        let reply = match line.get(..4).unwrap_or_default() {
            "EHLO" => "250-mail.test\r\n250 AUTH PLAIN\r\n",
            "DATA" => {
                in_message = true;
                "354 go on\r\n"
            }
            "AUTH" => "235 known\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 fine\r\n",
        };
        send(&mut stream, reply)?;
    }
}

#[test]
fn a_mail_arrives_and_no_text_becomes_a_header() {
    let scene = Scene::new();
    let said: Arc<Mutex<String>> = Arc::default();
    let kept = Arc::clone(&said);
    let server = Server::start(move |stream| drop(converse(stream, &kept)));
    let settings = json!({"server": "127.0.0.1", "port": server.port, "security": "none",
        "from": "guard <guard@example.org>", "to": ["ops@example.org", "Night <night@example.org>"]});
    let hostile = "bad\r\nBcc: everybody@example.org\r\n\r\nfree text\r\n.\r\nMAIL FROM:<x@example.org>";
    let log = told(vec![target("mail", &settings).unwrap()], &[notice(hostile)], &scene);
    assert_eq!(log[0]["delivered"], true, "{log:?}");
    let said = said.lock().unwrap().clone();
    assert!(
        said.contains("RCPT TO:<ops@example.org>") && said.contains("RCPT TO:<night@example.org>"),
        "{said}"
    );
    assert!(
        said.contains("Subject: [guard] shop (production) on web-1: bad"),
        "{said}"
    );
    assert!(
        !said
            .lines()
            .any(|line| line.starts_with("Bcc") || line.starts_with("MAIL FROM:<x")),
        "{said}"
    );
}

#[test]
fn mail_over_tls_is_checked_and_the_password_is_told_to_nobody_else() {
    let scene = Scene::new();
    let authority = authority();
    std::fs::write(scene.project().join("ca.pem"), authority.as_ref().pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let said: Arc<Mutex<String>> = Arc::default();
    let kept = Arc::clone(&said);
    let server = accepting(&certificate, &key, move |stream| drop(converse(stream, &kept)));
    let with = |more: serde_json::Value| {
        let mut settings = json!({"server": "localhost", "port": server.port, "from": "guard@example.org",
            "to": "ops@example.org", "user": "guard", "password_env": "PATH"});
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        target("mail", &settings).unwrap()
    };
    let log = told(vec![with(json!({"ca_file": "ca.pem"}))], &[notice("over TLS")], &scene);
    assert_eq!(log[0]["delivered"], true, "{log:?}");
    assert!(said.lock().unwrap().contains("AUTH PLAIN"));
    let log = told(vec![with(json!({}))], &[notice("to a stranger")], &scene);
    assert_eq!(log[1]["delivered"], false, "{log:?}");
    assert!(!said.lock().unwrap().contains("to a stranger"));
    for (settings, why) in [
        (
            json!({"server": "mail.example", "security": "none", "from": "a@example.org", "to": "b@example.org"}),
            "this machine only",
        ),
        (
            json!({"server": "mail.example", "from": "nobody", "to": "b@example.org"}),
            "is not an address",
        ),
        (
            json!({"server": "mail.example", "from": "a@example.org"}),
            "names nobody",
        ),
        (
            json!({"server": "mail.example", "from": "a@example.org", "to": "b@example.org", "user": "x"}),
            "belong together",
        ),
    ] {
        let problems = target("mail", &settings).err().expect(why);
        assert!(
            problems.iter().any(|problem| problem.message.contains(why)),
            "{why}: {problems:?}"
        );
    }
}
