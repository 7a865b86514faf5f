//! `gatherd history --plot` and `--svg`: no line where nothing was seen, and the whole stretch that was asked for.

use std::ops::RangeInclusive;
use std::path::Path;

use gatherd::model::Outcome;
use gatherd::store::Writer;

use crate::history::{asked, document, missed};
use crate::support::rounds::{closed, database, failed, layout};

/// Where the runs of the line begin and end, from the left. The picture's inside goes from about 100 to 940.
fn runs(path: &Path, more: &[&str]) -> Vec<(f64, f64)> {
    let file = path.with_extension("svg").display().to_string();
    asked(path, &[&["history", "job", "a", "--field", "/v", "--utc", "--svg", &file][..], more].concat());
    let picture = std::fs::read_to_string(file).expect("a picture");
    let lines = picture.lines().filter(|line| line.starts_with("<polyline") && line.contains("#1F61AD"));
    let points = lines.filter_map(|line| line.split_once("points=\"")?.1.split_once('"'));
    let places = points.map(|(points, _)| {
        let places: Vec<f64> =
            points.split_whitespace().map(|point| point.split_once(',').expect("x,y").0.parse().expect("x")).collect();
        (places[0], places[places.len() - 1])
    });
    places.collect()
}

fn ok(writer: &mut Writer, rounds: RangeInclusive<i64>) {
    for round in rounds {
        let slot = document(round, &format!("{{\"v\":{round}}}"));
        writer.close(&closed(round, &layout(&["a"]), vec![slot])).expect("stored");
    }
}

#[test]
fn no_line_is_drawn_over_rounds_without_the_endpoint_or_where_there_were_none() {
    for absent in [11..=11_i64, 11..=25] {
        let again = absent.end() + 1;
        let (_folder, path, mut writer) = database();
        ok(&mut writer, 1..=10);
        for round in absent {
            writer.close(&closed(round, &layout(&["b"]), vec![document(round, "{}")])).expect("stored");
        }
        ok(&mut writer, again..=30);
        assert_eq!(runs(&path, &[]).len(), 2);
    }
    let (_folder, path, mut writer) = database();
    ok(&mut writer, 1..=10);
    ok(&mut writer, 21..=30);
    assert_eq!(runs(&path, &[]).len(), 2, "as when the job was not in the config");
    assert_eq!(runs(&path, &["--until", "2026-01-31 13:11"]).len(), 1);
}

#[test]
fn a_picture_reaches_to_the_ends_of_what_was_asked_for_also_where_all_failed() {
    let (_folder, path, mut writer) = database();
    ok(&mut writer, 1..=10);
    for round in 11..=40 {
        writer.close(&closed(round, &layout(&["a"]), vec![failed(round, Outcome::Timeout, "")])).expect("stored");
    }
    let last = |more: &[&str]| runs(&path, more).last().copied().expect("a run");
    assert!(last(&[]).1 < 400.0, "{:?}", last(&[]));
    assert!(last(&["--every", "1m"]).1 < 400.0);
    let span = ["--since", "2026-01-31 12:00", "--until", "2026-01-31 14:01"];
    for more in [&span[..], &[&span[..], &["--every", "1m"]].concat()] {
        let (first, last) = last(more);
        assert!(first > 450.0 && last < 650.0, "{first} {last}");
    }
    let until_now = last(&["--since", "2026-01-31 13:00"]);
    assert!(until_now.1 < 150.0, "{until_now:?}");
    let text = asked(&path, &[&["history", "job", "a", "--field", "/v", "--utc", "--plot"][..], &span].concat());
    assert!(text.contains("2026-01-31 12:00") && text.ends_with("2026-01-31 14:01\n"), "{text}");
}

#[test]
fn a_picture_reaches_to_what_did_not_run_at_the_last() {
    let (_folder, path, mut writer) = database();
    writer.ledger(&[missed(1, -100, -50)]).expect("stored");
    ok(&mut writer, 2..=10);
    writer.ledger(&[missed(11, 11, 40)]).expect("stored");
    let runs = runs(&path, &[]);
    assert!(runs.len() == 1 && runs[0].0 < 110.0 && runs[0].1 < 400.0, "{runs:?}");
}
