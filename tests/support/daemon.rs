//! A `gatherd run` of the real binary in a folder of its own, its log read line by line.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Row};
use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, gatherd, same_everywhere, until};

/// How a daemon is started whose log is to be read.
pub const RUN: [&str; 3] = ["run", "--log-format", "json"];

/// A folder with a config and its database.
pub struct Home {
    pub folder: TempDir,
}

impl Home {
    pub fn new(config: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        home.configure(config);
        home
    }

    /// Without an HTTP API unless the config has one: many daemons run at the same time.
    pub fn configure(&self, config: &str) {
        let server = if config.contains("[server]") { "" } else { "\n[server]\nlisten = false\n" };
        std::fs::write(self.folder.path().join("config.toml"), format!("{config}{server}"))
            .expect("the config is written");
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("gatherd.db")
    }

    pub fn command(&self) -> Command {
        let mut command = gatherd(RUN);
        command.current_dir(self.folder.path());
        command
    }

    pub fn start(&self) -> Daemon {
        Daemon::of(self.command())
    }

    /// What starts it with a socket that listens already, as a .socket unit does. Nobody can have taken its port
    /// meanwhile, which somebody might with a port that was free a moment ago.
    pub fn command_at(&self, listener: TcpListener) -> Command {
        // The descriptor has to be the third, and the process the one that is named.
        let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"";
        let mut command = Command::new("sh");
        same_everywhere(&mut command).args(["-c", script, env!("CARGO_BIN_EXE_gatherd")]).args(RUN);
        command.current_dir(self.folder.path()).stdin(OwnedFd::from(listener));
        command
    }

    /// The database as any reader sees it.
    pub fn read(&self) -> Connection {
        Connection::open_with_flags(self.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database opens")
    }

    /// Locks the database against its daemon until what is answered is dropped.
    pub fn lock(&self) -> Connection {
        let connection = Connection::open(self.database()).expect("the database opens");
        connection.busy_timeout(PATIENCE).expect("a limit");
        connection.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        connection
    }

    /// All rows of `sql`, each through `row`.
    pub fn rows<T>(&self, sql: &str, row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let connection = self.read();
        let mut statement = connection.prepare(sql).expect("valid SQL");
        statement.query_map([], row).and_then(Iterator::collect).expect("readable rows")
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.read().query_row(sql, [], |row| row.get(0)).expect("one number")
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    log: Receiver<Value>,
}

impl Daemon {
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("gatherd starts");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, log) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, log }
    }

    /// One whose log goes to `log` instead of being read here.
    pub fn logging_to(log: impl Into<Stdio>, mut command: Command) -> Self {
        let child = command.stderr(log).stdout(Stdio::null()).spawn().expect("gatherd starts");
        Self { child, log: channel().1 }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next log line within `patience`; `None` when none came.
    pub fn line_within(&self, patience: Duration) -> Option<Value> {
        self.log.recv_timeout(patience).ok()
    }

    /// The next log line with this message.
    pub fn wait_for(&self, message: &str) -> Value {
        self.wait_for_line(|line| line["message"] == message)
            .unwrap_or_else(|seen| panic!("no {message:?} in {seen:#?}"))
    }

    /// The next log line whose message starts so.
    pub fn wait_for_start(&self, message: &str) -> Value {
        self.wait_for_line(|line| line["message"].as_str().is_some_and(|text| text.starts_with(message)))
            .unwrap_or_else(|seen| panic!("no {message:?} in {seen:#?}"))
    }

    /// The address that it says it listens at.
    pub fn wait_for_address(&self) -> SocketAddr {
        let line = self.wait_for_start("listening");
        line["address"].as_str().and_then(|text| text.parse().ok()).expect("an address in the log")
    }

    /// The next `count` rounds of `job` that were stored.
    pub fn wait_for_rounds(&self, job: &str, count: usize) -> Vec<Value> {
        let stored = |line: &Value| line["message"] == "round stored" && line["job"] == job;
        let next = || self.wait_for_line(stored).unwrap_or_else(|seen| panic!("no round of {job:?} in {seen:#?}"));
        std::iter::repeat_with(next).take(count).collect()
    }

    fn wait_for_line(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value, Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Some(line) = self.line_within(deadline.saturating_duration_since(Instant::now())) {
            if wanted(&line) {
                return Ok(line);
            }
            seen.push(line);
        }
        Err(seen)
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the daemon is gone already");
    }

    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    /// Waits for the end, and answers the lines that were left.
    pub fn wait(mut self) -> (ExitStatus, Vec<Value>) {
        let rest: Vec<Value> = std::iter::from_fn(|| self.line_within(PATIENCE)).collect();
        let mut status = None;
        until("the daemon ends", || {
            status = self.child.try_wait().expect("waited for");
            status.is_some()
        });
        (status.expect("ended"), rest)
    }

    /// Stops it as systemd does.
    pub fn stop(self) -> Vec<Value> {
        self.signal("TERM");
        let (status, rest) = self.wait();
        assert_eq!(status.code(), Some(0), "{rest:#?}");
        rest
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
