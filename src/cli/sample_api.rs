//! `gatherd sample-api`: the built-in API by itself.

use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;

use super::interrupt;
use super::output::table;
use crate::sample_api::{MODES, SAMPLE_TOKEN, SAMPLE_USER_AGENT_PREFIX, SampleApi};

/// `gatherd sample-api`.
#[derive(Debug, clap::Args)]
pub struct SampleApiArgs {
    /// Where to listen; port 0 is a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

pub fn run(args: &SampleApiArgs) -> anyhow::Result<ExitCode> {
    let api = SampleApi::start(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    let mut table = table(["path", "what it does", "outcome"]);
    for mode in MODES {
        table.add_row([mode.path, mode.about, mode.outcome]);
    }
    writeln!(
        stderr(),
        "{table}\nthe token is {SAMPLE_TOKEN:?}, the User-Agent has to start with {SAMPLE_USER_AGENT_PREFIX:?}; Ctrl-C ends"
    )?;
    // The API has a thread of its own; this one has nothing to do until a signal ends the process.
    interrupt::wait(|| {
        let mut out = stdout().lock();
        writeln!(out, "{}", api.url(""))?;
        out.flush()
    })?;
    Ok(ExitCode::SUCCESS)
}
