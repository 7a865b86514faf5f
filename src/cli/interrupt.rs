//! Ctrl-C, for commands that make rounds which are not stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::Notify;

/// Ctrl-C: the first one closes the round, any further one, or one after the round, ends the process at once.
pub struct Interrupt(Arc<(Notify, AtomicBool)>);

impl Interrupt {
    /// 128 and the number of SIGINT, as a shell has it.
    pub const CODE: u8 = 130;

    pub fn listen() -> anyhow::Result<Self> {
        let state = Arc::new((Notify::new(), AtomicBool::new(false)));
        let shared = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let watch = async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if shared.1.swap(true, Ordering::Relaxed) {
                    std::process::exit(Self::CODE.into());
                }
                shared.0.notify_one();
            }
        };
        thread::Builder::new().name("interrupt".to_owned()).spawn(move || runtime.block_on(watch))?;
        Ok(Self(state))
    }

    /// Resolves when the first one comes.
    pub async fn first(&self) {
        self.0.0.notified().await;
    }

    /// Whether one has come; from now on any ends the process.
    pub fn round_is_over(&self) -> bool {
        self.0.1.swap(true, Ordering::Relaxed)
    }
}
