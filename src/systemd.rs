//! What the service manager is told (`sd_notify(3)`) and what it gives (`sd_listen_fds(3)`). Without one nothing
//! happens.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The service manager that started this process, if one did.
#[derive(Debug)]
pub struct Manager {
    is_there: bool,
    watchdog: Option<Duration>,
    /// What it was told last.
    status: String,
}

impl Manager {
    /// As `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID` say.
    #[must_use]
    pub fn of_environment() -> Self {
        let is_there = std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty());
        let watchdog = sd_notify::watchdog_enabled().filter(|period| is_there && !period.is_zero());
        Self { is_there, watchdog, status: String::new() }
    }

    /// Whether there is one that listens.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    /// How long the process may be silent before it is killed, where that is watched.
    #[must_use]
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The service does its work.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The service reads its config again; [`Self::ready`] follows.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "the service manager is not told of the reload"),
        }
    }

    /// The service stops, which may take so long; the unit's `TimeoutStopSec=` may be shorter.
    pub fn stopping(&self, within: Duration) {
        let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
        self.tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(within)]);
    }

    /// The service works: the watchdog waits anew.
    pub fn alive(&self) {
        self.tell(&[NotifyState::Watchdog]);
    }

    /// One line for `systemctl status`; told when it changed.
    pub fn status(&mut self, text: String) {
        if text != self.status {
            self.tell(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if !self.is_there {
            return;
        }
        if let Err(error) = sd_notify::notify(states) {
            tracing::warn!(%error, ?states, "the service manager cannot be told");
        }
    }
}

/// The listening socket that a .socket unit gave, by `$LISTEN_FDS`. To be called once and early: the variables are
/// taken out of the environment.
///
/// # Errors
/// When what was given is not one TCP socket.
pub fn listener() -> io::Result<Option<TcpListener>> {
    let mut given = ListenFd::from_env();
    match given.len() {
        0 => Ok(None),
        1 => given.take_tcp_listener(0),
        many => Err(io::Error::other(format!("{many} sockets were given, of which one can be served"))),
    }
}
