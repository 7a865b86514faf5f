//! The SQLite file: opening it, the only transactions that write, the queries that read. The only place that knows
//! rusqlite.

mod error;
mod file_identity;
mod lock;
mod open;
pub mod queue;
pub mod read;
mod write;

pub use error::{StoreError, Trouble};
pub use open::open;
pub use write::{History, Writer};
