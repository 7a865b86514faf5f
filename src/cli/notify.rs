//! `gatherd notify --test`: do messages arrive?

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use super::exit::{self, Failure};
use super::output::plain_text;
use crate::app;
use crate::config::Settings;

/// `gatherd notify`.
#[derive(Debug, clap::Args)]
pub struct NotifyArgs {
    /// Send a test message to each [[notify]] of the config
    #[arg(long, required = true)]
    pub test: bool,
    /// The config file
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    pub config: PathBuf,
}

/// 0 when every message arrived.
pub fn run(args: &NotifyArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.config)?;
    if settings.notify.is_empty() {
        let message = format!("{} has no [[notify]]: nobody is told", args.config.display());
        return Err(Failure { message, code: exit::NO }.into());
    }
    let mut out = stdout().lock();
    let mut all = true;
    for (notify, result) in app::test_notify(&settings) {
        let target = format!("{}  {}  {}", notify.name, notify.kind.as_str(), notify.webhook.url);
        let failure = match result {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(format!("{:#}", anyhow::Error::from(error))),
        };
        all &= failure.is_none();
        match failure {
            None => writeln!(out, "told    {}", plain_text(target))?,
            Some(why) => writeln!(out, "FAILED  {}  {}", plain_text(target), plain_text(why))?,
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { exit::NO.into() })
}
