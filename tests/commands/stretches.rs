//! `gatherd history --every`: what stands for a stretch without numbers.

use gatherd::model::Outcome;
use serde_json::{Value, json};

use crate::history::{document, lines};
use crate::support::rounds::{closed, database, failed, layout};

#[test]
fn the_last_value_is_also_that_from_before_the_beginning() {
    let (_folder, path, mut writer) = database();
    let layout = layout(&["a"]);
    for (round, value) in [(1, "1"), (2, "3"), (3, "\"text\"")] {
        writer.close(&closed(round, &layout, vec![document(round, &format!("{{\"v\":{value}}}"))])).expect("stored");
    }
    writer.close(&closed(6, &layout, vec![failed(6, Outcome::Timeout, "")])).expect("stored");
    let values = |every: &str, agg: &str, since: &str, until: &str| -> Vec<Value> {
        let asked = ["history", "job", "a", "--utc", "--field", "/v", "--fill", "last", "--every", every, "--agg", agg];
        let rows = lines(&path, &[&asked[..], &["--since", since, "--until", until]].concat());
        rows.into_iter().map(|row| row["value"].clone()).collect()
    };
    let (three, two) = (json!(3), json!(2));
    assert_eq!(
        values("1m", "last", "2026-01-31 13:05", "2026-01-31 13:08"),
        [three.clone(), three.clone(), three.clone()]
    );
    assert_eq!(values("1h", "avg", "2026-01-31 14:00", "2026-01-31 16:00"), [two.clone(), two.clone()]);
    assert_eq!(values("1h", "avg", "2026-01-31 13:04", "2026-01-31 14:00"), [two], "the rest of a stretch");
    assert_eq!(values("1day", "max", "2026-03-10", "2026-03-11"), [three], "however long ago");
    assert_eq!(values("1h", "last", "2026-01-31 12:00", "2026-01-31 13:00"), [json!(null)], "none is made up");
    assert_eq!(values("1h", "count", "2026-01-31 14:00", "2026-01-31 15:00"), [json!(0)]);
}
