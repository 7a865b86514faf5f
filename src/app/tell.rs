//! The part of the wiring that tells somebody: stored rounds in, what is to be remembered to Storage.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix::Addr;
use tokio::sync::oneshot;

use crate::actors::messages::{RememberIncidents, Settle};
use crate::actors::notify::{self, Outboxes};
use crate::actors::{Notifier, Storage};
use crate::clock::{Clock, SystemClock};
use crate::config::{Job, Notify, Settings};
use crate::fetch::{Undelivered, WebhookError};
use crate::model::ClosedRound;

/// At the end, so long is given to what waits to be told.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Sends a test message to each that the config wants to be told, and answers how it went. Blocks.
pub fn test_notify(
    settings: &Settings,
) -> impl Iterator<Item = (&Notify, Result<Result<(), Undelivered>, WebhookError>)> {
    notify::test(settings, SystemClock::new().now())
}

/// See the module.
pub struct Teller {
    notifier: Notifier,
    storage: Addr<Storage>,
    clock: Arc<dyn Clock>,
}

impl Teller {
    pub fn new(notifier: Notifier, storage: Addr<Storage>, clock: Arc<dyn Clock>) -> Self {
        Self { notifier, storage, clock }
    }

    /// Tells those of another config, about its `jobs`, from now on.
    pub fn reload(&mut self, outboxes: Outboxes, jobs: &[Job]) {
        self.notifier.reload(outboxes, jobs);
    }

    /// Takes note of a stored round.
    pub fn observe(&mut self, round: &ClosedRound) {
        self.notifier.observe(round);
    }

    /// Tells what is to be told, and has it remembered. To be called each second.
    pub fn tell(&mut self) {
        self.notifier.tell(self.clock.now());
        if let Some(changes) = self.notifier.changes() {
            self.storage.do_send(RememberIncidents(changes));
        }
    }

    /// Gives what waits to be told a last chance, and has what is left remembered.
    pub async fn stop(self) {
        let notifier = Arc::new(self.notifier);
        let (shared, (done, ended)) = (Arc::clone(&notifier), oneshot::channel::<()>());
        let last_words = move || {
            shared.stop(LAST_WORDS);
            drop((shared, done));
        };
        // Where there is no thread to be had, nothing is waited for.
        if thread::Builder::new().name("last-words".to_owned()).spawn(last_words).is_ok() {
            // The sender is dropped at the end, also of a panic, which would have nothing left to harm.
            let _ = ended.await;
        }
        if let Some(changes) = Arc::into_inner(notifier).and_then(|mut notifier| notifier.changes()) {
            // Storage is gone only when the process ends for that.
            let _ = self.storage.send(RememberIncidents(changes)).await;
            let _ = self.storage.send(Settle { within: Duration::ZERO }).await;
        }
    }
}
