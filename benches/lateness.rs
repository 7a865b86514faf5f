//! How late rounds start after their due, with 500 jobs each second: spread over the second, and all at once.

mod support;

use std::thread::sleep;
use std::time::Duration;

use support::{Calm, Daemon, Server, heading, job, percentile, row};

const JOBS: u64 = 500;
const RUN: Duration = Duration::from_secs(20);

/// Of the first two seconds the daemon's start is a part.
const LATE: &str = "SELECT started_at - due_at FROM round
    WHERE started_at IS NOT NULL AND due_at > (SELECT min(due_at) FROM round) + 2000000 ORDER BY 1";
const LEDGER: &str = "SELECT coalesce(sum(covers), 0) FROM round WHERE status IN ('skipped', 'missed')";
const FAILED: &str = "SELECT coalesce(sum(failed), 0) FROM round";
/// From the due to the end of the round, whose commit comes right after.
const WHOLE: &str = "SELECT finished_at - due_at FROM round WHERE status = 'complete' ORDER BY 1";

fn main() {
    let server = Server::start();
    let mut calm = Calm::default();
    heading(
        &format!(
            "{JOBS} jobs of one endpoint each second, {} s: due to start (goal: 99 % within 10 ms)",
            RUN.as_secs()
        ),
        &["dues", "rounds", "p50", "p90", "p99", "most", "p99 to end", "skipped", "failed"],
    );
    for (name, step) in [("spread", 1_000_000 / JOBS), ("at once", 0)] {
        calm.wait();
        measure(name, step, &server);
    }
    calm.say();
}

/// `step` is the time from one job's due to the next one's, in microseconds.
fn measure(name: &str, step: u64, server: &Server) {
    let urls = server.urls("healthy", usize::try_from(JOBS).expect("few"));
    let jobs: String = (0..JOBS)
        .zip(&urls)
        .map(|(number, url)| {
            let keys = format!("every = \"1s\"\noffset = \"{}us\"", number * step);
            job(&format!("job {number}"), &keys, std::slice::from_ref(url))
        })
        .collect();
    let daemon = Daemon::start(&format!("workers = 64\n{jobs}"));
    sleep(RUN + Duration::from_secs(2));
    let late: Vec<i64> = daemon.ask(LATE).into_iter().flatten().collect();
    let whole: Vec<i64> = daemon.ask(WHOLE).into_iter().flatten().collect();
    assert!(!late.is_empty(), "no round was stored");
    let milliseconds = |values: &[i64], part| {
        let micros = u32::try_from(percentile(values, part)).expect("not early, and not an hour late");
        format!("{:.2} ms", f64::from(micros) / 1e3)
    };
    row(&[
        name.to_owned(),
        late.len().to_string(),
        milliseconds(&late, 0.5),
        milliseconds(&late, 0.9),
        milliseconds(&late, 0.99),
        milliseconds(&late, 1.0),
        milliseconds(&whole, 0.99),
        daemon.number(LEDGER).to_string(),
        daemon.number(FAILED).to_string(),
    ]);
}
