//! `gatherd check` and `gatherd init`: what people are told about their config.

mod check;
mod inherited;
mod init;
mod mistakes;
mod requests;
#[path = "../support/mod.rs"]
mod support;
mod templates;

use std::path::Path;

use tempfile::TempDir;

use support::{Ran, gatherd, run, write};

/// A job that is right.
const JOB: &str = "[[job]]\nname = \"a\"\nevery = \"1m\"\nendpoints = [\"https://example.com/\"]\n";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// `gatherd check` with `args` where `folder` is the current one.
fn check_in(folder: &Path, args: &[&str]) -> Ran {
    let mut command = gatherd(["check"]);
    command.args(args).current_dir(folder);
    run(command)
}

/// What `gatherd check` says about a config of this text. It is wrong.
fn mistakes(text: impl AsRef<[u8]>) -> String {
    let folder = folder();
    write(folder.path(), "config.toml", text);
    let ran = check_in(folder.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(78), ""), "{}", ran.stderr);
    ran.stderr
}

/// What `gatherd check` says about a config of this text, in UTC. It is right.
fn right(text: &str) -> String {
    let folder = folder();
    write(folder.path(), "config.toml", text);
    let ran = check_in(folder.path(), &["--utc"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{text}");
    ran.stdout.replace(&format!("{}/", folder.path().canonicalize().expect("it is there").display()), "[folder]/")
}
