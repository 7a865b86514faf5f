//! Documents that mean failure though their status says success: the rule `error_if`.

use serde_json::Value;

use super::tree::tree;
use crate::config::ErrorIf;
use crate::model::Document;

/// Whether `document` says what `rule` calls a failure.
pub fn holds(rule: &ErrorIf, document: &Document) -> bool {
    let Some(found) = rule.pointer.find(document.text()) else { return false };
    match &rule.equals {
        None => !is_empty(found),
        Some(equals) => tree(equals).zip(tree(found)).is_some_and(|(equals, found)| is_same(&equals, &found)),
    }
}

/// Whether two values are the same; a number however it is written.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        // Two different integers may be the same as floats.
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}

/// Whether JSON says that there is nothing: as `"errors": []` and `"error": 0` do of APIs that always have such a member.
fn is_empty(json: &str) -> bool {
    match tree(json) {
        // It is deep, or beyond the numbers that are compared.
        None | Some(Value::Bool(true)) => false,
        Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(elements)) => elements.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::json;
    use crate::model::Pointer;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let rule = |equals: &str| ErrorIf {
            pointer: Pointer::parse("/code").expect("a pointer"),
            equals: Some(equals.to_owned()),
        };
        let says = |equals, code| {
            let document = json::document(format!("{{\"code\":{code}}}").as_bytes()).expect("a document");
            holds(&rule(equals), &document)
        };
        for (equals, code) in [("1", "1.0"), ("1.0", "1"), ("1e2", "100"), ("0", "-0.0"), ("\"a\"", "\"\\u0061\"")] {
            assert!(says(equals, code), "{equals} is {code}");
        }
        for (equals, code) in [("1", "1.5"), ("1", "\"1\""), ("9007199254740993", "9007199254740992"), ("1", "true")] {
            assert!(!says(equals, code), "{equals} is not {code}");
        }
    }
}
