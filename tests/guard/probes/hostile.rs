//! `http` against servers that misbehave in every way.

use std::io::Write;
use std::time::{Duration, Instant};

use guard::model::health::Class;
use serde_json::json;

use super::build;
use super::http::{ask, failed, well};
use super::server::{Server, answer, head};

#[test]
fn fault_j1_a_connection_that_never_comes_ends_at_the_deadline() {
    // A listener whose queue is full drops whoever comes next, as a firewall does.
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    let address: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    rustix::net::bind(&listener, &address).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let bound: std::net::SocketAddr = rustix::net::getsockname(&listener).unwrap().try_into().unwrap();
    let _filling: Vec<_> = (0..3)
        .map(|_| std::net::TcpStream::connect_timeout(&bound, Duration::from_millis(200)))
        .collect();
    let answer = ask(json!({"url": format!("http://{bound}/"), "timeout": "500ms"}));
    assert_eq!(answer, failed(Class::TimeoutConnect, "no connection within 0.5 s"));
}

#[test]
fn fault_j2_one_deadline_holds_for_the_whole_exchange() {
    let silent = Server::start(|mut stream| {
        let _head = head(&mut stream);
        std::thread::sleep(Duration::from_mins(1));
    });
    // A byte every 50 ms would keep a deadline per read alive for ever.
    let drip = |head_text: &'static str| {
        Server::start(move |mut stream| {
            let _head = head(&mut stream);
            let _sent = stream.write_all(head_text.as_bytes());
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    let in_head = drip("HTTP/1.1 200 OK\r\nX-Slow: ");
    let in_body = drip("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
    for server in [silent, in_head, in_body] {
        let begun = Instant::now();
        let answer = ask(json!({"url": server.url("/"), "timeout": "600ms"}));
        assert_eq!(answer, failed(Class::TimeoutRead, "no answer within 0.6 s"));
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "the drip goes on for 50 minutes"
        );
    }
}

#[test]
fn fault_j3_only_so_much_is_read() {
    let endless = Server::start(|mut stream| {
        let _head = head(&mut stream);
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    assert_eq!(ask(json!({"url": endless.url("/")})), well("200"));
    let cut = ask(json!({"url": endless.url("/"), "expect_body": "y"}));
    assert_eq!(
        cut,
        failed(
            Class::Body,
            "200 but the body does not match /y/ within its first 64 KiB"
        )
    );

    let wide = Server::saying(&answer("200 OK", &format!("X-Wide: {}\r\n", "x".repeat(40_000)), ""));
    assert_eq!(
        ask(json!({"url": wide.url("/")})),
        failed(Class::Body, "200 with headers over 32 KiB")
    );
    let wider = Server::saying(&answer("200 OK", &format!("X-Wide: {}\r\n", "x".repeat(900_000)), ""));
    assert_eq!(ask(json!({"url": wider.url("/")})).class, Some(Class::Body));
    let many = Server::saying(&answer("200 OK", &"X-Many: 1\r\n".repeat(3000), ""));
    assert_eq!(ask(json!({"url": many.url("/")})).class, Some(Class::Body));

    // What is packed is not unpacked, and was not asked for.
    let packed = Server::answering(|head| {
        assert!(head.to_lowercase().contains("accept-encoding: identity"), "{head}");
        answer("200 OK", "Content-Encoding: gzip\r\n", "not gzip at all")
    });
    assert_eq!(
        ask(json!({"url": packed.url("/"), "expect_body": "not gzip"})),
        well("200")
    );
}

#[test]
fn fault_j4_redirects_stay_on_the_host_and_end() {
    let elsewhere = Server::saying(&answer("200 OK", "", "reached"));
    let away = format!("http://localhost:{}/", elsewhere.port);
    let server = Server::answering(move |head| {
        let path = head.split(' ').nth(1).unwrap();
        let to = match path {
            "/loop" => "/loop".to_owned(),
            "/away" => away.clone(),
            "/file" => "file:///etc/passwd".to_owned(),
            "/end" => return answer("200 OK", "", "arrived"),
            "/0" => "/end".to_owned(),
            other => format!("/{}", other[1..].parse::<u32>().unwrap() - 1),
        };
        answer("302 Found", &format!("Location: {to}\r\n"), "")
    });
    let ask = |path: &str, most: u32| ask(json!({"url": server.url(path), "follow_redirects": most}));
    assert_eq!(ask("/2", 3), well("200"));
    assert_eq!(ask("/2", 2), failed(Class::Redirect, "too many redirects"));
    assert_eq!(ask("/loop", 5), failed(Class::Redirect, "too many redirects"));
    assert_eq!(ask("/away", 5), failed(Class::Redirect, "a redirect to another host"));
    assert_eq!(ask("/file", 5).class, Some(Class::Redirect));
    assert_eq!(elsewhere.connections(), 0, "nobody went there");
    assert!(build("http", &json!({"url": server.url("/"), "follow_redirects": 6})).is_err());
}

#[test]
fn broken_connections_are_told() {
    let closing = Server::start(|mut stream| drop(head(&mut stream)));
    assert_eq!(ask(json!({"url": closing.url("/")})).class, Some(Class::Reset));
    let half = Server::start(|mut stream| {
        let _head = head(&mut stream);
        let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    });
    assert_eq!(ask(json!({"url": half.url("/")})).class, Some(Class::Reset));
    let garbage = Server::saying("SSH-2.0-OpenSSH\r\n\x1b]0;title\x07\r\n");
    let answer = ask(json!({"url": garbage.url("/")}));
    assert_eq!(answer.class, Some(Class::Reset));
    assert!(!answer.note.contains('\x1b'), "{answer:?}");
}

#[test]
fn the_beginning_of_a_failed_answer_is_kept_without_secrets() {
    let scene = crate::support::Scene::new();
    scene.cx.redaction.learn("CANARY-body-1147");
    let body = format!("boom \u{1b}[2J CANARY-body-1147\n{}", "x".repeat(9_000));
    let server = Server::saying(&answer("500 Oops", "", &body));
    let probe = build("http", &json!({"url": server.url("/")})).unwrap();
    for _ in 0..3 {
        super::read(probe.as_ref(), &guard::probes::Expectation::default(), &scene.cx);
    }
    let path = scene.cx.scratch.join("answers-web.txt");
    crate::support::embedded::until(|| std::fs::read_to_string(&path).is_ok_and(|text| text.ends_with("\n\n")));
    let kept = std::fs::read_to_string(&path).unwrap();
    assert_eq!(kept.matches("boom").count(), 1, "once in a while: {kept}");
    assert!(
        kept.contains("500") && kept.contains("[REDACTED]") && kept.len() < 5_000,
        "{kept}"
    );
    assert!(!kept.contains('\u{1b}') && !kept.contains("CANARY"), "{kept}");
}

/// A real compressed bomb: small on the wire, large when somebody unpacks it.
#[test]
fn fault_j3_a_bomb_is_not_unpacked() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&vec![b'0'; 50_000_000]).unwrap();
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 60_000, "it fits into what is read");
    let server = Server::start(move |mut stream| {
        let _head = head(&mut stream);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            bomb.len()
        );
        let _sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bomb));
    });
    assert_eq!(ask(json!({"url": server.url("/")})), well("200"));
    assert_eq!(
        ask(json!({"url": server.url("/"), "expect_body": "00000000"})).class,
        Some(Class::Body)
    );
}
