//! A disk that answers with errors, by `strace -e inject`: what SQLite asks of the file or its log fails as often as
//! wanted. Where strace is not there, or may not look at the daemon, the tests say so and do nothing.
//! `GATHERD_DISK_FAULTS` says how many syncs fail, one after another; 4 without it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gatherd::sample_api::SampleApi;
use serde_json::Value;

use crate::support::daemon::{Daemon, Home};
use crate::support::sample_api;
use crate::support::whole::{Stored, assert_no_due_is_missing, assert_whole};

/// The endpoints of the job. Their documents fill the log's 1,000 pages in a few rounds.
const SLOTS: i64 = 25;

/// The exit code for a database that cannot be written, `EX_IOERR`.
const IO: i32 = 74;

/// What the disk answers for as long as this lives.
struct Fault(Child);

impl Fault {
    /// The system calls `calls` of `daemon` on `file` fail; `when` is as in strace(1). `None`, and a word about it,
    /// where that cannot be had.
    fn inject(daemon: &Daemon, file: &Path, calls: &str, error: &str, when: &str) -> Option<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-p", &daemon.pid().to_string(), "-P"]).arg(file);
        command.args(["-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:error={error}:when={when}")]);
        let Ok(mut child) = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn() else {
            eprintln!("not tested: strace is not installed");
            return None;
        };
        let mut told = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("attached") {
            line.clear();
            if told.read_line(&mut line).expect("text") == 0 {
                child.wait().expect("waited for");
                eprintln!("not tested: strace may not look at the daemon");
                return None;
            }
        }
        // Nobody has to wait for a pipe that is full.
        std::thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
        Some(Self(child))
    }

    /// The disk is well again.
    fn heal(mut self) {
        let sent = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        self.0.wait().expect("waited for");
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn home(api: &SampleApi) -> Home {
    let urls: Vec<String> = (0..SLOTS).map(|number| api.url(&format!("/big/{}", 20_000 + number))).collect();
    Home::new(&format!("workers = 4\n[[job]]\nname = \"job\"\nevery = \"200ms\"\nretries = 0\nendpoints = {urls:?}\n"))
}

/// A sync of `file` fails; then the daemon is started anew. Again and again, on one database.
fn syncs_fail(file: &str, when: impl Fn(usize) -> String) {
    let faults = std::env::var("GATHERD_DISK_FAULTS").map_or(4, |faults| faults.parse().expect("a number"));
    let (api, mut stored) = (sample_api(), Stored::default());
    let home = home(&api);
    for fault in 0..faults {
        let daemon = home.start();
        stored.note_all(&daemon.wait_for_rounds("job", 1));
        let path = home.folder.path().join(file);
        let Some(injected) = Fault::inject(&daemon, &path, "fsync,fdatasync", "EIO", &when(fault)) else { return };
        let (status, rest) = daemon.wait();
        stored.note_all(&rest);
        assert_eq!(status.code(), Some(IO), "{:#?}", rest.last());
        drop(injected);
        assert_whole(&home, SLOTS, &format!("after fault {fault}"));
    }
    let daemon = home.start();
    stored.note_all(&daemon.wait_for_rounds("job", 1));
    stored.note_all(&daemon.stop());
    assert_whole(&home, SLOTS, "at the end");
    stored.assert_kept(&home);
    eprintln!("{faults} syncs of {file} failed, {} rounds logged as stored, none lost", stored.0.len());
}

#[test]
fn when_the_log_is_not_synced_the_process_ends_and_a_restart_has_all_that_was_acknowledged() {
    syncs_fail("gatherd.db-wal", |fault| format!("{}+", fault % 3 + 1));
}

#[test]
fn when_the_log_cannot_be_folded_into_a_file_that_is_not_synced_the_process_ends_too() {
    syncs_fail("gatherd.db", |_| "1+".to_owned());
}

#[test]
fn while_the_log_cannot_grow_rounds_wait_and_then_land_once_and_in_order() {
    let api = sample_api();
    let home = home(&api);
    let daemon = home.start();
    daemon.wait_for_rounds("job", 2);
    let log = home.folder.path().join("gatherd.db-wal");
    let Some(full) = Fault::inject(&daemon, &log, "write,pwrite64", "ENOSPC", "1+") else { return };
    daemon.wait_for("the database refuses, rounds wait");
    daemon.wait_for("the database still refuses");
    full.heal();
    daemon.wait_for("the database takes rounds again, nothing waits any more");
    daemon.wait_for_rounds("job", 2);
    daemon.stop();
    assert_whole(&home, SLOTS, "at the end");
    assert_no_due_is_missing(&home, 200_000);
}

#[test]
fn while_the_file_cannot_grow_rounds_land_in_the_log_and_are_folded_later() {
    let api = sample_api();
    let home = home(&api);
    let daemon = home.start();
    daemon.wait_for_rounds("job", 1);
    let database = home.database();
    let Some(full) = Fault::inject(&daemon, &database, "write,pwrite64", "ENOSPC", "1+") else { return };
    // Three times as many pages as the log has when it is first folded.
    daemon.wait_for_rounds("job", 25);
    let before = std::fs::metadata(&database).expect("a file").len();
    full.heal();
    daemon.wait_for_rounds("job", 2);
    let after = std::fs::metadata(&database).expect("a file").len();
    assert!(after > before, "{after} bytes after {before}: the log is folded by itself");
    let refused: Vec<Value> = daemon.stop();
    assert!(refused.iter().all(|line| line["message"] != "the database refuses, rounds wait"), "{refused:#?}");
    assert_whole(&home, SLOTS, "at the end");
    assert_no_due_is_missing(&home, 200_000);
}
