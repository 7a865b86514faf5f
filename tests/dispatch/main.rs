//! The Fetcher's decisions, without threads and on a manual clock.

mod hall;
mod limits;
mod pauses;
mod rates;
mod reload;
mod vector;
mod width;
