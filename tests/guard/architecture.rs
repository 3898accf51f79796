//! The shape of the code, held: imports point down the ladder and in no circle, siblings are strangers, files say what they are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

/// The rungs, lowest first. Rooms on one rung do not know each other.
pub const LADDER: [&[&str]; 7] = [
    &["model"],
    &["system"],
    &[
        "config",
        "journal",
        "store",
        "resources",
        "services",
        "probes",
        "watch",
        "report",
        "notify",
    ],
    &["engine"],
    &["run"],
    &["commands"],
    &["cli"],
];
/// So many of the longest files are shown: a review looks at them. A file is as long as its one idea.
const SHOWN: usize = 10;

fn sources(root: &str) -> Vec<(PathBuf, String)> {
    let found = sources_of(root);
    assert!(found.len() > 10, "the sources were not found");
    found
}

fn sources_of(root: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(root)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

fn rung(room: &str) -> Option<usize> {
    LADDER.iter().position(|rooms| rooms.contains(&room))
}

/// The room of a source file: the first folder below `src`, or the file's own name at the top.
fn room(path: &Path) -> String {
    let below = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_string_lossy()
        .into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that the manifest of a room's crate names: what is not named there cannot be imported.
fn needs(manifest: &str) -> Vec<String> {
    let named = manifest.lines().filter_map(|line| line.strip_prefix("guard-"));
    named
        .map(|rest| rest.chars().take_while(char::is_ascii_lowercase).collect())
        .collect()
}

/// The compiler holds the walls: a room that is no dependency is out of reach. So only the manifests are looked at.
#[test]
fn rooms_know_lower_rooms_only_and_siblings_are_strangers() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut crates) = (Vec::new(), 0);
    for entry in fs::read_dir(root.join("src")).unwrap() {
        let path = entry.unwrap().path();
        let own = room(&path);
        let Some(height) = rung(&own) else {
            assert!(
                ["lib", "main"].contains(&own.as_str()),
                "{own} has no rung: add it to the ladder here and in docs/architecture.md"
            );
            continue;
        };
        let Ok(manifest) = fs::read_to_string(path.join("Cargo.toml")) else {
            continue;
        };
        crates += 1;
        for other in needs(&manifest) {
            if rung(&other).is_none_or(|other| other >= height) {
                wrong.push(format!("{own} knows {other}"));
            }
        }
    }
    assert!(wrong.is_empty() && crates > 10, "{crates}: {wrong:#?}");
}

#[test]
fn the_check_sees_a_wrong_need() {
    assert_eq!(
        needs("[dependencies]\nguard-engine = { workspace = true }\nserde = { workspace = true }\n"),
        ["engine"]
    );
    assert!(rung("engine") > rung("store") && rung("store") == rung("probes"));
}

/// `commands` and `cli` are one crate, the program's own: of them the text is asked.
#[test]
fn no_command_knows_the_command_line() {
    for (path, text) in sources("src/commands") {
        assert!(!text.contains("crate::cli"), "{} imports cli", path.display());
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let first = text.lines().next().unwrap_or_default();
        let purpose = first.strip_prefix("//! ").unwrap_or_default();
        assert!(
            purpose.len() > 10 && purpose.contains(' '),
            "{} must open with one `//!` sentence on its purpose",
            path.display()
        );
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "what it shows is for the reader of a failed or watched run"
)]
fn the_longest_files_and_the_widest_functions_are_shown() {
    let texts = sources("src");
    let mut files: Vec<(usize, &PathBuf)> = texts.iter().map(|(path, text)| (text.lines().count(), path)).collect();
    files.sort();
    for (lines, path) in files.iter().rev().take(SHOWN) {
        println!("{lines:>6} lines      {}", path.display());
    }
    let mut functions: Vec<(usize, String)> = texts
        .iter()
        .flat_map(|(path, text)| {
            let named = parameters(text).into_iter();
            named.map(|(name, count)| (count, format!("{} fn {name}", path.display())))
        })
        .collect();
    functions.sort();
    for (count, function) in functions.iter().rev().take(SHOWN) {
        println!("{count:>6} parameters {function}");
    }
    assert!(
        files.len() > SHOWN && functions.len() > SHOWN,
        "the sources were not found"
    );
}

/// The functions in a text, each with the number of its parameters.
fn parameters(text: &str) -> Vec<(String, usize)> {
    let head = Regex::new(r"\bfn (\w+)(?:<[^(]*>)?\(").unwrap();
    let heads = head.captures_iter(text);
    heads
        .map(|found| {
            let (mut depth, mut count, mut is_begun, mut before) = (0, 0, false, ' ');
            for c in text[found.get(0).unwrap().end()..].chars() {
                match c {
                    '(' | '[' | '{' | '<' => depth += 1,
                    ')' if depth == 0 => break,
                    '>' if before == '-' => {}
                    ')' | ']' | '}' | '>' => depth -= 1,
                    ',' if depth == 0 => is_begun = false,
                    c if !is_begun && !c.is_whitespace() => (is_begun, count) = (true, count + 1),
                    _ => {}
                }
                // A pattern begins a parameter as well as a name does.
                if !is_begun && matches!(c, '(' | '[' | '{') {
                    (is_begun, count) = (true, count + 1);
                }
                before = c;
            }
            (found[1].to_owned(), count)
        })
        .collect()
}

#[test]
fn parameters_are_counted() {
    let text =
        "fn none() {}\nfn two(&self, (a, b): (u8, Map<u8, u8>)) {}\nfn of<T>(\n    one: impl Fn(u8, u8) -> u8,\n) {}";
    let counted = [("none".to_owned(), 0), ("two".to_owned(), 2), ("of".to_owned(), 1)];
    assert_eq!(parameters(text), counted);
}

/// The files of a crate by their modules (`["disk", "make"]`; the root has no name), each without comments and tests.
type Modules = BTreeMap<Vec<String>, String>;

fn modules(root: &Path, is_of_it: impl Fn(&Path) -> bool) -> Modules {
    let comment = Regex::new(r"(?m)^\s*//.*$").unwrap();
    let files = sources("src")
        .into_iter()
        .filter(|(path, _)| path.starts_with(root) && is_of_it(path));
    files
        .map(|(path, text)| {
            let inner = path.strip_prefix(root).unwrap().with_extension("");
            let mut module: Vec<String> = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            if module
                .last()
                .is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str()))
            {
                module.pop();
            }
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            (module, comment.replace_all(code, "").into_owned())
        })
        .collect()
}

/// The paths in the tree of a `use`, each with the name that it has here.
fn expanded(before: &[String], tree: &str, found: &mut Vec<(Vec<String>, String)>) {
    let (mut depth, mut part) = (0, String::new());
    let mut parts = Vec::new();
    for c in tree.chars() {
        match c {
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                part.push(c);
            }
        }
    }
    parts.push(part);
    let names = |path: &str| -> Vec<String> {
        let names = path.split("::").map(str::trim).filter(|name| !name.is_empty());
        before.iter().cloned().chain(names.map(str::to_owned)).collect()
    };
    for part in parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()) {
        if let Some((path, inner)) = part.split_once('{') {
            expanded(&names(path), inner.rsplit_once('}').unwrap().0, found);
            continue;
        }
        let (path, alias) = part.split_once(" as ").unwrap_or((part, ""));
        let mut path = names(path);
        path.pop_if(|last| last == "self");
        let own = path.last().cloned().unwrap_or_default();
        let name = if alias.is_empty() { own } else { alias.trim().to_owned() };
        found.push((path, name));
    }
}

/// What a file names of its crate: the paths of its `use`s, those that it hands on, and the paths that stand in its code.
struct Names {
    used: Vec<Vec<String>>,
    handed_on: BTreeMap<String, Vec<String>>,
    inline: Vec<Vec<String>>,
    is_registry: bool,
}

impl Names {
    fn of(text: &str) -> Self {
        let usage = Regex::new(r"(?m)^[ \t]*(pub(?:\([^)]*\))?[ \t]+)?use\s+([^;]+);").unwrap();
        let (mut used, mut handed_on) = (Vec::new(), BTreeMap::new());
        for found in usage.captures_iter(text) {
            let mut paths = Vec::new();
            expanded(&[], &found[2].replace('\n', " "), &mut paths);
            for (path, name) in paths {
                used.push(path.clone());
                if found.get(1).is_some() {
                    handed_on.insert(name, path);
                }
            }
        }
        let code = usage.replace_all(text, "");
        // A registry holds nothing but attributes, modules, what it hands on, and tables of what is registered.
        let registered = [
            r"#!?\[[^\]]*\]",
            r"(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*;",
            r"pub(?:\([^)]*\))?\s+const\s+\w+\s*:\s*&\[[^=]*=\s*&\[[^;]*\];",
        ];
        let rest = registered.iter().fold(code.clone().into_owned(), |rest, pattern| {
            Regex::new(pattern).unwrap().replace_all(&rest, "").into_owned()
        });
        let path = Regex::new(r"\b\w+(?:::\w+)+").unwrap();
        let inline = path.find_iter(&code);
        Self {
            used,
            inline: inline
                .map(|path| path.as_str().split("::").map(str::to_owned).collect())
                .collect(),
            handed_on,
            is_registry: rest.trim().is_empty(),
        }
    }
}

/// The file of a crate that a path means in this one. What a registry hands on lives where it has it from.
fn meant(path: &[String], here: &[String], names: &BTreeMap<Vec<String>, Names>, depth: usize) -> Option<Vec<String>> {
    let mut module = here.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => module.clear(),
        "self" | "super" => {}
        first if names.contains_key(&[here, &[first.to_owned()]].concat()) => {}
        _ => return None,
    }
    while let Some((first, more)) = rest.split_first() {
        match first.as_str() {
            "super" => drop(module.pop()),
            "crate" | "self" => {}
            name => {
                let inner = [&module[..], &[name.to_owned()]].concat();
                if names.contains_key(&inner) {
                    module = inner;
                } else if let Some(of) = names.get(&module).filter(|of| of.is_registry && depth < 8)
                    && let Some(handed_on) = of.handed_on.get(name)
                {
                    return meant(&[&handed_on[..], more].concat(), &module, names, depth + 1);
                } else {
                    return Some(module);
                }
            }
        }
        rest = more;
    }
    Some(module)
}

/// The circles in which the files of a crate import each other, each as the names of its files in order.
fn circles(modules: &Modules) -> BTreeSet<Vec<String>> {
    let names: BTreeMap<Vec<String>, Names> = modules
        .iter()
        .map(|(module, text)| (module.clone(), Names::of(text)))
        .collect();
    let imports: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = names
        .iter()
        .map(|(module, of)| {
            let paths = of.used.iter().chain(&of.inline);
            let files = paths.filter_map(|path| meant(path, module, &names, 0));
            (module, files.filter(|file| file != module).collect())
        })
        .collect();
    let reached = |from: &Vec<String>| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = open.pop() {
            let next = imports.get(&module).into_iter().flatten();
            open.extend(next.filter(|next| seen.insert((*next).clone())).cloned());
        }
        seen
    };
    let reached: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> =
        names.keys().map(|module| (module, reached(module))).collect();
    let circle = |module: &Vec<String>| -> Vec<String> {
        let back = reached[module].iter().filter(|other| reached[*other].contains(module));
        back.map(|file| file.join("::")).collect()
    };
    names.keys().map(circle).filter(|circle| circle.len() > 1).collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let is_crate = |path: &Path| path.join("Cargo.toml").is_file();
    let (mut wrong, mut looked_at) = (Vec::new(), 0);
    let mut look = |room: &str, modules: &Modules| {
        looked_at += modules.len();
        let found = circles(modules);
        wrong.extend(found.iter().map(|circle| format!("{room}: {}", circle.join(", "))));
    };
    for entry in fs::read_dir(&src).unwrap() {
        let path = entry.unwrap().path();
        if is_crate(&path) {
            look(&room(&path), &modules(&path, |_| true));
        }
    }
    // The program is one crate of several rooms.
    look("commands", &modules(&src, |path| !is_crate(&src.join(room(path)))));
    assert!(wrong.is_empty() && looked_at > 400, "{looked_at}: {wrong:#?}");
}

#[test]
fn a_circle_is_seen_and_a_registry_is_seen_through() {
    let of = |files: &[(&[&str], &str)]| {
        let owned = |module: &[&str]| module.iter().map(|name| (*name).to_owned()).collect();
        let modules = files.iter().map(|(module, text)| (owned(module), (*text).to_owned()));
        circles(&modules.collect())
    };
    let registry = "mod one;\nmod two;\n\npub use one::One;\npub use two::Two;\n";
    let child = "use super::Two;\n\npub struct One(Two);\n";
    let through = of(&[(&[], registry), (&["one"], child), (&["two"], "pub struct Two;\n")]);
    assert!(through.is_empty(), "{through:?}");
    let both = of(&[
        (&[], registry),
        (&["one"], child),
        (&["two"], "pub struct Two(crate::One);\n"),
    ]);
    assert_eq!(both, BTreeSet::from([vec!["one".to_owned(), "two".to_owned()]]));
    // One that holds more than names is a file like any other.
    let more = format!("{registry}pub struct Three;\n");
    let up = of(&[(&[], &more), (&["one"], "use super::Three;\n"), (&["two"], "")]);
    assert_eq!(up.len(), 1, "{up:?}");
}

/// The names of the methods in a text.
fn methods(text: &str) -> BTreeSet<String> {
    let named = text.split("fn ").skip(1).filter_map(|rest| {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rest.get(name.len()..)?.starts_with('(').then_some(name)
    });
    named.collect()
}

/// A new kind reads ten methods at most; the rest are abilities, and each of their questions can be put to any resource.
#[test]
fn the_contract_of_resources_is_short_and_every_ability_can_be_asked_for() {
    let read = |path: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let core = methods(&read("src/resources/contract.rs"));
    assert!(core.len() <= 10 && core.contains("restore"), "{core:?}");
    let asked = methods(&read("src/resources/asking.rs"));
    let mut promised = BTreeSet::new();
    for (_, text) in sources_of("src/resources/abilities") {
        let traits = text.split("pub trait ").skip(1);
        promised.extend(traits.flat_map(|text| methods(text.split("\n}\n").next().unwrap())));
    }
    let lost: Vec<_> = promised.difference(&asked).collect();
    assert!(promised.len() > 20 && lost.is_empty(), "nobody can ask for {lost:?}");
}

/// A resource is reached through its [`guard::resources::Member`] alone, together with surroundings at its own engine. One that
/// is taken without them would be asked at the wrong engine; what is taken and not used is an error of the compiler.
#[test]
fn no_resource_is_taken_without_the_surroundings_of_its_engine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let member = fs::read_to_string(root.join("src/resources/member.rs")).unwrap();
    let fields = member.split("pub struct Member {").nth(1).unwrap();
    assert!(!fields.split('}').next().unwrap().contains("pub "), "{fields}");
    let mut doors = 0;
    for (path, text) in sources("src") {
        if path.starts_with(root.join("src/resources")) {
            continue;
        }
        let text: String = text.split_whitespace().collect();
        doors += text.matches("(resource,there)=").count() + text.matches("(resource,cx)=").count();
        for torn in [
            "(resource,_)",
            ".at(cx).0",
            ".at(&cx).0",
            ".at(&bench.cx).0",
            ".at(&self.cx).0",
        ] {
            assert!(!text.contains(torn), "{}: {torn}", path.display());
        }
    }
    assert!(doors > 20, "{doors}");
}

/// `scripts/faults --full planted` takes a long time and is run seldom; whether it could be run is known at once.
#[test]
fn every_safeguard_that_can_be_taken_out_is_where_it_is_looked_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bugs = fs::read_to_string(root.join("fixtures/planted/bugs.txt")).unwrap();
    let bugs: Vec<&str> = bugs
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert!(bugs.len() >= 25, "{}", bugs.len());
    for line in bugs {
        let parts: Vec<&str> = line.split('@').map(str::trim).collect();
        let [name, file, change, tests] = parts[..] else {
            panic!("{line}")
        };
        let change = change.replace("PLANTED", "is_out");
        let path = root.join(file);
        let changed = Command::new("sed").args(["-E", &change]).arg(&path).output().unwrap();
        assert!(
            changed.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&changed.stderr)
        );
        let changed = String::from_utf8(changed.stdout).unwrap();
        assert!(
            changed != fs::read_to_string(&path).unwrap(),
            "{name}: {file} has no such place any more"
        );
        assert!(
            changed.contains("is_out") && !tests.is_empty(),
            "{name}: nobody is asked whether it is out"
        );
    }
}
