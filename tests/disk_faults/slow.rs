//! A disk that takes its time.

use std::process::Command;

use crate::support::{gatherd, run};

#[test]
fn the_demo_runs_as_many_rounds_as_it_was_asked_for_though_the_disk_takes_longer_than_the_pause_between_them() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: strace is not installed, or may not look at other processes");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("demo.db").display().to_string();
    let demo = gatherd(["demo", "--rounds", "1", "--database", &database]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"]);
    command.args(["-e", "inject=fdatasync,fsync:delay_exit=400000"]).arg(demo.get_program()).args(demo.get_args());
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("1 round(s), 11 slots"), "{}", ran.stdout);
}
