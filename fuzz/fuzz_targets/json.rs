//! Bytes → a document: what serde_json has to say about them, but for the rules that are ours.

#![no_main]

use gatherd::fetch::json::{MAX_DEPTH, document};
use gatherd::model::Outcome;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

fuzz_target!(|bytes: &[u8]| {
    let value = serde_json::from_slice::<Value>(bytes);
    match document(bytes) {
        Ok(document) => {
            let text = document.text();
            assert_eq!(text.as_bytes(), bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes), "kept as sent");
            serde_json::from_str::<&RawValue>(text).expect("what is accepted follows the grammar");
            assert!(depth(text) <= MAX_DEPTH);
            // serde_json's Value takes one key, perhaps with escapes in it, for a sign of its own; beside that it refuses
            // only numbers beyond f64 and the last level.
            let may_be_a_sign = text.contains("RawValue") || text.contains("\\u");
            if let Err(error) = document.parse::<Value>()
                && !may_be_a_sign
            {
                let error = error.to_string();
                assert!(error.contains("number out of range") || error.contains("recursion limit"), "{error}");
            }
        }
        Err((outcome, detail)) => {
            assert!(value.is_err(), "{outcome} ({detail}), but it parses");
            let refusals = [Outcome::EmptyBody, Outcome::InvalidUtf8, Outcome::NotJson, Outcome::TooDeep];
            assert!(refusals.contains(&outcome), "{outcome}");
            assert!(!detail.as_str().is_empty() && detail.as_str().len() <= 200, "{detail}");
        }
    }
});

/// How deep the arrays and objects of a valid document are nested.
fn depth(text: &str) -> usize {
    let (mut deepest, mut depth, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
