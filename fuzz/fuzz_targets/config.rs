//! The text of a config: mistakes with their lines, or settings that can be used.

#![no_main]

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::Path;

use gatherd::config::{Job, Proxy, Settings};
use gatherd::fetch::{Clients, PreparedJob};
use gatherd::model::Timestamp;
use libfuzzer_sys::fuzz_target;

/// Microseconds since the epoch: its beginning, and before a change to summer time.
const MOMENTS: [i64; 2] = [0, 1_774_738_799_000_000];

/// Clients hold what every config that asks through them has in common.
const CONFIGS_EACH: usize = 1_000;

thread_local! {
    static CLIENTS: RefCell<(Clients, usize)> = RefCell::default();
}

fuzz_target!(|text: &str| {
    match Settings::parse(Path::new("config.toml"), text) {
        Ok(settings) => {
            assert!(!settings.jobs.is_empty());
            let names: HashSet<_> = settings.jobs.iter().map(|job| job.name.to_string()).collect();
            assert_eq!(names.len(), settings.jobs.len(), "names of jobs differ");
            settings.jobs.iter().for_each(check);
        }
        Err(mistakes) => {
            let lines = 1 + text.matches('\n').count();
            assert!(!mistakes.list.is_empty());
            assert!(mistakes.list.is_sorted_by_key(|mistake| mistake.line));
            for mistake in &mistakes.list {
                assert!(mistake.line <= lines, "line {} of {lines}", mistake.line);
                assert!(!mistake.problem.is_empty());
            }
            assert!(mistakes.to_string().lines().count() >= mistakes.list.len());
        }
    }
});

fn check(job: &Job) {
    assert!(!job.endpoints.is_empty());
    let names: HashSet<_> = job.endpoints.iter().map(|endpoint| &endpoint.label.name).collect();
    assert_eq!(names.len(), job.endpoints.len(), "names of endpoints differ");
    for endpoint in &job.endpoints {
        assert!(["http", "https"].contains(&endpoint.url.scheme()), "{}", endpoint.url);
        assert!(endpoint.url.host_str().is_some_and(|host| !host.is_empty()), "{}", endpoint.url);
        assert!(!endpoint.request.timeout.is_zero());
    }
    for after in MOMENTS.map(Timestamp::from_micros) {
        assert!(job.entry().cadence.next_after(after).is_none_or(|due| due > after));
    }
    if asks_without_files(job) {
        CLIENTS.with_borrow_mut(|(clients, configs)| {
            *configs += 1;
            if configs.is_multiple_of(CONFIGS_EACH) {
                *clients = Clients::default();
            }
            let prepared = PreparedJob::new(job, Path::new("."), clients).expect("it needs nothing from outside");
            assert_eq!(prepared.requests.len(), job.endpoints.len());
        });
    }
}

/// Whether the requests need no file, no variable and no client but the usual ones: each costs a thread.
fn asks_without_files(job: &Job) -> bool {
    job.endpoints.iter().all(|endpoint| {
        let request = &endpoint.request;
        let usual = request.connect_timeout == gatherd::config::RequestSettings::default().connect_timeout;
        let files = request.auth.is_some() || request.ca_file.is_some() || request.identity.is_some();
        usual && !files && !matches!(request.proxy, Proxy::Through(_))
    })
}
