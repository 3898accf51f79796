//! The logs of the containers of services, as the engine keeps them; new containers are read from their beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use guard_system::context::Context;
use guard_system::docker::{Part, containers_of, logs};

/// The logs of some services.
pub(super) struct Containers {
    project: String,
    services: Vec<String>,
    /// When it was looked at first: nothing older counts.
    mark: Option<DateTime<Utc>>,
    /// By container: the stamp of the last line that was read.
    seen: BTreeMap<String, String>,
}

impl Containers {
    pub(super) fn new(project: String, services: Vec<String>) -> Self {
        Self {
            project,
            services,
            mark: None,
            seen: BTreeMap::new(),
        }
    }

    /// What was logged since the call before, about this many bytes at most; the first call only marks the moment.
    pub(super) fn more(&mut self, most: usize, limit: Duration, cx: &Context) -> Result<Vec<u8>, String> {
        let is_first = self.mark.is_none();
        let mark = *self.mark.get_or_insert_with(|| cx.clock.now());
        let found = containers_of(cx, &self.project).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        for container in found
            .iter()
            .filter(|container| self.services.contains(&container.service))
        {
            if is_first {
                continue;
            }
            let last = self.seen.get(&container.id).cloned();
            let from_last = last
                .as_ref()
                .and_then(|last| DateTime::parse_from_rfc3339(last).ok())
                .map(|last| last.to_utc());
            let part = Part {
                since: Some(from_last.unwrap_or(mark)),
                stamped: true,
                ..Part::default()
            };
            let mut heard = Vec::new();
            let room = most.saturating_sub(bytes.len());
            let streamed = logs(cx, &container.id, part, Some(limit), &mut |part| {
                // Beyond the room, the rest is for the next reading, which begins behind the last line that is kept.
                let free = room.saturating_sub(heard.len());
                heard.extend_from_slice(part.get(..free.min(part.len())).unwrap_or_default());
                Ok(())
            });
            streamed.map_err(|error| error.to_string())?;
            let end = heard.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in heard.get(..end).unwrap_or_default().split(|byte| *byte == b'\n') {
                let Some(space) = line.iter().position(|byte| *byte == b' ') else {
                    continue;
                };
                let (stamp, text) = line.split_at(space);
                let stamp = String::from_utf8_lossy(stamp).into_owned();
                // `--since` includes its own moment. The stamps have one form, so their order is that of their text.
                if last.as_ref().is_some_and(|last| stamp <= *last) {
                    continue;
                }
                // Two streams are merged here, so a later line may carry an earlier stamp.
                let latest = self.seen.entry(container.id.clone()).or_default();
                if stamp > *latest {
                    *latest = stamp;
                }
                bytes.extend_from_slice(text.get(1..).unwrap_or_default());
                bytes.push(b'\n');
            }
        }
        Ok(bytes)
    }
}
