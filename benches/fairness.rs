//! A job of 3 endpoints each second keeps its cadence beside one of 5,000 endpoints that all hang.

mod support;

use std::thread::sleep;
use std::time::Duration;

use support::{Calm, Daemon, Server, heading, job, percentile, row};

const HANGING: usize = 5_000;
const SMALL: usize = 3;
const RUN: Duration = Duration::from_secs(20);

const OF_THE_SMALL: &str = "FROM round WHERE job_id = (SELECT job_id FROM job WHERE name = 'small')";

fn main() {
    let server = Server::start();
    let mut calm = Calm::default();
    calm.wait();
    let large = job(
        "large",
        "every = \"30s\"\ntimeout = \"10s\"\nretries = 0\nrun_on_start = true",
        &server.urls("hang", HANGING),
    );
    let small = job("small", "every = \"1s\"\nretries = 0", &server.urls("healthy", SMALL));
    let daemon = Daemon::start(&format!("workers = 64\n{large}{small}"));
    sleep(RUN + Duration::from_secs(1));
    let count = |what: &str| daemon.number(&format!("SELECT {what} {OF_THE_SMALL}"));
    let complete = count("count(*) FILTER (WHERE status = 'complete' AND failed = 0)");
    let failed = count("count(*) FILTER (WHERE failed > 0)");
    let skipped = count("coalesce(sum(covers) FILTER (WHERE status IN ('skipped', 'missed')), 0)");
    let whole = daemon.ask(&format!("SELECT finished_at - due_at {OF_THE_SMALL} AND status = 'complete' ORDER BY 1"));
    let whole: Vec<i64> = whole.into_iter().flatten().collect();
    let most = u32::try_from(percentile(&whole, 1.0)).expect("not early, and not an hour late");
    heading(
        &format!("{SMALL} endpoints each second beside {HANGING} that hang, 64 workers, {} s", RUN.as_secs()),
        &["whole rounds", "with nulls", "skipped", "longest"],
    );
    row(&[complete.to_string(), failed.to_string(), skipped.to_string(), format!("{:.1} ms", f64::from(most) / 1e3)]);
    calm.say();
}
