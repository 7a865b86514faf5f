//! The actors: thin shells around plain functions. A handler says what comes in and what goes out; the decisions are
//! in [`crate::schedule`], [`dispatch`], [`crate::fetch`] and [`crate::store`], tested without actors.

mod changes;
mod collector;
pub mod dispatch;
mod fetcher;
mod hosts;
mod in_flight;
mod load;
mod memory;
pub mod messages;
mod meters;
pub mod notify;
mod pool;
mod progress;
mod reader;
mod running;
mod scheduler;
mod storage;
mod upkeep;
mod width;
mod worker;

pub use collector::Collector;
pub use fetcher::Fetcher;
pub use meters::{Meters, Vitals};
pub use notify::Notifier;
pub use pool::{Alive, OutOfThreads, Pool};
pub use reader::FileReader;
pub use scheduler::Scheduler;
pub use storage::{Storage, Watch};
pub use upkeep::{Retention, Upkeep};
pub use worker::AttemptFn;
