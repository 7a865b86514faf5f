//! What there is to tell, in the form in which the API answers it: from there, or put together from the file alone.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::model::Timestamp;
use crate::store::overview::Overview;
use crate::web::report::{DaemonStatus, DatabaseStatus, JobStatus, jobs, stored_jobs};

/// How everything is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What only a daemon that answers knows.
    pub daemon: Option<DaemonStatus>,
    pub jobs: Vec<JobStatus>,
    /// `None` when there is no file.
    pub database: Option<DatabaseStatus>,
}

impl Report {
    /// What the file at `path` says, at `now`. Where the config is known, its jobs come in its order; the others are retired.
    /// While a daemon `runs` that cannot be asked, the config says what is due next.
    pub fn by_file(found: Overview, path: &Path, settings: Option<&Settings>, runs: bool, now: Timestamp) -> Self {
        let database = Some(DatabaseStatus::of(path, &found.database));
        let Some(settings) = settings else {
            return Self { daemon: None, jobs: stored_jobs(found.jobs), database };
        };
        let configured = settings.jobs.iter().map(|job| {
            let status = JobStatus {
                cadence: Some(job.cadence_text.clone()),
                next_due: job.cadence.next_after(now).filter(|_| runs),
                endpoints: Some(job.endpoints.len()),
                ..JobStatus::named(job.name.as_str())
            };
            (status, job.dues_a_week(now))
        });
        Self { daemon: None, jobs: jobs(configured, found.jobs), database }
    }
}
