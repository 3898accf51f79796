//! The worked example of `docs/adding-a-resource.md`, held to the promises like every other kind.

mod link;

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use guard::model::section::Section;
use guard::model::setting::{Item, Source, Value};
use guard::resources::{Resource, Site};

use super::promises::{Subject, hold};
use crate::support::Scene;

struct Current {
    path: PathBuf,
    resource: Box<dyn Resource>,
}

impl Subject for Current {
    fn resource(&self) -> &dyn Resource {
        self.resource.as_ref()
    }

    fn spoil_live(&self) {
        std::fs::remove_file(&self.path).unwrap();
        symlink("releases/42", &self.path).unwrap();
    }

    fn observe(&self) -> String {
        std::fs::read_link(&self.path).unwrap().display().to_string()
    }
}

#[test]
fn the_example_keeps_the_promises() {
    let scene = Scene::new();
    let path = scene.project().join("current");
    symlink("releases/41", &path).unwrap();
    let item = |value| Item { value, at: 0..0 };
    let keys = [("path".to_owned(), (0..0, item(Value::Text("current".to_owned()))))];
    let table = item(Value::Table(keys.into_iter().collect()));
    let (source, mut problems) = (Source::default(), Vec::new());
    let mut section = Section::new("resources.release", &source, table, &mut problems);
    let site = Site {
        directory: scene.project(),
        compose: None,
        stops: false,
        only: guard::resources::Narrowed::default(),
        checkouts: Vec::new(),
    };
    let built = (link::KIND.build)("release".parse().unwrap(), &mut section, &site);
    section.finish();
    assert!(problems.is_empty(), "{problems:?}");
    let resource = built.unwrap();
    hold(&Current { path, resource }, &scene);
}

#[test]
fn the_page_shows_this_very_file() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/adding-a-resource.md")).unwrap();
    let shown = page.split("```rust\n").nth(1).unwrap().split("\n```").next().unwrap();
    assert_eq!(shown.trim_end(), include_str!("link.rs").trim_end());
}
