//! `gatherd why`, as people read it and as programs do.

mod page;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatherd::model::{Answer, Cause, ClosedRound, Detail, Evidence, Guess, Outcome, Phase, Phases, RoundStatus, Slot};
use gatherd::store::Writer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::rounds::{closed, database, due, failed, forbidden, layout, ok};
use crate::support::{self, Ran, run};

/// A file that `fill` fills, without a daemon.
fn filled(fill: impl FnOnce(&mut Writer)) -> TempDir {
    let (folder, _, mut writer) = database();
    fill(&mut writer);
    folder
}

fn gatherd(folder: &Path, args: &[&str]) -> Ran {
    let mut command = support::gatherd(args);
    command.args(["--database", "gatherd.db"]).current_dir(folder).env("TZ", "Europe/Berlin");
    run(command)
}

fn why(folder: &TempDir, args: &[&str]) -> String {
    let ran = gatherd(folder.path(), &[&["why", "job"], args].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout
}

fn refused(folder: &TempDir, args: &[&str]) -> (Option<i32>, String) {
    let ran = gatherd(folder.path(), args);
    assert_eq!(ran.stdout, "");
    (ran.code, ran.stderr)
}

/// A 403 from what stands before the API, with all that is known of it.
fn walled(round: i64) -> Slot {
    let seen = |micros| Some(Duration::from_micros(micros));
    let phases =
        Phases { dns: seen(1_520), tls: seen(41_000), headers: seen(655_000), ..Phases::until(Phase::Headers) };
    let answer = Answer {
        status: 403,
        headers: "date: Sat, 31 Jan 2026 13:05:01 GMT\ncontent-type: text/html; charset=UTF-8\nserver: cloudflare\n\
                  cf-ray: 9c1f22aa01b3-FRA"
            .to_owned(),
        body: "<!DOCTYPE html><html lang=\"en-US\"><head><title>Just a moment...</title>\n</head>".to_owned(),
        cut: true,
    };
    let sent = "GET https://api.example.com/signups HTTP/1.1\naccept: application/json, */*;q=0.5\n\
                accept-encoding: gzip, deflate, br, zstd\nauthorization: Bearer ***\nuser-agent: gatherd/0.1"
        .to_owned();
    let evidence = Evidence { sent, answer: Some(answer), guess: Some(Guess::BotWall) };
    Slot { phases: Some(phases.into()), evidence: Some(Arc::new(evidence)), ..forbidden(round, "") }
}

#[test]
fn a_cancelled_slot_is_told_with_what_the_endpoint_did_before() {
    let names = layout(&["walled", "well"]);
    let folder = filled(|writer| {
        writer.close(&closed(1, &names, vec![walled(1), ok(1)])).expect("stored");
        let cancelled = || Slot::untried(Outcome::Cancelled, "stopped before it began", due(2));
        let (status, cause) = (RoundStatus::Interrupted, Some(Cause::Stopped));
        let slots = vec![cancelled(), cancelled()];
        writer.close(&ClosedRound { status, cause, ..closed(2, &names, slots) }).expect("stored");
    });
    let walled = why(&folder, &["walled", "--utc"]);
    for told in [
        "outcome   cancelled: stopped before it began\n",
        "due 2026-01-31 13:02:00Z, interrupted\n",
        "failing   since 2026-01-31 13:01:00Z (1m, 1 round)\n",
        "last in round 1",
        "It looks like a bot wall\n",
    ] {
        assert!(walled.contains(told), "{told}: {walled}");
    }
    let well = why(&folder, &["well", "--utc"]);
    assert!(well.contains("ok        since 2026-01-31 13:01:00Z") && well.contains("Nothing to mend"), "{well}");
}

#[test]
fn as_json_it_is_one_object_with_all_that_is_kept() {
    let names = layout(&["signups"]);
    let folder = filled(|writer| {
        for round in 1..=3 {
            let slot = if round == 2 { walled(round) } else { ok(round) };
            writer.close(&closed(round, &names, vec![slot])).expect("stored");
        }
    });
    let printed = why(&folder, &["signups", "--json"]);
    assert_eq!(printed.lines().count(), 1);
    let mut object: Value = serde_json::from_str(&printed).expect("JSON");
    let failure = object["last_failure"].take();
    assert!(object["advice"].as_array().is_some_and(|advice| !advice.is_empty()));
    object["advice"].take();
    assert_eq!(
        object,
        json!({
            "job": "job", "endpoint": "signups", "url": "https://api.example.com/signups",
            "newest_round": { "round_id": 3, "due_at": "2026-01-31T13:03:00.000Z" },
            "slot": {
                "round_id": 3, "due_at": "2026-01-31T13:03:00.000Z", "round_status": "complete", "position": 0,
                "fetched_at": "2026-01-31T13:03:00.250Z", "outcome": "ok", "http_status": 200, "attempts": 1,
                "elapsed_ms": 250.0, "detail": null, "phases": null, "evidence": null, "evidence_dropped": false,
            },
            "run": {
                "ok": true, "rounds": 1, "whole": true,
                "first": { "round_id": 3, "due_at": "2026-01-31T13:03:00.000Z" },
                "before": { "round_id": 2, "due_at": "2026-01-31T13:02:00.000Z" },
            },
            "last_failure": null, "left_alone_until": null, "advice": null,
        })
    );
    let evidence = walled(2).evidence.expect("evidence");
    let answer = evidence.answer.as_ref().expect("an answer");
    assert_eq!(
        failure["evidence"],
        json!({
            "first_seen": "2026-01-31T13:02:00.700Z", "sent": evidence.sent, "status": 403,
            "headers": answer.headers, "body": answer.body, "cut": true, "guess": "bot wall",
        })
    );
    assert_eq!(
        failure["phases"],
        json!({
            "reached": "headers", "dns_ms": 1.52, "connect_ms": null, "tls_ms": 41.0, "headers_ms": 655.0,
            "body_ms": null,
        })
    );
    assert_eq!(failure["detail"], Detail::new("403 Forbidden").as_str());
}

#[test]
fn what_cannot_be_answered_is_refused_with_the_nearest_name() {
    let folder = filled(|writer| {
        writer.close(&closed(1, &layout(&["signups", "figures"]), vec![ok(1), ok(1)])).expect("stored");
        writer.register(&layout(&["signups", "figures", "new"])).expect("registered");
    });
    let (code, job) = refused(&folder, &["why", "jib", "signups"]);
    assert_eq!((code, job.trim()), (Some(1), r#"gatherd: no job "jib" in this database; the nearest is "job""#));
    let (code, endpoint) = refused(&folder, &["why", "job", "singup"]);
    assert_eq!(
        (code, endpoint.trim()),
        (Some(1), r#"gatherd: no endpoint "singup" in job "job"; the nearest is "signups""#)
    );
    let (_, listed) = refused(&folder, &["why", "job", "https://elsewhere.example.com/"]);
    assert!(listed.contains(r#"there are ["figures", "new", "signups"]"#), "{listed}");
    let (code, early) = refused(&folder, &["why", "job", "signups", "--at", "2026-01-31 13:00"]);
    assert!(code == Some(1) && early.contains("has ended at that time or before"), "{early}");
    let (code, never) = refused(&folder, &["why", "job", "new"]);
    assert!(code == Some(1) && never.contains(r#"no round with "new" has ended"#), "{never}");
    let (code, time) = refused(&folder, &["why", "job", "signups", "--at", "tuesday"]);
    assert!(code == Some(64) && time.contains("2h for two hours ago"), "{time}");
}

#[test]
fn an_outcome_of_another_version_is_shown_as_it_is() {
    let folder = filled(|writer| {
        let slot = failed(1, Outcome::Reset, "hung up");
        writer.close(&closed(1, &layout(&["a"]), vec![slot])).expect("stored");
    });
    let file = rusqlite::Connection::open(folder.path().join("gatherd.db")).expect("opened");
    file.execute("UPDATE slot SET outcome = 'eaten', evidence_id = 7", []).expect("changed");
    drop(file);
    let text = why(&folder, &["a"]);
    assert!(text.contains("outcome   eaten: hung up\n") && text.contains("not kept any more"), "{text}");
}

#[test]
fn an_endpoint_is_found_by_a_part_of_its_name_or_its_number() {
    let folder = filled(|writer| {
        let names = layout(&["https://a.example/Signups", "https://a.example/figures", "2026"]);
        writer.close(&closed(1, &names, vec![ok(1), ok(1), ok(1)])).expect("stored");
    });
    for (text, name) in [("signups", "https://a.example/Signups"), ("2", "https://a.example/figures"), ("26", "2026")] {
        let told = why(&folder, &[text, "--at", "2100-01-01"]);
        assert!(told.starts_with(&format!("job \"job\", endpoint {name:?}")), "{text}: {told}");
    }
    let (code, several) = refused(&folder, &["why", "job", "a.example"]);
    let listed = r#"; there are ["https://a.example/Signups", "https://a.example/figures"]"#;
    assert!(code == Some(1) && several.contains("several endpoints") && several.contains(listed), "{several}");
}
