//! One bounded attempt at one endpoint: a prepared request, a blocking answer, an outcome. The only place that
//! knows reqwest.

mod address;
mod attempt;
mod body;
mod client;
mod coding;
mod fault;
pub mod json;
mod redirect;
mod request;
mod resolver;
pub mod retry;

pub use attempt::{Attempt, attempt};
pub use client::{ClientError, Clients};
pub use request::{PreparedJob, Request, RequestError};
