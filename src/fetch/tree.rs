//! JSON text → a tree to look into, each text in it a text whatever its key.
//!
//! `serde_json::Value` takes an object with one key of its own for a sign: it parses the text behind it as a document,
//! which may have one in it again, each to a depth of its own. A server that knows this ends a worker's stack.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The tree of `text`, where `serde_json` has one: at most 127 levels deep, no number beyond `f64`.
pub fn tree(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().map(|Tree(value)| value)
}

struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Self)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut table = Map::new();
        while let Some((key, Tree(value))) = members.next_entry()? {
            table.insert(key, value);
        }
        Ok(Value::Object(table))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tree_is_that_of_serde_json() {
        for text in [
            r#"{"a": [1, -1, 1.5, 1e3, -0, -0.0, 18446744073709551615, 18446744073709551616], "b": "\u00fc\n", "a": null}"#,
            " [true, false, {}, []] ",
            "\"text\"",
            "1e400",
            "[1,]",
            "1 2",
        ] {
            assert_eq!(tree(text), serde_json::from_str(text).ok(), "{text}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(tree(&nested(127)).is_some());
        assert!(tree(&nested(128)).is_none());
    }

    #[test]
    fn a_text_stays_a_text_behind_the_key_that_serde_json_takes_for_a_sign() {
        let text = r#"{"$serde_json::private::RawValue": "{\"error\": 1}"}"#;
        let tree = tree(text).expect("a tree");
        assert_eq!(tree["$serde_json::private::RawValue"], "{\"error\": 1}");
        assert_eq!(tree["error"], json!(null));
    }
}
