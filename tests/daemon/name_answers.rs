//! Names that resolve to what is never connected to, at once or later: a hosts file of its own, in a mount namespace.
//! Where the system does not let users make one, the tests say so and do nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::daemon::{Daemon, Home, RUN};
use crate::support::{same_everywhere, sample_api};

/// Puts the hosts file `$1` in the place of the system's, and runs the rest.
const SCRIPT: &str = r#"mount --bind "$1" /etc/hosts || exit 99; shift; exec "$@""#;

fn namespaces_are_allowed(folder: &Path) -> bool {
    let file = folder.join("empty");
    std::fs::write(&file, "").expect("written");
    let mut mount = Command::new("unshare");
    mount.args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(&file).arg("true");
    mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A daemon for which `hosts` answers names.
fn start(home: &Home, hosts: &Path) -> Daemon {
    let mut command = Command::new("unshare");
    same_everywhere(&mut command).args(["--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(hosts);
    command.arg(env!("CARGO_BIN_EXE_gatherd")).args(RUN).current_dir(home.folder.path());
    Daemon::of(command)
}

fn outcomes(home: &Home) -> Vec<String> {
    home.rows("SELECT outcome FROM latest ORDER BY position", |row| row.get(0))
}

#[test]
fn a_name_of_a_metadata_service_is_blocked_and_one_that_has_another_address_goes_there() {
    let api = sample_api();
    let url = |name: &str| api.url("/healthy").replace("127.0.0.1", name);
    let urls = [url("metadata.test"), url("mapped.test"), url("both.test"), url("here.test")];
    let home = Home::new(&format!("[[job]]\nname = \"job\"\nevery = \"1s\"\nretries = 0\nendpoints = {urls:?}\n"));
    if !namespaces_are_allowed(home.folder.path()) {
        eprintln!("not tested: this system does not let the test have a hosts file of its own");
        return;
    }
    let hosts = home.folder.path().join("hosts");
    let lines =
        "169.254.169.254 metadata.test both.test\n::ffff:169.254.169.254 mapped.test\n127.0.0.1 both.test here.test\n";
    std::fs::write(&hosts, lines).expect("written");
    let daemon = start(&home, &hosts);
    daemon.wait_for_rounds("job", 1);
    daemon.stop();
    assert_eq!(outcomes(&home), ["blocked_address", "blocked_address", "ok", "ok"]);
}

#[test]
fn a_name_that_changes_its_answer_to_a_metadata_service_gains_nothing() {
    let api = sample_api();
    // Closes after each answer, so that each request connects anew.
    let url = api.url("/http10").replace("127.0.0.1", "changing.test");
    let home = Home::new(&format!("[[job]]\nname = \"job\"\nevery = \"1s\"\nretries = 0\nendpoints = [{url:?}]\n"));
    if !namespaces_are_allowed(home.folder.path()) {
        eprintln!("not tested: this system does not let the test have a hosts file of its own");
        return;
    }
    let hosts = home.folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 changing.test\n").expect("written");
    let daemon = start(&home, &hosts);
    daemon.wait_for_rounds("job", 1);
    assert_eq!(outcomes(&home), ["ok"]);
    std::fs::write(&hosts, "169.254.169.254 changing.test\n").expect("written");
    // An answer is shared for five seconds.
    let changed = daemon.wait_for("outcome changed");
    assert_eq!(changed["outcome"], "blocked_address");
    daemon.stop();
    assert_eq!(outcomes(&home), ["blocked_address"]);
}
