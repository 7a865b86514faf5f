//! A token that the command line names, not in its own words: those are seen by everybody on the machine.

use std::path::{Path, PathBuf};

use super::exit::usage;
use crate::config::{Secret, SecretSource};

/// What the environment variable or the file holds, if either is named.
pub fn read(variable: Option<&String>, file: Option<&PathBuf>) -> anyhow::Result<Option<Secret>> {
    let source = match (variable, file) {
        (Some(name), _) => SecretSource::Env(name.clone()),
        (None, Some(path)) => SecretSource::File(path.clone()),
        (None, None) => return Ok(None),
    };
    source.read_once(Path::new("")).map(Some).map_err(|error| usage(format!("{:#}", anyhow::Error::from(error))))
}
