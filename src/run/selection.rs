//! The resources that `--only` and `--skip` leave.

use crate::assembly::Owned;
use crate::outcome::Refusal;
use crate::request::Selection;
use guard_model::exit::ExitCode;
use guard_model::setting::nearest_or_all;

/// The resources that `--only` and `--skip` leave.
///
/// # Errors
/// A name that no resource has.
pub fn chosen(resources: Vec<Owned>, selection: &Selection) -> Result<Vec<Owned>, Refusal> {
    let names: Vec<String> = resources
        .iter()
        .map(|owned| owned.resource.name().to_string())
        .collect();
    for asked in selection.only.iter().chain(&selection.skip) {
        if !names.contains(asked) {
            let all: Vec<&str> = names.iter().map(String::as_str).collect();
            let hint = nearest_or_all(asked, &all);
            return Err(Refusal::new(ExitCode::USAGE, format!("no resource is called {asked:?}")).because(hint));
        }
    }
    let is_chosen = |owned: &Owned| {
        let name = owned.resource.name().to_string();
        (selection.only.is_empty() || selection.only.contains(&name)) && !selection.skip.contains(&name)
    };
    Ok(resources.into_iter().filter(is_chosen).collect())
}
