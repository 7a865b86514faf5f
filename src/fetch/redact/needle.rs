//! What is looked for to find a secret: itself, in the coats that hide all of its signs at once.

use std::mem;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::SHORTEST;
use super::forms::{
    Readings, Sign, before_line_breaks, decimal_end, hex_end, is_decimal_cut_off, is_escape, is_hex_cut_off, utf16_end,
};

/// The shortest base64 of base64 that is looked for: of a short secret so little may be left between the signs that
/// depend on what stands beside it that any base64 has it by chance.
const SHORTEST_TWICE: usize = 6;

/// Secrets from this length on are hidden in pieces as well, in bytes: servers show most of one, as `sk_live_51Hq…`.
const SHORTEST_IN_PIECES: usize = 16;
/// The length of such a piece, how far it is from one to the next at least, and how many there are at most: each is looked for
/// at each place of a text.
const PIECE: usize = 8;
const STEP: usize = 4;
const MOST_PIECES: usize = 64;

/// What is looked for.
pub struct Needle {
    text: Box<str>,
    coat: Coat,
    /// So many of its bytes are enough to be hidden, with those behind them that are there.
    least: usize,
    /// The bytes that it may begin with, unless with an escape.
    first: [u8; 2],
}

/// What the signs of a needle are written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coat {
    Text,
    /// Base64; how many signs before and behind may hold some bits of the secret too.
    Base64 {
        before: usize,
        behind: usize,
    },
    /// Two hexadecimal digits for each byte.
    Hex,
    /// A decimal number for each byte, as a list of them has it.
    Decimal,
    Utf16 {
        little_endian: bool,
    },
    /// A byte each, as of a page in ISO 8859-1.
    Latin1,
}

/// `secret` as it is in base64 behind `shift` bytes (and any multiple of three more), without the signs that depend on
/// what stands beside it; whether the sign before and the one behind hold some of its bits.
fn in_base64(secret: &str, shift: usize) -> (String, bool, bool) {
    let bytes = [&[0; 2][..shift], secret.as_bytes()].concat();
    let coded = STANDARD_NO_PAD.encode(&bytes);
    let inner = (shift * 8).div_ceil(6)..bytes.len() * 8 / 6;
    (coded[inner].to_owned(), shift > 0, !(bytes.len() * 8).is_multiple_of(6))
}

fn once_in_base64(secret: &str, shift: usize) -> Needle {
    let (coded, before, behind) = in_base64(secret, shift);
    Needle::new(&coded, Coat::Base64 { before: before.into(), behind: behind.into() })
}

/// The same for base64 of base64, the inner one in either alphabet.
fn twice_in_base64(secret: &str) -> impl Iterator<Item = Needle> {
    let inner = (0..3).flat_map(|shift| {
        let standard = in_base64(secret, shift).0;
        let url_safe = standard.replace('+', "-").replace('/', "_");
        let other = (url_safe != standard).then_some(url_safe);
        [Some(standard), other].into_iter().flatten()
    });
    let twice = inner.flat_map(|inner| (0..3).map(move |shift| in_base64(&inner, shift).0));
    // A sign of the inner base64 is never in more than two beyond those that are known.
    let coat = Coat::Base64 { before: 2, behind: 2 };
    twice.filter(|coded| coded.len() >= SHORTEST_TWICE).map(move |coded| Needle::new(&coded, coat))
}

/// The pieces of `secret` that do not stand in any text: they begin with digits, or with small letters beside capital ones.
/// Each is hidden as far as the next one begins.
fn pieces(secret: &str) -> impl Iterator<Item = Needle> {
    let last = if secret.len() < SHORTEST_IN_PIECES { 0 } else { secret.len() - PIECE + 1 };
    let step = STEP.max(last.div_ceil(MOST_PIECES));
    (0..last).step_by(step).filter_map(move |at| {
        let piece = secret.get(at..at + PIECE).filter(|piece| is_random(piece))?;
        let next = secret.floor_char_boundary(at + PIECE + step);
        Some(Needle { least: piece.len(), ..Needle::new(&secret[at..next], Coat::Text) })
    })
}

fn is_random(piece: &str) -> bool {
    let behind_the_first = piece.chars().skip(1);
    let is_mixed = behind_the_first.clone().any(char::is_uppercase) && piece.chars().any(char::is_lowercase);
    is_mixed || behind_the_first.clone().any(|sign| sign.is_ascii_digit())
}

impl Needle {
    /// What to look for to find `secret` in every coat.
    pub fn all_of(secret: &str) -> impl Iterator<Item = Self> {
        let in_utf16 = |little_endian| Self::new(secret, Coat::Utf16 { little_endian });
        [Coat::Text, Coat::Hex, Coat::Decimal]
            .into_iter()
            .map(|coat| Self::new(secret, coat))
            .chain([in_utf16(true), in_utf16(false)])
            .chain(pieces(secret))
            .chain((0..3).map(|shift| once_in_base64(secret, shift)))
            .chain(twice_in_base64(secret))
            .chain(is_latin1(secret).then(|| Self::new(secret, Coat::Latin1)))
    }

    fn new(text: &str, coat: Coat) -> Self {
        let first = text.chars().next().unwrap_or_default();
        let byte = match coat {
            Coat::Utf16 { little_endian } => {
                let [low, high] = first.encode_utf16(&mut [0; 2])[0].to_le_bytes();
                if little_endian { low } else { high }
            }
            Coat::Latin1 => latin1(first).unwrap_or_default(),
            Coat::Hex => char::from_digit(u32::from(first_byte(first) >> 4), 16)
                .and_then(|digit| u8::try_from(digit).ok())
                .unwrap_or_default(),
            Coat::Decimal => first_byte(first).to_string().as_bytes()[0],
            _ => first_byte(first),
        };
        let other = match (coat, byte) {
            (Coat::Base64 { .. }, b'+') => b'-',
            (Coat::Base64 { .. }, b'/') => b'_',
            (Coat::Base64 { .. }, _) => byte,
            (_, b' ') => b'+',
            (Coat::Text, 0x80..) => first_byte(other_case(first)),
            _ if byte.is_ascii_lowercase() => byte.to_ascii_uppercase(),
            _ => byte.to_ascii_lowercase(),
        };
        Self { text: text.into(), coat, least: text.len(), first: [byte, other] }
    }

    /// Whether it may begin with this byte.
    pub fn begins(&self, byte: u8) -> bool {
        self.first.contains(&byte)
            || (is_escape(byte) && !matches!(self.coat, Coat::Utf16 { .. } | Coat::Hex | Coat::Decimal))
    }

    /// Where it is, if it begins at `start`. In a text that was `cut`, its beginning counts at the text's end.
    pub fn range_from(
        &self,
        start: usize,
        text: &Readings<'_>,
        cut: bool,
        places: &mut Places,
    ) -> Option<Range<usize>> {
        // Several places, because the text can be read in several ways: `%25` is a percent sign, or begins with one.
        places.now.clear();
        places.now.push(start);
        let (mut matched, mut at_the_end, mut end) = (0, false, None);
        for sign in self.text.chars() {
            at_the_end |= cut && matched >= SHORTEST && places.now.iter().any(|&at| self.is_cut_off(text, at));
            places.next.clear();
            for &at in &places.now {
                self.ends_of(sign, text, at, at > start, &mut places.next);
            }
            mem::swap(&mut places.now, &mut places.next);
            if places.now.is_empty() {
                break;
            }
            matched += sign.len_utf8();
            if matched >= self.least {
                end = places.now.iter().copied().max();
            }
        }
        let end = if at_the_end { text.bytes.len() } else { end? };
        Some(self.widened(start..end, text))
    }

    /// The places behind `sign`, should it be at `at`. `inside` is whether it is not the first.
    fn ends_of(&self, sign: char, text: &Readings<'_>, at: usize, inside: bool, ends: &mut Vec<usize>) {
        let mut add = |end| {
            if !ends.contains(&end) {
                ends.push(end);
            }
        };
        match self.coat {
            Coat::Utf16 { little_endian } => utf16_end(sign, little_endian, text.bytes, at).into_iter().for_each(add),
            Coat::Hex => hex_end(sign, text.bytes, at, inside).into_iter().for_each(add),
            Coat::Decimal => decimal_end(sign, text.bytes, at, inside).into_iter().for_each(add),
            Coat::Latin1 if text.bytes.get(at).copied() == latin1(sign) => add(at + 1),
            Coat::Latin1 => {}
            Coat::Text => {
                let same = |read: &&Sign| is_same(read.sign, sign);
                text.at(at).iter().filter(same).for_each(|read| add(read.end));
                // Pages and mails wrap their lines.
                let next_line = if inside { text.behind_line_breaks(at) } else { at };
                if next_line > at {
                    text.at(next_line).iter().filter(same).for_each(|read| add(read.end));
                }
            }
            Coat::Base64 { .. } => {
                let at = if inside { text.behind_line_breaks(at) } else { at };
                for &Sign { sign: read, end } in text.at(at) {
                    let same = match sign {
                        '+' => read == '+' || read == '-',
                        '/' => read == '/' || read == '_',
                        _ => read == sign,
                    };
                    if same {
                        add(end);
                    }
                }
            }
        }
    }

    /// Whether the text ends at `at`, or with something there that is not whole.
    fn is_cut_off(&self, text: &Readings<'_>, at: usize) -> bool {
        match self.coat {
            Coat::Utf16 { .. } => text.bytes.len() - at < 2,
            Coat::Hex => is_hex_cut_off(text.bytes, at),
            Coat::Decimal => is_decimal_cut_off(text.bytes, at),
            Coat::Base64 { .. } => text.is_cut_off(text.behind_line_breaks(at)),
            Coat::Text => text.is_cut_off(at),
            Coat::Latin1 => at == text.bytes.len(),
        }
    }

    /// With the signs of base64 beside it that hold some of its bits.
    fn widened(&self, mut range: Range<usize>, text: &Readings<'_>) -> Range<usize> {
        let Coat::Base64 { before, behind } = self.coat else { return range };
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        for _ in 0..before {
            let end = before_line_breaks(text.bytes, range.start);
            match text.bytes[..end].last().filter(|byte| is_base64(byte)) {
                Some(_) => range.start = end - 1,
                None => break,
            }
        }
        for _ in 0..behind {
            let at = text.behind_line_breaks(range.end);
            match text.bytes.get(at).filter(|byte| is_base64(byte)) {
                Some(_) => range.end = at + 1,
                None => break,
            }
        }
        range
    }
}

/// The first byte of `sign` in UTF-8.
fn first_byte(sign: char) -> u8 {
    sign.encode_utf8(&mut [0; 4]).as_bytes()[0]
}

/// The capital letter of a small one, and the other way round.
fn other_case(sign: char) -> char {
    let capital = sign.to_uppercase().next().filter(|capital| *capital != sign);
    capital.or_else(|| sign.to_lowercase().next()).unwrap_or(sign)
}

/// Whether these are one letter, small or capital.
fn is_same(read: char, sign: char) -> bool {
    read.eq_ignore_ascii_case(&sign) || (!sign.is_ascii() && read == other_case(sign))
}

/// The byte of `sign` in ISO 8859-1.
fn latin1(sign: char) -> Option<u8> {
    u8::try_from(u32::from(sign)).ok()
}

/// Whether `secret` is other bytes in ISO 8859-1 than in UTF-8.
fn is_latin1(secret: &str) -> bool {
    !secret.is_ascii() && secret.chars().all(|sign| latin1(sign).is_some())
}

/// Where a comparison has come to; kept to spare allocations.
#[derive(Default)]
pub struct Places {
    now: Vec<usize>,
    next: Vec<usize>,
}
