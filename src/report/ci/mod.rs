//! What CI systems want besides lines: marks in the log, and results in files.

pub mod github;
pub mod gitlab;
mod markup;
mod pairs;
mod publish;

pub use github::GitHub;
pub use gitlab::GitLab;
pub use markup::Markup;
pub use publish::publish;
