//! JSON text → a tree to look into, each text in it a text whatever its key.
//!
//! Servers decide how deep a text is, and workers have small stacks, so it is read without recursion, and a tree is never
//! deeper than what drops, compares and prints it can walk down. `serde_json::Value` would also take an object with one
//! key of its own for a sign, and parse the text behind it as a document.

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The deepest nesting of arrays and objects in a tree. What says what is wrong is never near it.
const DEEPEST: usize = 16;

/// The tree of `text`, if it is JSON, at most 16 levels deep, without a number beyond `f64`.
pub fn tree(text: &str) -> Option<Value> {
    // Checks the grammar without recursion, so that only what is open has to be minded below.
    serde_json::from_str::<&RawValue>(text).ok()?;
    let mut open: Vec<Open> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', ',', ':']);
        let value = match rest.as_bytes().first()? {
            b'[' | b'{' if open.len() == DEEPEST => return None,
            b'[' => {
                open.push(Open::List(Vec::new()));
                rest = &rest[1..];
                continue;
            }
            b'{' => {
                open.push(Open::Table(Map::new(), None));
                rest = &rest[1..];
                continue;
            }
            b']' | b'}' => {
                rest = &rest[1..];
                open.pop()?.closed()
            }
            _ => {
                let (scalar, behind) = rest.split_at(scalar_length(rest));
                rest = behind;
                serde_json::from_str(scalar).ok()?
            }
        };
        match open.last_mut() {
            Some(inner) => inner.add(value),
            None => return Some(value),
        }
    }
}

/// What has begun and not ended.
enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Table(Map<String, Value>, Option<String>),
}

impl Open {
    fn add(&mut self, value: Value) {
        match self {
            Self::List(list) => list.push(value),
            Self::Table(table, key) => match (key.take(), value) {
                (Some(key), value) => {
                    table.insert(key, value);
                }
                (None, Value::String(name)) => *key = Some(name),
                // The grammar was checked: a key is a text.
                (None, _) => {}
            },
        }
    }

    fn closed(self) -> Value {
        match self {
            Self::List(list) => Value::Array(list),
            Self::Table(table, _) => Value::Object(table),
        }
    }
}

/// The length of the text, number or word that `text` begins with.
fn scalar_length(text: &str) -> usize {
    if !text.starts_with('"') {
        return text.find([' ', '\t', '\n', '\r', ',', ':', ']', '}']).unwrap_or(text.len());
    }
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
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
            r#"{"a,]}": "\\\\", "b": {"c": [[], {"": [1,2 , 3]}]}, "c\"": ""}"#,
            "{\"a\":1,}",
            "",
            "\"text\"",
            "1e400",
            "[1,]",
            "1 2",
        ] {
            assert_eq!(tree(text), serde_json::from_str(text).ok(), "{text}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(tree(&nested(DEEPEST)), serde_json::from_str(&nested(DEEPEST)).ok());
        assert_eq!(tree(&nested(DEEPEST + 1)), None);
    }

    #[test]
    fn a_text_stays_a_text_behind_the_key_that_serde_json_takes_for_a_sign() {
        let text = r#"{"$serde_json::private::RawValue": "{\"error\": 1}"}"#;
        let tree = tree(text).expect("a tree");
        assert_eq!(tree["$serde_json::private::RawValue"], "{\"error\": 1}");
        assert_eq!(tree["error"], json!(null));
    }

    #[test]
    fn no_depth_costs_more_than_a_small_stack_has() {
        let looked_at = || {
            for depth in [1, DEEPEST, DEEPEST + 1, 127, 128, 100_000] {
                let list = "[".repeat(depth) + &"]".repeat(depth);
                let table = "{\"error\":".repeat(depth) + "1" + &"}".repeat(depth);
                for text in [list, table] {
                    let tree = tree(&text);
                    assert_eq!(tree.clone(), tree);
                    assert_eq!(tree.map(|tree| tree.to_string()), (depth <= DEEPEST).then_some(text), "{depth}");
                }
            }
        };
        let thread = std::thread::Builder::new().stack_size(64 * 1024).spawn(looked_at).expect("a thread");
        thread.join().expect("no panic");
    }
}
