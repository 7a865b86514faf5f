//! Rounds made by hand, for tests of what is stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gatherd::fetch::json;
use gatherd::model::{
    Answer, ClosedRound, Detail, EndpointLabel, Evidence, JobName, Layout, Outcome, RoundBegin, RoundId, RoundStatus,
    Slot, Timestamp,
};
use gatherd::store::read::{Reader, Value};
use gatherd::store::{Writer, open};
use tempfile::TempDir;

/// 2026-01-31 13:00:00 UTC, a minute before round 1 is due.
const START: i64 = 1_769_864_400;

/// A new file, in a folder that goes with the first of these, its path and its writer.
pub fn database() -> (TempDir, PathBuf, Writer) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gatherd.db");
    let writer = open(&path).expect("opened");
    (folder, path, writer)
}

/// [`layout`] with so many endpoints: `e0`, `e1`…
pub fn numbered(count: usize) -> Arc<Layout> {
    let names: Vec<String> = (0..count).map(|number| format!("e{number}")).collect();
    layout(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A job called "job" with these endpoints.
pub fn layout(names: &[&str]) -> Arc<Layout> {
    let label = |name: &&str| EndpointLabel {
        name: (*name).to_owned(),
        url: format!("https://api.example.com/{}", name.replace(' ', "-")),
    };
    Arc::new(Layout { job: JobName::new("job"), endpoints: names.iter().map(label).collect() })
}

/// Rounds are due each minute.
pub fn due(round: i64) -> Timestamp {
    Timestamp::from_micros((START + 60 * round) * 1_000_000)
}

pub fn begin(round: i64, layout: &Arc<Layout>) -> RoundBegin {
    RoundBegin { id: RoundId(round), due: due(round), started: due(round), layout: Arc::clone(layout) }
}

/// A complete round.
pub fn closed(round: i64, layout: &Arc<Layout>, slots: Vec<Slot>) -> ClosedRound {
    assert_eq!(slots.len(), layout.endpoints.len());
    let begin = begin(round, layout);
    let finished = begin.due.plus(Duration::from_secs(1));
    ClosedRound { begin, finished, status: RoundStatus::Complete, cause: None, slots }
}

/// A slot with the document `{"round":…}`.
pub fn ok(round: i64) -> Slot {
    let body = json::document(format!("{{\"round\":{round}}}").as_bytes()).expect("JSON");
    let slot = Slot::untried(Outcome::Ok, "", due(round).plus(Duration::from_millis(250)));
    let (attempts, elapsed) = (1, Duration::from_millis(250));
    Slot { http_status: Some(200), body: Some(body), detail: None, attempts, elapsed, ..slot }
}

/// A slot that failed without leaving anything.
pub fn failed(round: i64, outcome: Outcome, detail: &str) -> Slot {
    let slot = Slot::untried(outcome, detail, due(round).plus(Duration::from_millis(700)));
    Slot { attempts: 3, elapsed: Duration::from_micros(700_400), ..slot }
}

/// A 403 that came with this page.
pub fn forbidden(round: i64, page: &str) -> Slot {
    let headers = "content-type: text/html\nserver: nginx".to_owned();
    let answer = Answer { status: 403, headers, body: page.to_owned(), cut: false };
    let sent = "GET https://api.example.com/figures\naccept: application/json".to_owned();
    let evidence = Evidence { sent, answer: Some(answer), guess: None };
    let detail = Some(Detail::new("403 Forbidden"));
    let slot = failed(round, Outcome::HttpStatus, "");
    Slot { http_status: Some(403), attempts: 1, detail, evidence: Some(Arc::new(evidence)), ..slot }
}

pub fn reader(path: &Path) -> Reader {
    Reader::open(path, Duration::from_secs(10)).expect("opened")
}

/// All rows that `sql` finds.
pub fn rows(path: &Path, sql: &str) -> Vec<Vec<Value>> {
    reader(path).sql(sql).expect("an answer").rows
}

/// The one number that `sql` finds.
pub fn number(path: &Path, sql: &str) -> i64 {
    match rows(path, sql).as_slice() {
        [row] if let [Value::Integer(number)] = row.as_slice() => *number,
        other => panic!("{sql}: {other:?}"),
    }
}
