//! Receivers that are down, slow, wrong or somewhere else.

use std::io::Write;
use std::time::Duration;

use guard::notify::{Standing, standing};
use serde_json::json;

use super::{Receiver, notice, target, told};
use crate::probes::free_port;
use crate::probes::server::{Server, answer, head};
use crate::support::Scene;

fn here(url: &str) -> guard::notify::Target {
    target("webhook", &json!({"url": url, "allow_private": true})).unwrap()
}

#[test]
fn fault_j13_a_receiver_that_misbehaves_is_given_up_and_noted() {
    let scene = Scene::new();
    let hang = Server::start(|mut stream| {
        let _head = head(&mut stream);
        std::thread::sleep(Duration::from_mins(1));
    });
    let drip = Server::start(|mut stream| {
        let _head = head(&mut stream);
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ");
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let sick = Receiver::answering(&["500 Oops"]);
    let better = Receiver::answering(&["503 Later", "200 OK"]);
    let gone = Receiver::answering(&["404 Not Found"]);
    let elsewhere = Receiver::answering(&["200 OK"]);
    let away = elsewhere.url();
    let astray = Server::answering(move |_| answer("302 Found", &format!("Location: {away}\r\n"), ""));
    let nobody = format!("http://127.0.0.1:{}/x", free_port());
    let row = [
        (hang.url("/x"), false, 2, "no answer within"),
        (drip.url("/x"), false, 2, "no answer within"),
        (sick.url(), false, 2, "500 no such hook"),
        (better.url(), true, 2, ""),
        (gone.url(), false, 1, "404 no such hook"),
        (astray.url("/x"), false, 1, "302, a redirect, which is not followed"),
        (nobody, false, 2, "refused"),
    ];
    std::thread::scope(|scope| {
        for (url, delivered, tries, why) in &row {
            scope.spawn(move || {
                let scene = Scene::new();
                let log = told(vec![here(url)], &[notice("The new release is live.")], &scene);
                assert_eq!(log.len(), 1);
                assert_eq!(
                    (&log[0]["delivered"], &log[0]["tries"]),
                    (&json!(delivered), &json!(tries)),
                    "{log:?}"
                );
                assert!(log[0]["why"].as_str().unwrap_or_default().contains(why), "{log:?}");
                assert!(
                    !log[0].to_string().contains("CANARYhook"),
                    "the address is a secret: {log:?}"
                );
            });
        }
    });
    assert_eq!(
        (sick.bodies().len(), better.bodies().len(), gone.bodies().len()),
        (2, 2, 1)
    );
    assert_eq!(better.bodies()[0], better.bodies()[1], "the same id both times");
    assert_eq!(elsewhere.server.connections(), 0, "nobody went there");
    drop(scene);
}

#[test]
fn fault_j14_addresses_are_looked_at_when_they_are_connected_to() {
    use Standing::{Never, Private, Public};
    for (address, expected) in [
        ("93.184.216.34", Public),
        ("2606:2800:220:1::1", Public),
        ("127.0.0.1", Private),
        ("10.1.2.3", Private),
        ("172.31.0.1", Private),
        ("172.32.0.1", Public),
        ("192.168.0.1", Private),
        ("100.64.0.1", Private),
        ("::1", Private),
        ("fd00:ec2::254", Private),
        ("169.254.169.254", Never),
        ("0.0.0.0", Never),
        ("192.0.0.192", Never),
        ("224.0.0.1", Never),
        ("255.255.255.255", Never),
        ("fe80::1", Never),
        ("::", Never),
        ("ff02::1", Never),
        ("::ffff:169.254.169.254", Never),
        ("64:ff9b::169.254.169.254", Never),
        ("2002:a9fe:a9fe::1", Never),
        ("::ffff:10.0.0.1", Private),
    ] {
        assert_eq!(standing(address.parse().unwrap()), expected, "{address}");
    }
    for (url, private, why) in [
        ("http://hooks.example/x", true, "has to be https"),
        ("http://127.0.0.1:8080/x", false, "has to be https"),
        ("https://127.0.0.1/x", false, "`allow_private = true` permits it"),
        ("https://0x7f000001/x", false, "`allow_private = true` permits it"),
        ("https://169.254.169.254/latest", true, "no notice goes to"),
        ("https://[::ffff:a9fe:a9fe]/x", true, "no notice goes to"),
        ("file:///etc/passwd", true, "has to be https"),
    ] {
        let problems = target("webhook", &json!({"url": url, "allow_private": private}))
            .err()
            .expect(url);
        assert!(problems[0].message.contains(why), "{url}: {problems:?}");
        assert!(!problems[0].to_string().contains("/x"), "{problems:?}");
    }
    // A name says nothing about where it leads: this one leads here.
    let scene = Scene::new();
    let receiver = Receiver::answering(&["200 OK"]);
    let url = format!("https://localhost:{}/x", receiver.server.port);
    let log = told(
        vec![target("webhook", &json!({"url": url})).unwrap()],
        &[notice("x")],
        &scene,
    );
    assert_eq!(log[0]["delivered"], false);
    assert!(
        log[0]["why"].as_str().unwrap().contains("is a private address"),
        "{log:?}"
    );
    assert_eq!((log[0]["tries"].as_u64(), receiver.server.connections()), (Some(1), 0));
}
