//! `gatherd health`: asks the daemon that runs here whether it stores rounds. The probe of a container or a monitor, which
//! needs neither a shell nor another program.

use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::daemon_api::{ask, plain_http, url_of};
use super::exit::{DOWN, Failure, NO};
use super::output::plain_lines;
use crate::config::Settings;

/// A daemon that does not answer for so long is one that does not work.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// `gatherd health`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 0: the daemon stores rounds.\n\
    Exit code 1: it does not, and says why.\n\
    Exit code 2: nobody answers, or it cannot be told, because the config has listen = false.\n\n\
    A config that is wrong or not there does not make a daemon that runs unhealthy: it goes on with the one that it has \
    read. Then it is asked where the part of the config that can be read says, or at 127.0.0.1:8787, and standard error \
    says so.")]
pub struct HealthArgs {
    /// Where its HTTP API is [default: where the config says that it listens]
    #[arg(long, value_name = "http://ADDRESS:PORT")]
    pub url: Option<Url>,
    /// The config of the daemon
    #[arg(long, default_value = "config.toml", value_name = "FILE", conflicts_with = "url")]
    pub config: PathBuf,
}

pub fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => configured(&args.config)?,
    };
    plain_http(&url)?;
    let answer = ask(&url, "/readyz", None, PATIENCE);
    let answer = answer.map_err(|error| down(format!("nobody answers at {url}: {error}")))?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (answer.status, document["status"].as_str(), document["detail"].as_str()) {
        (200, Some("ok"), _) => {
            writeln!(stdout(), "ready")?;
            Ok(ExitCode::SUCCESS)
        }
        (503, _, Some(why)) => Err(Failure { message: format!("not ready: {why}"), code: NO }.into()),
        (status, _, Some(why)) => Err(down(format!("{url} answers {status}: {why}"))),
        (status, ..) => Err(down(format!("what answers {status} at {url} is not gatherd"))),
    }
}

/// Where the config at `path` says that the daemon is, as far as it can be read.
fn configured(path: &Path) -> anyhow::Result<Url> {
    let (settings, mistakes) = Settings::load_despite_mistakes(path);
    let url = url_of(&settings.server.listen).map_err(|error| down(format!("cannot tell: {error}")))?;
    if let Some(mistakes) = mistakes {
        writeln!(stderr(), "gatherd: {}; asking {url}", plain_lines(&mistakes.in_short()))?;
    }
    Ok(url)
}

fn down(message: String) -> anyhow::Error {
    Failure { message, code: DOWN }.into()
}
