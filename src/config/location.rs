//! Where the settings are looked for.

use std::path::{Path, PathBuf};

use super::layer::{self, Request};
use super::{env, file, owner};
use guard_model::setting::Problem;

/// A project's directory and its settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The project's directory, absolute.
    pub directory: PathBuf,
    /// The file, absolute; it need not exist.
    pub file: PathBuf,
    /// Its name in messages.
    pub shown: String,
    /// Whether somebody named the file, so that it has to exist.
    pub is_named: bool,
}

/// Where the settings of a request are looked for.
///
/// # Errors
/// A flag or variable that cannot be read; or guard runs as root, and the project is a stranger's.
pub fn locate(request: &Request) -> Result<Location, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut path = |key: &str| {
        let given = env::find(key).map_or(Ok(None), |name| layer::given(request, name));
        given.map_or_else(
            |problem| {
                problems.push(problem);
                None
            },
            |given| given.and_then(|given| given.texts.last().map(PathBuf::from)),
        )
    };
    let directory = path("directory").map_or_else(|| request.start.clone(), |path| request.start.join(path));
    let config = path("config");
    if !problems.is_empty() {
        return Err(problems);
    }
    let location = match config {
        Some(config) => {
            let file = directory.join(&config);
            Location {
                directory: file.parent().map_or_else(|| directory.clone(), Path::to_owned),
                file,
                shown: config.display().to_string(),
                is_named: true,
            }
        }
        None => Location {
            file: directory.join(file::FILE_NAME),
            directory,
            shown: file::FILE_NAME.to_owned(),
            is_named: false,
        },
    };
    owner::refuse_stranger(request, &location.directory, (&location.file, &location.shown))
        .map_err(|problem| vec![problem])?;
    Ok(location)
}
