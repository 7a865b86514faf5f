//! Ctrl-C, for commands that make rounds which are not stored, or files that take a while.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Ctrl-C: the first one closes the round, any further one, or one after the round, ends the process at once.
pub struct Interrupt(Arc<(Notify, AtomicBool)>);

impl Interrupt {
    /// 128 and the number of SIGINT, as a shell has it.
    pub const CODE: u8 = 130;

    pub fn listen() -> anyhow::Result<Self> {
        let state = Arc::new((Notify::new(), AtomicBool::new(false)));
        let shared = Arc::clone(&state);
        let runtime = runtime()?;
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

/// From now on SIGINT and SIGTERM remove `file`, which is not whole, before they end the process.
pub fn removes(file: &Path) -> anyhow::Result<()> {
    let (file, runtime) = (file.to_owned(), runtime()?);
    let guard = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(guard);
    let watch = async move {
        let number = tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        // It may have its name by now.
        let _ = fs::remove_file(file);
        std::process::exit(128 + number.as_raw_value());
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || runtime.block_on(watch))?;
    Ok(())
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_io().build()
}
