//! What long copies tell of themselves while they go on: what is done, and of how much.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use guard::model::event::{Audience, Event, Voice};
use guard::model::policy::DataRestore;
use guard::resources::Slot;

use super::built::{build, text};
use super::postgres::{by_url, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;

/// What was told: done, of how much.
type Heard = Arc<Mutex<Vec<(u64, Option<u64>)>>>;

/// Writes down what it is told of work of this name.
struct Listener {
    work: &'static str,
    heard: Heard,
    /// How long it takes to hear the first word: nobody goes on without it.
    slowness: Duration,
}

impl Audience for Listener {
    fn tell(&self, event: &Event) {
        if let Event::Progress { what, done, total, .. } = event
            && what.starts_with(self.work)
        {
            let is_first = {
                let mut heard = self.heard.lock().unwrap();
                heard.push((*done, *total));
                heard.len() == 1
            };
            if is_first {
                std::thread::sleep(self.slowness);
            }
        }
    }
}

fn listen(scene: &mut Scene, work: &'static str, slowness: Duration) -> Heard {
    let heard = Heard::default();
    scene.cx.voice = Voice::new(Arc::new(Listener {
        work,
        heard: heard.clone(),
        slowness,
    }));
    heard
}

#[test]
fn a_copy_of_files_tells_how_much_is_left_within_a_file_as_well() {
    const SIZE: u64 = 40_000_000;
    for form in ["archive", "chunks"] {
        let mut scene = Scene::new();
        let root = scene.project().join("objects");
        std::fs::create_dir(&root).unwrap();
        let content: Vec<u8> = (0..SIZE).map(|n| (n * n % 251) as u8).collect();
        std::fs::write(root.join("one large file"), content).unwrap();
        let keys = [("path", text("objects")), ("form", text(form))];
        let resource = build("volume", &scene.project(), None, &keys);

        let heard = listen(&mut scene, "copy ", Duration::ZERO);
        let slot = Slot::new(&scene.backup(), resource.name());
        let artifact = resource.capture(&slot, &scene.cx).unwrap();
        let heard = heard.lock().unwrap().clone();
        assert!(heard.len() >= 5, "{form}: {heard:?}");
        assert!(heard.iter().all(|(_, total)| *total == Some(SIZE)), "{form}: {heard:?}");
        assert!(heard.is_sorted(), "{form}: {heard:?}");
        assert_eq!(heard.last(), Some(&(SIZE, Some(SIZE))), "{form}");

        std::fs::remove_file(root.join("one large file")).unwrap();
        let heard = listen(&mut scene, "stage ", Duration::ZERO);
        resource
            .prepare(&artifact, &slot, DataRestore::Always, &scene.cx)
            .unwrap();
        let heard = heard.lock().unwrap().clone();
        assert_eq!(heard.last(), Some(&(SIZE, Some(SIZE))), "{form}: {heard:?}");
    }
}

#[test]
fn a_dump_tells_how_much_of_the_tables_is_left() {
    let cluster = Cluster::start();
    cluster.create(
        "shop",
        "CREATE TABLE a AS SELECT md5(n::text) AS text FROM generate_series(1, 300000) n;
         CREATE TABLE b AS SELECT md5(n::text) AS text FROM generate_series(1, 300000) n;",
    );
    // Vacuum may add its maps at any time: the tables have at least so many bytes.
    let size: u64 = cluster
        .sql("shop", "SELECT pg_relation_size('a') + pg_relation_size('b')")
        .trim()
        .parse()
        .unwrap();
    let mut scene = Scene::new();
    // The dump waits for whoever hears its first word, and is in the middle of a table when the server is asked.
    let heard = listen(&mut scene, "dump ", Duration::from_millis(2500));
    let resource = by_url(&cluster, &scene, "shop");
    resource.capture(&slot(&scene, resource.as_ref()), &scene.cx).unwrap();
    let heard = heard.lock().unwrap().clone();
    let told: Vec<(u64, u64)> = heard
        .iter()
        .filter_map(|(done, total)| Some((*done, (*total).filter(|total| *total >= size)?)))
        .collect();
    assert!(told.iter().any(|(done, total)| (1..*total).contains(done)), "{heard:?}");
    let (done, total) = told.last().expect("the end");
    assert_eq!(done, total, "the end is told");
}
