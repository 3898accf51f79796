//! The world outside: programs, time, disk, lock, signals, docker. Each door stands here and nowhere else.

pub mod aside;
pub mod call;
pub mod cipher;
pub mod clock;
pub mod context;
pub mod control_group;
pub mod detached;
pub mod disk;
pub mod docker;
pub mod environment;
pub mod http;
pub mod identity;
pub mod keyboard;
pub mod leftovers;
pub mod lock;
pub mod outside;
pub mod privilege;
pub mod processes;
pub mod runtime;
pub mod s3;
pub mod secrets;
pub mod servers;
pub mod signals;
pub mod stop;
pub mod supervisor;
pub mod systemd;
