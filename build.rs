//! Has the linker put the functions that a daemon uses side by side (`deploy/link`), where it knows how to. Without that
//! the binary does the same, but a daemon takes a third more memory.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

const LIST: &str = "deploy/link/functions.ld";
const WITHOUT: &str = "a daemon will take a third more memory";

fn main() {
    println!("cargo::rerun-if-changed={LIST}");
    println!("cargo::rerun-if-env-changed=RUSTFLAGS");
    // Quick builds are linked as it comes.
    if variable("PROFILE") != "release" || variable("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let argument = format!("-Wl,-T,{}", Path::new(&variable("CARGO_MANIFEST_DIR")).join(LIST).display());
    match links(&argument) {
        Ok(true) => println!("cargo::rustc-link-arg-bin=gatherd={argument}"),
        Ok(false) => println!("cargo::warning={WITHOUT}: this linker does not take {LIST}"),
        Err(error) => println!("cargo::warning={WITHOUT}: nothing could be linked to try {LIST}: {error}"),
    }
}

/// Tries the argument on an empty program, because nothing says what linker it will be.
fn links(argument: &str) -> io::Result<bool> {
    let folder = variable("OUT_DIR");
    let program = Path::new(&folder).join("empty.rs");
    fs::write(&program, "fn main() {}")?;
    let mut compiler = Command::new(variable("RUSTC"));
    compiler.arg(&program).args(["--edition", "2024", "--target", &variable("TARGET"), "--out-dir", &folder]);
    compiler.args(["-C", &format!("link-arg={argument}")]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.args(["-C", &format!("linker={linker}")]);
    }
    let flags = variable("CARGO_ENCODED_RUSTFLAGS");
    compiler.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    Ok(compiler.output()?.status.success())
}

/// What Cargo tells every build script.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
