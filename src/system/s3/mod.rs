//! S3-compatible storage: one small client, for copies of backups and for objects that are a resource.

mod address;
mod answers;
mod beside;
mod blocking;
mod bucket;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod http;
mod lanes;
mod objects;
mod parts;
mod setback;
mod sign;

pub use self::address::Address;
pub use self::beside::Beside;
pub use self::blocking::{Bucket, Source};
pub use self::error::{RemoteError, Result};
pub use self::http::{Patience, Requests, Room};
pub use self::lanes::Giver;
pub use self::objects::{Content, Headers, Object, Opened};
pub use self::parts::{PART, Unended, Upload, part_of};
pub use self::sign::Credentials;
