//! Disks that fill up or answer with errors.

mod errors;
mod full;
mod slow;
#[path = "../support/mod.rs"]
mod support;
