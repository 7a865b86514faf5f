use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

fn redacted(secret: &str, text: impl AsRef<[u8]>) -> String {
    Redactor::new([secret]).redact(text.as_ref())
}

fn cut(secret: &str, text: impl AsRef<[u8]>) -> String {
    Redactor::new([secret]).redact_cut(text.as_ref())
}

#[test]
fn a_secret_is_hidden_wherever_it_stands_and_nothing_else_is() {
    assert_eq!(redacted("s3cret", "the token s3cret is wrong (S3CRET)"), "the token *** is wrong (***)");
    assert_eq!(redacted("s3cret", "s3crets3cret"), "***");
    assert_eq!(redacted("s3cret", "s3cre s3 cret %s %zz \\ & &; 100%"), "s3cre s3 cret %s %zz \\ & &; 100%");
    assert_eq!(redacted("aaaa", "baaaaaab"), "b***b");
    assert_eq!(redacted("schlüssel", "der Schlüssel"), "der ***");
    assert_eq!(redacted("schlüssel", b"der schl\xFCssel"), "der ***", "in ISO 8859-1");
    assert_eq!(redacted("s3cret", ""), "");
}

#[test]
fn what_is_too_short_for_a_secret_is_left() {
    assert_eq!(redacted("a", "banana"), "banana");
    assert_eq!(redacted("ana", "banana"), "banana");
    assert_eq!(redacted("", "banana"), "banana");
    assert_eq!(redacted("nana", "banana"), "ba***");
}

#[test]
fn of_two_secrets_the_longer_one_is_hidden_whole() {
    let redactor = Redactor::new(["token", "token-for-me", "me too"]);
    assert_eq!(redactor.redact(b"token, token-for-me too, TOKEN"), "***, ***, ***");
}

#[test]
fn a_secret_is_found_in_every_escape_and_mixture_of_them() {
    let secret = "p/a\"s&s'ü 1+";
    for text in [
        "p/a\"s&s'ü 1+",
        "p%2Fa%22s%26s%27%C3%BC%201%2B",
        "p%2fa%22s%26s'%c3%bc+1%2b",
        "%70/%61\"%73&%73'ü%201+",
        r#"p\/a\"s\u0026s\u0027\u00fc\u00201\u002B"#,
        r#"p/a\"s&s\'ü 1+"#,
        "p&#x2F;a&quot;s&amp;s&#39;&#xfc; 1&#43;",
        "p&#47;a&#34;s&#038;s&apos;&#252;&#x0020;1+",
        "p%252Fa%2522s%2526s%2527%25C3%25BC%25201%252B",
        r#"p\\\/a\\\"s\\u0026s'ü 1+"#,
        r"p\/a\u0026quot;s\u0026amp;s\u0026#39;ü 1+",
        r"p\x2Fa\x22s\x26s\x27\xfc\x201\x2b",
        r"p\x2fa\x22s&s\'\xc3\xbc 1+",
        r"p\057a\042s\046s\047\303\274\0401\053",
        r"p/a\\\042s&s'\\303\\274 1+",
        "p/a&amp;quot;s&amp;amp;s'ü 1+",
    ] {
        let shown = redacted(secret, format!("<a href=\"?q={text}&b=%2F\">"));
        assert_eq!(shown, "<a href=\"?q=***&b=%2F\">", "{text}");
    }
    assert_eq!(redacted("a🔑bc", r#""a\uD83D\uDD11bc" a\xF0\x9F\x94\x91bc a\360\237\224\221bc"#), "\"***\" *** ***");
    assert_eq!(redacted(r"a\b\\c", r#""A\\b\\\\c" a\b\\c"#), "\"***\" ***");
    assert_eq!(redacted("50%25off", "50%25off 50%2525off"), "*** ***");
}

/// `before`, a secret of `length` bytes and what follows, in base64, as it is shown: no sign with a bit of the secret.
fn shown_base64(coded: &str, before: usize, length: usize) -> String {
    let (head, tail) = (before * 8 / 6, ((before + length) * 8).div_ceil(6));
    format!("{}***{}", &coded[..head], &coded[tail..])
}

#[test]
fn a_secret_is_found_inside_of_base64_with_all_its_bits() {
    let secret = "s3cret~?>";
    for before in ["", "u", "me", "you", "user:"] {
        for behind in ["", "1", "12", "123"] {
            let text = format!("{before}{secret}{behind}");
            for coded in [STANDARD.encode(&text), STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                let expected = shown_base64(&coded, before.len(), secret.len());
                assert_eq!(
                    redacted(secret, format!("Basic {coded}, {coded}")),
                    format!("Basic {expected}, {expected}")
                );
            }
        }
    }
    assert_eq!(redacted("user:pass", "Authorization: Basic dXNlcjpwYXNz"), "Authorization: Basic ***");
    assert_eq!(redacted("pass", "Basic dXNlcjpwYXNz."), "Basic dXNlcj***.");
    assert_eq!(redacted("s>>>s>>>", r#""cz4+PnM+Pj4=" cz4%2BPnM%2BPj4"#), "\"***=\" ***");
    assert_eq!(redacted("s???s???", r#""cz8\/P3M\/Pz8=""#), "\"***=\"");
}

#[test]
fn a_secret_is_found_in_hexadecimal_digits() {
    let secret = "s3crét-é";
    let bytes: Vec<String> = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    for between in ["", ":", "-", " ", "\n", "\\n", "\\x", "\\\\x", "0x", ", 0x", ",0X", " : "] {
        let capital: Vec<String> = bytes.iter().map(|byte| byte.to_uppercase()).collect();
        for digits in [bytes.join(between), capital.join(between)] {
            let shown = redacted(secret, format!("<0x{digits}>"));
            assert_eq!(shown, "<0x***>", "{digits}");
            let begun = &digits[..digits.len() - 1];
            assert_eq!(cut(secret, format!("<{begun}")), "<***", "{begun}");
        }
    }
    assert_eq!(redacted("s3cret", "733363726575 7333637265 73336372657"), "733363726575 7333637265 73336372657");
}

#[test]
fn a_secret_is_found_in_base64_of_several_lines() {
    let secret = "s3cret-of-some-length";
    for before in ["", "u", "me"] {
        let coded = STANDARD_NO_PAD.encode(format!("{before}{secret}"));
        for line_break in ["\n", "\r\n", "\r\n ", "\n\t", "\\n", "\\r\\n", "%0D%0A", "&#10;"] {
            for width in 1..coded.len() {
                let lines: Vec<&str> =
                    coded.as_bytes().chunks(width).map(|line| str::from_utf8(line).expect("ASCII")).collect();
                let shown = redacted(secret, format!("<{}>", lines.join(line_break)));
                let left = shown.replace(line_break, "");
                assert!(
                    left == "<***>" || left == format!("<{}***>", &coded[..before.len()]),
                    "{line_break:?} {width} {shown}"
                );
            }
        }
    }
    assert_eq!(redacted("s3cret", "a\nczNjcmV0\nb"), "a\n***\nb");
}

#[test]
fn a_secret_is_found_in_base64_of_base64() {
    let secret = "s3cret~?>~?>";
    for before in ["", "u", "me", "you", "user:"] {
        for behind in ["", "1", "12"] {
            let text = format!("{before}{secret}{behind}");
            for inner in [STANDARD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                for outer_before in ["", "B", "Ba", "Basic "] {
                    let coded = STANDARD.encode(format!("{outer_before}{inner}"));
                    let shown = redacted(secret, &coded);
                    let rest = coded.len() - (secret.len() * 16 / 9);
                    assert!(shown.contains("***") && shown.len() <= rest + 3, "{text} {inner} {coded}: {shown}");
                }
            }
        }
    }
}

#[test]
fn most_of_a_longer_secret_is_hidden_where_a_server_shortens_it() {
    let secret = "sk_live_51HqLyjWDarjtT1zXw7cQ9aXk3mN0bVtYwE2R8uIoP";
    let show = |from: usize, to: usize| &secret[from..to];
    for (text, most) in [
        (format!("token {}... is wrong", show(0, 49)), 1),
        (format!("input_value='{}...{}'", show(0, 24), show(27, 50)), 6),
        (format!("*{}", show(1, 50)), 3),
        (format!("…{}", show(20, 50)), 3),
    ] {
        let shown = redacted(secret, &text);
        let left = secret.as_bytes().windows(4).filter(|part| shown.as_bytes().windows(4).any(|it| it == *part));
        assert!(left.count() <= most && shown.contains("***"), "{text}: {shown}");
    }
    let mut random = fastrand::Rng::with_seed(7);
    for length in [16, 100, 520, 1024, 4096] {
        let secret: String = std::iter::repeat_with(|| random.alphanumeric()).take(length).collect();
        let begun = &secret[..length * 3 / 4];
        let shown = redacted(&secret, format!("<{begun}…>"));
        assert!(shown.len() < 20, "{length}: {shown}");
        let inner = redacted(&secret, format!("<…{}>", &secret[length / 3..]));
        assert!(inner.len() < 30 + length / 32, "{length}: {inner}");
    }
    let words = "my-analytics-password-of-2026";
    assert_eq!(redacted(words, "analytics: a password"), "analytics: a password", "words stand in any text");
}

#[test]
fn a_secret_is_found_over_several_lines_without_blanks_and_in_other_notations_of_its_bytes() {
    let secret = "s3cret-key ";
    for text in [
        "s3cr\net-k\n\tey",
        "s3cr\r\n et-key",
        "s3cret-key",
        "s3cr\\net-key",
        "[115, 51, 99, 114, 101, 116, 45, 107, 101, 121]",
        "115\n51\n99\n114\n101\n116\n45\n107\n101\n121",
        "&#115&#51&#99&#114&#101&#116&#45&#107&#101&#121",
        "%u0073%u0033%u0063ret-key",
        "\\U00000073\\U00000033cret-key",
    ] {
        let shown = redacted(secret, text).replace(['[', ']'], "");
        assert_eq!(shown, "***", "{text}");
    }
    assert_eq!(redacted("abcd", "1970, 98, 99, 1000"), "1970, 98, 99, 1000");
    assert_eq!(redacted("Pässwörd-ñ", "PÄSSWÖRD-Ñ"), "***");
    assert_eq!(redacted("ährenfeld", "ÄHRENFELD"), "***");
    let bytes = "115, 51, 99, 114, 101";
    assert_eq!(cut("s3cret-key", bytes), "***");
}

#[test]
fn short_secrets_are_not_found_in_what_looks_like_a_code_by_chance() {
    let redactor = Redactor::new(["abcd", "1234", "pass"]);
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(3 * 1024).collect();
        let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let text = hex.replace("1234", "");
        assert_eq!(redactor.redact(text.as_bytes()), text);
    }
}

#[test]
fn a_secret_is_found_in_utf_16() {
    for read in [u16::to_le_bytes, u16::to_be_bytes] {
        let text: Vec<u8> = "<S3cret🔑>".encode_utf16().flat_map(read).collect();
        let shown = redacted("s3cret🔑", &text);
        assert!(shown.contains("***") && !shown.contains('3') && shown.contains('>'), "{shown:?}");
    }
}

#[test]
fn what_is_not_utf_8_is_replaced() {
    assert_eq!(redacted("s3cret", b"\xFF s3cret \xC3( s3\xFFcret"), "\u{FFFD} *** \u{FFFD}( s3\u{FFFD}cret");
}

#[test]
fn the_beginning_of_a_secret_at_the_end_of_a_text_that_was_cut_is_hidden() {
    let secret = "s3cret/key-ü1";
    for text in [
        "s3cr",
        "s3cret",
        "S3CRET/KEY-",
        "s3cret%2Fkey",
        "s3cret%2",
        "s3cret%",
        r"s3cret\",
        r"s3cret\u00",
        r"s3cret\u002f",
        "s3cret&#x2",
        "s3cret/key-%C3",
        "s3cret/key-%C3%B",
        "s3cret/key-\\u00fc",
        "s3cret/key-\\xC3\\x",
        "s3cret/key-\\30",
        "czNjcmV0",
        "s\x003\x00c\x00r\x00e",
    ] {
        assert_eq!(cut(secret, format!("token={text}")), "token=***", "{text}");
        if text.len() < 12 {
            assert_ne!(redacted(secret, format!("token={text}")), "token=***", "{text}");
        }
    }
    assert_eq!(cut(secret, b"token=s3cret/key-\xC3"), "token=***");
    assert_eq!(cut(secret, "token=s3c"), "token=s3c");
    assert_eq!(cut(secret, "token=s3cre."), "token=s3cre.");
    assert_eq!(cut(secret, "s3cret/key-ü1 and s3cret/"), "*** and ***");
}

#[test]
fn headers_that_carry_secrets_are_hidden_entirely() {
    let redactor = Redactor::new(["s3cret"]);
    for name in
        ["Set-Cookie", "cookie", "Authorization", "proxy-authorization", "X-Api-Key", "x-auth-token", "AccessToken"]
    {
        assert_eq!(redactor.redact_header(name, b"id=1; Path=/"), "***", "{name}");
    }
    for name in ["Content-Type", "Location", "WWW-Authenticate", "Access-Control-Allow-Origin", "Server"] {
        assert_eq!(redactor.redact_header(name, b"a s3cret b"), "a *** b", "{name}");
    }
}

#[test]
fn a_redactor_does_not_show_what_it_hides() {
    assert_eq!(format!("{:?}", Redactor::new(["s3cret"])), "Redactor([secrets])");
}

/// Every sign percent-encoded, where `mask` has a bit for it; others only where they have to be.
fn percent_encoded(text: &str, mask: u64) -> String {
    let byte = |(index, byte): (usize, u8)| match mask >> (index % 32) & 1 {
        0 if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ if mask >> (32 + index % 32) & 1 == 0 => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().enumerate().map(byte).collect()
}

/// Every sign escaped in one way or the other, as `mask` says.
fn escaped(text: &str, mask: u64, escape: impl Fn(char) -> String) -> String {
    let sign = |(index, sign): (usize, char)| match mask >> (index % 64) & 1 {
        0 if sign.is_ascii_alphanumeric() => sign.to_string(),
        _ => escape(sign),
    };
    text.chars().enumerate().map(sign).collect()
}

fn json(sign: char) -> String {
    match sign {
        '"' | '\\' | '/' => format!("\\{sign}"),
        _ => sign.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| ["\\u".to_owned(), format!("{unit:04x}")]).collect(),
    }
}

fn html(sign: char) -> String {
    match sign {
        '&' => "&amp;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#x27;".to_owned(),
        '<' => "&lt;".to_owned(),
        _ => format!("&#{};", u32::from(sign)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// What surrounds the secret has no sign of it, so all of that has to be left.
    #[test]
    fn no_form_of_a_secret_is_left(
        secret in "[a-zA-Z0-9+/=%&\"'\\\\<_.é€🔑-]{4,24}",
        before in "[ ,;:(){}~#\n]{0,20}",
        behind in "[ ,;:(){}~#\n]{0,20}",
        mask in any::<u64>(),
    ) {
        let utf16 = |bytes: fn(u16) -> [u8; 2]| secret.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let quoted = serde_json::Value::from(secret.as_str()).to_string();
        let forms = [
            secret.clone().into_bytes(),
            secret.to_ascii_uppercase().into_bytes(),
            percent_encoded(&secret, mask).into_bytes(),
            percent_encoded(&percent_encoded(&secret, mask), 0).into_bytes(),
            escaped(&secret, mask, json).into_bytes(),
            escaped(&secret, mask, html).into_bytes(),
            escaped(&secret, mask, html).replace('&', "\\u0026").into_bytes(),
            quoted.as_bytes()[1..quoted.len() - 1].to_vec(),
            utf16(u16::to_le_bytes),
            utf16(u16::to_be_bytes),
        ];
        for form in forms {
            let text = [before.as_bytes(), &form, behind.as_bytes()].concat();
            prop_assert_eq!(redacted(&secret, &text), format!("{before}***{behind}"));
            let shown = cut(&secret, &text);
            prop_assert!(shown.starts_with(&before) && shown[before.len()..].starts_with("***"));
        }
    }

    #[test]
    fn no_base64_of_a_secret_is_left(
        secret in "[!-~]{4,24}",
        before in proptest::collection::vec(any::<u8>(), 0..9),
        behind in proptest::collection::vec(any::<u8>(), 0..9),
        url_safe in any::<bool>(),
    ) {
        let bytes = [&before, secret.as_bytes(), &behind].concat();
        let coded = if url_safe { URL_SAFE_NO_PAD.encode(&bytes) } else { STANDARD.encode(&bytes) };
        prop_assert_eq!(redacted(&secret, &coded), shown_base64(&coded, before.len(), secret.len()));
    }

    #[test]
    fn a_secret_that_is_cut_anywhere_is_hidden_to_its_fourth_byte(
        secret in "[a-z0-9/+\"&]{5,24}",
        at in any::<prop::sample::Index>(),
        mask in any::<u64>(),
    ) {
        for form in [secret.clone(), percent_encoded(&secret, mask), escaped(&secret, mask, json), escaped(&secret, mask, html)] {
            let text = format!("? {}", &form[..at.index(form.len())]);
            let shown = cut(&secret, &text);
            let whole_signs = 4 * form.len().div_ceil(secret.len()).max(12);
            prop_assert!(shown == "? ***" || text.len() < 2 + whole_signs, "{:?} {:?}", text, shown);
        }
    }

    #[test]
    fn no_text_makes_it_panic(
        secrets in proptest::collection::vec("\\PC{0,8}", 0..3),
        text in proptest::collection::vec(proptest::sample::select(b"%&\\#x;u0dD8;25amp\xC3\xA9\xF0\x00 ".to_vec()), 0..60),
    ) {
        let redactor = Redactor::new(&secrets);
        let _ = (redactor.redact(&text), redactor.redact_cut(&text));
    }
}
