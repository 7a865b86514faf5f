//! Templates of people: whatever they say, rendering them is bounded, and a value stays within what is around it.

#![no_main]

use gatherd::config::{Escape, Moments, Template};
use gatherd::model::Timestamp;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

/// What the values of one template come to at most before they are escaped, and how much longer escapes make them.
const LARGEST: usize = 64 * 1024;
const LONGEST_URL_ESCAPE: usize = "%00".len();
const LONGEST_JSON_ESCAPE: usize = r"\u0000".len();

/// Microseconds: the ends of the number, the ends of RFC 3339 and beyond them, around the epoch, in both hours of
/// 25 October 2026 that Berlin calls two o'clock, a leap day, and a moment like any other.
const MICROS: [i64; 12] = [
    i64::MIN,
    i64::MAX,
    -62_167_219_200_000_000,
    -62_167_219_200_000_001,
    253_402_300_799_999_999,
    253_402_300_800_000_000,
    -1,
    0,
    1_792_888_200_000_000,
    1_792_891_800_000_000,
    1_709_208_000_000_000,
    1_795_507_201_250_000,
];

fuzz_target!(|text: &str| {
    as_text(text);
    as_json(text);
});

fn moments() -> impl Iterator<Item = Moments> {
    let at = |index: usize| Timestamp::from_micros(MICROS[index % MICROS.len()]);
    (0..MICROS.len()).flat_map(move |index| {
        let last_ok = Some(at(index + 7));
        [last_ok, None].map(|last_ok| Moments { due: at(index), now: at(index + 1), last_ok })
    })
}

fn as_text(text: &str) {
    let template = match Template::parse(text) {
        Ok(Some(template)) => template,
        Ok(None) => return assert!(!text.contains("{{"), "a block is no literal"),
        Err(problem) => return assert!(!problem.is_empty() && problem.len() < 2_000, "{problem}"),
    };
    assert_eq!(template.source(), text);
    for escape in [Escape::Url, Escape::Json, Escape::None] {
        let samples = template.samples(escape).expect("samples were tried when it was parsed");
        assert_eq!(samples.len(), 1 + usize::from(template.asks_for_last_ok()));
    }
    let placeholders = template.with_placeholders();
    assert_eq!(placeholders.restore(&placeholders.text), text);
    for moments in moments() {
        let Ok(plain) = template.render(&moments, Escape::None) else { continue };
        assert!(plain.len() <= text.len() + LARGEST);
        in_url(&template.render(&moments, Escape::Url).expect("no problem of the escape"), &placeholders.text, &plain);
        let json = template.render(&moments, Escape::Json).expect("no problem of the escape");
        assert!(json.len() <= text.len() + LARGEST * LONGEST_JSON_ESCAPE);
    }
}

/// All that a URL could be changed by stands in the literals.
fn in_url(url: &str, literals: &str, plain: &str) {
    assert!(url.len() <= literals.len() + LARGEST * LONGEST_URL_ESCAPE);
    let signs =
        |text: &str| text.chars().filter(|&c| !c.is_ascii_alphanumeric() && !"-._~:/%".contains(c)).collect::<String>();
    assert_eq!(signs(url), signs(literals), "{url}");
    if !literals.contains('%') {
        assert_eq!(percent_decode_str(url).decode_utf8().as_deref(), Ok(plain));
    }
}

/// As a body: what is text in it stays text, what is none stays what it is.
fn as_json(text: &str) {
    let written = serde_json::from_str(text).unwrap_or_else(|_| json!({ "a": [text], "b": 1 }));
    let Ok(Some(template)) = Template::from_json(&written) else { return };
    for moments in moments() {
        let Ok(rendered) = template.render(&moments, Escape::Json) else { continue };
        let rendered = rendered.parse().unwrap_or_else(|error| panic!("{error}: {rendered}"));
        assert_alike(&written, &rendered);
    }
}

fn assert_alike(written: &Value, rendered: &Value) {
    match (written, rendered) {
        (Value::String(_), Value::String(_)) => {}
        (Value::Array(written), Value::Array(rendered)) => {
            assert_eq!(written.len(), rendered.len());
            written.iter().zip(rendered).for_each(|(written, rendered)| assert_alike(written, rendered));
        }
        // Keys may have blocks, and then be equal.
        (Value::Object(written), Value::Object(rendered)) => assert!(rendered.len() <= written.len()),
        _ => assert_eq!(written, rendered),
    }
}
