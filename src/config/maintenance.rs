//! The rules of `[maintenance]` and of `retain`.

use std::time::Duration;

use super::file::MaintenanceKeys;
use super::rules::Rules;
use super::section::Located;
use super::settings::{Backup, Maintenance};
use crate::model::TimeZone;
use crate::schedule::Cadence;

/// 03:17, away from the full hours at which jobs are due.
const NIGHTLY: &str = "0 17 3 * * *";
/// Whole hours are deleted: less than this would be none.
const SHORTEST_RETAIN: Duration = Duration::from_hours(1);
/// A hundred years: beyond it is for ever.
const LONGEST_RETAIN: Duration = Duration::from_hours(24 * 36_525);
/// The most copies that are kept.
const MOST_COPIES: usize = 1_000;

impl Rules<'_, '_> {
    pub(super) fn maintenance(&self, keys: MaintenanceKeys) -> Maintenance {
        let at = keys.at.as_ref().and_then(|at| self.maintenance_time(at));
        let backup = keys.backup.and_then(|backup| {
            let keep = self.within("", backup.keep, 7, 1..=MOST_COPIES);
            match backup.folder {
                Some(folder) => Some(Backup { folder: self.beside_database(&folder.value), keep }),
                None => {
                    self.missing(&backup.place, "where to? backup = { folder = \"backups\", keep = 7 }");
                    None
                }
            }
        });
        Maintenance { at: at.unwrap_or_else(|| NIGHTLY.to_owned()), backup }
    }

    fn maintenance_time(&self, at: &Located<String>) -> Option<String> {
        if let Err(error) = Cadence::cron(&at.value, TimeZone::UTC) {
            let problem = error.to_string();
            let problem = problem.trim_end_matches('.');
            self.text.mistake(&at.place, format!("{problem}; right would be \"{NIGHTLY}\", in UTC"));
            return None;
        }
        let seconds = if at.value.split_whitespace().count() == 5 { "0 " } else { "" };
        Some(format!("{seconds}{}", at.value))
    }

    /// How long rounds are kept: what `key` says, or else `default`.
    pub(super) fn retain(
        &self,
        key: Option<&Located<Option<Duration>>>,
        default: Option<Duration>,
    ) -> Option<Duration> {
        let Some(Located { value, place }) = key else { return default };
        if value.is_some_and(|value| !(SHORTEST_RETAIN..=LONGEST_RETAIN).contains(&value)) {
            self.text.mistake(place, "from 1h to 100 years, or \"forever\"");
        }
        *value
    }
}
