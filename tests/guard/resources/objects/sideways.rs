//! Objects over a slow way: many requests in flight, never too many, fewer where the storage says so, and what comes of it is the
//! same.

use std::collections::BTreeMap;
use std::sync::Arc;

use guard::model::artifact::Live;
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};
use guard::system::environment::Environment;

use super::super::built::{build, text};
use super::directly;
use crate::support::Scene;
use crate::support::slow::SlowWay;
use crate::support::storage::{SECRET, Storage, WHO};

/// So many objects: more than may be in flight at once.
const COUNT: usize = 150;
/// No more requests than that are in flight, as docs/configuration.md says.
const MOST: usize = 48;

struct Shop {
    storage: Storage,
    way: SlowWay,
    scene: Scene,
    resource: Box<dyn Resource>,
}

impl Shop {
    /// Objects of all lengths, in a bucket at the other end of a slow way.
    fn new() -> Self {
        let mut scene = Scene::new();
        let pairs = std::env::vars().chain([
            ("SHOP_KEY".to_owned(), WHO.to_owned()),
            ("SHOP_SECRET".to_owned(), SECRET.to_owned()),
        ]);
        scene.cx.environment = Arc::new(Environment::of_pairs(pairs));
        let storage = Storage::with("shop");
        let way = SlowWay::to(storage.port());
        let keys = [
            ("url", text("s3://shop/objects")),
            ("endpoint", text(&way.endpoint())),
            ("access_key_env", text("SHOP_KEY")),
            ("secret_key_env", text("SHOP_SECRET")),
        ];
        let resource = build("s3", &scene.project(), None, &keys);
        let shop = Self {
            storage,
            way,
            scene,
            resource,
        };
        shop.fill("first");
        shop
    }

    /// What the server keeps as plain files, of this tenor.
    fn fill(&self, tenor: &str) {
        let place = self.storage.bucket("shop").join("objects/some");
        std::fs::create_dir_all(&place).unwrap();
        for number in 0..COUNT {
            let mut content = format!("{tenor} {number} ").repeat(number + 1).into_bytes();
            if number % 50 == 7 {
                // Over what is read ahead whole.
                content.resize(5 * 1024 * 1024 + number, b'x');
            }
            std::fs::write(place.join(format!("{number:04}")), content).unwrap();
        }
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let place = self.storage.bucket("shop").join("objects/some");
        let entries = std::fs::read_dir(place).unwrap().map(Result::unwrap);
        let read = entries.map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                std::fs::read(entry.path()).unwrap(),
            )
        });
        read.collect()
    }

    fn slot(&self, number: usize) -> Slot {
        let backup = self.scene.root().join(format!("backup-{number}"));
        std::fs::create_dir(&backup).unwrap();
        Slot::new(&backup, self.resource.name())
    }

    /// Copied, changed, put back, and undone; `seen` is told after each act.
    fn there_and_back(&self, seen: &dyn Fn(&str)) {
        let cx = &self.scene.cx;
        let first = self.files();
        let slot = self.slot(1);
        let artifact = self.resource.capture(&slot, cx).unwrap();
        seen("capture");
        self.resource.prove(&artifact, &slot, cx).unwrap();
        assert_eq!(self.resource.check(&artifact, cx).unwrap(), Live::Matches);
        seen("check");
        self.fill("second");
        let second = self.files();
        let prepared = self
            .resource
            .prepare(&artifact, &slot, DataRestore::Always, cx)
            .unwrap();
        seen("prepare");
        let displaced = self.resource.restore(&prepared, &artifact, &slot, cx).unwrap();
        seen("restore");
        assert!(self.files() == first, "what came back is what was copied");
        let undone = self.resource.undo(&displaced, cx).unwrap();
        seen("undo");
        assert!(self.files() == second, "an undo is exact");
        self.resource.forget(&undone, cx).unwrap();
        seen("forget");
        let left = self.storage.bucket("shop").join("objects");
        let left: Vec<_> = std::fs::read_dir(left)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(
            left.iter()
                .all(|path| !path.is_dir() || path.ends_with("some") || is_empty(path)),
            "{left:?}"
        );
    }
}

/// Whether no file is below; this server leaves the directories of what it removes.
fn is_empty(path: &std::path::Path) -> bool {
    let mut entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.all(|entry| entry.is_dir() && is_empty(&entry))
}

#[test]
fn objects_over_a_slow_way_go_side_by_side_and_never_too_many() {
    let shop = Shop::new();
    shop.there_and_back(&|act| {
        let most = shop.way.most();
        assert!((MOST / 2..=MOST).contains(&most), "{act}: {most} requests at once");
    });
}

#[test]
fn a_storage_that_is_asked_too_much_is_asked_less_and_nothing_is_lost() {
    let shop = Shop::new();
    shop.way.bear(12);
    shop.there_and_back(&|act| {
        let (requests, refused) = (shop.way.requests(), shop.way.refused());
        // Without an end to it, more requests were refused than heard.
        assert!(refused > 0, "{act}: it was never asked too much");
        assert!(refused * 2 < requests, "{act}: {refused} of {requests} refused");
    });
}

#[test]
fn objects_that_an_earlier_copy_knows_are_asked_for_by_their_marks_only() {
    let shop = Shop::new();
    let cx = &shop.scene.cx;
    let first = shop.slot(1);
    let artifact = shop.resource.capture(&first, cx).unwrap();
    std::fs::write(shop.storage.bucket("shop").join("objects/some/0003"), b"another").unwrap();
    assert_eq!(
        (shop.way.reads(), shop.way.requests()),
        (COUNT, 1 + COUNT + 3),
        "no look before what is read whole is read"
    );
    let slot = shop.slot(2).after(first.directory().parent().unwrap(), artifact);
    let second = shop.resource.capture(&slot, cx).unwrap();
    // One page of the list, the mark of each that is as long as it was, since this server lists none, and what has changed.
    assert_eq!((shop.way.reads(), shop.way.requests()), (1, 1 + COUNT - 1 + 1));
    shop.resource.prove(&second, &slot, cx).unwrap();
    assert_eq!(shop.resource.check(&second, cx).unwrap(), Live::Matches);
}

#[test]
fn parts_of_a_large_object_go_side_by_side_within_the_memory_that_there_is() {
    let shop = Shop::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bucket = directly(shop.way.port(), &runtime, &shop.scene);
    let content: Vec<u8> = (0..70_000_000_u32)
        .map(|number| (number / 7).to_le_bytes()[0])
        .collect();
    let file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &file, &content).unwrap();
    shop.way.most();
    bucket.put_object("up/big", &[], &file, 70_000_000).unwrap();
    let most = shop.way.most();
    // Parts of 8 MiB, 24 MiB of them in memory.
    assert_eq!(most, 3, "parts in flight");
    let path = shop.storage.bucket("shop").join("up/big");
    assert!(std::fs::read(path).unwrap() == content, "byte by byte");
}
