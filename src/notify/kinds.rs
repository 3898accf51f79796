//! All kinds of targets.

use super::way::Kind;
use super::{command, mail, post};

/// All kinds. To add one: a file here, its line in this list, and its word in `model::notice::KINDS`.
pub const KINDS: &[Kind] = &[post::SLACK, post::WEBHOOK, mail::KIND, command::KIND];
