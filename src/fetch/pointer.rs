//! JSON pointers (RFC 6901) into the text of a document: what they point at is found as it was sent, to the digit.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A key, which may have escapes in it.
#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

/// The text of what `pointer` points at. Of a key that is there twice the last one counts, as in most parsers.
pub fn find<'t>(document: &'t str, pointer: &str) -> Option<&'t str> {
    let mut found = document.trim_ascii();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        found = if found.starts_with('{') {
            let members: HashMap<Key<'t>, &'t RawValue> = serde_json::from_str(found).ok()?;
            members.get(&Key(Cow::Owned(token)))?.get()
        } else {
            let leading_zero = token.len() > 1 && token.starts_with('0');
            let index = token.parse::<usize>().ok().filter(|_| !leading_zero && !token.starts_with('+'))?;
            elements(found)?.get(index)?
        };
    }
    Some(found)
}

/// The texts of an array's elements; `None` when `text` is no array.
pub fn elements(text: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pointer_points_at_is_found_as_it_was_sent() {
        let document = r#" {"a": [1.10, {"b/c": "x"}], "a~b": 1e400, "": 2, "\u006b": 3, "k2": 1, "k2": 12345678901234567890.10} "#;
        for (pointer, expected) in [
            ("/a/0", Some("1.10")),
            ("/a/1/b~1c", Some("\"x\"")),
            ("/a~0b", Some("1e400")),
            ("/", Some("2")),
            ("/k", Some("3")),
            ("/k2", Some("12345678901234567890.10")),
            ("/a/01", None),
            ("/a/+1", None),
            ("/a/-", None),
            ("/a/2", None),
            ("/b", None),
            ("/a~0b/x", None),
        ] {
            assert_eq!(find(document, pointer), expected, "{pointer}");
        }
        assert_eq!(find(document, ""), Some(document.trim()));
        assert_eq!(elements("[1 ,[2], \"3\"]"), Some(vec!["1", "[2]", "\"3\""]));
        assert_eq!(elements("{}"), None);
    }
}
