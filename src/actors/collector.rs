//! Takes the place of Storage where rounds are not stored: `gatherd fetch`, the rehearsal, and the library's `fetch_all`.

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use tokio::sync::mpsc;

use super::messages::StoreRound;
use crate::model::ClosedRound;

/// Hands each round on to whoever waits for it.
pub struct Collector(pub mpsc::UnboundedSender<Arc<ClosedRound>>);

impl Actor for Collector {
    type Context = Context<Self>;
}

impl Handler<StoreRound> for Collector {
    type Result = ();

    fn handle(&mut self, message: StoreRound, _: &mut Self::Context) {
        // Nobody waits any more when the caller gave up; then nobody wants the round.
        let _ = self.0.send(message.round);
    }
}
