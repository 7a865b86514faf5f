//! One round of a config's only job, through the real Fetcher and pool, without a database.

use std::path::Path;
use std::time::Duration;

use gatherd::app::{Afterwards, Unstored, fetch_rounds};
use gatherd::config::Settings;
use gatherd::model::{Detail, Slot};

/// The slots of one round of a job with these keys; relative files are looked for in the current folder.
pub fn round(keys: &str, urls: &[String]) -> Vec<Slot> {
    round_of(&format!("{keys}\nendpoints = {urls:?}"))
}

/// The slots of one round of a job with these keys, its endpoints included.
pub fn round_of(keys: &str) -> Vec<Slot> {
    round_by(64, keys)
}

/// The same with so many workers.
pub fn round_by(workers: usize, keys: &str) -> Vec<Slot> {
    let text = format!("[[job]]\nname = \"job\"\nevery = \"1m\"\n{keys}\n");
    let settings = Settings::parse(Path::new("config.toml"), &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let job = &settings.jobs[0];
    let deadline = Duration::from_secs(30);
    let round = Unstored { job: job.name.clone(), endpoints: job.endpoints.clone(), deadline };
    let closed = fetch_rounds(vec![round], None, workers, Afterwards::CleanUp, |_| {}, std::future::pending());
    closed.expect("a round").remove(0).slots
}

/// The only slot of a round.
pub fn slot(keys: &str, url: &str) -> Slot {
    round(keys, &[url.to_owned()]).remove(0)
}

/// The text of a slot's document.
pub fn text(slot: &Slot) -> &str {
    slot.body.as_ref().unwrap_or_else(|| panic!("no document: {slot:?}")).text()
}

pub fn detail(slot: &Slot) -> &str {
    slot.detail.as_ref().map_or("", Detail::as_str)
}
