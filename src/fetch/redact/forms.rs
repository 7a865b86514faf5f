//! The forms that a sign has in text: as it is, percent-encoded, escaped as in JSON, HTML or C, or one within another.

/// The most ways to read one sign; what is escaped more often than this many times is not undone.
const MOST_READINGS: usize = 12;

/// The longest escape of one sign, but for leading zeros: four bytes, each as `\xF0` or `\360`.
const LONGEST_ESCAPE: usize = 16;

/// The most signs of a line break with its indent, or between two bytes in hexadecimal digits.
const MOST_BETWEEN: usize = 8;

/// What stands between bytes in hexadecimal digits, or before each.
const BETWEEN: [&[u8]; 14] =
    [b":", b"-", b" ", b",", b";", b"\n", b"\r", b"\t", b"0x", b"0X", b"\\\\x", b"\\x", b"\\n", b"\\r"];

/// One way to read a sign.
#[derive(Clone, Copy)]
pub struct Sign {
    /// The sign.
    pub sign: char,
    /// Where the text goes on behind it.
    pub end: usize,
}

/// Whether an escape may begin with this byte.
pub const fn is_escape(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&')
}

/// A text with every way to read it, from each of its places.
pub struct Readings<'t> {
    /// The text.
    pub bytes: &'t [u8],
    signs: Vec<Sign>,
    /// Where the signs of each place begin.
    places: Vec<usize>,
}

impl<'t> Readings<'t> {
    /// The ways to read `bytes`.
    pub fn of(bytes: &'t [u8]) -> Self {
        let (mut signs, mut places) = (Vec::with_capacity(bytes.len()), Vec::with_capacity(bytes.len() + 1));
        for at in 0..bytes.len() {
            places.push(signs.len());
            add_signs(bytes, at, &mut signs);
        }
        places.push(signs.len());
        Self { bytes, signs, places }
    }

    /// Every way to read the sign at `at`.
    pub fn at(&self, at: usize) -> &[Sign] {
        match self.places.get(at..) {
            Some(&[from, to, ..]) => &self.signs[from..to],
            _ => &[],
        }
    }

    /// Behind the line breaks at `at`, in any form, and what a line is indented by.
    pub fn behind_line_breaks(&self, at: usize) -> usize {
        let mut behind = at;
        for _ in 0..MOST_BETWEEN {
            let is_break =
                |sign: &&Sign| matches!(sign.sign, '\r' | '\n') || (behind > at && " \t".contains(sign.sign));
            match self.at(behind).iter().find(is_break) {
                Some(sign) => behind = sign.end,
                None => break,
            }
        }
        behind
    }

    /// Whether the text ends at `at`, or with the beginning of a sign or escape.
    pub fn is_cut_off(&self, at: usize) -> bool {
        match self.bytes.get(at..) {
            None | Some([]) => true,
            Some(rest @ [first, ..]) if is_escape(*first) => rest.len() < LONGEST_ESCAPE,
            Some(rest) => self.at(at).is_empty() && rest.len() < 4,
        }
    }
}

/// Adds every way to read the sign at `at`. A sign that begins an escape may be escaped itself: `\u0026amp;`, `%252F`.
fn add_signs(text: &[u8], at: usize, signs: &mut Vec<Sign>) {
    let Some(plain) = plain(text, at) else { return };
    let first = signs.len();
    signs.push(plain);
    if plain.sign == '+' {
        // As in a form that is sent (application/x-www-form-urlencoded).
        signs.push(Sign { sign: ' ', end: plain.end });
    }
    let mut next = first;
    while let Some(&Sign { sign, end }) = signs.get(next)
        && signs.len() < first + MOST_READINGS
    {
        let rest = text.get(end..).unwrap_or_default();
        let found = match sign {
            '%' => [percent(rest), None],
            '\\' => [backslash(rest), backslashes(rest)],
            '&' => [entity(rest), None],
            _ => [None; 2],
        };
        signs.extend(found.into_iter().flatten().map(|(sign, length)| Sign { sign, end: end + length }));
        next += 1;
    }
}

/// Where the text goes on behind `sign` in UTF-16, in small or capital letters, should it be at `at`.
pub fn utf16_end(sign: char, little_endian: bool, text: &[u8], at: usize) -> Option<usize> {
    let read = if little_endian { u16::from_le_bytes } else { u16::from_be_bytes };
    let mut units = [0; 2];
    let length = sign.len_utf16();
    for (unit, bytes) in units.iter_mut().zip(text.get(at..at + 2 * length)?.chunks_exact(2)) {
        *unit = read([bytes[0], bytes[1]]);
    }
    let found = char::decode_utf16(units.into_iter().take(length)).next()?.ok()?;
    found.eq_ignore_ascii_case(&sign).then_some(at + 2 * length)
}

/// Where the text goes on behind the bytes of `sign` as hexadecimal digits, should they be at `at`; `inside` is whether
/// something may stand before the first.
pub fn hex_end(sign: char, text: &[u8], at: usize, inside: bool) -> Option<usize> {
    let mut end = at;
    for (index, &expected) in sign.encode_utf8(&mut [0; 4]).as_bytes().iter().enumerate() {
        if inside || index > 0 {
            end = behind_separators(text, end);
        }
        (byte(text.get(end..)?)? == expected).then_some(())?;
        end += 2;
    }
    Some(end)
}

/// Whether the text ends at `at`, or within what stands for one sign.
pub fn is_hex_cut_off(text: &[u8], at: usize) -> bool {
    let rest = text.get(behind_separators(text, at)..).unwrap_or_default();
    // A sign of up to four bytes may have begun, and a separator.
    let digits = rest.iter().all(|byte| byte.is_ascii_hexdigit() || b":- ,;xX\\nrt\n\r\t".contains(byte));
    digits && rest.len() < LONGEST_ESCAPE
}

/// Where the text goes on behind the bytes of `sign` as decimal numbers, should they be at `at`; `inside` is whether others
/// stand before the first.
pub fn decimal_end(sign: char, text: &[u8], at: usize, inside: bool) -> Option<usize> {
    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    if !inside && at > 0 && is_digit(at - 1) {
        return None;
    }
    let mut end = at;
    for (index, byte) in sign.encode_utf8(&mut [0; 4]).bytes().enumerate() {
        if inside || index > 0 {
            let number = behind_separators(text, end);
            // Digits that touch are one number.
            (number > end).then_some(())?;
            end = number;
        }
        let digits = byte.to_string();
        text.get(end..)?.starts_with(digits.as_bytes()).then_some(())?;
        end += digits.len();
    }
    (!is_digit(end)).then_some(end)
}

/// Whether the text ends at `at`, or within what stands for one sign.
pub fn is_decimal_cut_off(text: &[u8], at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default();
    rest.len() < LONGEST_ESCAPE && rest.iter().all(|byte| byte.is_ascii_digit() || b", ;\\nrt\n\r\t".contains(byte))
}

fn behind_separators(text: &[u8], at: usize) -> usize {
    let mut rest = text.get(at..).unwrap_or_default();
    for _ in 0..MOST_BETWEEN {
        match BETWEEN.iter().find_map(|between| rest.strip_prefix(*between)) {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    text.len() - rest.len()
}

/// Before the line breaks that end at `end`, as they are or escaped, and what a line is indented by.
pub fn before_line_breaks(text: &[u8], end: usize) -> usize {
    const BREAKS: [&[u8]; 12] =
        [b"\n", b"\r", b"\\n", b"\\r", b"%0A", b"%0D", b"%0a", b"%0d", b"&#10;", b"&#13;", b"&#xA;", b"&#xD;"];
    let text = text.get(..end).unwrap_or_default();
    let mut before = text.trim_ascii_end();
    while let Some(rest) = BREAKS.iter().find_map(|end| before.strip_suffix(*end)) {
        before = rest;
    }
    // Spaces alone are no line break.
    if text[before.len()..].iter().all(|byte| b" \t".contains(byte)) { text.len() } else { before.len() }
}

/// The sign of UTF-8 at `at`.
fn plain(text: &[u8], at: usize) -> Option<Sign> {
    let length = utf8_length(*text.get(at)?)?;
    let sign = str::from_utf8(text.get(at..at + length)?).ok()?.chars().next()?;
    Some(Sign { sign, end: at + length })
}

/// What follows a percent sign.
fn percent(rest: &[u8]) -> Option<(char, usize)> {
    if rest.starts_with(b"u") {
        // As by JavaScript's `escape`, and by IIS.
        return unicode(rest);
    }
    let one = |rest: &[u8]| Some((byte(rest)?, 2));
    let mark = |rest: &[u8]| {
        let mut digits = rest.strip_prefix(b"%")?;
        while let Some(encoded) = digits.strip_prefix(b"25") {
            digits = encoded;
        }
        Some(rest.len() - digits.len())
    };
    of_bytes(rest, one, mark)
}

/// A sign whose bytes in UTF-8 are escaped one by one: `one` reads the byte that a text begins with and answers its length
/// there, `mark` the length of what stands before each further one, which may be escaped itself.
fn of_bytes(
    rest: &[u8],
    one: impl Fn(&[u8]) -> Option<(u8, usize)>,
    mark: impl Fn(&[u8]) -> Option<usize>,
) -> Option<(char, usize)> {
    let (first, mut end) = one(rest)?;
    let (mut bytes, count) = ([first, 0, 0, 0], utf8_length(first)?);
    for later in bytes.iter_mut().take(count).skip(1) {
        end += mark(rest.get(end..)?)?;
        let (byte, length) = one(rest.get(end..)?)?;
        *later = byte;
        end += length;
    }
    let sign = str::from_utf8(&bytes[..count]).ok()?.chars().next()?;
    Some((sign, end))
}

/// The length in bytes of a sign that begins with `first`.
const fn utf8_length(first: u8) -> Option<usize> {
    match first {
        0..0x80 => Some(1),
        0xC2..0xE0 => Some(2),
        0xE0..0xF0 => Some(3),
        0xF0..0xF5 => Some(4),
        _ => None,
    }
}

/// What follows a backslash: an escape of JSON, or of the languages whose strings look like it.
fn backslash(rest: &[u8]) -> Option<(char, usize)> {
    match *rest.first()? {
        b'u' => unicode(rest),
        b'U' => Some((char::from_u32(number(rest.get(1..9)?, 16)?)?, 9)),
        b'x' => Some((byte(&rest[1..])?.into(), 3)),
        b'n' => Some(('\n', 1)),
        b'r' => Some(('\r', 1)),
        b't' => Some(('\t', 1)),
        b'b' => Some(('\u{8}', 1)),
        b'f' => Some(('\u{C}', 1)),
        mark if mark.is_ascii_punctuation() => Some((mark.into(), 1)),
        _ => None,
    }
}

/// What follows a backslash where each byte has one: `xC3\xBC` (Python), `303\274` (C, protobuf).
fn backslashes(rest: &[u8]) -> Option<(char, usize)> {
    let one = |rest: &[u8]| match rest.strip_prefix(b"x") {
        Some(digits) => Some((byte(digits)?, 3)),
        None => Some((u8::try_from(number(rest.get(..3)?, 8)?).ok()?, 3)),
    };
    let mark = |rest: &[u8]| Some(rest.iter().take(MOST_READINGS).take_while(|&&byte| byte == b'\\').count());
    of_bytes(rest, one, |rest| mark(rest).filter(|&length| length > 0))
}

/// `uXXXX`, or the two of a surrogate pair, the second with backslashes of its own.
fn unicode(rest: &[u8]) -> Option<(char, usize)> {
    let unit = |rest: &[u8]| number(rest.strip_prefix(b"u")?.get(..4)?, 16).and_then(|unit| u16::try_from(unit).ok());
    let first = unit(rest)?;
    let backslashes = rest.iter().skip(5).take(MOST_READINGS).take_while(|&&byte| byte == b'\\').count();
    let second = rest.get(5 + backslashes..).filter(|_| backslashes > 0).and_then(unit);
    let sign = char::decode_utf16([first].into_iter().chain(second)).next()?.ok()?;
    Some((sign, if sign.len_utf16() == 2 { 10 + backslashes } else { 5 }))
}

/// What follows an ampersand: a character reference of HTML.
fn entity(rest: &[u8]) -> Option<(char, usize)> {
    const NAMES: [(&[u8], char); 5] = [(b"amp;", '&'), (b"lt;", '<'), (b"gt;", '>'), (b"quot;", '"'), (b"apos;", '\'')];
    const MOST_DIGITS: usize = 8;
    if let Some((name, sign)) = NAMES.iter().find(|(name, _)| rest.starts_with(name)) {
        return Some((*sign, name.len()));
    }
    let (digits_at, radix) = match rest {
        [b'#', b'x' | b'X', ..] => (2, 16),
        [b'#', ..] => (1, 10),
        _ => return None,
    };
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let length = rest[digits_at..].iter().take_while(is_digit).take(MOST_DIGITS + 1).count();
    if length > MOST_DIGITS {
        return None;
    }
    let sign = char::from_u32(number(&rest[digits_at..digits_at + length], radix)?)?;
    // Browsers do without the end.
    let end = digits_at + length;
    Some((sign, end + usize::from(rest.get(end) == Some(&b';'))))
}

/// The byte that two hexadecimal digits make.
fn byte(rest: &[u8]) -> Option<u8> {
    number(rest.get(..2)?, 16).and_then(|byte| u8::try_from(byte).ok())
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    // from_str_radix would take a sign.
    let are_digits = digits.iter().all(|&digit| char::from(digit).is_digit(radix));
    u32::from_str_radix(str::from_utf8(digits).ok().filter(|_| are_digits)?, radix).ok()
}
