//! The engine: the policy as a table, and the loop with steps that fail, hang, or come twice.

mod broken;
mod decide;
mod pauses;
mod unknown;
