//! The report as a real browser draws it: wide and narrow, light and dark; nothing sticks out, and everything can be read.
//!
//! `scripts/setup` installs Chromium. `GUARD_TEST_PICTURES=DIR` keeps pictures there for a person to look at.

use std::path::{Path, PathBuf};
use std::process::Command;

use guard::model::secret::Redaction;
use guard::report::run_report::{Material, RunReport, page};

use super::run_report::{good, turned_back};

/// Looks at the page in a frame, from outside: the page itself stays as it is, without scripts. What it finds becomes the title.
const LOOK: &str = r##"
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument, view = frame.contentWindow, found = [];
  const root = page.scrollingElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide in ${root.clientWidth}`);
  const parse = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(view.getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), view.matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0, 1] : [255, 255, 255, 1]);
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let texts = 0, worst = 99;
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    const box = element.getBoundingClientRect();
    if (!text || element.closest("style") || !box.width || element.closest("thead") && frame.width < 700) continue;
    texts += 1;
    const below = ground(element), colour = over(parse(view.getComputedStyle(element).color), below);
    const [a, b] = [light(colour), light(below)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    worst = Math.min(worst, contrast);
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)} is the contrast of "${text.slice(0, 40)}"`);
    // What scrolls by itself may be wider than the page.
    if (!element.closest("pre, .scroll") && box.right > root.clientWidth + 1) found.push(`"${text.slice(0, 40)}" sticks out`);
    if (element.closest(".figure") && element.scrollWidth > element.clientWidth) found.push(`"${text.slice(0, 40)}" is cut off`);
  }
  for (const svg of page.querySelectorAll("svg")) if (svg.getBoundingClientRect().width < 100) found.push("a plot has no room");
  const scheme = view.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.title = JSON.stringify({ found: [...new Set(found)], texts, worst, scheme, plots: page.querySelectorAll("svg").length, height: root.scrollHeight });
});
frame.srcdoc = JSON.parse(document.querySelector("#page").textContent);
"##;

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|place| names.map(|name| place.join(name)))
        .find(|path| path.is_file())
}

struct Look {
    width: u32,
    scheme: &'static str,
}

fn chromium(browser: &Path, scheme: &str, profile: &Path) -> Command {
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        // In a container that may be too small for a page.
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--virtual-time-budget=10000",
    ]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    // 0 is dark, 1 is light.
    command.arg(format!(
        "--blink-settings=preferredColorScheme={}",
        u8::from(scheme == "light")
    ));
    command
}

fn looked_at(browser: &Path, html: &str, look: &Look, directory: &Path) -> serde_json::Value {
    // Inside of a script nothing ends it but its own end.
    let quoted = serde_json::to_string(html).unwrap().replace('<', "\\u003c");
    let wrapper = format!(
        "<!doctype html><meta charset=utf-8><iframe width={} height=900 style='border:0'></iframe>\
         <script type='application/json' id=page>{quoted}</script><script>{LOOK}</script>",
        look.width
    );
    let path = directory.join(format!("look-{}-{}.html", look.width, look.scheme));
    std::fs::write(&path, wrapper).unwrap();
    let mut command = chromium(browser, look.scheme, &directory.join("profile"));
    let output = command.arg("--dump-dom").arg(&path).output().unwrap();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|rest| rest.split("</title>").next());
    let title = title.unwrap_or_else(|| panic!("{dom}\n{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(&title.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).unwrap()
}

fn keep_picture(browser: &Path, path: &Path, look: &Look, height: u64, name: &str, directory: &Path) {
    let Some(pictures) = std::env::var_os("GUARD_TEST_PICTURES") else {
        return;
    };
    let picture = Path::new(&pictures).join(format!("{name}-{}-{}.png", look.width, look.scheme));
    let framed = directory.join("framed.html");
    let frame = format!(
        "<!doctype html><body style='margin:0'><iframe src='{}' width={} height={height} style='border:0'></iframe>",
        path.display(),
        look.width
    );
    std::fs::write(&framed, frame).unwrap();
    let mut command = chromium(browser, look.scheme, &directory.join("profile"));
    command.arg(format!("--window-size={},{height}", look.width));
    let status = command
        .arg(format!("--screenshot={}", picture.display()))
        .arg(&framed)
        .output();
    assert!(
        status.unwrap().status.success() && picture.exists(),
        "{}",
        picture.display()
    );
}

fn well_drawn(name: &str, material: &Material, plots: u64) {
    let browser = browser().expect("Chromium is not here: scripts/setup installs it");
    let html = page(&RunReport::of(material, &Redaction::default(), "guard"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(format!("{name}.html"));
    std::fs::write(&path, &html).unwrap();
    for width in [390, 1280] {
        for scheme in ["light", "dark"] {
            let look = Look { width, scheme };
            let seen = looked_at(&browser, &html, &look, directory.path());
            assert_eq!(
                seen["found"],
                serde_json::json!([]),
                "{name}, {width}, {scheme}: {seen}"
            );
            assert_eq!(seen["scheme"], scheme, "{seen}");
            assert!(
                seen["texts"].as_u64() > Some(60) && seen["plots"].as_u64() >= Some(plots),
                "{seen}"
            );
            let height = seen["height"].as_u64().unwrap();
            keep_picture(&browser, &path, &look, height, name, directory.path());
        }
    }
}

#[test]
fn the_report_of_a_failed_release_is_readable_wide_and_narrow_light_and_dark() {
    let mut material = turned_back();
    // Words without a place to break, as digests and paths are.
    let long = "sha256:4f9c2d1b77a0104f9c2d1b77a0104f9c2d1b77a0104f9c2d1b77a0104f9c2d1b".to_owned();
    material
        .after
        .values_mut()
        .for_each(|parts| drop(parts.insert("image web".to_owned(), long.clone())));
    material.logs[0].lines.push(long.repeat(4));
    material
        .readings
        .iter_mut()
        .for_each(|reading| reading.note.clone_from(&long));
    well_drawn("turned-back", &material, 11);
}

#[test]
fn the_report_of_a_good_release_is_readable_wide_and_narrow_light_and_dark() {
    well_drawn("good", &good(), 6);
}
