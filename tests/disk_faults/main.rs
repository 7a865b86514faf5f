//! Disks that fill up or answer with errors.

mod errors;
mod full;
#[path = "../support/mod.rs"]
mod support;
