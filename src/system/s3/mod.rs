//! S3-compatible storage: one small client, for copies of backups and for objects that are a resource.

mod address;
mod answers;
mod beside;
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
pub use self::error::{RemoteError, Result};
pub use self::http::{Bucket, Patience};
pub use self::lanes::Giver;
pub use self::objects::{Headers, Object, Source};
pub use self::parts::{Unended, Upload};
pub use self::sign::Credentials;
