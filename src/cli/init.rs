//! `gatherd init`: a commented config to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write, stderr};
use std::path::PathBuf;
use std::process::ExitCode;

use super::exit::{CANNOT_CREATE, Failure};

/// The config at the top of the source tree is the one that is written.
const CONFIG: &str = include_str!("../../config.toml");

/// `gatherd init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Where to write it
    #[arg(default_value = "config.toml", value_name = "PATH")]
    pub path: PathBuf,
}

pub fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let path = args.path.display();
    let made = OpenOptions::new().write(true).create_new(true).open(&args.path);
    let written = made.and_then(|mut file| file.write_all(CONFIG.as_bytes()));
    written.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::AlreadyExists => "it is there already, and stays as it is".to_owned(),
            _ => error.to_string(),
        };
        Failure { message: format!("cannot write {path}: {why}"), code: CANNOT_CREATE }
    })?;
    writeln!(stderr(), "wrote {path}: edit it, then gatherd check --config {path} and gatherd run --config {path}")?;
    Ok(ExitCode::SUCCESS)
}
