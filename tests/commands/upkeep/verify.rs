//! `verify`: what is right, what is wrong and where.

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
    kind    place                                        problem
    vector  job "job", round 10                          its vector has 1 slots, its layout 2 endpoints
    body    job "job", round 20                          slot 0 has the outcome ok and no body
    rollup  job "job", hour of 2026-01-31T13:00:00.000Z  the rollup of endpoint "b" tells of 60 slots, 59 are there
    rollup  job "job", hour of 2026-01-31T14:00:00.000Z  the rollup of endpoint "a" tells of 60 slots, 55 are there
    ledger  job "job", before round 105                  5 dues from 2026-01-31T14:40:00.000Z to 2026-01-31T14:44:00.000Z are neither in a round nor in the ledger, if the cadence was `every 1m` then
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

#[test]
fn verify_takes_an_entry_of_the_ledger_and_another_cadence_for_no_gap() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "config.toml", CONFIG);
    let mut writer = open(&database(&folder)).expect("opened");
    let names = layout(&["a", "b"]);
    for round in [0, 5, 10, 15, 20, 21, 22] {
        writer.close(&closed(round, &names, vec![ok(round), ok(round)])).expect("stored");
    }
    let missed = LedgerRow {
        id: RoundId(30),
        job: JobName::new("job"),
        first_due: due(23),
        last_due: due(29),
        covers: 7,
        status: RoundStatus::Missed,
        cause: Cause::DaemonDown,
    };
    writer.ledger(&[missed]).expect("recorded");
    writer.close(&closed(31, &names, vec![ok(31), ok(31)])).expect("stored");
    drop(writer);
    let ran = gatherd(&folder, &["verify"]);
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(ran.stdout, @r#"
    kind    place                       problem
    ledger  job "job", before round 31  the due 2026-01-31T13:30:00.000Z is neither in a round nor in the ledger, if the cadence was `every 1m` then
    "#);
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
