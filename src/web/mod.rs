//! The HTTP API: questions to the file and to the actors, in the daemon's own actix system. Nothing here decides anything
//! about rounds; the one call that starts one asks the Scheduler.

mod answer;
pub mod api;
mod connection;
mod document;
mod events;
mod gate;
mod health;
mod history;
pub mod hosts;
mod jobs;
mod openapi;
mod parameters;
mod paths;
mod problem;
pub mod report;
mod rounds;
mod rows;
pub mod status;
mod uptime;

use std::io;
use std::net::TcpListener;
use std::time::Duration;

pub use actix_web::dev::ServerHandle;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpServer, web};

use self::api::Api;
pub use self::events::Feed;

/// The largest answer from the file in memory: what is sent is at most 16 MiB of it.
pub const LARGEST_ANSWER: usize = 2 * answer::LARGEST;

/// Threads that talk HTTP. The work is done by the file's readers.
const THREADS: usize = 2;
/// The most connections.
const MOST_CONNECTIONS: usize = 256;
/// How long a client may take for the head of the first request, and to let go of a connection.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection stays open without a request.
const IDLE: Duration = Duration::from_secs(30);
/// What answers get at the end.
const SHUTDOWN_SECONDS: u64 = 1;

/// Serves `api` on `listener`, within the actix system that runs, until the answered handle stops it.
///
/// # Errors
/// When the system does not let it listen.
pub fn serve(listener: TcpListener, api: Api) -> io::Result<ServerHandle> {
    let api = web::Data::new(api);
    let app = move || {
        App::new()
            .app_data(api.clone())
            .configure(parameters::configure)
            .configure(paths::configure)
            .wrap(Compress::default())
            .wrap(from_fn(gate::gate))
    };
    let server = HttpServer::new(app)
        .workers(THREADS)
        .worker_max_blocking_threads(THREADS)
        .max_connections(MOST_CONNECTIONS / THREADS)
        .keep_alive(IDLE)
        .client_request_timeout(HEAD)
        .client_disconnect_timeout(HEAD)
        .h1_allow_half_closed(false)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .on_connect(connection::opened)
        .listen(listener)?
        .run();
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the HTTP API ended");
        }
    });
    Ok(handle)
}
