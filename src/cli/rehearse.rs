//! `gatherd rehearse`: the user's own config against a server that hangs, lies and blocks, all on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use serde::Serialize;

use super::args::RehearseArgs;
use super::interrupt::Interrupt;
use super::output::{plain_text, print_to_width, progress_bar, table};
use crate::app::{self, Afterwards, Unstored};
use crate::config::{Endpoint, Job, Proxy, RequestSettings, Secret, Settings};
use crate::model::{ClosedRound, Detail, Document, Slot, Timestamp};
use crate::sample_api::SampleApi;

/// The most threads for a rehearsal, which runs several rounds of each job at the same time.
const MOST_WORKERS: usize = 512;

/// What stands in the place of every secret: the real ones are not even read.
const STAND_IN: &str = "rehearsal-stand-in-for-a-secret";

/// The faults, in the order in which endpoints get them: what it does, and where the sample API does it. A path that
/// begins with a scheme is a whole URL, `PORT` in it the sample API's port.
const FAULTS: [(&str, &str); 20] = [
    ("answers well", "/healthy"),
    ("never answers", "/hang"),
    ("HTML with 200", "/html-200"),
    ("500", "/status/500"),
    ("503 twice, then well", "/flaky"),
    ("429, Retry-After: 5", "/rate-limited?after=5"),
    ("401", "/status/401"),
    ("cut off in the body", "/truncated"),
    ("connection reset", "/reset"),
    ("connection refused", "http://127.0.0.1:1/"),
    ("no TLS where it should be", "https://127.0.0.1:PORT/healthy"),
    ("redirect", "/redirect"),
    ("a body without end", "/infinite"),
    ("a decompression bomb", "/gzip-bomb"),
    ("broken compression", "/gzip-broken"),
    ("a byte each 100 ms", "/drip"),
    ("no body", "/empty"),
    ("bytes that are not HTTP", "/garbage"),
    ("text that is not UTF-8", "/bad-utf8"),
    ("a metadata address", "http://169.254.169.254/latest/meta-data/"),
];

pub fn run(args: &RehearseArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.config)?;
    let api = SampleApi::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("cannot start the sample API")?;
    let plan: Vec<Rehearsal<'_>> =
        settings.jobs.iter().enumerate().map(|(number, job)| Rehearsal::of(number, job, &api)).collect();
    let rounds: Vec<Unstored> = plan.iter().flat_map(|rehearsal| rehearsal.rounds.clone()).collect();
    let slots = rounds.iter().map(|round| round.endpoints.len()).sum();
    let workers = settings.workers.saturating_mul(rounds.len()).min(MOST_WORKERS.max(settings.workers));
    let longest = rounds.iter().map(|round| round.deadline).max().unwrap_or_default();
    if !args.json {
        eprintln!(
            "{slots} slots, each with a fault, for at most {}; nothing leaves this machine, nothing is stored",
            humantime::format_duration(Duration::from_secs(longest.as_secs() + 1))
        );
    }
    let bar = progress_bar(slots);
    let interrupt = Interrupt::listen()?;
    let closed = app::fetch_rounds(
        rounds,
        Secret::new(STAND_IN).as_ref(),
        workers,
        Afterwards::LeaveToExit,
        |ended| bar.set_position(u64::try_from(ended).unwrap_or(u64::MAX)),
        interrupt.first(),
    )?;
    let interrupted = interrupt.round_is_over();
    bar.finish_and_clear();
    let mut closed = closed.into_iter();
    for (index, rehearsal) in plan.iter().enumerate() {
        let rounds: Vec<ClosedRound> = closed.by_ref().take(rehearsal.rounds.len()).collect();
        if args.json {
            rehearsal.print_json(&rounds)?;
        } else {
            rehearsal.print(&rounds, index > 0)?;
        }
    }
    Ok(if interrupted { Interrupt::CODE.into() } else { ExitCode::SUCCESS })
}

/// What is rehearsed of one job: rounds, until each fault has come once.
struct Rehearsal<'a> {
    job: &'a Job,
    rounds: Vec<Unstored>,
    /// The fault of each slot of each round, by its index.
    faults: Vec<Vec<usize>>,
}

/// One slot, as `--json` prints it.
#[derive(Serialize)]
struct Rehearsed<'a> {
    job: &'a str,
    endpoint: &'a str,
    fault: &'static str,
    outcome: &'static str,
    http_status: Option<u16>,
    attempts: u32,
    elapsed_ms: f64,
    detail: Option<&'a str>,
    body: Option<&'a Document>,
    round_ms: f64,
}

impl<'a> Rehearsal<'a> {
    fn of(number: usize, job: &'a Job, api: &SampleApi) -> Self {
        let now = Timestamp::from(Utc::now());
        let deadline = job.entry().longest_round(job.cadence.next_after(now).unwrap_or(now));
        let (mut rounds, mut faults) = (Vec::new(), Vec::new());
        let mut next = 0;
        while next < FAULTS.len() {
            let of_round: Vec<usize> = (next..next + job.endpoints.len()).map(|fault| fault % FAULTS.len()).collect();
            next += job.endpoints.len().max(1);
            let of_slot = |(slot, (endpoint, &fault)): (usize, (&Endpoint, &usize))| {
                // Some faults are counted by URL: each slot has one of its own.
                with_fault(endpoint, fault, api, &format!("{number}-{}-{slot}", rounds.len()))
            };
            let endpoints = job.endpoints.iter().zip(&of_round).enumerate().map(of_slot).collect();
            rounds.push(Unstored { job: job.name.clone(), endpoints, deadline });
            faults.push(of_round);
        }
        Self { job, rounds, faults }
    }

    fn slots<'r>(
        &'r self,
        rounds: &'r [ClosedRound],
    ) -> impl Iterator<Item = (&'r str, usize, &'r Slot, &'r ClosedRound)> {
        rounds.iter().zip(&self.faults).flat_map(move |(round, faults)| {
            let endpoints = self.job.endpoints.iter().map(|endpoint| endpoint.label.name.as_str());
            let slots = endpoints.zip(faults).zip(&round.slots);
            slots.map(move |((endpoint, &fault), slot)| (endpoint, fault, slot, round))
        })
    }

    fn print(&self, rounds: &[ClosedRound], further: bool) -> anyhow::Result<()> {
        let deadline = self.rounds.first().map_or(Duration::ZERO, |round| round.deadline);
        let longest = rounds.iter().map(took).max().unwrap_or_default();
        println!("{}job {:?}  {}", if further { "\n" } else { "" }, self.job.name.as_str(), self.job.cadence_text);
        let mut table = table(["endpoint", "fault", "stored", "status", "tries", "took", "document or reason"]);
        for (endpoint, fault, slot, _) in self.slots(rounds) {
            let stored = if slot.outcome.is_ok() { "document".to_owned() } else { format!("null, {}", slot.outcome) };
            let said = match (&slot.body, &slot.detail) {
                (Some(body), _) => plain_text(body.text()),
                (None, Some(detail)) => detail.as_str().to_owned(),
                (None, None) => String::new(),
            };
            table.add_row([
                plain_text(endpoint),
                FAULTS[fault].0.to_owned(),
                stored,
                slot.http_status.map(|status| status.to_string()).unwrap_or_default(),
                slot.attempts.to_string(),
                format!("{:.1} s", slot.elapsed.as_secs_f64()),
                said,
            ]);
        }
        print_to_width(&table)?;
        let is_cut_short = longest >= deadline;
        let (longest, deadline) = (longest.as_secs_f64(), deadline.as_secs_f64());
        if is_cut_short {
            println!("a round like this would not end in the {deadline:.1} s that it has: its deadline cut it short");
        } else {
            println!("a round like this would take {longest:.1} s of the {deadline:.1} s that it has");
        }
        Ok(())
    }

    fn print_json(&self, rounds: &[ClosedRound]) -> anyhow::Result<()> {
        let millis = |span: Duration| (span.as_secs_f64() * 1e6).round() / 1e3;
        for (endpoint, fault, slot, round) in self.slots(rounds) {
            let line = Rehearsed {
                job: self.job.name.as_str(),
                endpoint,
                fault: FAULTS[fault].0,
                outcome: slot.outcome.as_str(),
                http_status: slot.http_status,
                attempts: slot.attempts,
                elapsed_ms: millis(slot.elapsed),
                detail: slot.detail.as_ref().map(Detail::as_str),
                body: slot.body.as_ref(),
                round_ms: millis(took(round)),
            };
            println!("{}", serde_json::to_string(&line)?);
        }
        Ok(())
    }
}

fn took(round: &ClosedRound) -> Duration {
    round.finished.since(round.begin.started)
}

/// The endpoint as it is, but that it asks the sample API for a fault, through nothing, with a stand-in for its secret.
/// Its limits stay those of its own host, in each round by itself.
fn with_fault(endpoint: &Endpoint, fault: usize, api: &SampleApi, slot: &str) -> Endpoint {
    let path = FAULTS[fault].1;
    let url = if path.starts_with('/') {
        api.url(&format!("{path}{}slot={slot}", if path.contains('?') { '&' } else { '?' }))
    } else {
        path.replace("PORT", &api.addr().port().to_string())
    };
    let request = RequestSettings {
        auth: None,
        ca_file: None,
        identity: None,
        proxy: Proxy::None,
        pages: None,
        ..RequestSettings::clone(&endpoint.request)
    };
    match Endpoint::unnamed(&url, Arc::new(request)) {
        Ok(faulty) => Endpoint {
            label: endpoint.label.clone(),
            host: format!("{}#{}", endpoint.host, slot.rsplit_once('-').map_or(slot, |(round, _)| round)).into(),
            ..faulty
        },
        // The table above holds URLs.
        Err(_) => endpoint.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_a_url_on_this_machine_or_one_that_is_never_connected_to() {
        let api = SampleApi::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("the sample API starts");
        let real = Endpoint::unnamed("https://api.example.com/", Arc::default()).expect("a URL");
        for fault in 0..FAULTS.len() {
            let faulty = with_fault(&real, fault, &api, "0-0-0");
            let host = faulty.url.host_str().expect("a host").to_owned();
            assert!(["127.0.0.1", "169.254.169.254"].contains(&host.as_str()), "{host}");
            assert_eq!((&*faulty.host, &faulty.label), ("api.example.com:443#0-0", &real.label));
        }
    }
}
