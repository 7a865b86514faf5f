//! The configuration: text → [`file`] (what is written, each value with its line) → [`rules`] (ranges, combinations,
//! defaults) → [`settings`]. Only [`Settings`] leaves this module.

mod auth;
mod auth_rules;
mod field;
mod file;
mod file_stamp;
mod live_secret;
mod maintenance;
mod mistake;
mod notify;
mod oauth2;
mod pages;
mod request_keys;
mod request_rules;
mod rules;
mod secret;
mod section;
mod server_rules;
mod settings;
mod shown_url;
mod template;
mod value;
mod webhook;

pub use auth::{Auth, TokenPlace};
pub use field::Field;
pub use file_stamp::FileStamp;
pub use live_secret::LiveSecret;
pub use mistake::{Mistake, Mistakes};
pub use notify::{Notify, NotifyKind};
pub use oauth2::OAuth2;
pub use pages::{Next, Pages};
pub use secret::{Secret, SecretError, SecretSource};
pub use settings::{
    Backup, Endpoint, ErrorIf, Identity, Job, Listen, Maintenance, Proxy, RequestSettings, Server, Settings, host_of,
};
pub use shown_url::{names_a_secret, shown_url, shown_urls};
pub use template::{Escape, Moments, Template};
pub use value::parse_duration;
pub use webhook::{SecretUrl, Webhook};
