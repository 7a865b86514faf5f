//! What a system blocks on, polled only when it was woken itself.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// What `future` comes to. An actor system polls what it blocks on each time that any of its actors was woken, twice for
/// each slot; that costs as much as an actor's own work where `future` waits for many things. Here it sleeps meanwhile.
pub async fn when_woken<F: Future>(future: F) -> F::Output {
    let mut only = FuturesUnordered::new();
    only.push(future);
    only.select_next_some().await
}
