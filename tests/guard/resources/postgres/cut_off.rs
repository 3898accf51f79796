//! A server that goes away while it is being copied.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use guard::model::event::{Audience, Event, Voice};

use super::{by_url, slot};
use crate::support::Scene;
use crate::support::cluster::Cluster;

/// Takes the server away as soon as the dump has begun to arrive.
struct Cutter {
    cluster: Arc<Cluster>,
    done: AtomicBool,
}

impl Audience for Cutter {
    fn tell(&self, event: &Event) {
        let is_progress = matches!(event, Event::Progress { .. });
        if is_progress && !self.done.swap(true, Ordering::SeqCst) {
            self.cluster.down();
        }
    }
}

#[test]
fn fault_g3_a_server_that_dies_in_the_middle_leaves_no_backup() {
    let cluster = Arc::new(Cluster::start());
    cluster.create(
        "shop",
        "CREATE TABLE big AS SELECT md5(n::text) AS text FROM generate_series(1, 400000) n;",
    );
    let mut scene = Scene::new();
    let cutter = Cutter {
        cluster: cluster.clone(),
        done: AtomicBool::new(false),
    };
    scene.cx.voice = Voice::new(Arc::new(cutter));
    let resource = by_url(&cluster, &scene, "shop");
    let slot = slot(&scene, resource.as_ref());
    let error = resource.capture(&slot, &scene.cx).expect_err("cut off");
    assert!(error.hint.is_some(), "{error:?}");
    assert_eq!(
        std::fs::read_dir(slot.directory()).unwrap().count(),
        0,
        "nothing that could be taken for a backup"
    );
}
