//! Takes the place of Storage where a round is not stored: `gatherd fetch` and the library's `fetch_all`.

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use tokio::sync::oneshot;

use super::messages::StoreRound;
use crate::model::ClosedRound;

/// Hands the first round that arrives to whoever waits for it.
pub struct Collector(pub Option<oneshot::Sender<Arc<ClosedRound>>>);

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<StoreRound> for Collector {
    type Result = ();

    fn handle(&mut self, message: StoreRound, _: &mut Self::Context) {
        if let Some(waiting) = self.0.take() {
            // Nobody waits any more when the caller gave up; then nobody wants the round.
            let _ = waiting.send(message.round);
        }
    }
}
