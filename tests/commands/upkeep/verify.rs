//! `verify`: what is right, what is wrong and where.

use std::ops::RangeInclusive;
use std::sync::Arc;

use gatherd::model::{ClosedRound, Layout, RoundBegin, Timestamp};

use super::*;

#[test]
fn verify_finds_nothing_in_a_file_that_is_right() {
    assert_eq!(answer(&home(), &["verify"]), "right: 180 rounds and ledger entries, 360 slots, 2 hours of rollups\n");
}

#[test]
fn verify_says_what_is_wrong_and_where() {
    let folder = home();
    change(
        &folder,
        "DELETE FROM slot WHERE round_id = 10 AND position = 1;
         UPDATE slot SET body = NULL WHERE round_id = 20 AND position = 0;
         UPDATE slot SET outcome = 'dns' WHERE round_id = 60 AND position = 1;
         DELETE FROM slot WHERE round_id BETWEEN 100 AND 104;
         DELETE FROM round WHERE round_id BETWEEN 100 AND 104;",
    );
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ran.stdout, @r#"
    kind    place                                                           problem
    vector  job "job", round 10                                             its vector has 1 slots, its layout 2 endpoints
    body    job "job", round 20 due 2026-01-31T13:20:00.000Z, endpoint "a"  the outcome is ok, and there is no body
    rollup  job "job", hour of 2026-01-31T13:00:00.000Z                     the rollup of endpoint "b" tells of 60 slots, 59 are there
    rollup  job "job", hour of 2026-01-31T14:00:00.000Z                     the rollup of endpoint "a" tells of 60 slots, 55 are there
    ledger  rounds 100 to 104                                               are neither rounds nor in the ledger, though their numbers were given between those due 2026-01-31T14:39:00.000Z and 2026-01-31T14:45:00.000Z
    "#);
}

#[test]
fn verify_finds_what_only_the_counts_of_a_round_or_the_columns_of_a_rollup_show() {
    let folder = home();
    change(
        &folder,
        "UPDATE slot SET slot_id = 10 << 20 | 7 WHERE round_id = 10 AND position = 1;
         UPDATE round SET endpoints = 3 WHERE round_id = 20;
         DELETE FROM slot WHERE round_id = 30;
         UPDATE round SET ok = NULL, failed = NULL WHERE round_id = 30;
         INSERT INTO slot (slot_id, fetched_at, outcome, attempts, elapsed_us) VALUES (9999 << 20 | 1, 0, 'dns', 1, 0);
         UPDATE rollup SET p95_us = 1 WHERE hour = (SELECT max(hour) FROM rollup) AND endpoint_id = 1;",
    );
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ran.stdout, @r#"
    kind    place                                        problem
    vector  job "job", round 10                          its slot 7 is beyond its 2 endpoints
    vector  job "job", round 20                          it counts 3 endpoints, its layout has 2
    vector  job "job", round 30                          it is complete, though it has no slots
    body    job "?", round 9999                          slot 1 belongs to no round
    rollup  job "job", hour of 2026-01-31T13:00:00.000Z  the rollup of endpoint "a" tells of 60 slots, 59 are there
    rollup  job "job", hour of 2026-01-31T14:00:00.000Z  the rollup of endpoint "a" says otherwise than its slots
    "#);
}

/// Two jobs by turns, a number each, as a daemon gives them: "job" has the even ones, "other" the odd ones. Round N is due
/// N minutes after 13:00.
fn two_jobs(numbers: impl IntoIterator<Item = i64>) -> (TempDir, Writer) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "config.toml", CONFIG);
    let mut writer = open(&database(&folder)).expect("opened");
    for number in numbers {
        writer.close(&closed(number, &layout_of(number), vec![ok(number)])).expect("stored");
    }
    (folder, writer)
}

fn layout_of(number: i64) -> Arc<Layout> {
    let job = JobName::new(if number % 2 == 0 { "job" } else { "other" });
    Arc::new(Layout { job, endpoints: layout(&["a"]).endpoints.clone() })
}

/// Rolls up all that is there and prunes "job".
fn prune(writer: &mut Writer, before: Timestamp) {
    while writer.roll_up(due(10_000), Duration::from_secs(1)).expect("rolled up").more {}
    while writer.prune(&JobName::new("job"), before).expect("pruned").rounds > 0 {}
}

/// `job` has no round in these minutes.
fn missed(number: i64, job: &str, minutes: RangeInclusive<i64>, cause: Cause) -> LedgerRow {
    let (first_due, last_due) = (due(*minutes.start()), due(*minutes.end()));
    let covers = minutes.count() as u64;
    LedgerRow {
        id: RoundId(number),
        job: JobName::new(job),
        first_due,
        last_due,
        covers,
        status: RoundStatus::Missed,
        cause,
    }
}

#[test]
fn verify_takes_dues_without_a_round_for_no_loss_as_long_as_no_number_is_missing() {
    // Whatever reloads did: another cadence, a job that was away and came back.
    let folder = home();
    change(
        &folder,
        "UPDATE round SET due_at = due_at + 600000000 WHERE round_id >= 179;
         DELETE FROM rollup; INSERT OR IGNORE INTO rollup_stale SELECT DISTINCT job_id, due_at / 3600000000 FROM round;",
    );
    assert_eq!(answer(&folder, &["verify"]), "right: 180 rounds and ledger entries, 360 slots, 0 hours of rollups\n");
}

#[test]
fn verify_finds_rounds_and_entries_of_the_ledger_whose_numbers_are_missing() {
    let (folder, mut writer) = two_jobs(1..=20);
    writer.ledger(&[missed(21, "job", 21..=29, Cause::DaemonDown)]).expect("recorded");
    writer.close(&closed(30, &layout_of(30), vec![ok(30)])).expect("stored");
    drop(writer);
    change(
        &folder,
        "DELETE FROM slot WHERE round_id IN (1, 4, 6, 8, 11, 12, 13); DELETE FROM round WHERE round_id IN (1, 4, 6, 8, 11, 12, 13);
         DELETE FROM round WHERE status = 'missed'",
    );
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ran.stdout, @r#"
    kind    place            problem
    ledger  round 1          is neither a round nor in the ledger, though its number was given before the one due 2026-01-31T13:02:00.000Z
    ledger  round 4          is neither a round nor in the ledger, though its number was given between those due 2026-01-31T13:03:00.000Z and 2026-01-31T13:05:00.000Z
    ledger  round 6          is neither a round nor in the ledger, though its number was given between those due 2026-01-31T13:05:00.000Z and 2026-01-31T13:07:00.000Z
    ledger  round 8          is neither a round nor in the ledger, though its number was given between those due 2026-01-31T13:07:00.000Z and 2026-01-31T13:09:00.000Z
    ledger  rounds 11 to 13  are neither rounds nor in the ledger, though their numbers were given between those due 2026-01-31T13:10:00.000Z and 2026-01-31T13:14:00.000Z
    ledger  rounds 21 to 29  are neither rounds nor in the ledger, though their numbers were given between those due 2026-01-31T13:20:00.000Z and 2026-01-31T13:30:00.000Z
    "#);
    // Without the config too: what is in it now says nothing about what was due then.
    assert_eq!(gatherd(&folder, &["verify", "--database", "gatherd.db"]).stdout, ran.stdout);
}

#[test]
fn verify_takes_no_number_for_lost_that_pruning_may_have_taken() {
    let (folder, mut writer) = two_jobs(1..=400);
    prune(&mut writer, due(200));
    drop(writer);
    let told = answer(&folder, &["verify"]);
    assert!(told.starts_with("right: 311 rounds and ledger entries, 311 slots, "), "{told}");
    // Of the job that was pruned the numbers before 180 are away; behind them each one tells.
    change(&folder, "DELETE FROM slot WHERE round_id IN (91, 301); DELETE FROM round WHERE round_id IN (91, 301)");
    let ran = gatherd(&folder, &["verify", "--csv"]);
    let ledger: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("ledger,")).collect();
    assert!(matches!(ledger.as_slice(), [one] if one.starts_with("ledger,round 301,")), "{}", ran.stdout);
}

#[test]
fn verify_takes_no_number_for_lost_that_was_given_while_the_clock_was_years_behind_and_then_pruned() {
    let (folder, mut writer) = two_jobs(1..=100);
    // A machine without a clock of its own: when it starts it is long ago, and then all until now is missed.
    for number in 101..=104 {
        let layout = layout_of(if number == 104 { 1 } else { 2 });
        let round = closed(number, &layout, vec![ok(number)]);
        let begin = RoundBegin { due: due(number - 1_000_000), ..round.begin.clone() };
        writer.close(&ClosedRound { begin, ..round }).expect("stored");
    }
    writer.ledger(&[missed(105, "job", 105 - 1_000_000..=105, Cause::Asleep)]).expect("recorded");
    for number in 106..=120 {
        writer.close(&closed(number, &layout_of(number), vec![ok(number)])).expect("stored");
    }
    prune(&mut writer, due(0));
    drop(writer);
    let told = answer(&folder, &["verify"]);
    assert!(told.starts_with("right: 117 rounds and ledger entries, 116 slots, "), "{told}");
    change(&folder, "DELETE FROM slot WHERE round_id = 110; DELETE FROM round WHERE round_id = 110");
    let ran = gatherd(&folder, &["verify", "--csv"]);
    assert!(ran.stdout.contains("\nledger,round 110,"), "{}", ran.stdout);
}

#[test]
fn verify_takes_no_number_for_lost_that_a_full_queue_dropped_or_a_kill_cut_off() {
    // 5 to 9 were dropped: one entry tells of them.
    let (folder, mut writer) = two_jobs((1..=4).chain(10..=12));
    writer.ledger(&[missed(5, "other", 5..=9, Cause::Storage)]).expect("recorded");
    // The ledger of a tick is written before its beginnings, which the kill then cut off.
    writer.ledger(&[missed(14, "job", 13..=14, Cause::DaemonDown)]).expect("recorded");
    drop(writer);
    assert_eq!(answer(&folder, &["verify"]), "right: 9 rounds and ledger entries, 7 slots, 0 hours of rollups\n");
    change(&folder, "DELETE FROM slot WHERE round_id = 2; DELETE FROM round WHERE round_id = 2");
    assert_eq!(gatherd(&folder, &["verify"]).code, Some(1));
}

#[test]
fn verify_finds_slots_that_are_not_what_a_slot_can_be() {
    let folder = home();
    change(
        &folder,
        "UPDATE slot SET body = '{garbage' WHERE slot_id = 10 << 20;
         UPDATE slot SET body = '' WHERE slot_id = 11 << 20;
         UPDATE slot SET body = CAST(x'22ff22' AS TEXT) WHERE slot_id = 12 << 20;
         UPDATE slot SET body = '{}' WHERE slot_id = 60 << 20 | 1;
         UPDATE slot SET phases = '{\"reached\":' WHERE slot_id = 61 << 20 | 1;
         UPDATE slot SET outcome = 'time' || char(7) WHERE slot_id = 62 << 20 | 1;
         UPDATE slot SET detail = CAST(x'ff' AS TEXT) WHERE slot_id = 63 << 20 | 1;
         UPDATE slot SET fetched_at = fetched_at + (1 << 60) WHERE slot_id = 64 << 20 | 1;
         UPDATE slot SET elapsed_us = -5 WHERE slot_id = 65 << 20 | 1;
         UPDATE slot SET http_status = 7 WHERE slot_id = 66 << 20 | 1;
         DELETE FROM rollup; INSERT OR IGNORE INTO rollup_stale SELECT DISTINCT job_id, due_at / 3600000000 FROM round;",
    );
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ran.stdout, @r#"
    kind  place                                                           problem
    body  job "job", round 10 due 2026-01-31T13:10:00.000Z, endpoint "a"  its body is not JSON
    body  job "job", round 11 due 2026-01-31T13:11:00.000Z, endpoint "a"  its body is not JSON
    body  job "job", round 12 due 2026-01-31T13:12:00.000Z, endpoint "a"  its body is not UTF-8 at byte 1
    body  job "job", round 60 due 2026-01-31T14:00:00.000Z, endpoint "b"  the outcome is timeout, and there is a body
    slot  job "job", round 61 due 2026-01-31T14:01:00.000Z, endpoint "b"  its phases are not JSON
    slot  job "job", round 62 due 2026-01-31T14:02:00.000Z, endpoint "b"  its outcome "time\u{7}" is not a word
    slot  job "job", round 63 due 2026-01-31T14:03:00.000Z, endpoint "b"  it cannot be read: invalid utf-8 sequence of 1 bytes from index 0
    slot  job "job", round 64 due 2026-01-31T14:04:00.000Z, endpoint "b"  it was fetched 1154691372847546976 microseconds after 1970, which cannot be
    slot  job "job", round 65 due 2026-01-31T14:05:00.000Z, endpoint "b"  it took 3 attempts and -5 microseconds
    slot  job "job", round 66 due 2026-01-31T14:06:00.000Z, endpoint "b"  its HTTP status is 7
    "#);
}

#[test]
fn verify_tells_the_first_slots_that_are_damaged_and_counts_all() {
    let folder = home();
    change(&folder, "UPDATE slot SET body = 'x' WHERE outcome = 'ok'");
    let ran = gatherd(&folder, &["verify", "--csv"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout.matches("\nbody,").count(), 21, "{}", ran.stdout);
    assert!(ran.stdout.contains("\nbody,the file,259 further slots are damaged"), "{}", ran.stdout);
}

#[test]
fn verify_notes_outcomes_that_a_newer_version_may_have_written() {
    let folder = home();
    change(
        &folder,
        "UPDATE slot SET outcome = 'teapot' WHERE outcome = 'timeout' AND round_id < 53;
         DELETE FROM rollup; INSERT OR IGNORE INTO rollup_stale SELECT DISTINCT job_id, due_at / 3600000000 FROM round;",
    );
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert_eq!(ran.stderr, "outcomes that only a newer gatherd knows, if it wrote them: 3 teapot\n");
}

#[test]
fn verify_finds_rounds_and_layouts_that_contradict_themselves() {
    let (folder, mut writer) = two_jobs(1..=8);
    let both = layout(&["a", "b"]);
    for number in 9..=12 {
        writer.close(&closed(number, &both, vec![ok(number), ok(number)])).expect("stored");
    }
    writer
        .ledger(&[missed(13, "job", 13..=13, Cause::Asleep), missed(14, "job", 14..=15, Cause::Asleep)])
        .expect("recorded");
    drop(writer);
    change(
        &folder,
        "UPDATE round SET status = 'missed' WHERE round_id = 2;
         UPDATE round SET status = 'interrupted' WHERE round_id = 3;
         UPDATE round SET due_at = -1 WHERE round_id = 4;
         UPDATE round SET layout_id = 1 WHERE round_id = 6;
         UPDATE round SET finished_at = NULL WHERE round_id = 13;
         UPDATE round SET covers = 0 WHERE round_id = 14;
         INSERT INTO layout (layout_id, job_id) VALUES (101, 1), (102, 1), (103, 1);
         INSERT INTO layout_slot VALUES (101, 1, 1), (102, 0, 1), (102, 1, 1), (103, 0, 2);",
    );
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ran.stdout, @r#"
    kind    place                 problem
    layout  job "other"           its layout 101 has gaps between its positions
    layout  job "other"           its layout 102 has an endpoint twice
    layout  job "other"           its layout 103 has endpoints of another job
    round   job "job", round 2    it is missed, though it counts slots
    round   job "other", round 3  it is interrupted without a cause
    round   job "job", round 4    one of its times is not between 1970 and 9999
    round   job "job", round 6    its layout is of another job
    round   job "job", round 13   its run of 1 dues has no end
    round   job "job", round 14   its run of 0 dues has no end
    "#);
}

#[test]
fn verify_finds_tables_indices_and_views_that_are_missing_or_others() {
    let folder = home();
    change(
        &folder,
        "DROP VIEW latest; DROP VIEW vectors; CREATE VIEW vectors AS SELECT 1 AS round_id;
         DROP INDEX round_by_due; DROP TABLE told; CREATE INDEX of_ones_own ON slot (outcome);",
    );
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    insta::assert_snapshot!(ran.stdout, @r#"
    kind    place         problem
    schema  latest        the view is missing
    schema  round_by_due  the index is missing
    schema  told          the table is missing
    schema  vectors       the view is not gatherd's
    "#);
}

#[test]
fn verify_reads_the_rollups_of_hours_that_were_pruned() {
    let damages = [
        "latencies = x'ff'",
        "outcomes = '{\"ok\":-1}'",
        "outcomes = '{\"ok\":18446744073709551615,\"dns\":2}'",
        "ok = 70",
        "last_ok = 0",
        "p50_us = 1",
    ];
    for damage in damages {
        let folder = home();
        assert_eq!(gatherd(&folder, &["prune", "--keep", "1h", "--yes"]).code, Some(0));
        change(
            &folder,
            &format!("UPDATE rollup SET {damage} WHERE hour = (SELECT min(hour) FROM rollup) AND endpoint_id = 1"),
        );
        let ran = gatherd(&folder, &["verify"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "{damage}: {}", ran.stdout);
        let place = "\n rollup  job \"job\", hour of 2026-01-31T13:00:00.000Z  ";
        assert!(ran.stdout.contains(place) && ran.stdout.lines().count() == 2, "{damage}: {}", ran.stdout);
    }
}

#[test]
fn verify_finds_a_page_that_was_written_over() {
    let folder = home();
    change(&folder, "PRAGMA wal_checkpoint(TRUNCATE)");
    let path = database(&folder);
    let good = std::fs::read(&path).expect("readable");
    // Wherever the damage is: behind the header, which says what the file is.
    for page in 0..good.len() / 4096 {
        let mut bytes = good.clone();
        bytes[(page * 4096).max(100)..(page + 1) * 4096].fill(0xaa);
        std::fs::write(&path, bytes).expect("written over");
        let ran = gatherd(&folder, &["verify"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""), "page {page}: {}", ran.stdout);
        assert!(ran.stdout.contains("\n integrity"), "page {page}: {}", ran.stdout);
    }
}

#[test]
fn verify_goes_on_beside_what_is_damaged() {
    let folder = home();
    change(
        &folder,
        "UPDATE slot SET body = NULL WHERE round_id = 20 AND position = 0; PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let path = database(&folder);
    let page = number(&path, "SELECT rootpage FROM sqlite_schema WHERE name = 'rollup'");
    let from = usize::try_from(page - 1).expect("a page") * 4096;
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[from..from + 4096].fill(0xaa);
    std::fs::write(&path, bytes).expect("written over");
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), ""));
    for found in ["\n integrity  the file", "\n body       job \"job\", round 20", "\n rollup     the file"] {
        assert!(ran.stdout.contains(found), "{found}: {}", ran.stdout);
    }
}

// --- prune ---
