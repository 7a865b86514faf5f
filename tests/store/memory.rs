//! What is remembered over a restart: documents with their validators, last successes, hosts to be left alone.

use std::sync::Arc;
use std::time::Duration;

use gatherd::model::{HostPause, Memory, Outcome, Remembered, Slot, Validators};
use gatherd::store::{REMEMBERED_BYTES, open};

use crate::support::rounds::{closed, database, due, failed, layout, ok, reader};

fn validators(etag: &str) -> Arc<Validators> {
    // Beyond what an i64 holds.
    Arc::new(Validators { request: u64::MAX - 7, etag: Some(etag.to_owned()), last_modified: None })
}

fn tagged(round: i64, etag: &str) -> Slot {
    Slot { validators: Some(validators(etag)), ..ok(round) }
}

fn remembered(round: i64, etag: &str) -> Memory {
    let document = ok(round).body.expect("a document");
    Memory { last_ok: None, remembered: Some(Remembered { validators: validators(etag), document }) }
}

#[test]
fn a_document_is_found_again_with_its_validators_after_a_restart() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["a", "plain", "b"]);
    writer.close(&closed(1, &names, vec![tagged(1, "\"1\""), ok(1), tagged(1, "\"x\"")])).expect("stored");
    // The newest counts; a failure and a document without validators change nothing.
    let third = failed(2, Outcome::Timeout, "connect");
    writer.close(&closed(2, &names, vec![tagged(2, "\"2\""), ok(2), third])).expect("stored");
    writer.close(&closed(3, &names, vec![ok(3), ok(3), ok(3)])).expect("stored");
    drop(writer);

    let mut writer = open(&path).expect("opened again");
    let mut budget = REMEMBERED_BYTES;
    let recalled = writer.recall(&names, &mut budget).expect("recalled");
    assert_eq!(recalled, [remembered(2, "\"2\""), Memory::default(), remembered(1, "\"x\"")]);
    let bytes: usize = [1, 2].into_iter().filter_map(|round| ok(round).body).map(|body| body.text().len()).sum();
    assert_eq!(budget, REMEMBERED_BYTES - bytes);

    // It follows the name to another place in the list; what is new has none.
    let moved = layout(&["new", "b", "a"]);
    writer.register(&moved).expect("registered");
    let recalled = writer.recall(&moved, &mut budget).expect("recalled");
    assert_eq!(recalled, [Memory::default(), remembered(1, "\"x\""), remembered(2, "\"2\"")]);
}

#[test]
fn documents_that_do_not_fit_the_budget_are_not_remembered() {
    let (_folder, _, mut writer) = database();
    let names = layout(&["a", "b", "c"]);
    let slots = [1, 1_000_000, 2].map(|round| tagged(round, "\"1\"")).to_vec();
    let mut budget = slots[0].body.as_ref().expect("a document").text().len() * 2;
    writer.close(&closed(1, &names, slots)).expect("stored");
    let recalled = writer.recall(&names, &mut budget).expect("recalled");
    assert_eq!(recalled, [remembered(1, "\"1\""), Memory::default(), remembered(2, "\"1\"")]);
    assert_eq!(budget, 0);
}

#[test]
fn the_last_success_is_remembered_only_of_endpoints_that_ask_for_it() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["asks", "does not"]);
    let asking = |slot: Slot| Slot { asks_for_last_ok: true, ..slot };
    writer.close(&closed(1, &names, vec![asking(ok(1)), ok(1)])).expect("stored");
    writer.close(&closed(2, &names, vec![asking(ok(2)), ok(2)])).expect("stored");
    let late = asking(failed(3, Outcome::Timeout, "connect"));
    writer.close(&closed(3, &names, vec![late, ok(3)])).expect("stored");
    drop(writer);
    let recalled = open(&path).expect("opened again").recall(&names, &mut 0).expect("recalled");
    assert_eq!(recalled.iter().map(|memory| memory.last_ok).collect::<Vec<_>>(), [Some(due(2)), None]);
}

#[test]
fn whoever_begins_to_ask_for_the_last_success_is_told_of_those_before() {
    let (_folder, path, mut writer) = database();
    let names = layout(&["was ok", "never ok", "does not ask", "fails now"]);
    let late = |round| failed(round, Outcome::Timeout, "connect");
    for round in [1, 2, 61, 62, 121, 122] {
        let last = if round == 1 { ok(round) } else { late(round) };
        writer.close(&closed(round, &names, vec![ok(round), late(round), ok(round), last])).expect("stored");
    }
    let asks = [true, true, false, true];
    let last_ok = |writer: &mut gatherd::store::Writer| {
        let mut memories = writer.recall(&names, &mut 0).expect("recalled");
        writer.find_last_ok(&names, &asks, &mut memories).expect("looked for");
        memories.into_iter().map(|memory| memory.last_ok).collect::<Vec<_>>()
    };
    assert_eq!(last_ok(&mut writer), [Some(due(122)), None, None, Some(due(1))]);
    drop(writer);
    let mut writer = open(&path).expect("opened again");
    assert_eq!(last_ok(&mut writer), [Some(due(122)), None, None, Some(due(1))]);
    // What is noted counts, whatever the rounds say.
    let asking = |round| Slot { asks_for_last_ok: true, ..ok(round) };
    writer.close(&closed(123, &names, vec![late(123), asking(123), ok(123), late(123)])).expect("stored");
    assert_eq!(last_ok(&mut writer), [Some(due(122)), Some(due(123)), None, Some(due(1))]);
    // A job that is not there yet.
    let mut memories = vec![Memory::default()];
    let nowhere = gatherd::model::Layout { job: gatherd::model::JobName::new("new"), ..(*layout(&["a"])).clone() };
    writer.find_last_ok(&nowhere, &[true], &mut memories).expect("looked for");
    assert_eq!(memories, [Memory::default()]);
}

#[test]
fn a_job_that_never_ran_remembers_nothing() {
    let (_folder, _, mut writer) = database();
    let recalled = writer.recall(&layout(&["a", "b"]), &mut 1_000).expect("recalled");
    assert_eq!(recalled, [Memory::default(), Memory::default()]);
}

#[test]
fn hosts_are_left_alone_until_their_time_is_over_also_after_a_restart() {
    let (_folder, path, mut writer) = database();
    let pause = |host: &str, until| HostPause { host: host.to_owned(), until };
    let now = due(1);
    let [soon, later] = [30, 90].map(|seconds| now.plus(Duration::from_secs(seconds)));
    writer.pause(&pause("a.example.com:443", later)).expect("paused");
    writer.pause(&pause("b.example.com:443", now)).expect("paused");
    writer.pause(&pause("b.example.com:443", soon)).expect("paused longer");
    drop(writer);
    let mut writer = open(&path).expect("opened again");
    let both = [pause("a.example.com:443", later), pause("b.example.com:443", soon)];
    assert_eq!(writer.pauses(now).expect("read"), both);
    assert_eq!(reader(&path).pause_of("b.example.com:443").expect("read"), Some(both[1].clone()));
    assert_eq!(writer.pauses(soon).expect("read"), both[..1]);
    assert_eq!(reader(&path).pause_of("b.example.com:443").expect("read"), None);
    assert_eq!(writer.pauses(later).expect("read"), []);
}
