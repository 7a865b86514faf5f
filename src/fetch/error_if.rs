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
        Some(equals) => tree(equals).is_some_and(|equals| tree(found) == Some(equals)),
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
