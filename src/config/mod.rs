//! The configuration: text → [`file`] (what is written, each value with its line) → [`rules`] (ranges, combinations,
//! defaults) → [`settings`]. Only [`Settings`] leaves this module.

mod file;
mod mistake;
mod request_keys;
mod request_rules;
mod rules;
mod secret;
mod section;
mod settings;
mod shown_url;
mod value;

pub use mistake::{Mistake, Mistakes};
pub use secret::{Secret, SecretError, SecretSource};
pub use settings::{Auth, Endpoint, ErrorIf, Identity, Job, Proxy, RequestSettings, Server, Settings};
