//! The parts of the upkeep, one by one: how long a round's commit may have to wait behind one of them; and what a month
//! of hours takes to be read.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatherd::fetch::json;
use gatherd::model::{
    ClosedRound, EndpointLabel, JobName, Layout, Outcome, RoundBegin, RoundId, RoundStatus, Slot, Timestamp,
};
use gatherd::store::read::Reader;
use gatherd::store::{self, Writer};
use support::{heading, row};

const ENDPOINTS: usize = 1_000;
const ROUNDS: u64 = 600;
const HOUR: Duration = Duration::from_hours(1);
/// As the daemon has it.
const SLICE: Duration = Duration::from_millis(10);

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gatherd.db");
    let mut writer = store::open(&path).expect("the database opens");
    let commits = fill(&mut writer);
    let end = due(ROUNDS).plus(HOUR);
    let title = format!("Parts of the upkeep, {ENDPOINTS} endpoints, {ROUNDS} rounds (goal: at most 50 ms each)");
    heading(&title, &["part", "parts", "median", "99 %", "longest", "all"]);
    tell("(commit)", commits);
    let slots = uptime(&path);
    tell("roll up", parts(|| writer.roll_up(end, SLICE).expect("rolled up").more));
    let rollups = uptime(&path);
    let job = JobName::new("upkeep");
    tell("prune", parts(|| writer.prune(&job, end).expect("pruned").rounds > 0));
    tell("give back", parts(|| writer.give_back(SLICE).expect("given back") > 0));
    tell("fold log", parts(|| writer.maintain().is_err()));
    println!("\nuptime of all endpoints: {slots:.1?} from slots, {rollups:.1?} from rollups");
}

fn due(round: u64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000).plus(Duration::from_mins(round))
}

fn fill(writer: &mut Writer) -> Vec<Duration> {
    let name = |number| EndpointLabel { name: format!("e{number}"), url: format!("https://api.example.com/{number}") };
    let layout = Arc::new(Layout { job: JobName::new("upkeep"), endpoints: (0..ENDPOINTS).map(name).collect() });
    let body = json::document(format!("{{\"text\":\"{}\"}}", "x".repeat(300)).as_bytes()).expect("a document");
    let commit = |round| {
        let due = due(round);
        let slot = |position: usize| Slot {
            http_status: Some(200),
            attempts: 1,
            elapsed: Duration::from_micros(100_000 + round * 7_919 % 50_000 + position as u64),
            body: Some(body.clone()),
            detail: None,
            ..Slot::untried(Outcome::Ok, "", due)
        };
        let begin = RoundBegin { id: RoundId(round.cast_signed() + 1), due, started: due, layout: Arc::clone(&layout) };
        let vector = (0..ENDPOINTS).map(slot).collect();
        let round = ClosedRound { begin, finished: due, status: RoundStatus::Complete, cause: None, slots: vector };
        let start = Instant::now();
        writer.close(&round).expect("the round is stored");
        start.elapsed()
    };
    (0..ROUNDS).map(commit).collect()
}

/// How long each part took, until there is none left.
fn parts(mut part: impl FnMut() -> bool) -> Vec<Duration> {
    let mut spans = Vec::new();
    loop {
        let begun = Instant::now();
        let more = part();
        spans.push(begun.elapsed());
        if !more {
            return spans;
        }
    }
}

fn tell(name: &str, mut spans: Vec<Duration>) {
    spans.sort_unstable();
    let all: Duration = spans.iter().sum();
    let shown = |span: Duration| format!("{:.1} ms", span.as_secs_f64() * 1e3);
    let at = |hundredths: usize| shown(spans[(spans.len() * hundredths).div_ceil(100).max(1) - 1]);
    row(&[name.to_owned(), spans.len().to_string(), at(50), at(99), at(100), shown(all)]);
}

fn uptime(path: &Path) -> Duration {
    let reader = Reader::open(path, Duration::from_mins(10)).expect("the database opens");
    let begun = Instant::now();
    let found = reader.uptime(None, &(due(0)..due(ROUNDS))).expect("an answer");
    assert_eq!(found.len(), ENDPOINTS);
    begun.elapsed()
}
