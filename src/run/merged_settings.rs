//! Which settings a way back goes by: those in force say where production is and how it is put back, those of the copy say
//! what was copied.

use guard_config::Settings;
use guard_model::name::ResourceName;
use guard_resources::copied_keys;

/// The settings in force with, of each resource, what was copied; and in what the two differ, each a sentence.
///
/// A resource that the settings in force do not declare, or as another kind, is taken from the earlier ones whole.
#[must_use]
pub fn over(earlier: &Settings, now: &Settings, held: &[ResourceName]) -> (Settings, Vec<String>) {
    let mut merged = now.clone();
    let mut told = Vec::new();
    for then in &earlier.resources {
        let name = &then.name;
        let is_held = held.contains(name);
        let place = merged.resources.iter().position(|one| &one.name == name);
        match place.and_then(|place| merged.resources.get_mut(place)) {
            Some(one) if one.kind == then.kind => {
                let (table, differing) = one.with_keys_of(then, copied_keys(&then.kind));
                *one = table;
                if is_held && !differing.is_empty() {
                    let keys: Vec<String> = differing.iter().map(|key| format!("`{key}`")).collect();
                    told.push(format!(
                        "{name}: {} of the settings in force counts, which was another when the copy was taken",
                        keys.join(", ")
                    ));
                }
            }
            Some(one) => {
                if is_held {
                    told.push(format!(
                        "{name} was of the kind {} when the copy was taken, and is {} now: it goes back as it was",
                        then.kind, one.kind
                    ));
                }
                *one = then.clone();
            }
            None => {
                if is_held {
                    told.push(format!(
                        "{name} is not in the settings in force: it goes back to where it was copied from"
                    ));
                }
                merged.resources.push(then.clone());
            }
        }
    }
    let is_new = |name: &_| !merged.projects.iter().any(|project| &project.name == name);
    let further: Vec<_> = earlier
        .projects
        .iter()
        .filter(|project| is_new(&project.name))
        .cloned()
        .collect();
    merged.projects.extend(further);
    if merged.compose.is_none() {
        merged.compose.clone_from(&earlier.compose);
    }
    (merged, told)
}
