//! A disk that fills up and has space again, for real: a small tmpfs in a mount namespace of its own. Where the system
//! does not let users make one, the test says so and does nothing.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::daemon::{Daemon, Home, RUN};
use crate::support::whole::{assert_no_due_is_missing, assert_whole};
use crate::support::{same_everywhere, sample_api};

/// Mounts a tmpfs at `$1`, runs the rest there until it is asked to stop, and brings the database out of it.
const SCRIPT: &str = r#"
    mount -t tmpfs -o size=24M tmpfs "$1" && cd "$1" && cp ../config.toml . && shift || exit 99
    "$@" & daemon=$!
    trap 'kill -TERM $daemon' TERM
    wait $daemon; wait $daemon; code=$?
    cp gatherd.db .. && exit $code
"#;

fn namespaces_are_allowed() -> bool {
    let mut mount = Command::new("unshare");
    mount.args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn while_the_disk_is_full_rounds_wait_and_then_land_once_and_in_order() {
    if !namespaces_are_allowed() {
        eprintln!("not tested: this system does not let the test mount a small disk");
        return;
    }
    let api = sample_api();
    let urls = [api.url("/big/20000"), api.url("/healthy")];
    let home = Home::new(&format!("[[job]]\nname = \"job\"\nevery = \"200ms\"\nretries = 0\nendpoints = {urls:?}\n"));
    let disk = home.folder.path().join("disk");
    std::fs::create_dir(&disk).expect("made");
    let mut command = Command::new("unshare");
    same_everywhere(&mut command).args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(&disk);
    command.arg(env!("CARGO_BIN_EXE_gatherd")).args(RUN);
    let daemon = Daemon::of(command);
    daemon.wait_for_rounds("job", 2);

    // The namespace's view of the disk.
    let inside = PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), disk.display()));
    let filler = inside.join("filler");
    let mut file = File::create(&filler).expect("made");
    while file.write_all(&[0; 4096]).is_ok() {}
    daemon.wait_for("the database refuses, rounds wait");
    daemon.wait_for("the database still refuses");
    drop(file);
    std::fs::remove_file(&filler).expect("removed");
    daemon.wait_for("the database takes rounds again, nothing waits any more");
    daemon.wait_for_rounds("job", 1);

    daemon.stop();
    assert_whole(&home, 2, "at the end");
    assert_no_due_is_missing(&home, 200_000);
}
