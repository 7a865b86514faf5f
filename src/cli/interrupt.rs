//! Ctrl-C, for commands that make rounds which are not stored, or files that take a while, or serve until they are told to end.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
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
    let mut end = End::listen(&runtime)?;
    let watch = async move {
        let number = end.comes().await;
        // It may have its name by now.
        let _ = fs::remove_file(file);
        std::process::exit(128 + number.as_raw_value());
    };
    thread::Builder::new().name("interrupt".to_owned()).spawn(move || runtime.block_on(watch))?;
    Ok(())
}

/// SIGINT and SIGTERM. As the first process of a container none of them would end it without being listened for.
struct End {
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    fn listen(runtime: &Runtime) -> std::io::Result<Self> {
        let _guard = runtime.enter();
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn comes(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }
}

/// Waits, once `ready` has said that it may come, for SIGINT or SIGTERM.
pub fn wait(ready: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    let runtime = runtime()?;
    let mut end = End::listen(&runtime)?;
    ready()?;
    runtime.block_on(end.comes());
    Ok(())
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_io().build()
}
