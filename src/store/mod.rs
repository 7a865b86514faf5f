//! The SQLite file: opening it, the only transactions that write, the queries that read. The only place that knows
//! rusqlite.

pub mod backup;
mod error;
mod evidence;
mod file_identity;
pub mod history;
mod incidents;
mod lock;
mod memory;
mod migrate;
mod open;
pub mod overview;
pub mod queue;
pub mod read;
pub mod retention;
pub mod rollup;
pub mod sizes;
mod slot_key;
mod streaks;
pub mod uptime;
pub mod verify;
pub mod why;
mod write;

pub use error::{StoreError, Trouble};
pub use lock::is_held;
pub use memory::REMEMBERED_BYTES;
pub use open::{open, schema_version};
pub use write::{History, Writer};
