//! What failures leave in the file: phases with each slot, evidence once for all that is equal, and not without end.

use std::time::Duration;

use gatherd::model::{Guess, Outcome, Phase, Phases, Slot};
use gatherd::store::open;
use gatherd::store::read::Value;

use crate::support::rounds::{
    begin, closed, database, due, failed, forbidden, layout, number, numbered, ok, reader, rows,
};

/// The number in letters: digits would be passed over, because they differ in evidence that is otherwise equal.
fn word(number: u32) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

#[test]
fn equal_evidence_is_kept_once_however_many_slots_and_rounds_it_is_seen_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gatherd.db");
    let names = layout(&["a", "b", "c"]);
    for turn in 0..2 {
        // A restart knows it again.
        let mut writer = open(&path).expect("opened");
        for round in [2 * turn + 1, 2 * turn + 2] {
            let page = format!("blocked, request {round}");
            let slots = vec![forbidden(round, &page), ok(round), forbidden(round, &page)];
            writer.close(&closed(round, &names, slots)).expect("stored");
        }
    }
    assert_eq!(number(&path, "SELECT count(*) FROM evidence"), 1);
    assert_eq!(number(&path, "SELECT count(evidence_id) FROM slot"), 8);
    let status = reader(&path).status("job", "c", None).expect("read").expect("a slot");
    let evidence = status.slot.evidence.expect("kept");
    assert_eq!(evidence.first_seen, forbidden(1, "").fetched_at);
    assert_eq!(evidence.evidence.answer.expect("an answer").body, "blocked, request 1");
}

#[test]
fn evidence_and_phases_are_read_as_they_were_written() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["a", "b"]);
    let mut page = forbidden(1, "<title>Just a moment...</title>");
    let phases = Phases { dns: Some(Duration::from_micros(1_500)), ..Phases::until(Phase::Headers) };
    let mut evidence = page.evidence.as_deref().cloned().expect("evidence");
    evidence.guess = Some(Guess::BotWall);
    (page.phases, page.evidence) = (Some(phases.into()), Some(evidence.clone().into()));
    let mut silent = evidence.clone();
    (silent.answer, silent.guess) = (None, None);
    let timeout = Slot { evidence: Some(silent.clone().into()), ..failed(1, Outcome::Timeout, "connect") };
    writer.close(&closed(1, &names, vec![page, timeout])).expect("stored");

    let of = |endpoint| reader(&path).status("job", endpoint, None).expect("read").expect("a slot").slot;
    let (page, timeout) = (of("a"), of("b"));
    assert_eq!((page.phases, page.evidence.map(|kept| kept.evidence)), (Some(phases), Some(evidence)));
    assert_eq!((timeout.phases, timeout.evidence.map(|kept| kept.evidence)), (None, Some(silent)));
}

#[test]
fn the_view_of_failures_shows_what_came_back_and_no_success() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["a", "b"]);
    let phases = Some(Phases::until(Phase::Headers).into());
    writer.close(&closed(1, &names, vec![ok(1), ok(1)])).expect("stored");
    writer.begin(&[begin(2, &names)]).expect("begun");
    writer.close(&closed(3, &names, vec![ok(3), Slot { phases, ..forbidden(3, "<p>no</p>") }])).expect("stored");
    let text = |text: &str| Value::Text(text.to_owned());
    let expected = [
        text("job"),
        text("b"),
        Value::Integer(3),
        text("2026-01-31T13:03:00.000Z"),
        text("http_status"),
        Value::Integer(403),
        Value::Integer(1),
        text("403 Forbidden"),
        text("headers"),
        Value::Null,
        text("content-type: text/html\nserver: nginx"),
        text("<p>no</p>"),
    ];
    assert_eq!(rows(&path, "SELECT * FROM failures"), [expected]);
}

#[test]
fn only_the_newest_10_000_pieces_of_evidence_stay_and_what_goes_on_happening_is_among_them() {
    let (_folder, path, mut writer) = database();
    let names = numbered(40);
    // The first endpoint fails in the same way each time, the others never do.
    for round in 1..=300 {
        let number = |slot| u32::try_from(round * 40 + slot).expect("small");
        let changing = (1..40).map(|slot| forbidden(round, &word(number(slot))));
        let slots = std::iter::once(forbidden(round, "always the same")).chain(changing).collect();
        writer.close(&closed(round, &names, slots)).expect("stored");
    }
    assert_eq!(number(&path, "SELECT count(*) FROM evidence"), 10_000);
    assert_eq!(number(&path, "SELECT count(*) FROM failures"), 12_000, "a failure stays when its evidence goes");
    let reader = reader(&path);
    let slot = |endpoint, round| reader.status("job", endpoint, Some(due(round))).expect("read").expect("a slot").slot;
    let always = slot("e0", 300).evidence.expect("kept");
    assert!(always.first_seen > due(200), "kept anew after it was dropped: {}", always.first_seen);
    let (first, last) = (slot("e1", 1), slot("e39", 300));
    let answer = first.evidence.expect("what was sent is the same each time").evidence.answer;
    assert_eq!((answer, first.evidence_dropped), (None, true));
    assert!(last.evidence.is_some() && !last.evidence_dropped);
}

#[test]
fn a_round_that_fails_in_more_ways_than_are_kept_is_stored_whole() {
    let (_folder, path, mut writer) = database();
    let names = numbered(10_500);
    let slots = (0..10_500).map(|number| forbidden(1, &word(number))).collect();
    writer.close(&closed(1, &names, slots)).expect("stored");
    assert_eq!(number(&path, "SELECT count(*) FROM slot"), 10_500);
    assert_eq!(number(&path, "SELECT count(*) FROM evidence"), 10_000);
}
