//! Copies of a file that is being written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gatherd::model::{Detail, Slot};
use gatherd::store::{StoreError, Writer, backup};

use crate::support::rounds::{closed, database, number, numbered, ok, reader};

/// A hundred endpoints: a round takes a dozen pages.
fn store(writer: &mut Writer, round: i64) {
    let layout = numbered(100);
    let slot = Slot { detail: Some(Detail::new("x".repeat(200))), ..ok(round) };
    writer.close(&closed(round, &layout, vec![slot; 100])).expect("stored");
}

#[test]
fn a_copy_is_of_one_moment_and_is_not_begun_anew_when_rounds_are_stored_meanwhile() {
    let (folder, path, mut writer) = database();
    let copy = folder.path().join("copy.db");
    (1..=200).for_each(|round| store(&mut writer, round));
    let (mut next, mut last) = (201, 0);
    let bytes = backup::copy(&path, &copy, |pages, all| {
        assert!(pages > last && pages <= all, "{pages} after {last} of {all}");
        last = pages;
        store(&mut writer, next);
        next += 1;
    });
    assert!(next > 202, "stored while it was copied: {next}");
    assert_eq!(bytes.expect("copied"), fs::metadata(&copy).expect("a file").len());
    assert_eq!(number(&copy, "SELECT max(round_id) FROM rounds"), 200);
    assert_eq!(number(&copy, "SELECT count(*) FROM observations"), 200 * 100);
    assert_eq!(reader(&copy).verify_integrity().expect("verified"), []);
    store(&mut writer, next);
    assert_eq!(number(&path, "SELECT count(*) FROM rounds"), next);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_oldest_copies_make_room_and_nothing_else_in_their_folder_does() {
    let (folder, path, mut writer) = database();
    store(&mut writer, 1);
    let copies = folder.path().join("copies");
    fs::create_dir(&copies).expect("made");
    let others = ["gatherd-before-the-move.db", "gatherd-notes.txt", "mine.db"];
    for name in others.into_iter().chain(["gatherd-20260101T031700Z.db.part"]) {
        fs::write(copies.join(name), "mine").expect("written");
    }
    for day in 1..=4 {
        let stamp = format!("2026020{day}T031700Z");
        let (file, _, removed) = backup::rotate(&path, &copies, &stamp, 2).expect("copied");
        assert_eq!(file, copies.join(format!("gatherd-{stamp}.db")));
        assert_eq!(removed, usize::from(day > 2));
    }
    let kept = ["gatherd-20260203T031700Z.db", "gatherd-20260204T031700Z.db"];
    let mut expected: Vec<&str> = kept.into_iter().chain(others).collect();
    expected.sort_unstable();
    assert_eq!(names(&copies), expected);
}

#[test]
fn a_copy_of_a_clock_that_was_ahead_makes_room_for_those_that_come_after_it() {
    let (folder, path, mut writer) = database();
    let copies = folder.path().join("copies");
    store(&mut writer, 1);
    for stamp in ["20260101T031700Z", "20990101T031700Z", "20260102T031700Z", "20260103T031700Z"] {
        backup::rotate(&path, &copies, stamp, 2).expect("copied");
    }
    assert_eq!(names(&copies), ["gatherd-20260102T031700Z.db", "gatherd-20260103T031700Z.db"]);
}

#[test]
fn who_may_not_read_the_database_may_not_read_its_copy() {
    let (folder, path, mut writer) = database();
    let copy = folder.path().join("copy.db");
    store(&mut writer, 1);
    for (mode, expected) in [(0o600, 0o600), (0o640, 0o640), (0o400, 0o600)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
        backup::copy(&path, &copy, |_, _| {}).expect("copied");
        assert_eq!(fs::metadata(&copy).expect("a file").permissions().mode() & 0o777, expected, "{mode:o}");
    }
}

#[test]
fn a_copy_that_cannot_be_made_leaves_what_was_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("gatherd.db");
    let copy = folder.path().join("copy.db");
    fs::write(&copy, "an older copy").expect("written");
    assert!(matches!(backup::copy(&path, &copy, |_, _| {}), Err(StoreError::Absent { .. })));
    assert_eq!(names(folder.path()), ["copy.db"]);
    assert_eq!(fs::read_to_string(&copy).expect("readable"), "an older copy");
}
