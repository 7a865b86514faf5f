//! The command line: questions about a file or a running daemon, and what is made of the command line itself.

mod diff;
mod export;
mod health;
mod history;
mod manual;
mod pictures;
mod queries;
mod rehearse;
mod status;
mod stretches;
#[path = "../support/mod.rs"]
mod support;
mod upkeep;
mod why;
