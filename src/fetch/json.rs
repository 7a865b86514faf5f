//! Bytes → a document, by RFC 8259 and three rules of ours: UTF-8, at most 128 levels, no lone surrogate.
//!
//! `serde_json::Value` would refuse 1e400 and drop digits, so the text is kept; `RawValue` checks the grammar
//! without building anything, but lets lone surrogates and any depth pass, which one more scan finds.

use memchr::{memchr, memchr2_iter};
use serde_json::value::RawValue;

use crate::model::{Detail, Document, Outcome};

/// The deepest nesting of arrays and objects that is accepted.
pub const MAX_DEPTH: usize = 128;

/// The document that `bytes` are, or why they are none. A leading byte order mark is dropped; nothing else changes.
///
/// # Errors
/// `empty_body`, `invalid_utf8`, `not_json` or `too_deep`, with where it went wrong.
pub fn document(bytes: &[u8]) -> Result<Document, (Outcome, Detail)> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.is_empty() {
        return Err((Outcome::EmptyBody, Detail::new("no body")));
    }
    if is_utf16(bytes) {
        return Err((Outcome::InvalidUtf8, Detail::new("UTF-16, not UTF-8")));
    }
    let text = str::from_utf8(bytes)
        .map_err(|error| (Outcome::InvalidUtf8, Detail::new(format!("not UTF-8 at byte {}", error.valid_up_to()))))?;
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        return Err((Outcome::NotJson, Detail::new(not_json(text, &error))));
    }
    match scan(text.as_bytes()) {
        Scan::Fine => Ok(Document::from_validated(text)),
        Scan::TooDeep => Err((Outcome::TooDeep, Detail::new(format!("nested over {MAX_DEPTH} levels")))),
        Scan::LoneSurrogate(at) => {
            Err((Outcome::NotJson, Detail::new(format!("lone surrogate in a string at byte {at}"))))
        }
    }
}

/// Whether JSON in UTF-16 begins here, by its byte order mark, or by where its zeros are (RFC 4627, section 3): without
/// a mark that is UTF-8 as well, as long as all of it is ASCII.
fn is_utf16(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return true;
    }
    let begins = |zeros: [bool; 4]| bytes.iter().zip(zeros).all(|(&byte, zero)| (byte == 0) == zero);
    bytes.len().is_multiple_of(2) && (begins([true, false, true, false]) || begins([false, true, false, true]))
}

fn not_json(text: &str, error: &serde_json::Error) -> String {
    let start = text.trim_start();
    if start.starts_with('<') {
        return format!("looks like {}, not JSON", if is_html(start) { "HTML" } else { "XML" });
    }
    error.to_string()
}

fn is_html(text: &str) -> bool {
    let head = text.get(..text.floor_char_boundary(256)).unwrap_or_default().to_ascii_lowercase();
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|mark| head.contains(mark))
}

enum Scan {
    Fine,
    TooDeep,
    LoneSurrogate(usize),
}

/// Looks for what the grammar allows and we do not. `text` is valid JSON, so quotes, brackets and escapes balance.
fn scan(text: &[u8]) -> Scan {
    // Most documents have no escape and few brackets, which is quickly seen.
    if memchr(b'\\', text).is_none() && memchr2_iter(b'[', b'{', text).nth(MAX_DEPTH).is_none() {
        return Scan::Fine;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Scan::TooDeep;
                }
            }
            b']' | b'}' => depth -= 1,
            b'"' => match scan_string(text, at) {
                Ok(end) => at = end,
                Err(surrogate) => return Scan::LoneSurrogate(surrogate),
            },
            _ => {}
        }
    }
    Scan::Fine
}

/// From behind the opening quote to behind the closing one, or the place of a lone surrogate.
fn scan_string(text: &[u8], mut at: usize) -> Result<usize, usize> {
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => match surrogate(text, at) {
                Some(0xD800..=0xDBFF) if text.get(at + 5) == Some(&b'\\') => match surrogate(text, at + 6) {
                    Some(0xDC00..=0xDFFF) => at += 11,
                    _ => return Err(at - 1),
                },
                Some(0xD800..=0xDFFF) => return Err(at - 1),
                _ => at += 1,
            },
            _ => {}
        }
    }
    Ok(at)
}

/// The code unit of an escape `uXXXX` that starts at `at`.
fn surrogate(text: &[u8], at: usize) -> Option<u16> {
    let hex = text.get(at..at + 5)?.strip_prefix(b"u")?;
    u16::from_str_radix(str::from_utf8(hex).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(bytes: impl AsRef<[u8]>) -> Outcome {
        document(bytes.as_ref()).map_or_else(|(outcome, _)| outcome, |_| Outcome::Ok)
    }

    #[test]
    fn a_document_is_kept_to_the_byte_but_for_one_byte_order_mark() {
        let text = " {\"a\": 1e400, \"a\": -0.0, \"id\": 12345678901234567890123}\n";
        let kept = document(&[b"\xEF\xBB\xBF", text.as_bytes()].concat()).expect("a document");
        assert_eq!(kept.text(), text);
        assert_eq!(outcome("\u{FEFF}\u{FEFF}1"), Outcome::NotJson);
    }

    #[test]
    fn nesting_is_fine_to_128_levels_and_too_deep_beyond() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(outcome(nested(128)), Outcome::Ok);
        assert_eq!(outcome(nested(129)), Outcome::TooDeep);
        assert_eq!(outcome("[".repeat(129)), Outcome::NotJson);
    }

    #[test]
    fn lone_surrogates_are_refused_and_pairs_are_kept() {
        for lone in [
            r#"["\uD800"]"#,
            r#""\udc00""#,
            r#""\uD800\u0041""#,
            r#""\uD800\\uDC00""#,
            r#""\uD800x""#,
            r#"{"\uDEAD":1}"#,
        ] {
            assert_eq!(outcome(lone), Outcome::NotJson, "{lone}");
        }
        for fine in [r#""\uD834\uDD1E""#, r#""\\uD800""#, r#""\u0041\n\"""#] {
            assert_eq!(outcome(fine), Outcome::Ok, "{fine}");
        }
    }

    #[test]
    fn what_is_not_one_json_document_is_named() {
        for bad in ["{\"a\": NaN}", "{} {}", "{}\0", "<html>", "'a'", "01", "{\"a\":1,}"] {
            assert_eq!(outcome(bad), Outcome::NotJson, "{bad}");
        }
        assert_eq!(outcome(""), Outcome::EmptyBody);
        assert_eq!(outcome(b"\"\xFF\""), Outcome::InvalidUtf8);
        for utf16 in [b"{\0}\0".as_slice(), b"\0[\0]", b"1\0", b"\0\"\0a\0\"", b"\xFF\xFE{\0}\0", b"\xFE\xFF\0{\0}"] {
            let (outcome, detail) = document(utf16).expect_err("UTF-16");
            assert_eq!((outcome, detail.as_str()), (Outcome::InvalidUtf8, "UTF-16, not UTF-8"), "{utf16:?}");
        }
        assert_eq!(outcome(b"[\0]"), Outcome::NotJson);
        assert_eq!(outcome("null"), Outcome::Ok);
    }

    #[test]
    fn html_is_called_html() {
        let (_, detail) = document(b"<!DOCTYPE html><title>Just a moment...</title>").expect_err("HTML");
        assert_eq!(detail.as_str(), "looks like HTML, not JSON");
    }
}
