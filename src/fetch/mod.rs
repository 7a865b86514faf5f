//! One bounded attempt at one endpoint: a prepared request, a blocking answer, an outcome. The only place that
//! knows reqwest.

mod access_token;
mod address;
mod asking;
mod attempt;
mod body;
mod client;
mod coding;
mod common;
mod conditional;
mod connection;
mod credentials;
mod deadline;
mod error_if;
mod evidence;
mod fault;
mod guess;
pub mod json;
mod pages;
mod parameter;
mod proxies;
mod redact;
mod redirect;
mod request;
mod resolver;
pub mod retry;
mod secrets;
mod tls;
mod token_answer;
mod tree;
mod webhook;

pub use attempt::{Ask, Attempt, attempt};
pub use client::{ClientError, Clients, CredentialsError, wrong_files};
pub use pages::{Gathered, next_link};
pub use proxies::wrong_proxy;
pub use request::{PreparedJob, Request, RequestError};
pub use webhook::{Undelivered, Webhook, WebhookError};
