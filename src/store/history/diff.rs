//! What changed between two rounds: slot by slot, and in documents path by path.

use std::borrow::Cow;
use std::collections::HashMap;

use super::decimal::same_number;
use super::vector::{Vector, VectorSlot};
use crate::model::{elements, members, unescaped};

/// An endpoint that is not the same in two rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotDiff<'v> {
    /// The endpoint's name.
    pub endpoint: &'v str,
    /// What changed.
    pub change: Change<'v>,
}

/// What changed in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'v> {
    /// Only the later round has the endpoint.
    Added(&'v VectorSlot),
    /// Only the earlier round has it.
    Removed(&'v VectorSlot),
    /// It ended in another way: at least one of the two has no document. Where both have none, the outcome or the HTTP
    /// status is another.
    Outcome {
        /// The earlier slot.
        before: &'v VectorSlot,
        /// The later one.
        after: &'v VectorSlot,
    },
    /// Both have documents, which differ here.
    Document(Vec<PathChange<'v>>),
}

/// One place in which two documents differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange<'v> {
    /// A JSON Pointer (RFC 6901).
    pub path: String,
    /// What stood there, as sent; `None` when nothing did.
    pub before: Option<&'v str>,
    /// What stands there now; `None` when nothing does.
    pub after: Option<&'v str>,
}

/// The endpoints that differ between two rounds, in the order of the later one, then those that are gone. The order of
/// keys, blanks and the form of numbers and strings make no difference: `1.0` is `1`. Arrays are compared by index.
#[must_use]
pub fn diff<'v>(before: &'v Vector, after: &'v Vector) -> Vec<SlotDiff<'v>> {
    let earlier: HashMap<&str, &VectorSlot> = before.slots.iter().map(|slot| (slot.endpoint.as_str(), slot)).collect();
    let later: HashMap<&str, &VectorSlot> = after.slots.iter().map(|slot| (slot.endpoint.as_str(), slot)).collect();
    let changed = after.slots.iter().filter_map(|slot| {
        let change = match earlier.get(slot.endpoint.as_str()) {
            Some(before) => of_slot(before, slot)?,
            None => Change::Added(slot),
        };
        Some(SlotDiff { endpoint: &slot.endpoint, change })
    });
    let gone = before.slots.iter().filter(|slot| !later.contains_key(slot.endpoint.as_str()));
    changed.chain(gone.map(|slot| SlotDiff { endpoint: &slot.endpoint, change: Change::Removed(slot) })).collect()
}

fn of_slot<'v>(before: &'v VectorSlot, after: &'v VectorSlot) -> Option<Change<'v>> {
    match (&before.body, &after.body) {
        (Some(earlier), Some(later)) => {
            let mut changes = Vec::new();
            compare(String::new(), earlier.trim_ascii(), later.trim_ascii(), &mut changes);
            (!changes.is_empty()).then_some(Change::Document(changes))
        }
        (None, None) if (&before.outcome, before.http_status) == (&after.outcome, after.http_status) => None,
        _ => Some(Change::Outcome { before, after }),
    }
}

/// Documents are at most 128 levels deep, so this recursion is.
fn compare<'v>(path: String, before: &'v str, after: &'v str, changes: &mut Vec<PathChange<'v>>) {
    if before == after {
        return;
    }
    if let (Some(earlier), Some(later)) = (members(before), members(after)) {
        return compare_objects(&path, earlier.collect(), later.collect(), changes);
    }
    if let (Some(earlier), Some(later)) = (elements(before), elements(after)) {
        let (earlier, later): (Vec<_>, Vec<_>) = (earlier.collect(), later.collect());
        for index in 0..earlier.len().max(later.len()) {
            compare_both(format!("{path}/{index}"), earlier.get(index).copied(), later.get(index).copied(), changes);
        }
        return;
    }
    if !same_scalar(before, after) {
        changes.push(PathChange { path, before: Some(before), after: Some(after) });
    }
}

type Members<'v> = Vec<(Cow<'v, str>, &'v str)>;

fn compare_objects<'v>(path: &str, earlier: Members<'v>, later: Members<'v>, changes: &mut Vec<PathChange<'v>>) {
    // Of a key that is there twice the last one counts.
    let keys: Vec<Cow<'v, str>> = earlier.iter().chain(&later).map(|(key, _)| key.clone()).collect();
    let mut earlier: HashMap<Cow<'v, str>, &'v str> = earlier.into_iter().collect();
    let mut later: HashMap<Cow<'v, str>, &'v str> = later.into_iter().collect();
    for key in keys {
        let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        compare_both(path, earlier.remove(&key), later.remove(&key), changes);
    }
}

fn compare_both<'v>(path: String, before: Option<&'v str>, after: Option<&'v str>, changes: &mut Vec<PathChange<'v>>) {
    match (before, after) {
        (Some(before), Some(after)) => compare(path, before, after, changes),
        (None, None) => {}
        (before, after) => changes.push(PathChange { path, before, after }),
    }
}

fn same_scalar(before: &str, after: &str) -> bool {
    let inside = |text: &'_ str| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map(str::to_owned);
    match (inside(before), inside(after)) {
        (Some(before), Some(after)) => unescaped(&before) == unescaped(&after),
        (None, None) => same_number(before, after),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(before: &str, after: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let mut changes = Vec::new();
        compare(String::new(), before, after, &mut changes);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        changes.into_iter().map(|change| (change.path, owned(change.before), owned(change.after))).collect()
    }

    #[test]
    fn documents_differ_by_values_and_not_by_how_they_are_written() {
        assert_eq!(changes(r#"{"a":1.0,"b":["x",{}]}"#, r#"{ "b" : ["\u0078", { }], "a" : 10e-1 }"#), []);
        let change = |path: &str, before: Option<&str>, after: Option<&str>| {
            (path.to_owned(), before.map(str::to_owned), after.map(str::to_owned))
        };
        assert_eq!(
            changes(r#"{"a":{"x/y":1,"z":null},"l":[1,2],"t":"1"}"#, r#"{"a":{"x/y":2},"l":[1,3,4],"t":1,"n":[]}"#),
            [
                change("/a/x~1y", Some("1"), Some("2")),
                change("/a/z", Some("null"), None),
                change("/l/1", Some("2"), Some("3")),
                change("/l/2", None, Some("4")),
                change("/t", Some("\"1\""), Some("1")),
                change("/n", None, Some("[]")),
            ]
        );
        assert_eq!(changes("9007199254740992", "9007199254740993").len(), 1);
        assert_eq!(changes("[]", "{}"), [change("", Some("[]"), Some("{}"))]);
        assert_eq!(changes(r#"{"k":1,"k":2}"#, r#"{"k":2}"#), []);
    }
}
