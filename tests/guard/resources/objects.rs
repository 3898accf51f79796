//! Objects of a real S3 server, copied and put back through it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use guard::model::artifact::{Artifact, Live, Work};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};
use guard::system::environment::Environment;

use super::built::{build, text, try_build};
use super::promises::{self, Subject};
use crate::support::Scene;
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
