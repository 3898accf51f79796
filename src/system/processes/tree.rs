//! A process with all that it has started.

/// A process and all its descendants, parents first, as the kernel knows them now.
pub(super) fn tree(root: rustix::process::Pid) -> Vec<rustix::process::Pid> {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // The name, in parentheses, may hold spaces and parentheses itself: the fields begin after the last one.
        let Some((_, fields)) = stat.rsplit_once(')') else {
            continue;
        };
        if let Some(parent) = fields
            .split_whitespace()
            .nth(1)
            .and_then(|field| field.parse::<i32>().ok())
        {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root.as_raw_nonzero().get()];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.into_iter().filter_map(rustix::process::Pid::from_raw).collect()
}
