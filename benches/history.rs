//! History of 1,000 endpoints, written by the real writer and asked: by the library, by plain SQL in the same process, and by
//! `DuckDB` on the same rows as parquet. `GATHERD_BENCH_ROUNDS` says how many rounds there are; without it 1,000, a million
//! observations.

mod support;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatherd::fetch::json;
use gatherd::model::{
    ClosedRound, EndpointLabel, JobName, Layout, Outcome, RoundBegin, RoundId, RoundStatus, Slot, Timestamp,
};
use gatherd::store;
use gatherd::store::history::{Aggregate, Buckets, Every, Field, Fill, Page, Selection, Span, Which, Zone};
use gatherd::store::read::{Reader, Value};
use support::{Calm, heading, median, row};

const ENDPOINTS: usize = 1_000;
const REPEATS: usize = 5;
/// The first round's due: 2026-01-01 00:00 UTC; the others follow each minute.
const START: i64 = 1_767_225_600_000_000;
const MINUTE: i64 = 60_000_000;

fn main() {
    let rounds: i64 = std::env::var("GATHERD_BENCH_ROUNDS").map_or(1_000, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gatherd.db");
    let mut calm = Calm::default();
    calm.wait();
    write(&path, rounds);
    calm.wait();
    let reader = Reader::open(&path, Duration::from_mins(10)).expect("the database opens");
    ask(&reader, rounds);
    ask_sql(&reader, rounds);
    ask_duckdb(&path, rounds);
    calm.say();
}

fn write(path: &Path, rounds: i64) {
    let name = |number| EndpointLabel { name: format!("e{number}"), url: format!("https://api.example.com/{number}") };
    let layout = Arc::new(Layout { job: JobName::new("job"), endpoints: (0..ENDPOINTS).map(name).collect() });
    let mut writer = store::open(path).expect("the database opens");
    let mut tenths = [Duration::ZERO; 10];
    for id in 1..=rounds {
        let round = round(id, &layout);
        let start = Instant::now();
        writer.close(&round).expect("the round is stored");
        tenths[usize::try_from((id - 1) * 10 / rounds).expect("a tenth")] += start.elapsed();
    }
    let start = Instant::now();
    writer.maintain().expect("maintained");
    let rate = |span: Duration| format!("{:.0}/s", count(rounds) * count(ENDPOINTS) / 10.0 / span.as_secs_f64());
    let bytes = std::fs::metadata(path).expect("a file").len();
    heading(&format!("Writing {rounds} rounds of {ENDPOINTS}"), &["first tenth", "last tenth", "upkeep after", "file"]);
    let upkeep = format!("{:.2} s", start.elapsed().as_secs_f64());
    row(&[rate(tenths[0]), rate(tenths[9]), upkeep, format!("{:.0} MB", count(bytes) / 1e6)]);
}

/// Documents as those of the sample API, each another.
fn round(id: i64, layout: &Arc<Layout>) -> ClosedRound {
    let due = Timestamp::from_micros(START + (id - 1) * MINUTE);
    let slot = |position: usize| {
        let users = 100_000 + id * 7 % 1_000 + i64::try_from(position).expect("small");
        let text = format!(
            r#"{{"users":{users},"sessions":{},"revenue":{}.55,"currency":"EUR","updated_at":"2026-01-15T09:30:00Z","regions":{{"eu":812,"us":764,"apac":317}}}}"#,
            users % 9_000 + 1_000,
            users * 7
        );
        let slot = Slot::untried(Outcome::Ok, "", due.plus(Duration::from_millis(120)));
        let body = Some(json::document(text.as_bytes()).expect("JSON"));
        Slot { http_status: Some(200), attempts: 1, elapsed: Duration::from_micros(1_234), body, detail: None, ..slot }
    };
    ClosedRound {
        begin: RoundBegin { id: RoundId(id), due, started: due, layout: Arc::clone(layout) },
        finished: due.plus(Duration::from_millis(150)),
        status: RoundStatus::Complete,
        cause: None,
        slots: (0..ENDPOINTS).map(slot).collect(),
    }
}

fn ask(reader: &Reader, rounds: i64) {
    let one = Selection { job: "job", endpoint: Some("e500"), span: Span::default(), after: None };
    let all = Selection { endpoint: None, ..one };
    let field = Field::parse("/users").expect("a pointer");
    let middle = Timestamp::from_micros(START + rounds / 2 * MINUTE);
    heading(&format!("gatherd's library, medians of {REPEATS}, warm"), &["question", "time", "observations/s", "goal"]);
    let latest =
        || assert_eq!(reader.vector("job", Which::Newest).expect("read").expect("a round").slots.len(), ENDPOINTS);
    show("latest of all", time(latest), None, "2 ms");
    let values = || {
        let mut values = Vec::new();
        let read = reader.documents(&one, |document| {
            values.extend(document.body.and_then(|body| field.find(body).value().map(str::to_owned)));
            ControlFlow::Continue(())
        });
        read.expect("read");
        assert_eq!(values.len(), usize::try_from(rounds).expect("a count"));
    };
    show("a field of one endpoint", time(values), Some(rounds), "40 ms for 10,000 rounds");
    show("the same by hour", time(|| drop(by_hour(reader, &one, &field))), Some(rounds), "45 ms for 10,000 rounds");
    let at = || assert!(black_box(reader.vector("job", Which::At(middle)).expect("read")).is_some());
    show("at", time(at), None, "2 ms");
    let page = || drop(black_box(reader.rounds_page(Some("job"), Page::Newest, 100).expect("read")));
    show("first page of rounds", time(page), None, "1 ms");
    let observations = rounds * i64::try_from(ENDPOINTS).expect("small");
    show("all endpoints by hour", time(|| drop(by_hour(reader, &all, &field))), Some(observations), "3,000,000/s");
}

fn by_hour(reader: &Reader, wanted: &Selection<'_>, field: &Field) -> Vec<Option<String>> {
    let every = Every::new(Duration::from_hours(1)).expect("an hour");
    let mut buckets = Buckets::new(every, Zone::Utc, Aggregate::Avg, Fill::Null);
    let mut values = Vec::new();
    let mut done = |bucket: gatherd::store::history::Bucket| {
        values.push(bucket.value);
        ControlFlow::Continue(())
    };
    let read = reader.documents(wanted, |document| {
        let found = document.body.map(|body| field.find(body));
        let value = found.as_ref().and_then(|found| found.value());
        buckets.add(document.place.due, document.body.is_some(), value, &mut done)
    });
    read.expect("read");
    let _ = buckets.finish(None, done);
    values
}

const ONE: &str = "FROM round r CROSS JOIN slot s ON s.slot_id = r.round_id << 20 | 500 WHERE r.job_id = 1";
const ALL: &str = "FROM round r CROSS JOIN slot s ON s.slot_id BETWEEN r.round_id << 20 AND r.round_id << 20 | 1048575
    WHERE r.job_id = 1";

fn ask_sql(reader: &Reader, rounds: i64) {
    let observations = rounds * i64::try_from(ENDPOINTS).expect("small");
    heading("SQLite by SQL, in the same process", &["question", "time", "observations/s"]);
    let (hour, mean) = ("r.due_at / 3600000000", "avg(json_extract(s.body, '$.users'))");
    for (name, sql, seen) in [
        ("latest of all", "SELECT * FROM latest".to_owned(), None),
        ("a field of one endpoint", format!("SELECT r.due_at, json_extract(s.body, '$.users') {ONE}"), Some(rounds)),
        ("the same by hour", format!("SELECT {hour}, {mean} {ONE} GROUP BY 1"), Some(rounds)),
        (
            "a field by the view",
            "SELECT due_at, body ->> '$.users' FROM observations WHERE job = 'job' AND endpoint = 'e500'".to_owned(),
            Some(rounds),
        ),
        ("first page of rounds", "SELECT * FROM rounds ORDER BY round_id DESC LIMIT 100".to_owned(), None),
        ("all endpoints by hour", format!("SELECT {hour}, {mean} {ALL} GROUP BY 1"), Some(observations)),
    ] {
        show(name, time(|| assert!(!matches!(first(reader, &sql), None | Some(Value::Null)))), seen, "");
    }
}

fn first(reader: &Reader, sql: &str) -> Option<Value> {
    reader.sql(sql).expect("an answer").rows.first().and_then(|row| row.first().cloned())
}

/// `DuckDB` is asked through its Python module; `GATHERD_BENCH_PYTHON` names the Python that has it.
fn ask_duckdb(path: &Path, rounds: i64) {
    let python = std::env::var("GATHERD_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let exported = path.with_file_name("all.parquet");
    let mut export = support::gatherd(&["export", "-o", exported.to_str().expect("UTF-8"), "--deadline", "10m"]);
    export.args(["--database", path.to_str().expect("UTF-8")]);
    let start = Instant::now();
    assert!(export.status().expect("gatherd runs").success());
    let took = start.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(&exported).expect("a file").len();
    println!("\nExport of all as parquet: {took:.2} s, {:.0} MB", count(bytes) / 1e6);
    let output = Command::new(python).args(["-c", DUCKDB]).arg(&exported).arg(REPEATS.to_string()).output();
    match output {
        Ok(output) if output.status.success() => {
            heading("DuckDB on that file", &["question", "time", "observations/s"]);
            let observations = rounds * i64::try_from(ENDPOINTS).expect("small");
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let Some((name, seconds)) = line.split_once('\t') else { continue };
                let seen = if name.starts_with("all") { observations } else { rounds };
                show(name, Duration::from_secs_f64(seconds.parse().expect("seconds")), Some(seen), "");
            }
        }
        Ok(output) => println!(
            "\nDuckDB was not asked: {}",
            String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default()
        ),
        Err(error) => println!("\nDuckDB was not asked: no python3 ({error})"),
    }
}

const DUCKDB: &str = r#"
import sys, time, duckdb
file, repeats = sys.argv[1], int(sys.argv[2])
connection = duckdb.connect()
connection.execute("SET threads = 1")
value = "(body ->> '$.users')::DOUBLE"
for name, sql in [
    ("a field of one endpoint", f"SELECT due_at, {value} FROM '{file}' WHERE endpoint = 'e500'"),
    ("the same by hour", f"SELECT date_trunc('hour', due_at), avg({value}) FROM '{file}' WHERE endpoint = 'e500' GROUP BY 1"),
    ("all endpoints by hour", f"SELECT date_trunc('hour', due_at), avg({value}) FROM '{file}' GROUP BY 1"),
]:
    spans = []
    for _ in range(repeats):
        start = time.perf_counter()
        connection.execute(sql).fetchall()
        spans.append(time.perf_counter() - start)
    print(f"{name}\t{sorted(spans)[len(spans) // 2]}")
"#;

fn time(mut question: impl FnMut()) -> Duration {
    question();
    let spans: Vec<Duration> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            question();
            start.elapsed()
        })
        .collect();
    median(spans)
}

fn show(name: &str, span: Duration, observations: Option<i64>, goal: &str) {
    let rate = observations.map(|seen| format!("{:.0}/s", count(seen) / span.as_secs_f64())).unwrap_or_default();
    row(&[name.to_owned(), format!("{:.2} ms", span.as_secs_f64() * 1e3), rate, goal.to_owned()]);
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn count(count: impl TryInto<i64>) -> f64 {
    count.try_into().unwrap_or(i64::MAX) as f64
}
