//! A secret that a probe needs, from a variable or a file.

use std::path::Path;

use guard_model::health::{Answer, Class};
use guard_system::context::Context;
use guard_system::disk;

/// A secret from a variable or a file; it is learned, so that no text shows it.
pub(super) fn secret(cx: &Context, env: Option<&str>, file: Option<&Path>) -> Result<Option<String>, Answer> {
    let text = match (env, file) {
        (Some(name), _) => {
            let value = cx.environment.text(name).map(str::to_owned);
            value.ok_or_else(|| Answer::unknown(Class::NoData, format!("the variable {name} is not set")))?
        }
        (None, Some(path)) => {
            let path = cx.resolve(path);
            let missing = || Answer::unknown(Class::NoData, format!("the file {} cannot be read", path.display()));
            disk::read_text_optional(&path).ok().flatten().ok_or_else(missing)?
        }
        (None, None) => return Ok(None),
    };
    let text = text.trim().to_owned();
    cx.redaction.learn(&text);
    Ok(Some(text))
}
