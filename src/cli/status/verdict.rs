//! Is all well? What is wrong, the worst first, in words for people.

use std::time::Duration;

use super::report::Report;
use crate::cli::output::span;
use crate::model::Timestamp;
use crate::web::report::{DaemonStatus, JobStatus};

/// A round that starts later than this after its due, or has not started, is late.
const LATE: Duration = Duration::from_secs(5);

/// What is wrong by `report` at `now`; nothing when all is well.
pub fn problems(report: &Report, now: Timestamp) -> Vec<String> {
    let jobs = || report.jobs.iter().filter(|job| !job.is_retired());
    let daemon = report.daemon.iter().flat_map(of_daemon);
    let rounds = jobs().flat_map(|job| of_rounds(job, now));
    daemon.chain(rounds).chain(jobs().filter_map(of_endpoints)).collect()
}

fn of_daemon(daemon: &DaemonStatus) -> Vec<String> {
    let mut problems: Vec<String> = daemon.silent.iter().map(|part| format!("{part} does not answer")).collect();
    if let Some(queue) = &daemon.storage {
        if queue.failed {
            problems.push("the database failed, the daemon is about to end; see the log".to_owned());
        }
        if queue.waiting > 0 {
            problems.push(format!("{} rounds wait for the disk; see the log", queue.waiting));
        }
    }
    let workers = &daemon.workers;
    if workers.alive < workers.configured {
        let dead = workers.configured - workers.alive;
        problems.push(format!("{dead} of {} workers are dead; see the log", workers.configured));
    }
    if daemon.config_refused_at.is_some() {
        problems.push(
            "the last reload failed, the config before is in use; see gatherd check, then reload again".to_owned(),
        );
    }
    problems
}

fn of_rounds(job: &JobStatus, now: Timestamp) -> Vec<String> {
    let mut problems = Vec::new();
    let name = &job.name;
    if let Some(round) = &job.last_round {
        let late = round.started_at.map_or(Duration::ZERO, |started| started.since(round.due_at));
        if round.status != "complete" {
            let cause = round.cause.as_deref().map(|cause| format!(" ({cause})")).unwrap_or_default();
            problems.push(format!("the last round of {name} was {}{cause}", round.status));
        } else if late > LATE {
            problems.push(format!("the last round of {name} started {} late", span(late)));
        }
    }
    let overdue = job.next_due.map_or(Duration::ZERO, |due| now.since(due));
    if overdue > LATE && job.state.as_deref() == Some("idle") {
        problems.push(format!("a round of {name} should have started {} ago", span(overdue)));
    }
    problems
}

fn of_endpoints(job: &JobStatus) -> Option<String> {
    let failing = job.failing.len();
    let all = job.endpoints.or(job.last_round.as_ref()?.endpoints.and_then(|all| usize::try_from(all).ok()));
    let all = all.map(|all| format!(" of {all}")).unwrap_or_default();
    (failing > 0).then(|| format!("{failing}{all} endpoints of {} failed in the last round", job.name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems_with(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut report = json!({
            "daemon": {
                "version": "1", "started_at": "2026-01-31T14:00:00.000Z", "silent": [],
                "workers": {"configured": 8, "alive": 8, "busy": 2},
                "storage": {"waiting": 0, "dropped": 3, "failed": false},
                "config_loaded_at": "2026-01-31T14:00:00.000Z", "config_refused_at": null
            },
            "jobs": [{
                "name": "job", "cadence": "every 1m", "state": "idle", "next_due": "2026-01-31T15:01:00.000Z",
                "endpoints": 2, "last_day": [], "failing": [], "bytes_a_day": null,
                "last_round": {
                    "round_id": 1, "job": "job", "due_at": "2026-01-31T15:00:00.000Z", "started_at": "2026-01-31T15:00:00.001Z",
                    "finished_at": "2026-01-31T15:00:01.000Z", "status": "complete", "cause": null, "covers": 1,
                    "endpoints": 2, "ok": 2, "failed": 0
                }
            }],
            "database": null
        });
        change(&mut report);
        let now = "2026-01-31T15:00:30Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a moment");
        problems(&serde_json::from_value(report).expect("a report"), now.into())
    }

    #[test]
    fn what_was_dropped_long_ago_is_no_reason_to_wake_somebody_up() {
        assert_eq!(problems_with(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_is_wrong_is_said() {
        for (path, value, said) in [
            ("/daemon/silent", json!(["storage"]), "storage does not answer"),
            ("/daemon/storage/waiting", json!(3), "3 rounds wait for the disk; see the log"),
            ("/daemon/storage/failed", json!(true), "the database failed, the daemon is about to end; see the log"),
            ("/daemon/workers/alive", json!(6), "2 of 8 workers are dead; see the log"),
            (
                "/daemon/config_refused_at",
                json!("2026-01-31T14:30:00.000Z"),
                "the last reload failed, the config before is in use; see gatherd check, then reload again",
            ),
            ("/jobs/0/last_round/status", json!("missed"), "the last round of job was missed"),
            (
                "/jobs/0/last_round/started_at",
                json!("2026-01-31T15:00:09.000Z"),
                "the last round of job started 9s late",
            ),
            ("/jobs/0/next_due", json!("2026-01-31T15:00:10.000Z"), "a round of job should have started 20s ago"),
        ] {
            let problems = problems_with(|report| *report.pointer_mut(path).expect(path) = value);
            assert_eq!(problems, [said], "{path}");
        }
    }

    #[test]
    fn a_job_that_the_config_no_longer_has_is_no_news() {
        let problems = problems_with(|report| {
            report["jobs"][0]["state"] = json!("retired");
            report["jobs"][0]["last_round"]["status"] = json!("missed");
        });
        assert_eq!(problems, Vec::<String>::new());
    }
}
