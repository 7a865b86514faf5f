//! The database against the server's own record and what the test did to the daemon: due by due, slot by slot.

use std::collections::{HashMap, HashSet};

use gatherd::sample_api::Mode;
use rusqlite::Connection;

use crate::machine::Clock;
use crate::plan::modes;
use crate::server::{Ledger, Meant, Sent};

const SECOND: i64 = 1_000_000;

/// How far a kill or a start may be from what it did to a due: a round is a second long, a start takes its time.
const AROUND: i64 = 2 * SECOND;

/// A row of the ledger or a round.
struct Round {
    id: i64,
    due: i64,
    started: i64,
    finished: i64,
    status: String,
    cause: String,
    covers: i64,
    layout: i64,
}

/// What is known beside the database.
pub struct Record<'a> {
    pub ledger: &'a Ledger,
    pub clock: &'a Clock,
    /// From when to when the daemon was dead, by its own clock.
    pub downs: &'a [(i64, i64)],
    /// The rounds that its log called stored.
    pub stored: &'a HashSet<i64>,
}

/// What was found, in numbers.
#[derive(Debug, Default)]
pub struct Agreement {
    pub complete: i64,
    pub killed: i64,
    pub down: i64,
    pub asleep: i64,
    pub skipped: i64,
    pub slots: usize,
    pub documents: usize,
    pub failures: usize,
    /// Own endpoints that did not answer in time, though they meant to.
    pub late: usize,
}

/// The server's record, and which of it was found so far.
struct Answers<'a> {
    /// Of each endpoint and due.
    meant: HashMap<(u32, i64), Vec<Meant>>,
    /// The sequence numbers of the documents that were found.
    used: HashSet<usize>,
    sent: &'a [Sent],
}

impl Record<'_> {
    /// Compares everything; panics where something does not agree.
    pub fn compare(&self, database: &Connection) -> Agreement {
        let rounds = rounds(database);
        let mut found = Agreement::default();
        self.each_due_once(&rounds, &mut found);
        let complete: HashSet<i64> = rounds.iter().filter(|round| round.is_closed()).map(|round| round.id).collect();
        let lost: Vec<&i64> = self.stored.difference(&complete).collect();
        assert!(lost.is_empty(), "the log called them stored: {lost:?}");
        self.slots(database, &rounds, &mut found);
        self.nothing_asked_is_forgotten(&rounds);
        found
    }

    /// Every due from the first to the last is there once, and where it has no round the reason is true.
    fn each_due_once(&self, rounds: &[Round], found: &mut Agreement) {
        let mut next = rounds.first().expect("rounds").due;
        for round in rounds {
            assert_eq!(round.due, next, "round {}: the due before it is missing, or this one came twice", round.id);
            let last = if round.status == "missed" { round.finished } else { round.due };
            assert_eq!((last - round.due) / SECOND + 1, round.covers, "round {}", round.id);
            next = last + SECOND;
            let place = || format!("round {} of {} to {last}: {} {}", round.id, round.due, round.status, round.cause);
            match (round.status.as_str(), round.cause.as_str()) {
                ("complete", "") | ("interrupted", "stopped") => found.complete += 1,
                ("interrupted", "killed") => {
                    assert!(self.was_down(round.due, last), "nobody killed it: {}", place());
                    found.killed += 1;
                }
                ("missed", "daemon down") => {
                    assert!(self.was_down(round.due, last), "the daemon lived: {} {:?}", place(), self.downs);
                    found.down += round.covers;
                }
                ("missed", "asleep") => found.asleep += round.covers,
                ("skipped", "overlap") => found.skipped += 1,
                _ => panic!("{}", place()),
            }
        }
        // What a busy machine may do to a daemon is a hundredth of its dues.
        let (steps, few) = (i64::try_from(self.clock.steps()).expect("few"), found.complete / 100);
        let asleep = self.clock.skipped_seconds() + 2 * steps + few;
        assert!(found.asleep <= asleep, "{} dues slept through, {asleep} explained", found.asleep);
        assert!(found.skipped <= 2 * steps + few, "{} dues skipped", found.skipped);
    }

    fn was_down(&self, first: i64, last: i64) -> bool {
        self.downs.iter().any(|(from, to)| from - AROUND <= first && last <= to + AROUND)
    }

    /// Every vector is as long as its layout, and each of its slots what the server sent, for this round, in its time.
    fn slots(&self, database: &Connection, rounds: &[Round], found: &mut Agreement) {
        let sent = self.ledger.sent();
        let mut answers = Answers { meant: HashMap::new(), used: HashSet::new(), sent: &sent };
        for sent in sent.iter() {
            answers.meant.entry((sent.endpoint, sent.due)).or_default().push(sent.meant);
        }
        let (modes, layouts) = (modes(), layouts(database));
        let sql = "SELECT position, outcome, body FROM slot WHERE slot_id BETWEEN ?1 << 20 AND ?1 << 20 | 1048575 ORDER BY slot_id";
        let mut statement = database.prepare(sql).expect("SQL");
        for round in rounds.iter().filter(|round| round.is_closed()) {
            let layout = &layouts[&round.layout];
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            let slots = statement.query_map([round.id], row).expect("rows");
            let slots: Vec<(isize, String, Option<String>)> = slots.map(|slot| slot.expect("a slot")).collect();
            assert_eq!(slots.len(), layout.len(), "round {}", round.id);
            for (index, (position, outcome, body)) in slots.iter().enumerate() {
                assert_eq!(index.cast_signed(), *position, "round {}", round.id);
                found.slots += 1;
                let (kind, number) = layout[index].split_at(1);
                let number: u32 = number.parse().expect("a number");
                if kind == "e" {
                    self.own_slot(&mut answers, round, number, (outcome, body.as_deref()), found);
                } else {
                    let mode = modes[number as usize];
                    assert!(fits(mode, outcome, round), "{} in round {}: {outcome}", mode.path, round.id);
                }
            }
        }
        assert!(found.late <= found.slots / 50, "{} of {} slots were late", found.late, found.slots);
    }

    /// A slot of an endpoint at the test's own server.
    fn own_slot(
        &self,
        answers: &mut Answers<'_>,
        round: &Round,
        endpoint: u32,
        (outcome, body): (&str, Option<&str>),
        found: &mut Agreement,
    ) {
        let place = format!("e{endpoint} in round {} of {}", round.id, round.due);
        if let Some(body) = body {
            let sequence = sequence(body);
            assert!(answers.used.insert(sequence), "{place}: {body} is there twice");
            self.assert_sent(answers.sent, sequence, body, round, &place);
            assert_eq!(answers.sent[sequence].endpoint, endpoint, "{place}: {body}");
            found.documents += 1;
            return;
        }
        let meant = answers.meant.get(&(endpoint, round.due / SECOND)).map_or(&[][..], Vec::as_slice);
        if meant.iter().any(|meant| matches!(meant, Meant::Failure(failure) if *failure == outcome)) {
            found.failures += 1;
        } else {
            let excused = outcome == "timeout" || (outcome == "cancelled" && round.cause == "stopped");
            assert!(excused, "{place}: {outcome}, though the server meant {meant:?}");
            found.late += 1;
        }
    }

    fn assert_sent(&self, sent: &[Sent], sequence: usize, body: &str, round: &Round, place: &str) {
        let entry = sent.get(sequence).unwrap_or_else(|| panic!("{place}: nobody sent {body}"));
        assert_eq!(entry.meant, Meant::Document, "{place}: {body}");
        assert_eq!(body, self.ledger.document(sequence, entry), "{place}");
        assert_eq!(entry.due, round.due / SECOND, "{place}: {body}");
        let shown: Vec<i64> = self.clock.shown(entry.at).collect();
        // While the clock steps, a round may begin by one and end by the other.
        let slack = if shown.len() > 1 { AROUND } else { SECOND / 20 };
        let (begun, over) = (round.started.min(round.finished) - slack, round.started.max(round.finished) + slack);
        assert!(
            shown.iter().any(|at| (begun..=over).contains(at)),
            "{place}: sent at {shown:?}, not in {begun}..{over}"
        );
    }

    /// Every due that the server was asked for has its round, or one that a kill explains.
    fn nothing_asked_is_forgotten(&self, rounds: &[Round]) {
        let asked: HashSet<i64> = self.ledger.sent().iter().map(|sent| sent.due * SECOND).collect();
        let closed: HashSet<i64> = rounds.iter().filter(|round| round.is_closed()).map(|round| round.due).collect();
        for due in asked.difference(&closed) {
            assert!(self.was_down(*due, *due), "{due} was asked for, has no round, and nobody killed the daemon");
        }
    }
}

impl Round {
    fn is_closed(&self) -> bool {
        self.status == "complete" || self.cause == "stopped"
    }
}

/// By their dues.
fn rounds(database: &Connection) -> Vec<Round> {
    let mut statement = database
        .prepare(
            "SELECT round_id, due_at, coalesce(started_at, 0), coalesce(finished_at, 0), status, coalesce(cause, ''),
                    covers, coalesce(layout_id, 0) FROM round ORDER BY due_at, round_id",
        )
        .expect("SQL");
    let rounds = statement.query_map([], |row| {
        let [id, due, started, finished] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
        let (status, cause, covers, layout) = (row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?);
        Ok(Round { id, due, started, finished, status, cause, covers, layout })
    });
    rounds.and_then(Iterator::collect).expect("rounds")
}

/// The names of each layout's endpoints, in order.
fn layouts(database: &Connection) -> HashMap<i64, Vec<String>> {
    let mut statement = database
        .prepare(
            "SELECT layout_id, name FROM layout_slot JOIN endpoint USING (endpoint_id) ORDER BY layout_id, position",
        )
        .expect("SQL");
    let mut layouts: HashMap<i64, Vec<String>> = HashMap::new();
    let mut rows = statement.query([]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        layouts.entry(row.get(0).expect("a number")).or_default().push(row.get(1).expect("text"));
    }
    layouts
}

/// Whether a mode may end so. A busy machine may be too slow for any of them.
fn fits(mode: &Mode, outcome: &str, round: &Round) -> bool {
    outcome == mode.outcome || outcome == "timeout" || (outcome == "cancelled" && round.cause == "stopped")
}

fn sequence(body: &str) -> usize {
    let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
    document["sequence"].as_u64().and_then(|number| usize::try_from(number).ok()).expect("a number")
}
