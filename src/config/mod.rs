//! The configuration: text → [`file`] (what is written, each value with its line) → [`settings`] (validated, with
//! defaults). Only [`Settings`] leaves this module.

mod file;
mod mistake;
mod secret;
mod section;
mod settings;
mod shown_url;
mod value;

pub use mistake::{Mistake, Mistakes};
pub use secret::{Secret, SecretError, SecretSource};
pub use settings::{Endpoint, Job, RequestSettings, Server, Settings};
