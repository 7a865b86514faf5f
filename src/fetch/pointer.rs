//! JSON pointers (RFC 6901) into the text of a document: what they point at is found as it was sent, to the digit.
//!
//! Nothing is built on the way: a list of the elements would be many times as large as a text whose elements are small.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A key, which may have escapes in it.
#[derive(Deserialize)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

/// The text of what `pointer` points at. Of a key that is there twice the last one counts, as in most parsers.
pub fn find<'t>(document: &'t str, pointer: &str) -> Option<&'t str> {
    let mut found = document.trim_ascii();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let mut next = None;
        if found.starts_with('{') {
            each_member(found, |key, value| {
                if key == token {
                    next = Some(value);
                }
            })?;
        } else {
            let leading_zero = token.len() > 1 && token.starts_with('0');
            let index = token.parse::<usize>().ok().filter(|_| !leading_zero && !token.starts_with('+'))?;
            let mut at = 0;
            each_element(found, |element| {
                if at == index {
                    next = Some(element);
                }
                at += 1;
            })?;
        }
        found = next?;
    }
    Some(found)
}

/// Shows the text of each of an array's elements; `None` when `text` is no array.
pub fn each_element<'t>(text: &'t str, see: impl FnMut(&'t str)) -> Option<()> {
    Elements(see).deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
}

/// Shows the key of each of an object's members, without escapes, and the text of its value; `None` when `text` is no
/// object.
pub fn each_member<'t>(text: &'t str, see: impl FnMut(&str, &'t str)) -> Option<()> {
    Members(see).deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de str)> DeserializeSeed<'de> for Elements<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&RawValue>()? {
            (self.0)(element.get());
        }
        Ok(())
    }
}

struct Members<F>(F);

impl<'de, F: FnMut(&str, &'de str)> DeserializeSeed<'de> for Members<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, &'de str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some((Key(key), value)) = members.next_entry::<Key<'de>, &RawValue>()? {
            (self.0)(&key, value.get());
        }
        Ok(())
    }
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
    }

    #[test]
    fn elements_and_members_are_shown_as_they_were_sent() {
        let mut seen = Vec::new();
        assert_eq!(each_element("[1 ,[2], \"3\"]", |element| seen.push(element)), Some(()));
        assert_eq!(seen, ["1", "[2]", "\"3\""]);
        assert_eq!(each_element("{}", |_| ()), None);
        let mut seen = Vec::new();
        assert_eq!(
            each_member(r#"{"\u0061": 1.0, "b": {"c": 2} }"#, |key, value| seen.push(format!("{key} {value}"))),
            Some(())
        );
        assert_eq!(seen, ["a 1.0", r#"b {"c": 2}"#]);
        assert_eq!(each_member("[]", |_, _| ()), None);
    }
}
