//! `gatherd demo` fills a database, and the queries read it: with or without a daemon, never writing.

use std::path::Path;

use gatherd::model::Outcome;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::rounds::{closed, database, failed, layout, ok};
use crate::support::{self, Ran, run, write};

fn gatherd(args: &[&str]) -> Ran {
    let mut command = support::gatherd(args);
    command.env("TZ", "Asia/Kolkata");
    run(command)
}

/// A file with two rounds of two endpoints, the second of which fails in the second, and its path as text.
fn file() -> (TempDir, String) {
    let (folder, path, mut writer) = database();
    let names = layout(&["a", "b"]);
    writer.close(&closed(1, &names, vec![ok(1), ok(1)])).expect("stored");
    writer.close(&closed(2, &names, vec![ok(2), failed(2, Outcome::Timeout, "headers")])).expect("stored");
    (folder, path.display().to_string())
}

/// A folder whose `demo.db` holds two rounds of the demo, and what the demo printed.
fn demo() -> (TempDir, String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = folder.path().join("demo.db").display().to_string();
    let ran = gatherd(&["demo", "--rounds", "2", "--database", &database]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    (folder, database, ran.stdout)
}

#[test]
fn the_demo_shows_each_round_and_the_queries_answer_from_its_file() {
    let (_folder, database, printed) = demo();
    let rounds: Vec<&str> = printed.lines().filter(|line| line.contains("  demo  ")).collect();
    assert_eq!(rounds.len(), 2, "{printed}");
    assert!(rounds.iter().all(|line| line.contains("5/11 ok")), "{printed}");
    assert!(rounds[0].contains("✓ ✓ ✓ ✓ T S J ✓ S S X"), "{printed}");
    assert!(rounds[1].contains("✓ ✓ ✓ ✓ T S J ✓ S B X"), "a host that asked for a pause is left alone: {printed}");
    assert!(printed.contains(&format!("gatherd latest --database {database}\n")), "{printed}");

    let rounds = gatherd(&["rounds", "demo", "--json", "--vectors", "--database", &database]);
    let lines: Vec<Value> = rounds.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    for (number, line) in (1..).zip(&lines) {
        assert_eq!((&line["round_id"], &line["status"]), (&Value::from(number), &"complete".into()));
        assert!(line["due_at"].as_str().is_some_and(|due| due.ends_with('Z')), "JSON is UTC: {line}");
        let vector = line["vector"].as_array().expect("the vector is JSON, not text");
        assert_eq!((vector.len(), vector.iter().filter(|slot| slot.is_null()).count()), (11, 6));
    }

    let latest = gatherd(&["latest", "--json", "--database", &database]);
    let slots: Vec<Value> = latest.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(slots.len(), 11);
    assert!(slots.iter().all(|slot| slot["round_id"] == 2));
    assert!(slots[0]["body"]["users"].is_number(), "the body is JSON, not text: {}", slots[0]);
    assert_eq!((&slots[4]["endpoint"], &slots[4]["outcome"]), (&"hangs forever".into(), &"timeout".into()));

    let sql = "SELECT outcome, count(*) AS slots FROM observations GROUP BY outcome ORDER BY slots DESC";
    let counted = gatherd(&["sql", sql, "--json", "--database", &database]);
    let first = counted.stdout.lines().next().map(str::to_owned);
    assert_eq!(first.as_deref(), Some(r#"{"outcome":"ok","slots":10}"#));
}

#[test]
fn a_table_shows_local_times_and_utc_when_asked() {
    let (_folder, database) = file();
    let local = gatherd(&["rounds", "--last", "1", "--database", &database]).stdout;
    assert!(local.contains("+05:30"), "{local}");
    assert_eq!(local.lines().count(), 2, "a head and one round: {local}");
    let utc = gatherd(&["rounds", "--last", "1", "--utc", "--database", &database]).stdout;
    assert!(!utc.contains("+05:30") && utc.contains('Z'), "{utc}");
}

#[test]
fn a_job_or_database_that_is_not_there_is_said_plainly() {
    let (folder, database) = file();
    let unknown = gatherd(&["latest", "jbo", "--database", &database]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("the nearest is \"job\""), "{}", unknown.stderr);
    let absent = folder.path().join("absent.db").display().to_string();
    let absent = gatherd(&["rounds", "--database", &absent]);
    assert_eq!(absent.code, Some(78));
    assert!(absent.stderr.contains("no database there"), "{}", absent.stderr);
    assert!(!folder.path().join("absent.db").exists());
}

#[test]
fn a_file_of_another_application_is_said_to_be_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let other = Connection::open(path("other.db")).expect("made");
    other.execute_batch("CREATE TABLE customer (name TEXT)").expect("a table");
    drop(Connection::open(path("empty.db")).expect("made").execute_batch("VACUUM"));
    write(folder.path(), "text.db", "x".repeat(5_000));
    for (name, why) in [
        ("other.db", "it has tables of something else"),
        ("empty.db", "it has no tables"),
        ("text.db", "it is not a SQLite database"),
    ] {
        for command in ["rounds", "latest", "verify"] {
            let ran = gatherd(&[command, "--database", &path(name)]);
            assert_eq!(ran.code, Some(78), "{command} {name}: {}", ran.stderr);
            assert!(ran.stderr.contains(&format!("not a gatherd database ({why})")), "{command}: {}", ran.stderr);
        }
    }
}

#[test]
fn sql_reads_and_does_nothing_else() {
    let (folder, database) = file();
    let elsewhere = folder.path().join("elsewhere.db").display().to_string();
    for statement in [
        "DELETE FROM slot".to_owned(),
        "DROP VIEW latest".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        format!("ATTACH '{elsewhere}' AS other"),
        format!("VACUUM INTO '{elsewhere}'"),
        "PRAGMA user_version = 7".to_owned(),
    ] {
        let refused = gatherd(&["sql", &statement, "--database", &database]);
        assert_ne!(refused.code, Some(0), "{statement} was taken");
        assert!(!refused.stderr.is_empty());
    }
    assert!(!Path::new(&elsewhere).exists());
    let whole = gatherd(&["sql", "SELECT count(*) AS slots FROM slot", "--json", "--database", &database]);
    assert_eq!(whole.stdout.trim(), r#"{"slots":4}"#);
}

#[test]
fn a_question_that_is_wrong_is_a_mistake_of_usage_and_not_of_the_file() {
    let (_folder, database) = file();
    for statement in [
        "SELEC 1",
        "SELECT x FROM y",
        "",
        "SELECT json('x')",
        "SELECT abs(-9223372036854775808)",
        "/**/ATTACH 'f' AS g",
        "ROLLBACK",
    ] {
        let wrong = gatherd(&["sql", statement, "--database", &database]);
        assert_eq!(wrong.code, Some(64), "{statement}: {}", wrong.stderr);
    }
    let large = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT zeroblob(1000000) FROM n";
    let large = gatherd(&["sql", large, "--database", &database]);
    assert!(large.stderr.contains("larger than 256 MiB"), "{}", large.stderr);
}

#[test]
fn a_reader_who_may_not_write_beside_the_file_reads_it_after_the_daemon_has_stopped() {
    let (folder, database) = file();
    let before = std::fs::metadata(folder.path()).expect("a folder").permissions();
    let mut locked = before.clone();
    std::os::unix::fs::PermissionsExt::set_mode(&mut locked, 0o555);
    std::fs::set_permissions(folder.path(), locked).expect("changed");
    // Root may write everywhere; for everybody else this is a folder of somebody else's.
    let latest = gatherd(&["latest", "--json", "--database", &database]);
    std::fs::set_permissions(folder.path(), before).expect("changed back");
    assert_eq!(latest.stdout.lines().count(), 2, "{}", latest.stderr);
}

#[test]
fn a_query_that_takes_too_long_is_stopped() {
    let (_folder, database) = file();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let stopped = gatherd(&["sql", endless, "--deadline", "200ms", "--database", &database]);
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.stderr.contains("took longer than 200ms"), "{}", stopped.stderr);
}

#[test]
fn the_views_have_the_columns_that_people_were_promised() {
    let (_folder, database) = file();
    let columns = |view: &str| {
        let sql = format!("SELECT group_concat(name, ', ') AS names FROM pragma_table_info('{view}')");
        let line: Value =
            serde_json::from_str(&gatherd(&["sql", &sql, "--json", "--database", &database]).stdout).expect("JSON");
        line["names"].as_str().expect("text").to_owned()
    };
    assert_eq!(
        columns("rounds"),
        "round_id, job, due_at, started_at, finished_at, status, cause, covers, endpoints, ok, failed"
    );
    let slots = "job, endpoint, position, round_id, due_at, fetched_at, outcome, http_status, attempts, elapsed_ms, body, detail";
    assert_eq!(columns("observations"), slots);
    assert_eq!(columns("latest"), slots);
    assert_eq!(columns("vectors"), "round_id, job, due_at, vector");
    assert_eq!(
        columns("failures"),
        "job, endpoint, round_id, due_at, outcome, http_status, attempts, detail, phase, guess, headers, body"
    );
}
