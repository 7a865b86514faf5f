//! `gatherd fetch`: one round as a command.

use std::io::{BufWriter, Read, Write, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;

use super::args::FetchArgs;
use super::exit::{NO, usage};
use super::interrupt::Interrupt;
use super::output::progress_bar;
use crate::app::{self, Afterwards};
use crate::config::{RequestSettings, Secret, SecretSource};
use crate::model::{Detail, Document, Outcome, Slot};
use http::HeaderValue;
use serde::Serialize;

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

pub fn run(args: &FetchArgs) -> anyhow::Result<ExitCode> {
    let urls = urls(args)?;
    let token = token(args)?;
    let request = request(args)?;
    let bar = progress_bar(urls.len());
    let interrupt = Interrupt::listen()?;
    let progress = |ended| bar.set_position(u64::try_from(ended).unwrap_or(u64::MAX));
    let slots = app::fetch_urls(
        &urls,
        request,
        token.as_ref(),
        args.workers,
        Afterwards::LeaveToExit,
        progress,
        interrupt.first(),
    )?;
    let interrupted = interrupt.round_is_over();
    bar.finish_and_clear();
    print(&slots, args.why)?;
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

fn token(args: &FetchArgs) -> anyhow::Result<Option<Secret>> {
    let source = match (&args.token_env, &args.token_file) {
        (Some(name), _) => SecretSource::Env(name.clone()),
        (None, Some(path)) => SecretSource::File(path.clone()),
        (None, None) => return Ok(None),
    };
    source.read_once(Path::new("")).map(Some).map_err(|error| usage(format!("{:#}", anyhow::Error::from(error))))
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
        // To the microsecond.
        elapsed_ms: (slot.elapsed.as_secs_f64() * 1e6).round() / 1e3,
        detail: slot.detail.as_ref().map(Detail::as_str),
        body: slot.body.as_ref(),
    }
}
