//! Where the value of a request's header comes from: the settings, a variable or a file.

use std::path::PathBuf;

use crate::basics::spoken;
use guard_model::health::{Answer, Class};
use guard_system::context::Context;
use guard_system::disk;

/// Where a header's value comes from.
pub(super) enum Origin {
    Text(String),
    Env(String),
    File(PathBuf),
    BearerEnv(String),
    BearerFile(PathBuf),
}

impl Origin {
    pub(super) fn read(&self, cx: &Context) -> Result<String, Answer> {
        let secret = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::Env(name) | Self::BearerEnv(name) => {
                cx.environment
                    .text(name)
                    .map(|value| value.trim().to_owned())
                    .ok_or_else(|| Answer::unknown(Class::NoData, format!("the variable {name} is not set")))?
            }
            Self::File(path) | Self::BearerFile(path) => {
                let path = cx.resolve(path);
                let missing = || Answer::unknown(Class::NoData, format!("the file {} is not there", path.display()));
                let text = disk::read_text_optional(&path)
                    .map_err(|error| Answer::unknown(Class::NoData, spoken(cx, &error.to_string())))?;
                text.ok_or_else(missing)?.trim().to_owned()
            }
        };
        cx.redaction.learn(&secret);
        Ok(match self {
            Self::BearerEnv(_) | Self::BearerFile(_) => format!("Bearer {secret}"),
            _ => secret,
        })
    }
}
