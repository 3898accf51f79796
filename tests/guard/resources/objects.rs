//! Objects of a real S3 server, copied and put back through it.

mod servers;
mod sideways;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use guard::model::artifact::{Artifact, Live, Work};
use guard::model::policy::DataRestore;
use guard::resources::{Mark, Resource, Slot};
use guard::system::environment::Environment;

use super::built::{build, text, try_build};
use super::promises::{self, Subject};
use crate::support::Scene;
use crate::support::embedded::until;
use crate::support::storage::{SECRET, Storage, WHO};

struct Bucket {
    storage: Storage,
    resource: Box<dyn Resource>,
    scene: Scene,
}

impl Bucket {
    fn new() -> Self {
        let mut scene = Scene::new();
        let pairs = std::env::vars().chain([
            ("SHOP_KEY".to_owned(), WHO.to_owned()),
            ("SHOP_SECRET".to_owned(), SECRET.to_owned()),
        ]);
        scene.cx.environment = Arc::new(Environment::of_pairs(pairs));
        let storage = Storage::with("shop");
        let keys = [
            ("url", text("s3://shop/objects")),
            ("endpoint", text(&storage.endpoint())),
            ("access_key_env", text("SHOP_KEY")),
            ("secret_key_env", text("SHOP_SECRET")),
        ];
        let resource = build("s3", &scene.project(), None, &keys);
        let bucket = Self {
            storage,
            resource,
            scene,
        };
        bucket.put("a.txt", b"a");
        bucket.put("b.txt", b"b");
        bucket.put("sub/odd name & <more>.txt", b"odd");
        bucket.put("sub/50% + one%2Bhalf.txt", b"odd as well");
        bucket.put("sub/deep/er/c.txt", &vec![7; 300_000]);
        bucket.put("empty", b"");
        bucket.storage.put(
            "shop/objects/page.html",
            b"<p>page</p>",
            &[
                "content-type: text/html",
                "cache-control: max-age=60",
                "x-amz-meta-owner: shop",
            ],
        );
        // Beside the prefix: nobody's business.
        bucket.storage.put("shop/other", b"other", &[]);
        bucket
    }

    fn put(&self, key: &str, content: &[u8]) {
        let key = key
            .replace('%', "%25")
            .replace('+', "%2B")
            .replace(' ', "%20")
            .replace('&', "%26")
            .replace('<', "%3C")
            .replace('>', "%3E");
        self.storage.put(&format!("shop/objects/{key}"), content, &[]);
    }

    fn remove(&self, key: &str) {
        self.storage.ask("DELETE", &format!("shop/objects/{key}"), &[], None);
    }

    /// The files in which the server keeps what is below the prefix, without what guard put aside.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.storage.bucket("shop");
        let mut found = BTreeMap::new();
        let mut open: Vec<PathBuf> = vec![root.clone()];
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                if !name.contains(".guard-") {
                    found.insert(name, std::fs::read(path).unwrap());
                }
            }
        }
        found
    }

    fn slot(&self, number: u32) -> Slot {
        let backup = self.scene.root().join(format!("backup-{number}"));
        std::fs::create_dir(&backup).unwrap();
        Slot::new(&backup, self.resource.name())
    }

    fn capture(&self, number: u32, before: Option<&(Slot, Artifact)>) -> (Slot, Artifact) {
        let mut slot = self.slot(number);
        if let Some((earlier, artifact)) = before {
            slot = slot.after(earlier.directory().parent().unwrap(), artifact.clone());
        }
        let artifact = self.resource.capture(&slot, &self.scene.cx).unwrap();
        (slot, artifact)
    }
}

impl Subject for Bucket {
    fn resource(&self) -> &dyn Resource {
        &*self.resource
    }

    fn spoil_live(&self) {
        self.put("a.txt", b"changed");
        self.put("new/new.txt", b"new");
        self.remove("b.txt");
        self.storage
            .put("shop/objects/page.html", b"<p>other</p>", &["content-type: text/plain"]);
    }

    fn observe(&self) -> String {
        let mut text = String::new();
        for (name, content) in self.files() {
            text = format!(
                "{text}{name}: {} {:?}\n",
                content.len(),
                content.get(..20).unwrap_or(&content)
            );
        }
        let page = self
            .storage
            .ask("HEAD", "shop/objects/page.html", &[], None)
            .to_lowercase();
        let mut headers: Vec<&str> = page
            .lines()
            .filter(|line| {
                ["content-type", "cache-control", "x-amz-meta"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .collect();
        headers.sort_unstable();
        text + &headers.join("\n")
    }
}

#[test]
fn objects_keep_the_promises() {
    let bucket = Bucket::new();
    promises::hold(&bucket, &bucket.scene);
}

#[test]
fn what_an_earlier_copy_knows_is_not_read_again() {
    let bucket = Bucket::new();
    let first = bucket.capture(1, None);
    bucket.put("sub/more.txt", &[9; 5000]);
    // Content whose object says that it is as it was is taken from the earlier copy: the server's own file is another now.
    std::fs::write(
        bucket.storage.bucket("shop").join("objects/sub/deep/er/c.txt"),
        vec![8; 300_000],
    )
    .unwrap();
    let second = bucket.capture(2, Some(&first));
    eprintln!("{}", second.1.summary);
    std::fs::remove_dir_all(first.0.directory()).unwrap();
    bucket.resource.prove(&second.1, &second.0, &bucket.scene.cx).unwrap();
    let own: u64 = second
        .1
        .files
        .iter()
        .filter(|file| file.path.contains("/data-"))
        .count() as u64;
    assert_eq!(
        own, 2,
        "the earlier pack is linked, and one is new: {:?}",
        second.1.files
    );
}

#[test]
fn only_what_differs_moves_and_what_is_surplus_is_kept() {
    let bucket = Bucket::new();
    let cx = &bucket.scene.cx;
    let (slot, artifact) = bucket.capture(1, None);
    bucket.put("a.txt", b"bad");
    bucket.put("surplus.txt", b"somebody's upload");
    let untouched = bucket.storage.bucket("shop").join("objects/sub/deep/er/c.txt");
    let before = std::fs::metadata(&untouched).unwrap().modified().unwrap();
    let prepared = bucket
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .unwrap();
    assert!(
        prepared.price[0].contains("1 object put back: a.txt"),
        "{:?}",
        prepared.price
    );
    assert!(prepared.price[1].contains("surplus.txt"), "{:?}", prepared.price);
    // Written after everything was prepared, before the services were stopped.
    bucket.put("late.txt", b"late");
    let displaced = bucket.resource.restore(&prepared, &artifact, &slot, cx).unwrap();
    assert_eq!(bucket.resource.check(&artifact, cx).unwrap(), Live::Matches);
    assert_eq!(std::fs::metadata(&untouched).unwrap().modified().unwrap(), before);
    let aside = &displaced.kept_as[0];
    let place = bucket.storage.bucket("shop").join(aside.split("shop/").nth(1).unwrap());
    assert_eq!(
        std::fs::read(place.join("before/surplus.txt")).unwrap(),
        b"somebody's upload"
    );
    assert_eq!(std::fs::read(place.join("before/late.txt")).unwrap(), b"late");
    bucket.resource.forget(&displaced, cx).unwrap();
    let left = bucket
        .storage
        .ask("GET", "shop?list-type=2&prefix=objects%2F.guard-", &[], None);
    assert!(!left.contains("<Key>"), "{left}");
}

#[test]
fn fault_a6_an_exchange_of_objects_that_was_cut_off_goes_on() {
    let mut bucket = Bucket::new();
    let (slot, artifact) = bucket.capture(1, None);
    let original = bucket.observe();
    bucket.spoil_live();
    let failed = bucket.observe();
    let prepared = bucket
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, &bucket.scene.cx)
        .unwrap();
    bucket.storage.down();
    assert!(
        bucket
            .resource
            .restore(&prepared, &artifact, &slot, &bucket.scene.cx)
            .is_err()
    );
    bucket.storage.up();
    assert_eq!(bucket.observe(), failed, "nothing was lost");
    let displaced = bucket
        .resource
        .restore(&prepared, &artifact, &slot, &bucket.scene.cx)
        .unwrap();
    assert_eq!(bucket.observe(), original);
    // As a kill leaves it when one object is not exchanged yet, and the record says that it is not done.
    bucket.put("a.txt", b"changed");
    let plan = bucket
        .storage
        .bucket("shop")
        .join(displaced.kept_as[0].split("shop/").nth(1).unwrap())
        .join("plan.json");
    let text = std::fs::read_to_string(&plan).unwrap();
    assert!(text.contains("\"done\":true"), "{text}");
    std::fs::write(&plan, text.replace("\"done\":true", "\"done\":false")).unwrap();
    let refused = bucket.resource.forget(&displaced, &bucket.scene.cx).unwrap_err();
    assert!(refused.to_string().contains("not finished"), "{refused}");
    bucket
        .resource
        .restore(&prepared, &artifact, &slot, &bucket.scene.cx)
        .unwrap();
    assert_eq!(bucket.observe(), original);
    bucket.resource.undo(&displaced, &bucket.scene.cx).unwrap();
    assert_eq!(bucket.observe(), failed);
}

#[test]
fn the_same_content_with_another_mark_is_left_alone() {
    let bucket = Bucket::new();
    let cx = &bucket.scene.cx;
    let (slot, mut artifact) = bucket.capture(1, None);
    // As if the storage had marked the content in another way when it was copied.
    let print = guard::model::fingerprint::Fingerprint::default().with("objects a.txt", "another");
    artifact.fingerprint = print;
    let prepared = bucket
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .unwrap();
    assert_eq!(prepared.work, Work::Unchanged);
}

#[test]
fn a_storage_that_does_not_answer_and_missing_credentials_are_named_without_a_secret() {
    let mut bucket = Bucket::new();
    bucket.storage.down();
    let survey = bucket.resource.survey(&bucket.scene.cx);
    assert!(survey.obstacles[0].refuses, "{survey:?}");
    assert!(!format!("{survey:?}").contains(SECRET));
    let keys = [("url", text("s3://shop")), ("access_key_env", text("NOBODY_SET_THIS"))];
    let nobody = build("s3", &bucket.scene.project(), None, &keys);
    let survey = nobody.survey(&bucket.scene.cx);
    assert!(survey.obstacles[0].what.contains("NOBODY_SET_THIS"), "{survey:?}");
    let wrong = [
        ("url", text("https://shop")),
        ("access_key_file", text("a")),
        ("access_key_env", text("B")),
    ];
    let problems = try_build("s3", &bucket.scene.project(), None, &wrong).err().unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");
}

/// A storage that answers as `answer` says by method and target, and notes what it was asked; no real one can be made to lie.
fn lying(
    answer: impl Fn(&str, &str, usize) -> (u16, String) + Send + Sync + 'static,
) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.unwrap());
                let mut first = String::new();
                while reader.read_line(&mut first).is_ok_and(|count| count > 0) {
                    let mut length = 0;
                    loop {
                        let mut line = String::new();
                        reader.read_line(&mut line).unwrap();
                        let line = line.trim().to_lowercase();
                        if let Some(said) = line.strip_prefix("content-length:") {
                            length = said.trim().parse().unwrap();
                        }
                        if line.is_empty() {
                            break;
                        }
                    }
                    std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
                    let words: Vec<&str> = first.split(' ').collect();
                    let ask = format!("{} {}", words[0], words[1]);
                    let times = {
                        let mut noted = noted.lock().unwrap();
                        noted.push(ask.clone());
                        noted.iter().filter(|known| **known == ask).count()
                    };
                    let (code, body) = answer(words[0], words[1], times);
                    let head = format!(
                        "HTTP/1.1 {code} Said\r\nETag: \"mark\"\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let body = if words[0] == "HEAD" { "" } else { &body };
                    reader.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
                    first.clear();
                }
            });
        }
    });
    (port, asked)
}

/// The bucket of such a storage, asked directly.
fn directly(port: u16, runtime: &tokio::runtime::Runtime, scene: &Scene) -> guard::system::s3::Bucket {
    let endpoint = format!("http://127.0.0.1:{port}");
    let address = guard::system::s3::Address::of("s3://shop/up", Some(&endpoint), None).unwrap();
    let who = guard::system::s3::Credentials {
        access_key: WHO.to_owned(),
        secret_key: guard::model::secret::Secret::new(SECRET),
        session_token: None,
    };
    guard::system::s3::Bucket::open(&address, who, runtime.handle().clone(), &scene.cx).unwrap()
}

#[test]
fn an_object_that_is_listed_and_not_given_fails_the_backup_and_is_named() {
    let mut bucket = Bucket::new();
    let (port, _) = lying(|_, target, _| {
        if target.contains("list-type") {
            let entry = "<Contents><Key>up/a+b</Key><Size>3</Size><ETag>mark</ETag></Contents>";
            return (200, format!("<ListBucketResult>{entry}</ListBucketResult>"));
        }
        (404, "<Error><Code>NoSuchKey</Code></Error>".to_owned())
    });
    let keys = [
        ("url", text("s3://shop/up")),
        ("endpoint", text(&format!("http://127.0.0.1:{port}"))),
        ("access_key_env", text("SHOP_KEY")),
        ("secret_key_env", text("SHOP_SECRET")),
    ];
    bucket.resource = build("s3", &bucket.scene.project(), None, &keys);
    let slot = bucket.slot(1);
    let error = bucket.resource.capture(&slot, &bucket.scene.cx).expect_err("not whole");
    assert!(error.to_string().contains("up/a+b"), "{error}");
}

#[test]
fn an_upload_that_breaks_off_is_ended_behind_all_its_parts() {
    let scene = Scene::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // A part that came later than the end of its upload would be kept.
    let (begun, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (is_begun, is_done) = (begun, done.clone());
    let (port, asked) = lying(move |method, target, _| match method {
        "POST" => (200, "<R><UploadId>one</UploadId></R>".to_owned()),
        "PUT" if target.contains("partNumber=2") => {
            until(|| is_begun.load(Ordering::SeqCst));
            (400, String::new())
        }
        "PUT" if target.contains("partNumber=3") => {
            is_begun.store(true, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(500));
            is_done.store(true, Ordering::SeqCst);
            (200, String::new())
        }
        "DELETE" if !is_done.load(Ordering::SeqCst) => (409, "too early".to_owned()),
        _ => (200, String::new()),
    });
    let bucket = directly(port, &runtime, &scene);
    let file = tempfile::tempfile().unwrap();
    file.set_len(40_000_000).unwrap();
    bucket
        .put_object("up/big", &[], &file, 40_000_000)
        .expect_err("a part is refused");
    assert!(done.load(Ordering::SeqCst), "what is in flight is waited for");
    let asked = asked.lock().unwrap();
    assert_eq!(
        asked.iter().filter(|ask| ask.starts_with("POST")).count(),
        1,
        "{asked:?}"
    );
    assert_eq!(
        asked.last().map(String::as_str),
        Some("DELETE /shop/up/big?uploadId=one"),
        "{asked:?}"
    );
}

#[test]
fn an_error_in_an_answer_that_says_200_is_tried_again() {
    let scene = Scene::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (port, asked) = lying(|_, _, times| {
        if times == 1 {
            (200, "<Error><Code>InternalError</Code></Error>".to_owned())
        } else {
            (200, "<CopyObjectResult/>".to_owned())
        }
    });
    directly(port, &runtime, &scene).copy_object("up/a", 1, "up/b").unwrap();
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[test]
fn check_tries_what_a_way_back_does_and_leaves_nothing() {
    let bucket = Bucket::new();
    let before = bucket.files();
    let survey = bucket.resource.survey(&bucket.scene.cx);
    assert!(survey.obstacles.iter().all(|one| !one.refuses), "{survey:?}");
    let left = bucket
        .storage
        .ask("GET", "shop?list-type=2&prefix=objects%2F.guard-", &[], None);
    assert!(!left.contains("<Key>"), "{left}");
    assert_eq!(bucket.files(), before);
}

#[test]
fn a_large_object_comes_back_in_parts() {
    let bucket = Bucket::new();
    let content: Vec<u8> = (0..40_000_000_u32)
        .map(|number| (number / 7).to_le_bytes()[0])
        .collect();
    bucket.put("large", &content);
    let (slot, artifact) = bucket.capture(1, None);
    bucket.remove("large");
    let cx = &bucket.scene.cx;
    let prepared = bucket
        .resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .unwrap();
    bucket.resource.restore(&prepared, &artifact, &slot, cx).unwrap();
    let path = bucket.storage.bucket("shop").join("objects/large");
    assert!(std::fs::read(path).unwrap() == content, "byte by byte");
    assert_eq!(bucket.resource.check(&artifact, cx).unwrap(), Live::Matches);
}

#[test]
fn certificates_and_a_proxy_can_be_named() {
    let bucket = Bucket::new();
    let site = bucket.scene.project();
    let missing = [
        ("url", text("s3://shop")),
        ("endpoint", text("https://127.0.0.1:1")),
        ("access_key_env", text("SHOP_KEY")),
        ("secret_key_env", text("SHOP_SECRET")),
        ("ca_file", text("no-such.pem")),
    ];
    let survey = build("s3", &site, None, &missing).survey(&bucket.scene.cx);
    assert!(survey.obstacles[0].what.contains("no-such.pem"), "{survey:?}");
    let wrong = [("url", text("s3://shop")), ("proxy", text("not a proxy"))];
    assert!(try_build("s3", &site, None, &wrong).is_err());
    // Through a proxy that is not there nothing is reached, though the storage is.
    let through = [
        ("url", text("s3://shop/objects")),
        ("endpoint", text(&bucket.storage.endpoint())),
        ("access_key_env", text("SHOP_KEY")),
        ("secret_key_env", text("SHOP_SECRET")),
        ("proxy", text("http://127.0.0.1:1")),
    ];
    let survey = build("s3", &site, None, &through).survey(&bucket.scene.cx);
    assert!(survey.obstacles[0].refuses, "{survey:?}");
}

#[test]
fn what_people_uploaded_stays_and_what_the_release_wrote_goes_aside() {
    let mut bucket = Bucket::new();
    let keys = [
        ("url", text("s3://shop/objects")),
        ("endpoint", text(&bucket.storage.endpoint())),
        ("access_key_env", text("SHOP_KEY")),
        ("secret_key_env", text("SHOP_SECRET")),
        ("carry_over", text("new-files")),
    ];
    bucket.resource = build("s3", &bucket.scene.project(), None, &keys);
    let cx = bucket.scene.cx.clone();
    let (slot, artifact) = bucket.capture(1, None);
    let original = bucket.files();
    bucket.put("early.jpg", b"early");
    bucket.resource.mark(Mark::DeployBegins, &cx).unwrap();
    bucket.put("app.js", b"compiled");
    bucket.put("a.txt", b"changed by the release");
    bucket.resource.mark(Mark::DeployEnded, &cx).unwrap();
    bucket.put("2026/late.jpg", b"late");
    bucket.remove("b.txt");
    let outlook = bucket
        .resource
        .outlook(&artifact, &slot, DataRestore::Auto, &cx)
        .unwrap()
        .join("\n");
    for told in [
        "keeps 2 objects (9 bytes)",
        "puts 1 object (8 bytes) aside that came while the deploy command ran",
        "brings back 1 object (1 bytes)",
    ] {
        assert!(outlook.contains(told), "{outlook}");
    }
    let prepared = bucket
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &cx)
        .unwrap();
    let displaced = bucket.resource.restore(&prepared, &artifact, &slot, &cx).unwrap();
    let now = bucket.files();
    assert_eq!(now["objects/early.jpg"], b"early");
    assert_eq!(now["objects/2026/late.jpg"], b"late");
    assert!(!now.contains_key("objects/app.js"));
    assert!(original.iter().all(|(key, content)| now.get(key) == Some(content)));
    assert_eq!(bucket.resource.compare(&artifact, &slot, &cx).unwrap(), Live::Matches);
    let carried = bucket.resource.carried(&displaced).expect("something was kept");
    assert!(
        carried.sentences[0].starts_with("kept 2 objects"),
        "{:?}",
        carried.sentences
    );
    let meant = Artifact {
        fingerprint: carried.becomes,
        ..artifact.clone()
    };
    assert_eq!(bucket.resource.check(&meant, &cx).unwrap(), Live::Matches);
    // Only what came differs now: there is nothing to put back.
    bucket.put("2026/later.jpg", b"later");
    let again = bucket
        .resource
        .prepare(&artifact, &slot, DataRestore::Auto, &cx)
        .unwrap();
    assert_eq!(again.work, Work::Unchanged);

    let salvage = |pattern: &str| {
        let told =
            bucket
                .resource
                .salvage_files(&displaced, &[pattern.to_owned()], "guard salvage X --files '**'", &cx);
        told.unwrap().join("\n")
    };
    let told = salvage("*.png");
    assert!(
        told.contains("aside and not live: 1 object") && told.contains("a.txt"),
        "{told}"
    );
    let told = salvage("app.*");
    assert!(told.contains("gave back 1 object"), "{told}");
    let now = bucket.files();
    assert_eq!(
        (now["objects/app.js"].as_slice(), now["objects/a.txt"].as_slice()),
        (&b"compiled"[..], &b"a"[..])
    );
    bucket.resource.undo(&displaced, &cx).unwrap();
    let now = bucket.files();
    assert_eq!(now["objects/a.txt"], b"changed by the release");
    assert_eq!(now["objects/2026/late.jpg"], b"late");
    assert!(!now.contains_key("objects/b.txt"));
}
