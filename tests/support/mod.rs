//! What the integration tests share.

#![allow(dead_code, reason = "each test file takes its own part")]

pub mod canned;
pub mod daemon;
pub mod older;
pub mod once;
pub mod rounds;
pub mod web;
pub mod whole;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use gatherd::sample_api::SampleApi;
use serde_json::Value;

/// Far longer than anything takes: a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A cadence whose dues no test meets. What is due each hour or day is due while somebody runs the tests as well.
pub const YEARLY: &str = "every = \"366d\"";

/// A cadence whose dues come soon, and whose endpoints have time even on a machine that is busy.
pub const OFTEN: &str = "every = \"200ms\"\ndeadline = \"10s\"";

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
    same_everywhere(&mut command).args(args);
    command
}

/// Gives `command`, which starts the real binary in some way, surroundings that are the same everywhere.
pub fn same_everywhere(command: &mut Command) -> &mut Command {
    for name in SURROUNDINGS {
        command.env_remove(name);
    }
    command.env("TZ", "UTC").stdin(Stdio::null())
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

/// A port of this machine at which nobody listens, and nobody else can begin to: one end of a connection has it.
pub struct ClosedPort {
    pub address: SocketAddr,
    _ends: [TcpStream; 2],
}

impl ClosedPort {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let address = client.local_addr().expect("an address");
        let (server, _) = listener.accept().expect("a connection");
        Self { address, _ends: [client, server] }
    }

    /// The URL that begins with it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Waits until `reached`, at most for [`PATIENCE`].
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        // A pause between two looks: the machine is for those who are waited for.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Writes `text` to `name` in `folder`, and answers the path as text.
pub fn write(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a temporary folder can be written to");
    path.to_str().expect("a temporary folder's name is UTF-8").to_owned()
}
