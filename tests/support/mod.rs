//! What the integration tests share.

#![allow(dead_code, reason = "each test file takes its own part")]

pub mod canned;
pub mod daemon;
pub mod once;
pub mod rounds;
pub mod web;
pub mod whole;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use gatherd::sample_api::SampleApi;
use serde_json::Value;

/// Longer than anything here takes, shorter than anybody waits.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What would change how the binary behaves from one machine to the next.
const SURROUNDINGS: [&str; 11] = [
    "RUST_LOG",
    "STATE_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// The real binary with `args`, in surroundings that are the same everywhere.
pub fn gatherd<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatherd"));
    for name in SURROUNDINGS {
        command.env_remove(name);
    }
    command.env("TZ", "UTC").args(args).stdin(Stdio::null());
    command
}

/// `command` run to its end, which comes within [`PATIENCE`]; `input` is its standard input.
pub fn run_with(command: Command, input: &[u8]) -> Ran {
    let mut command = assert_cmd::Command::from_std(command);
    Ran::new(command.write_stdin(input).timeout(PATIENCE).output().expect("gatherd runs"))
}

/// `command` run to its end without input.
pub fn run(command: Command) -> Ran {
    run_with(command, b"")
}

/// How a command ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("gatherd prints UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The array on standard output.
    pub fn array(&self) -> Vec<Value> {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// A sample API on a free port.
pub fn sample_api() -> SampleApi {
    SampleApi::start(([127, 0, 0, 1], 0).into()).expect("a free port")
}

/// Waits until `reached`, at most for [`PATIENCE`].
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// Writes `text` to `name` in `folder`, and answers the path as text.
pub fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a temporary folder can be written to");
    path.to_str().expect("a temporary folder's name is UTF-8").to_owned()
}
