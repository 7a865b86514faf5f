//! Commits through the store: whole rounds, `synchronous = FULL`, a real file; beside what the disk itself takes to
//! make as many bytes durable.

mod support;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatherd::fetch::json;
use gatherd::model::{
    ClosedRound, Document, EndpointLabel, JobName, Layout, Outcome, RoundBegin, RoundId, RoundStatus, Slot, Timestamp,
};
use gatherd::store::{self, Writer};
use support::{Calm, heading, median, row};

const BODY: usize = 147;
const REPEATS: usize = 5;
/// Slots of a round, and rounds of a repeat.
const SIZES: [(usize, usize); 2] = [(100, 1_000), (10_000, 50)];

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = store::open(&folder.path().join("gatherd.db")).expect("the database opens");
    let mut rounds = SIZES.map(|(slots, count)| (round(slots), count, Vec::new(), Vec::new()));
    let (mut calm, mut id) = (Calm::default(), 0);
    for _ in 0..REPEATS {
        for (round, count, spans, floors) in &mut rounds {
            calm.wait();
            spans.push(commit(&mut writer, round, *count, &mut id));
            floors.push(write_plainly(folder.path(), round.slots.len(), *count));
        }
    }
    heading(
        &format!("Commits, {BODY}-byte documents, medians of {REPEATS} (goal: 400,000 slots/s in the large ones)"),
        &["slots", "rounds/s", "slots/s", "a round", "write+sync"],
    );
    for (round, count, spans, floors) in &rounds {
        let slots = round.slots.len();
        let each = median(spans.iter().copied()).as_secs_f64() / count_of(*count);
        let floor = median(floors.iter().copied()).as_secs_f64() / count_of(*count);
        row(&[
            slots.to_string(),
            format!("{:.0}", 1.0 / each),
            format!("{:.0}", count_of(slots) / each),
            format!("{:.2} ms", each * 1e3),
            format!("{:.2} ms", floor * 1e3),
        ]);
    }
    calm.say();
}

fn commit(writer: &mut Writer, round: &mut ClosedRound, count: usize, id: &mut i64) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        *id += 1;
        round.begin.id = RoundId(*id);
        writer.close(round).expect("the round is stored");
    }
    start.elapsed()
}

/// The floor: one file, the bodies' bytes appended and synced as often as there are rounds.
fn write_plainly(folder: &Path, slots: usize, count: usize) -> Duration {
    let bytes = vec![b'x'; slots * BODY];
    let mut file = File::create(folder.join("plain")).expect("a file");
    let start = Instant::now();
    for _ in 0..count {
        file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the file is written");
    }
    start.elapsed()
}

fn round(slots: usize) -> ClosedRound {
    let name = |number| EndpointLabel { name: format!("e{number}"), url: format!("https://api.example.com/{number}") };
    let endpoints = (0..slots).map(name).collect();
    let layout = Arc::new(Layout { job: JobName::new(&format!("commits of {slots}")), endpoints });
    let now = Timestamp::from_micros(1_767_225_600_000_000);
    let slot = Slot {
        http_status: Some(200),
        attempts: 1,
        elapsed: Duration::from_micros(1_234),
        body: Some(document()),
        detail: None,
        ..Slot::untried(Outcome::Ok, "", now)
    };
    ClosedRound {
        begin: RoundBegin { id: RoundId(0), due: now, started: now, layout },
        finished: now.plus(Duration::from_millis(50)),
        status: RoundStatus::Complete,
        cause: None,
        slots: vec![slot; slots],
    }
}

/// The one that the sample API's `/healthy` answers.
fn document() -> Document {
    let text = r#"{"users":148210,"sessions":1893,"revenue":1129834.55,"currency":"EUR","updated_at":"2026-01-15T09:30:00Z","regions":{"eu":812,"us":764,"apac":317}}"#;
    assert_eq!(text.len(), BODY);
    json::document(text.as_bytes()).expect("a document")
}

fn count_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("a small count"))
}
