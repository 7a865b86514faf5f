//! `gatherd fetch`: one round as a command.

use std::io::{BufWriter, Read, Write, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use http::HeaderValue;
use serde::Serialize;
use url::Url;

use super::args::positive_duration;
use super::descriptors;
use super::exit::{NO, usage};
use super::interrupt::Interrupt;
use super::output::progress_bar;
use super::sheet::milliseconds;
use super::token;
use crate::app::{self, Afterwards, Bounds};
use crate::config::RequestSettings;
use crate::model::{Detail, Document, Outcome, Slot};

/// An entry of `--why`.
#[derive(Serialize)]
struct Why<'a> {
    url: &'a str,
    outcome: &'static str,
    http_status: Option<u16>,
    attempts: u32,
    elapsed_ms: f64,
    detail: Option<&'a str>,
    body: Option<&'a Document>,
}

/// `gatherd fetch`.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// URLs, fetched after those of --urls; a text that is none is null, and standard error says so
    #[arg(value_name = "URL")]
    pub url: Vec<String>,
    /// A file with a URL a line, - for standard input; blank lines and lines with # are passed over
    #[arg(long, value_name = "FILE|-")]
    pub urls: Option<PathBuf>,
    /// Send this environment variable's value as Authorization: Bearer …
    #[arg(long, value_name = "VAR", conflicts_with = "token_file")]
    pub token_env: Option<String>,
    /// Send this file's content as Authorization: Bearer …
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The User-Agent [default: gatherd and its version]
    #[arg(long, value_name = "UA")]
    pub user_agent: Option<String>,
    /// The time for one attempt, from connect to the last byte
    #[arg(long, default_value = "10s", value_parser = positive_duration, value_name = "TIME")]
    pub timeout: Duration,
    /// Further attempts for failures that may pass, after a pause of up to 30 s or the one that the host asks for; a host
    /// that asks for more than a minute is not asked again
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=20), value_name = "N")]
    pub retries: u32,
    /// The time for all of it; what has not ended by then is null, and no pause is waited for that goes beyond it
    /// [default: none, each URL has its timeout and retries]
    #[arg(long, value_parser = positive_duration, value_name = "TIME")]
    pub deadline: Option<Duration>,
    /// Threads: the most requests in flight
    #[arg(long, default_value_t = 64, value_parser = workers, value_name = "N")]
    pub workers: usize,
    /// The largest body, after decompression
    #[arg(long, default_value = "1MiB", value_parser = size, value_name = "SIZE")]
    pub max_body: ByteSize,
    /// Print objects that say how each slot ended
    #[arg(long)]
    pub why: bool,
    /// Exit with 1 when any slot is null
    #[arg(long)]
    pub fail: bool,
}

pub fn run(args: &FetchArgs) -> anyhow::Result<ExitCode> {
    let urls = urls(args)?;
    let token = token::read(args.token_env.as_ref(), args.token_file.as_ref())?;
    let request = request(args)?;
    let hosts = || {
        let parsed: Vec<Url> = urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
        descriptors::hosts(parsed.iter())
    };
    // As few are asked at the same time as there are.
    descriptors::warn_if_few(args.workers.min(urls.len()), urls.len(), hosts);
    let bar = progress_bar(urls.len());
    let interrupt = Interrupt::listen()?;
    let progress = |ended| bar.set_position(u64::try_from(ended).unwrap_or(u64::MAX));
    let bounds = Bounds { workers: args.workers, deadline: args.deadline, afterwards: Afterwards::LeaveToExit };
    let slots = app::fetch_urls(&urls, request, token.as_ref(), bounds, progress, interrupt.first())?;
    let interrupted = interrupt.round_is_over();
    bar.finish_and_clear();
    print(&slots, args.why)?;
    // Who mistypes a URL hears of it, also where the array alone is looked at.
    for (text, slot) in slots.iter().filter(|(_, slot)| slot.outcome == Outcome::Protocol && slot.attempts == 0) {
        let problem = slot.detail.as_ref().map_or("not a URL", Detail::as_str);
        writeln!(stderr(), "gatherd: {text:?}: {problem}")?;
    }
    let any_null = slots.iter().any(|(_, slot)| slot.outcome != Outcome::Ok);
    Ok(if interrupted {
        Interrupt::CODE.into()
    } else if args.fail && any_null {
        NO.into()
    } else {
        ExitCode::SUCCESS
    })
}

fn urls(args: &FetchArgs) -> anyhow::Result<Vec<String>> {
    let text = match &args.urls {
        None => String::new(),
        Some(path) => read(path).map_err(|error| usage(format!("--urls {}: {error}", path.display())))?,
    };
    // Some editors begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).chain(args.url.iter().cloned()).collect())
}

fn read(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    }
}

fn request(args: &FetchArgs) -> anyhow::Result<RequestSettings> {
    let default = RequestSettings::default();
    let user_agent = match &args.user_agent {
        None => default.user_agent,
        Some(text) => HeaderValue::from_str(text).map_err(|_| usage("--user-agent: one line of printable text"))?,
    };
    Ok(RequestSettings {
        user_agent,
        timeout: args.timeout,
        connect_timeout: default.connect_timeout.min(args.timeout),
        max_body: args.max_body.as_u64(),
        retries: args.retries,
        ..default
    })
}

fn print(slots: &[(String, Slot)], why: bool) -> anyhow::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    write!(out, "[")?;
    for (index, (url, slot)) in slots.iter().enumerate() {
        write!(out, "{}", if index == 0 { "\n" } else { ",\n" })?;
        if why {
            serde_json::to_writer(&mut out, &why_of(url, slot)).map_err(std::io::Error::from)?;
        } else {
            write!(out, "{}", slot.body.as_ref().map_or("null", Document::text))?;
        }
    }
    writeln!(out, "{}]", if slots.is_empty() { "" } else { "\n" })?;
    out.flush()?;
    Ok(())
}

fn why_of<'a>(url: &'a str, slot: &'a Slot) -> Why<'a> {
    Why {
        url,
        outcome: slot.outcome.as_str(),
        http_status: slot.http_status,
        attempts: slot.attempts,
        elapsed_ms: milliseconds(slot.elapsed),
        detail: slot.detail.as_ref().map(Detail::as_str),
        body: slot.body.as_ref(),
    }
}

fn size(text: &str) -> Result<ByteSize, String> {
    let size = text.parse::<ByteSize>().map_err(|_| "write it like 64KiB or 1MiB".to_owned())?;
    if size.as_u64() == 0 { Err("at least one byte".to_owned()) } else { Ok(size) }
}

fn workers(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|workers| (1..=8192).contains(workers)).ok_or_else(|| "from 1 to 8192".to_owned())
}
