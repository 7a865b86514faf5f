//! The actors: thin shells around plain functions. A handler says what comes in and what goes out; the decisions are
//! in [`crate::schedule`], [`dispatch`], [`crate::fetch`] and [`crate::store`], tested without actors.

mod changes;
mod collector;
pub mod dispatch;
mod fetcher;
mod hosts;
mod memory;
pub mod messages;
mod meters;
pub mod notify;
mod reader;
mod running;
mod scheduler;
mod storage;
mod upkeep;
mod worker;

pub use collector::Collector;
pub use fetcher::Fetcher;
pub use meters::{Meters, Vitals};
pub use notify::Notifier;
pub use reader::FileReader;
pub use scheduler::Scheduler;
pub use storage::{Storage, Watch};
pub use upkeep::{Retention, Upkeep};
pub use worker::{Alive, AttemptFn, FetchWorker, OutOfThreads};
