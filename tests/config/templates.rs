//! Whatever a template says, parsing and rendering it ends soon, in little memory and without a panic.

use std::time::Instant;

use gatherd::config::{Escape, Moments, Template};
use gatherd::model::Timestamp;
use proptest::prelude::*;

use crate::support::PATIENCE;

#[test]
fn no_template_makes_much_text_or_takes_long() {
    let started = Instant::now();
    for text in [
        "{{ 'a' * 100000000 }}".to_owned(),
        "{{ 'a' * 70000 }}".to_owned(),
        "{{ 'aaaaaaaaaa' * 6000 ~ 'b' * 60000 }}".to_owned(),
        format!("{{{{ {} 'a' }}}}", "'a' * 60000 ~ ".repeat(20)),
        "{{ 'a' * 40000 }}".repeat(2),
        "{{ due | strftime('%c' * 60000) }}".to_owned(),
        format!("{{{{ {}due }}}}", "- ".repeat(10_000)),
        format!("{{{{ {}due }}}}", "not ".repeat(10_000)),
        format!("{{{{ {}due{} }}}}", "(".repeat(10_000), ")".repeat(10_000)),
        "{{ due }}".repeat(101),
    ] {
        assert!(Template::parse(&text).is_err(), "{}", &text[..30]);
    }
    let longest = Template::parse("{{ 'a' * 60000 }}").expect("fine").expect("a block");
    assert_eq!(longest.samples(Escape::None).expect("samples")[0].len(), 60_000);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

#[test]
fn the_deepest_expression_fits_a_small_stack() {
    let nest = || {
        for (open, close) in [("(", ")"), ("-", ""), ("not ", ""), ("due if due else ", "")] {
            for depth in [16, 40, 48, 49, 99] {
                let _ = Template::parse(&format!("{{{{ {}due{} }}}}", open.repeat(depth), close.repeat(depth)));
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(nest);
    thread.expect("a thread").join().expect("no overflow");
}

/// Expressions as somebody might write them, mostly wrong.
fn expressions() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "due",
        "now",
        "last_ok",
        "unix",
        "strftime",
        "floor",
        "plus",
        "minus",
        "default",
        "rfc3339",
        "|",
        "|",
        "|",
        "+",
        "-",
        "-",
        "*",
        "**",
        "/",
        "//",
        "%",
        "~",
        "(",
        ")",
        "(",
        ")",
        ",",
        ".",
        "1h",
        "1d30m",
        "5",
        "1e9",
        "1.5",
        "'1h'",
        "\"%F\"",
        "'%'",
        "'Europe/Berlin'",
        "if",
        "else",
        "and",
        "or",
        "not",
        "in",
        "==",
        "<",
        "none",
        "true",
        "[",
        "]",
        "{",
        "}",
        ":",
        "=",
        "\\",
        "'",
        "\"",
        "ü",
        "is",
        "loop",
        "self",
    ]);
    proptest::collection::vec(word, 0..24).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn text_without_blocks_renders_to_itself(text in "\\PC*") {
        if ["{{", "{%", "{#"].iter().all(|mark| !text.contains(mark)) {
            prop_assert_eq!(Template::parse(&text), Ok(None));
        } else {
            let _ = Template::parse(&text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[{}%#'\"\\\\ |a-z0-9()+-]{0,60}") {
        let _ = Template::parse(&text);
    }

    #[test]
    fn what_parses_has_samples_and_never_panics(
        blocks in proptest::collection::vec(expressions(), 1..3),
        (due, now, last_ok) in any::<(i64, i64, Option<i64>)>(),
    ) {
        let text: String = blocks.iter().flat_map(|block| ["a{{ ", block, " }}"]).collect();
        if let Ok(Some(template)) = Template::parse(&text) {
            prop_assert!(template.samples(Escape::Json).is_ok(), "{}", text);
            let [due, now] = [due, now].map(Timestamp::from_micros);
            let moments = Moments { due, now, last_ok: last_ok.map(Timestamp::from_micros) };
            if let Ok(rendered) = template.render(&moments, Escape::Url) {
                prop_assert!(rendered.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/%".contains(c)), "{}", rendered);
            }
        }
    }

    #[test]
    fn a_json_table_renders_to_json(strings in proptest::collection::vec("\\PC{0,12}", 0..4), expression in expressions()) {
        let mut strings = strings;
        strings.push(format!("x{{{{ {expression} }}}}\"y\\"));
        let value = serde_json::json!({ "list": strings });
        if let Ok(Some(template)) = Template::from_json(&value) {
            for sample in template.samples(Escape::Json).expect("samples") {
                prop_assert!(sample.parse::<serde_json::Value>().is_ok(), "{}", sample);
            }
            let placeholders = template.with_placeholders();
            prop_assert_eq!(placeholders.restore(&placeholders.text), template.source());
        }
    }
}
