//! History asked from the shell and from the library, over files that the daemon's own writer made.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gatherd::fetch::json;
use gatherd::model::{
    Cause, ClosedRound, JobName, Layout, LedgerRow, Outcome, RoundBegin, RoundId, RoundStatus, Slot, Timestamp,
};
use gatherd::store::history::{Observation, Page, Place, Selection, Span, Which};
use gatherd::store::{Writer, open};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::rounds::{begin, closed, database, due, failed, layout, ok, reader};
use crate::support::{Ran, gatherd, run};

pub fn document(round: i64, text: &str) -> Slot {
    Slot { body: Some(json::document(text.as_bytes()).expect("JSON")), ..ok(round) }
}

fn users(round: i64) -> Slot {
    let text =
        format!(r#"{{"users":{},"revenue":{round}.50,"big":9007199254740993,"plan":"p{round}"}}"#, round * round);
    document(round, &text)
}

pub fn missed(id: i64, first: i64, last: i64) -> LedgerRow {
    LedgerRow {
        id: RoundId(id),
        job: JobName::new("job"),
        first_due: due(first),
        last_due: due(last),
        covers: (last - first + 1).unsigned_abs(),
        status: RoundStatus::Missed,
        cause: Cause::DaemonDown,
    }
}

/// Rounds 1 to 3, a gap of three, rounds 8 and 9; `b` fails in round 2, and leaves the config before round 9.
pub fn small() -> (TempDir, PathBuf) {
    let (folder, path, mut writer) = database();
    let both = layout(&["a", "b"]);
    for round in [1, 2, 3] {
        let second = if round == 2 { failed(2, Outcome::Timeout, "headers") } else { document(round, "[1, \"x\"]") };
        writer.close(&closed(round, &both, vec![users(round), second])).expect("stored");
    }
    writer.ledger(&[missed(4, 4, 6)]).expect("stored");
    writer.close(&closed(8, &both, vec![users(8), document(8, "{\"k\":\n1e400}")])).expect("stored");
    writer.close(&closed(9, &layout(&["c", "a"]), vec![document(9, "null"), users(9)])).expect("stored");
    (folder, path)
}

pub fn ask(path: &Path, arguments: &[&str]) -> Ran {
    let database = path.display().to_string();
    run(gatherd(arguments.iter().copied().chain(["--database", &database])))
}

pub fn asked(path: &Path, arguments: &[&str]) -> String {
    let ran = ask(path, arguments);
    assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
    ran.stdout
}

pub fn lines(path: &Path, arguments: &[&str]) -> Vec<Value> {
    let printed = asked(path, &[arguments, &["--json"]].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn every_command_prints_a_table_json_and_csv() {
    let (_folder, path) = small();
    let from = "2026-01-31 13:00";
    for (name, arguments) in [
        ("history_documents", &["history", "job", "b"][..]),
        ("history_field", &["history", "job", "a", "--field", "/users"]),
        ("history_jq", &["history", "job", "a", "--field", "if .users > 4 then .plan else error(\"small\") end"]),
        (
            "history_minutes",
            &[
                "history",
                "job",
                "a",
                "--field",
                "/users",
                "--every",
                "2m",
                "--agg",
                "sum",
                "--until",
                "2026-01-31 13:10",
                "--since",
                from,
            ],
        ),
        ("history_last", &["history", "job", "b", "--every", "1m", "--fill", "last"]),
        ("at", &["at", "job", "2026-01-31 13:04"]),
        ("diff", &["diff", "job", "2", "2026-01-31T13:30:00Z"]),
        ("rounds", &["rounds", "job"]),
        ("latest", &["latest"]),
    ] {
        for form in ["--utc", "--json", "--csv"] {
            let printed = asked(&path, &[arguments, &[form]].concat());
            insta::assert_snapshot!(format!("{name}{form}"), printed.replace('\r', ""));
        }
    }
    insta::assert_snapshot!("plot", asked(&path, &["history", "job", "a", "--field", "/users", "--plot"]));
}

#[test]
fn a_name_that_is_not_known_is_said_with_the_nearest_one() {
    let (_folder, path) = small();
    for (arguments, said) in [
        (&["history", "jbo", "a"][..], "no job \"jbo\" in this database; the nearest is \"job\""),
        (&["history", "job", "aa"], "no endpoint \"aa\" in job \"job\"; the nearest is \"a\""),
        (&["at", "jbo", "2h"], "the nearest is \"job\""),
        (&["at", "job", "2026-01-31 12:00"], "no complete round of \"job\" is due at"),
        (&["diff", "job", "1", "7"], "B: no round 7 of \"job\""),
        (&["diff", "job", "4", "8"], "A: round 4 has no slots, it is missed"),
        (&["export", "jbo", "-o", "-", "--format", "csv"], "the nearest is \"job\""),
        (&["history", "job", "c", "--field", "/x", "--plot"], "no number to draw"),
    ] {
        let ran = ask(&path, arguments);
        assert_eq!((ran.code, ran.stderr.contains(said)), (Some(1), true), "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    for wrong in [
        &["history", "job", "a", "--field", "users["][..],
        &["history", "job", "a", "--field", "/a~"],
        &["history", "job", "a", "--every", "25h"],
        &["history", "job", "a", "--every", "1h", "--agg", "avg"],
        &["history", "job", "a", "--agg", "avg"],
        &["history", "job", "a", "--since", "tomorrow"],
        &["history", "job", "a", "--since", "1h", "--until", "2h"],
        &["history", "job", "a", "--plot"],
        &["history", "job", "a", "--json", "--csv"],
        &["export", "-o", "x"],
        &["export", "-o", "x.csv", "--field", "/users"],
        &["export", "-o", "x.csv", "--field", "outcome=/users"],
    ] {
        let ran = ask(&path, wrong);
        assert_eq!(ran.code, Some(64), "{wrong:?}: {}", ran.stderr);
    }
    let none = ask(&path, &["history", "job", "a", "--every", "0s"]);
    assert!(none.code == Some(64) && none.stderr.contains("at least 1s"), "{}", none.stderr);
}

#[test]
fn a_time_that_is_still_to_come_and_a_difference_backwards_are_said() {
    let (_folder, path) = small();
    for (arguments, said) in [
        (&["at", "job", "2099-01-01"][..], "2099-01-01 is still to come: this is the newest vector\n"),
        (&["at", "job", "2026-01-31 13:04"], ""),
        (&["diff", "job", "9", "1"], "A is later than B: what is shown goes back in time\n"),
        (&["diff", "job", "1", "9"], ""),
    ] {
        let ran = ask(&path, arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), said), "{arguments:?}");
    }
}

#[test]
fn a_large_document_is_one_line_of_any_table() {
    let (_folder, path, mut writer) = database();
    let large = format!("[{}0]", "0,".repeat(50_000));
    writer.close(&closed(1, &layout(&["a"]), vec![document(1, &large)])).expect("stored");
    for (arguments, lines) in [
        (&["history", "job", "a"][..], 2),
        (&["rounds", "--vectors"], 2),
        (&["sql", "SELECT body, outcome FROM latest"], 2),
        (&["latest"], 3),
    ] {
        let printed = asked(&path, arguments);
        assert_eq!(printed.lines().count(), lines, "{arguments:?}");
        assert!(printed.contains(&large), "{arguments:?}");
    }
}

#[test]
fn stretches_of_time_come_in_several_turns_and_each_once() {
    let (_folder, path) = small();
    let span = ["--since", "2026-01-31 11:00", "--until", "2026-01-31 19:00"];
    let rows = lines(&path, &[&["history", "job", "b", "--every", "1s"][..], &span].concat());
    assert_eq!(rows.len(), 8 * 3_600);
    assert!(rows.windows(2).all(|pair| pair[0]["until"] == pair[1]["from"]));
    let sum = |column: &str| rows.iter().filter_map(|row| row[column].as_i64()).sum::<i64>();
    assert_eq!((sum("slots"), sum("failed"), sum("value")), (4, 1, 3));
}

/// A round each ten minutes over four days, with failures and a stretch of nothing.
fn four_days() -> (TempDir, PathBuf, Vec<(i64, Option<i64>)>) {
    let (folder, path, mut writer) = database();
    let layout = layout(&["a"]);
    let mut values = Vec::new();
    for id in 1..=576_i64 {
        if (100..200).contains(&id) {
            continue;
        }
        let at = due(0).plus(Duration::from_secs(600 * id.unsigned_abs()));
        let value = (id % 7 != 0).then_some((id * 7919) % 1009 - 500);
        let slot = value.map_or_else(|| failed(id, Outcome::Reset, ""), |value| document(id, &format!("[{value}]")));
        let begin = RoundBegin { due: at, started: at, ..begin(id, &layout) };
        let round = ClosedRound { finished: at, begin, ..closed(id, &layout, vec![slot]) };
        writer.close(&round).expect("stored");
        values.push((at.as_micros(), value));
    }
    (folder, path, values)
}

#[test]
fn figures_by_hour_and_day_are_those_that_are_counted_by_hand() {
    let (_folder, path, values) = four_days();
    for (every, micros) in [("1h", 3_600_000_000), ("1day", 86_400_000_000)] {
        let mut groups: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for &(at, value) in &values {
            groups.entry(at - at % micros).or_default().extend(value);
        }
        for aggregate in ["avg", "min", "max", "sum", "last", "count", "p50", "p95"] {
            let arguments = ["history", "job", "a", "--utc", "--field", "/0", "--every", every, "--agg", aggregate];
            let rows = lines(&path, &[&arguments[..], &["--fill", "none"]].concat());
            let shown: Vec<(Timestamp, f64)> = rows
                .iter()
                .map(|row| {
                    let from = row["from"].as_str().expect("text").parse::<chrono::DateTime<chrono::Utc>>();
                    (from.expect("a moment").into(), row["value"].as_f64().expect("a number"))
                })
                .collect();
            let expected = groups.iter().filter(|(_, values)| !values.is_empty());
            let expected: Vec<(Timestamp, f64)> =
                expected.map(|(&from, values)| (Timestamp::from_micros(from), by_hand(aggregate, values))).collect();
            assert_eq!(shown.len(), expected.len(), "{every} {aggregate}");
            for (shown, expected) in shown.iter().zip(&expected) {
                assert!(shown.0 == expected.0 && (shown.1 - expected.1).abs() < 1e-9, "{shown:?} {expected:?}");
            }
        }
    }
}

#[test]
fn a_day_of_this_machine_begins_with_the_first_of_two_midnights() {
    let (_folder, path, mut writer) = database();
    let layout = layout(&["a"]);
    let start: Timestamp = "2026-10-24T12:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a moment").into();
    for id in 1..=48_i64 {
        let due = start.plus(Duration::from_hours(id.unsigned_abs()));
        writer
            .close(&ClosedRound {
                begin: RoundBegin { due, ..begin(id, &layout) },
                ..closed(id, &layout, vec![ok(id)])
            })
            .expect("stored");
    }
    // The Azores, whose clock is set back from one to midnight.
    let mut command = gatherd(["history", "job", "a", "--every", "1day", "--csv", "--database"]);
    command.arg(&path).env("TZ", "<-01>1<+00>,M3.5.0/0,M10.5.0/1");
    let ran = run(command);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(ran.stdout.replace('\r', ""), @"
    from,until,value,values,slots,failed
    2026-10-24T00:00:00.000Z,2026-10-25T00:00:00.000Z,11,11,11,0
    2026-10-25T00:00:00.000Z,2026-10-26T01:00:00.000Z,25,25,25,0
    2026-10-26T01:00:00.000Z,2026-10-27T01:00:00.000Z,12,12,12,0
    ");
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small figures"
)]
fn by_hand(aggregate: &str, values: &[i64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let between = |share: f64| {
        let place = share * (sorted.len() - 1) as f64;
        let (low, high) = (sorted[place.floor() as usize] as f64, sorted[place.ceil() as usize] as f64);
        low + (high - low) * place.fract()
    };
    let sum = values.iter().sum::<i64>() as f64;
    match aggregate {
        "avg" => sum / values.len() as f64,
        "min" => sorted[0] as f64,
        "max" => sorted[sorted.len() - 1] as f64,
        "sum" => sum,
        "last" => values[values.len() - 1] as f64,
        "count" => values.len() as f64,
        "p50" => between(0.50),
        _ => between(0.95),
    }
}

fn places(path: &Path, wanted: &Selection<'_>, turn: usize) -> Vec<(Place, String, Option<String>)> {
    let reader = reader(path);
    let (mut seen, mut wanted) = (Vec::new(), *wanted);
    loop {
        let before = seen.len();
        let stopped = reader.observations(&wanted, |observation: &Observation<'_>| {
            let body = observation.body.map(str::to_owned);
            seen.push((observation.place, observation.endpoint.to_owned(), body));
            if seen.len() - before == turn { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        wanted.after = stopped.expect("read");
        if wanted.after.is_none() {
            return seen;
        }
    }
}

#[test]
fn a_walk_that_is_stopped_goes_on_where_it_was() {
    let (_folder, path) = small();
    for endpoint in [None, Some("a"), Some("b")] {
        let span = Span { from: Some(due(2)), until: Some(due(9)) };
        let wanted = Selection { job: "job", endpoint, span, after: None };
        let whole = places(&path, &wanted, usize::MAX);
        assert_eq!(whole.len(), if endpoint.is_some() { 3 } else { 6 });
        for turn in 1..5 {
            assert_eq!(places(&path, &wanted, turn), whole, "{endpoint:?} by {turn}");
        }
    }
    let unknown = Selection { job: "job", endpoint: Some("x"), span: Span::default(), after: None };
    assert_eq!(places(&path, &unknown, 1), []);
}

#[test]
fn history_follows_the_name_through_positions_and_the_clock_through_its_steps() {
    let (_folder, path, mut writer) = database();
    let store = |writer: &mut Writer, id: i64, at: i64, layout: &Arc<Layout>| {
        let slots = layout.endpoints.iter().map(|label| document(id, &format!("\"{}{id}\"", label.name))).collect();
        let begin = RoundBegin { due: due(at), started: due(at), ..begin(id, layout) };
        writer.close(&ClosedRound { begin, ..closed(id, layout, slots) }).expect("stored");
    };
    store(&mut writer, 1, 1, &layout(&["a", "b"]));
    // The clock was ahead, and is set back.
    store(&mut writer, 2, 50, &layout(&["b", "c", "a"]));
    store(&mut writer, 3, 3, &layout(&["a"]));
    store(&mut writer, 4, 4, &layout(&["b", "a"]));
    let wanted = Selection { job: "job", endpoint: Some("a"), span: Span::default(), after: None };
    for turn in [1, 9] {
        let seen = places(&path, &wanted, turn);
        let seen: Vec<_> = seen.iter().map(|(place, _, body)| (place.position, body.as_deref())).collect();
        assert_eq!(seen, [(0, Some("\"a1\"")), (0, Some("\"a3\"")), (1, Some("\"a4\"")), (2, Some("\"a2\""))]);
    }
    let reader = reader(&path);
    let round = |which| reader.vector("job", which).expect("read").map(|vector| vector.round.id.0);
    assert_eq!(round(Which::At(due(49))), Some(4));
    assert_eq!(round(Which::At(due(51))), Some(2));
    assert_eq!(round(Which::At(due(0))), None);
    assert_eq!(round(Which::Newest), Some(4));
    assert_eq!(round(Which::Round(RoundId(3))), Some(3));
    let page = |page| {
        let rounds = reader.rounds_page(Some("job"), page, 2).expect("read");
        rounds.iter().map(|round| round.id.0).collect::<Vec<_>>()
    };
    assert_eq!(page(Page::Newest), [4, 3]);
    assert_eq!(page(Page::Before(RoundId(3))), [2, 1]);
    assert_eq!(page(Page::After(RoundId(1))), [2, 3]);
}

#[test]
fn the_shell_completes_jobs_and_endpoints() {
    let (_folder, path) = small();
    let mut writer = open(&path).expect("opened");
    let blank = Layout { job: JobName::new("bad job"), ..Layout::clone(&layout(&["an endpoint"])) };
    writer.close(&closed(10, &blank.into(), vec![ok(10)])).expect("stored");
    let database = path.display().to_string();
    let completed = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let mut command = gatherd([&["--"][..], words].concat());
        command.envs([("COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", &index), ("_CLAP_COMPLETE_COMP_TYPE", "9")]);
        command.envs([("_CLAP_COMPLETE_SPACE", "true"), ("_CLAP_IFS", "\n")]);
        run(command).stdout
    };
    assert_eq!(completed(&["gatherd", "history", "--database", &database, "j"]), "job");
    assert_eq!(completed(&["gatherd", "why", "--database", &database, "job", ""]).lines().next(), Some("a"));
    for typed in ["b", "bad\\ j"] {
        assert_eq!(completed(&["gatherd", "history", "--database", &database, typed]), "bad\\ job", "one word in bash");
    }
    for job in ["bad\\ job", "\"bad job\""] {
        assert_eq!(completed(&["gatherd", "why", "--database", &database, job, "an"]), "an\\ endpoint", "{job}");
    }
    let script = gatherd(["x"]).env("COMPLETE", "bash").output().expect("gatherd runs");
    assert!(!script.stdout.is_empty());
}
