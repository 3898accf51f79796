//! Reads the plain YAML of the CI samples: nested keys by indentation, lists, scalars. What is no such YAML is refused.

/// A value with the way to it: `jobs.deploy.env.GUARD_ENVIRONMENT`; an entry of a list has `[]` in its way.
pub type Leaf = (String, String);

/// The leaves of a text.
pub fn leaves(text: &str) -> Result<Vec<Leaf>, String> {
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut leaves = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fault = |what: &str| format!("line {}: {what}: {line:?}", number + 1);
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let mut indent = line.len() - content.len();
        if line.contains('\t') || indent % 2 != 0 {
            return Err(fault("indented by something else than two spaces"));
        }
        open.retain(|(depth, _)| *depth < indent);
        if open.last().is_some_and(|(depth, _)| indent - depth > 2) || (open.is_empty() && indent > 0) {
            return Err(fault("indented too far"));
        }
        let way = |open: &[(usize, String)], key: &str| {
            let keys = open.iter().map(|(_, key)| key.as_str()).chain(Some(key));
            keys.filter(|key| !key.is_empty()).collect::<Vec<_>>().join(".")
        };
        let mut rest = content;
        if let Some(entry) = content.strip_prefix("- ") {
            open.push((indent, "[]".to_owned()));
            indent += 2;
            rest = entry;
        }
        match rest
            .split_once(": ")
            .or_else(|| rest.strip_suffix(':').map(|key| (key, "")))
        {
            Some((key, value)) if is_key(key) => {
                if value.trim().is_empty() {
                    open.push((indent, key.to_owned()));
                } else {
                    leaves.push((way(&open, key), scalar(value)?));
                }
            }
            _ if content.starts_with("- ") => leaves.push((way(&open, ""), scalar(rest)?)),
            _ => return Err(fault("neither a key nor an entry")),
        }
    }
    Ok(leaves)
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

fn scalar(text: &str) -> Result<String, String> {
    let text = text.trim();
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_odd = quoted.is_none() && (text.starts_with(['&', '*', '!', '%', '@', '`']) || text.contains(": "));
    if is_odd {
        return Err(format!("{text:?} has to be quoted"));
    }
    Ok(quoted.unwrap_or(text).to_owned())
}

#[test]
fn what_is_no_such_yaml_is_refused() {
    for wrong in [
        "a:\n\tb: 1",
        "a:\n      b: 1",
        " a: 1",
        "a:\n  nothing",
        "a: b: c",
        "a: @b",
    ] {
        assert!(leaves(wrong).is_err(), "{wrong:?}");
    }
    let found = leaves("on:\n  push:\n    branches: [main]\njobs:\n  - run: \"x\"\n    id: y\n  - plain\n").unwrap();
    let shown: Vec<String> = found.iter().map(|(way, value)| format!("{way}={value}")).collect();
    assert_eq!(
        shown,
        [
            "on.push.branches=[main]",
            "jobs.[].run=x",
            "jobs.[].id=y",
            "jobs.[]=plain"
        ]
    );
}
