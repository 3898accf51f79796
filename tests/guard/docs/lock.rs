//! `Cargo.lock`: everything is from one registry, by its checksum, and nothing is in it that `deny.toml` keeps out.

use super::root;

/// A package of the lock file: its name, its source and its checksum; the last two are empty for what is in this tree.
struct Package {
    name: String,
    source: String,
    checksum: String,
}

fn packages() -> Vec<Package> {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let field = |block: &str, name: &str| {
        let start = format!("{name} = \"");
        let line = block.lines().find_map(|line| line.strip_prefix(&start));
        line.map(|rest| rest.trim_end_matches('"').to_owned())
            .unwrap_or_default()
    };
    let blocks = text.split("[[package]]").skip(1);
    let packages = blocks.map(|block| Package {
        name: field(block, "name"),
        source: field(block, "source"),
        checksum: field(block, "checksum"),
    });
    packages.collect()
}

#[test]
fn fault_m13_m14_m15_the_tree_has_no_http2_no_yaml_parser_and_nothing_of_unknown_origin() {
    let packages = packages();
    assert!(packages.len() > 100, "{}", packages.len());
    let registry = packages
        .iter()
        .find(|package| package.name == "serde")
        .unwrap()
        .source
        .clone();
    assert!(registry.starts_with("registry+"), "{registry}");
    // The rooms of this tree have no source; a name of theirs from elsewhere is no room.
    let is_own = |package: &&Package| {
        package.source.is_empty() && (package.name == "guard" || package.name.starts_with("guard-"))
    };
    for package in packages.iter().filter(|package| !is_own(package)) {
        assert_eq!(package.source, registry, "{}", package.name);
        let is_digest = package.checksum.len() == 64 && package.checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(is_digest, "{} has no checksum", package.name);
    }
    let rules = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    for banned in ["h2", "serde_yaml", "openssl", "native-tls"] {
        assert!(
            rules.contains(&format!("crate = \"{banned}\"")),
            "deny.toml lets {banned} in"
        );
        assert!(
            packages.iter().all(|package| package.name != banned),
            "{banned} is in the tree"
        );
    }
    // Whatever its name: a parser of YAML is not there to be attacked.
    let parser = packages
        .iter()
        .find(|package| package.name.contains("yaml") || package.name.contains("yml"));
    assert!(parser.is_none(), "{}", parser.unwrap().name);
    assert!(rules.contains("unknown-registry = \"deny\"") && rules.contains("unknown-git = \"deny\""));
}

#[test]
fn fault_m15_nothing_is_built_but_what_is_locked() {
    let mut count = 0;
    for entry in walkdir::WalkDir::new(root().join("scripts"))
        .into_iter()
        .map(Result::unwrap)
    {
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let builds = [
                "cargo build",
                "cargo test",
                "cargo install",
                "cargo run",
                "cargo clippy",
            ];
            if let Some(call) = builds
                .iter()
                .find_map(|call| line.split_once(call))
                .map(|(_, rest)| rest)
            {
                count += 1;
                assert!(call.contains("--locked"), "{}: {line}", entry.path().display());
            }
        }
    }
    assert!(count > 5, "{count} calls of cargo");
}
