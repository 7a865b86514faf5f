//! The file: what is written, and how it is read.

mod backup;
mod endpoint_status;
mod evidence;
mod memory;
mod rollups;
mod schema;
#[path = "../support/mod.rs"]
mod support;
