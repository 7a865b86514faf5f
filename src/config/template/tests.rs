use super::*;

/// A Tuesday, 08:00:00 in UTC; the request is made 1.25 s later, and the last success was an hour before.
const MOMENTS: Moments = SAMPLE;

const FIRST_ROUND: Moments = Moments { last_ok: None, ..SAMPLE };

fn template(text: &str) -> Template {
    let parsed = Template::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    parsed.unwrap_or_else(|| panic!("{text}: no block"))
}

fn rendered(text: &str) -> String {
    template(text).render(&MOMENTS, Escape::None).unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

fn problem(text: &str) -> String {
    Template::parse(text).err().unwrap_or_else(|| panic!("{text} is a template"))
}

#[test]
fn a_moment_is_written_as_rfc_3339_in_utc_to_the_second() {
    assert_eq!(rendered("{{ due }}"), "2026-11-24T08:00:00Z");
    assert_eq!(rendered("{{now}}"), "2026-11-24T08:00:01Z");
    assert_eq!(rendered("{{ due | rfc3339 }}"), "2026-11-24T08:00:00Z");
    assert_eq!(
        rendered("from {{ last_ok | default(due) }} to {{ due }}."),
        "from 2026-11-24T07:00:00Z to 2026-11-24T08:00:00Z."
    );
}

#[test]
fn a_duration_moves_a_moment() {
    for (text, expected) in [
        ("{{ due - 1h }}", "2026-11-24T07:00:00Z"),
        ("{{ due-1h }}", "2026-11-24T07:00:00Z"),
        ("{{ due -1h }}", "2026-11-24T07:00:00Z"),
        ("{{ due + 1h30m }}", "2026-11-24T09:30:00Z"),
        ("{{ (due - 1d) }}", "2026-11-23T08:00:00Z"),
        ("{{ due - 1d + 1h - 30s }}", "2026-11-23T08:59:30Z"),
        ("{{ (due - 1d) + 1w }}", "2026-11-30T08:00:00Z"),
        ("{{ now - 1250ms }}", "2026-11-24T08:00:00Z"),
        ("{{ due | minus(\"1h\") | plus('5m') }}", "2026-11-24T07:05:00Z"),
        ("{{ due + 0s }}", "2026-11-24T08:00:00Z"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn a_filter_behind_a_duration_is_for_the_moment_that_was_moved() {
    assert_eq!(rendered("{{ due - 1h | unix }}"), "1795503600");
    assert_eq!(rendered("{{ due - 1h | unix_ms }}"), "1795503600000");
    assert_eq!(rendered("{{ (due | unix) - 3600 }}"), "1795503600");
    assert_eq!(rendered("{{ due | unix - 3600 }}"), "1795503600");
    assert_eq!(rendered("{{ 'a' ~ due - 1h }}"), "a2026-11-24T07:00:00Z");
}

#[test]
fn what_looks_like_a_duration_in_quotes_is_text() {
    assert_eq!(rendered("{{ 'due - 1h' }}"), "due - 1h");
    assert_eq!(rendered(r#"{{ "\"- 1h }}" }}"#), "\"- 1h }}");
    assert_eq!(rendered("{{ due | strftime('- 1h %H') }}"), "- 1h 08");
}

#[test]
fn the_filters_write_and_round() {
    for (text, expected) in [
        ("{{ now | unix }}", "1795507201"),
        ("{{ now | unix_ms }}", "1795507201250"),
        ("{{ due | unix * 1000000000 }}", "1795507200000000000"),
        ("{{ due | strftime('%Y-%m-%d') }}", "2026-11-24"),
        ("{{ due | strftime(\"%F %T\", \"Europe/Berlin\") }}", "2026-11-24 09:00:00"),
        ("{{ due | strftime('%FT%T%:z', 'America/New_York') }}", "2026-11-24T03:00:00-05:00"),
        ("{{ due | strftime('100%%') }}", "100%"),
        ("{{ now | floor('1m') }}", "2026-11-24T08:00:00Z"),
        ("{{ now + 59m | floor(\"1h\") }}", "2026-11-24T08:00:00Z"),
        ("{{ due | floor('1d') }}", "2026-11-24T00:00:00Z"),
        ("{{ due | floor('1d') - 1d | unix }}", "1795392000"),
        ("{{ due if due < now else now }}", "2026-11-24T08:00:00Z"),
        ("{{ due == due + 0s }}", "true"),
        ("{{ 7 // 2 }}", "3"),
        ("{{ 1.5 }}", "1.5"),
        ("{{ 1e3 }}", "1000.0"),
        ("{{ 0x10 }}", "16"),
    ] {
        assert_eq!(rendered(text), expected, "{text}");
    }
}

#[test]
fn rounding_down_goes_down_before_the_epoch_too() {
    let moments = Moments { due: Timestamp::from_micros(-1), ..MOMENTS };
    let render = |text: &str| template(text).render(&moments, Escape::None);
    assert_eq!(render("{{ due | unix }}").as_deref(), Ok("-1"));
    assert_eq!(render("{{ due | floor('1h') }}").as_deref(), Ok("1969-12-31T23:00:00Z"));
}

#[test]
fn arithmetic_stops_at_the_ends_of_time() {
    assert_eq!(rendered("{{ due + 99999999999999w }}"), "9999-12-31T23:59:59Z");
    assert_eq!(rendered("{{ due - 99999999999999w + 1s }}"), "0000-01-01T00:00:01Z");
    assert_eq!(rendered("{{ due | floor('99999999999999w') }}"), "1970-01-01T00:00:00Z");
    for micros in [i64::MIN, i64::MAX] {
        let end = Timestamp::from_micros(micros);
        let moments = Moments { due: end, now: end, last_ok: Some(end) };
        for text in
            ["{{ due - 1h }}", "{{ due + 1h | strftime('%c %Z', 'Pacific/Kiritimati') }}", "{{ now | floor('7d') }}"]
        {
            template(text).render(&moments, Escape::None).unwrap_or_else(|problem| panic!("{text}: {problem}"));
        }
    }
}

#[test]
fn the_first_round_has_no_last_success() {
    for text in [
        "{{ last_ok | default(due - 1d) }}",
        "{{ last_ok | unix | default((due - 1d) | unix) }}",
        "{{ last_ok + 1s | default(due) | strftime('%T') }}",
        "{{ last_ok or due - 1d }}",
        "{{ last_ok if last_ok else due - 1d }}",
    ] {
        let template = template(text);
        assert!(template.asks_for_last_ok());
        assert!(template.render(&FIRST_ROUND, Escape::None).is_ok(), "{text}");
        assert_ne!(template.render(&FIRST_ROUND, Escape::None), template.render(&MOMENTS, Escape::None), "{text}");
    }
    for text in ["{{ last_ok }}", "{{ last_ok - 1h | unix }}", "a{{ due }}{{ last_ok ~ ': x' }}", "{{ due > last_ok }}"]
    {
        let problem = problem(text);
        let expected = "there is no last success in the first round: write {{ last_ok | default(due - 1d) }}";
        assert!(problem.starts_with("in {{") && problem.ends_with(expected), "{problem}");
        assert!(problem.contains("last_ok ~") || !text.contains('~'), "{problem}");
    }
    assert!(!template("{{ due | strftime('last_ok') }}last_ok").asks_for_last_ok());
}

#[test]
fn a_mistake_is_told_with_its_block_and_what_would_be_right() {
    for (text, expected) in [
        ("{{ dew }}", "there is no name `dew`; names: due, now, last_ok"),
        ("{{ now() }}", "now"),
        ("{{ range(5) }}", "there is no function `range`"),
        ("{{ unix(due) }}", "`unix` is a filter: it stands behind a moment and |, as in due | unix"),
        (
            "{{ due | upper }}",
            "there is no filter `upper`; filters: unix, unix_ms, rfc3339, strftime, plus, minus, floor",
        ),
        ("{{ due if true else due | upper }}", "there is no filter `upper`"),
        ("{{ due if true else dew }}", "there is no name `dew`"),
        ("{{ due - 5 }}", "takes + and - with a duration and its unit, such as due - 1h"),
        ("{{ due + due }}", "takes + and - with a duration"),
        ("{{ 1h }}", "stands behind a moment and + or -"),
        ("{{ due - 1h 30m }}", "in one word, as in due - 1h30m"),
        ("{{ -1h }}", "stands behind a moment and + or -"),
        ("{{ due * 2h }}", "stands behind a moment and + or -"),
        ("{{ due - 1y }}", "\"1y\" is not a duration: write one such as 90s, 15m, 1h30m or 7d"),
        ("{{ due - 1.5h }}", "a duration has whole numbers"),
        ("{{ due - 99999999999999999999s }}", "is not a duration"),
        ("{{ due | floor('0s') }}", "\"0s\" is not a duration"),
        ("{{ due | floor }}", "argument"),
        ("{{ due | plus('soon') }}", "\"soon\" is not a duration"),
        ("{{ due | unix - 1h }}", "needs a moment before it"),
        ("{{ 5 | unix }}", "unix needs a moment before it"),
        ("{{ due | strftime('%Q') }}", "\"%Q\" is not a pattern for strftime"),
        ("{{ due | strftime('%') }}", "is not a pattern for strftime"),
        ("{{ due | strftime('%F', 'Berlin') }}", "\"Berlin\" is not a time zone"),
        ("{{ due.year }}", "there are no fields"),
        ("{{ [due] }}", "lists and tables"),
        ("{{ {'a': 1} }}", "lists and tables"),
        ("{{ (due, now) }}", "lists and tables"),
        ("{{ 'abc'[0] }}", "lists and tables"),
        ("{{ none }}", "it has no value"),
        ("{{ due if false }}", "it has no value"),
        ("{{ 10.0 ** 400 }}", "not a number that can be sent"),
        ("{{ due is defined }}", "there are no tests"),
        ("{{ 1 // 0 }}", "unable to calculate"),
        ("{{ due due }}", "it is not an expression"),
        ("{{ due | }}", "it is not an expression"),
        ("{{ ü }}", "it is not an expression"),
        ("{{ }}", "it is empty"),
        ("{{}}", "it is empty"),
    ] {
        let problem = problem(text);
        assert!(problem.contains(expected), "{text}: {problem}");
        assert!(problem.starts_with(&format!("in {text}: ")), "{text}: {problem}");
    }
}

#[test]
fn a_block_that_does_not_end_is_a_mistake() {
    for text in ["a{{ due", "{{ due }", "{{ 'due }}", "{{ \"a\\\" }}", "{{"] {
        let problem = problem(text);
        assert!(problem.contains("is not closed: }} is missing, or a quote inside"), "{text}: {problem}");
    }
}

#[test]
fn statements_and_comments_of_other_template_languages_are_mistakes() {
    assert!(problem("{% if due %}1{% endif %}").contains("there are no statements ({% … %})"));
    assert!(problem("{{ due }}{# {{ now }} #}").contains("there are no comments ({# … #})"));
    assert_eq!(rendered("{{ '{%' }} x %}"), "{% x %}");
}

#[test]
fn what_has_no_block_is_no_template() {
    for text in
        ["", "https://api.example.com/a?b=}}&c=%7B%7B", "{\"a\":{\"b\":{}}}", "?q={%22a%22:1}", "{#", "{ {due} }"]
    {
        assert_eq!(Template::parse(text), Ok(None), "{text}");
    }
}

#[test]
fn braces_can_be_written() {
    assert_eq!(rendered("{{ \"{{\" }} due }}"), "{{ due }}");
    assert_eq!(rendered("{{ '}}' }}"), "}}");
    assert_eq!(rendered("{\"a\":{\"b\":{{ due | unix }}}}"), "{\"a\":{\"b\":1795507200}}");
}

#[test]
fn a_value_begins_no_further_part_of_a_url() {
    let text = "https://api.example.com/{{ 'a/b?c#d&e=f g+h%ü-._~' }}?from={{ due }}&to=a+b";
    let url = template(text).render(&MOMENTS, Escape::Url).expect("rendered");
    let escaped = "a/b%3Fc%23d%26e%3Df%20g%2Bh%25%C3%BC-._~";
    assert_eq!(url, format!("https://api.example.com/{escaped}?from=2026-11-24T08:00:00Z&to=a+b"));
}

#[test]
fn a_value_stays_within_its_json_string() {
    let text = r#"{"a": "{{ 'say "hi"\n\\' }}", "from": {{ due | unix }}, "to": "{{ due }}", "b": {{ 1 == 1 }}}"#;
    let template = template(text);
    for json in template.samples(Escape::Json).expect("samples") {
        let json: serde_json::Value = json.parse().unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(json["a"], "say \"hi\"\n\\");
        assert_eq!(json["from"], 1_795_507_200);
        assert_eq!(json["b"], true);
    }
}

#[test]
fn samples_have_a_first_round_only_where_that_differs() {
    assert_eq!(template("{{ due }}").samples(Escape::None).expect("samples").len(), 1);
    let samples = template("{{ last_ok | unix | default('never') }}").samples(Escape::Json).expect("samples");
    assert_eq!(samples, ["1795503600", "never"]);
}

#[test]
fn a_json_table_is_a_template_where_a_string_in_it_has_a_block() {
    let value = serde_json::json!({
        "range": ["{{ due - 1d | strftime(\"%F\") }}", "until \"{{ due | strftime('%F') }}\"\n"],
        "{{ due | unix }}": 1.5, "other": [null, true, {}], "{%": "%}",
    });
    let template = Template::from_json(&value).expect("fine").expect("a block");
    assert!(template.source().contains(r#"{{ due - 1d | strftime("%F") }}"#), "{template:?}");
    let text = template.render(&MOMENTS, Escape::Json).expect("rendered");
    let expected = serde_json::json!({
        "range": ["2026-11-23", "until \"2026-11-24\"\n"],
        "1795507200": 1.5, "other": [null, true, {}], "{%": "%}",
    });
    assert_eq!(text.parse::<serde_json::Value>().expect("JSON"), expected);

    assert_eq!(Template::from_json(&serde_json::json!({"a": ["b", 1]})), Ok(None));
    assert!(Template::from_json(&serde_json::json!({"a": "{{ dew }}"})).is_err());
}

#[test]
fn blocks_survive_what_takes_a_url_apart() {
    let written = "https://u:p@{{ 'API' }}.example.com/GatherdBlock/{{ due | strftime(\"%F\") }}?from={{ due - 1h }}#x";
    let placeholders = template(written).with_placeholders();
    let url = url::Url::parse(&placeholders.text).expect("a URL");
    let shown = placeholders.restore(&crate::config::shown_url::shown_url(&url));
    let expected = "https://{{ 'API' }}.example.com/GatherdBlock/{{ due | strftime(\"%F\") }}?from={{ due - 1h }}";
    assert_eq!(shown, expected);

    let many = "{{ due }}".repeat(12);
    let placeholders = template(&many).with_placeholders();
    assert_eq!(placeholders.restore(&placeholders.text), many);
}

#[test]
fn templates_are_equal_that_are_written_alike() {
    assert_eq!(template("a{{ due }}"), template("a{{ due }}"));
    assert_ne!(template("a{{ due }}"), template("a{{ now }}"));
    assert_eq!(format!("{:?}", template("{{ due }}")), "Template(\"{{ due }}\")");
}
