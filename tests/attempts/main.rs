//! Attempts and rounds of them, through the real pool and against real sockets, without a database.

mod addresses;
mod evidence;
mod hostile_documents;
mod http2;
mod http2_connections;
mod oauth;
mod pages;
mod requests;
mod secrets_in_evidence;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod token_endpoints;
mod token_parameter;
mod unstored_rounds;
mod worker;
