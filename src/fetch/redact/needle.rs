//! What is looked for to find a secret: itself, in the coats that hide all of its signs at once.

use std::mem;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::SHORTEST;
use super::forms::{Readings, Sign, is_escape, utf16_end};

/// What is looked for.
pub struct Needle {
    text: Box<str>,
    coat: Coat,
    /// The bytes that it may begin with, unless with an escape.
    first: [u8; 2],
}

/// What the signs of a needle are written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coat {
    Text,
    /// Base64; whether the sign before and the one behind hold some bits of the secret too.
    Base64 {
        before: bool,
        behind: bool,
    },
    Utf16 {
        little_endian: bool,
    },
}

/// `secret` as it is in base64 behind `shift` bytes (and any multiple of three more), without the signs that depend on
/// what stands beside it.
fn in_base64(secret: &str, shift: usize) -> Needle {
    let bytes = [&[0; 2][..shift], secret.as_bytes()].concat();
    let coded = STANDARD_NO_PAD.encode(&bytes);
    let inner = (shift * 8).div_ceil(6)..bytes.len() * 8 / 6;
    let coat = Coat::Base64 { before: shift > 0, behind: !(bytes.len() * 8).is_multiple_of(6) };
    Needle::new(&coded[inner], coat)
}

impl Needle {
    /// What to look for to find `secret` in every coat.
    pub fn all_of(secret: &str) -> impl Iterator<Item = Self> {
        let in_utf16 = |little_endian| Self::new(secret, Coat::Utf16 { little_endian });
        [Self::new(secret, Coat::Text), in_utf16(true), in_utf16(false)]
            .into_iter()
            .chain((0..3).map(|shift| in_base64(secret, shift)))
    }

    fn new(text: &str, coat: Coat) -> Self {
        let first = text.chars().next().unwrap_or_default();
        let byte = match coat {
            Coat::Utf16 { little_endian } => {
                let [low, high] = first.encode_utf16(&mut [0; 2])[0].to_le_bytes();
                if little_endian { low } else { high }
            }
            _ => first.encode_utf8(&mut [0; 4]).as_bytes()[0],
        };
        let other = match (coat, byte) {
            (Coat::Base64 { .. }, b'+') => b'-',
            (Coat::Base64 { .. }, b'/') => b'_',
            (Coat::Base64 { .. }, _) => byte,
            (_, b' ') => b'+',
            _ if byte.is_ascii_lowercase() => byte.to_ascii_uppercase(),
            _ => byte.to_ascii_lowercase(),
        };
        Self { text: text.into(), coat, first: [byte, other] }
    }

    /// Whether it may begin with this byte.
    pub fn begins(&self, byte: u8) -> bool {
        self.first.contains(&byte) || (is_escape(byte) && !matches!(self.coat, Coat::Utf16 { .. }))
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
        let (mut matched, mut at_the_end) = (0, false);
        for sign in self.text.chars() {
            at_the_end |= cut && matched >= SHORTEST && places.now.iter().any(|&at| self.is_cut_off(text, at));
            places.next.clear();
            for &at in &places.now {
                self.ends_of(sign, text, at, &mut places.next);
            }
            mem::swap(&mut places.now, &mut places.next);
            if places.now.is_empty() {
                break;
            }
            matched += sign.len_utf8();
        }
        let end = if at_the_end { text.bytes.len() } else { places.now.iter().copied().max()? };
        Some(self.widened(start..end, text.bytes))
    }

    /// The places behind `sign`, should it be at `at`.
    fn ends_of(&self, sign: char, text: &Readings<'_>, at: usize, ends: &mut Vec<usize>) {
        let mut add = |end| {
            if !ends.contains(&end) {
                ends.push(end);
            }
        };
        if let Coat::Utf16 { little_endian } = self.coat {
            utf16_end(sign, little_endian, text.bytes, at).into_iter().for_each(add);
            return;
        }
        for &Sign { sign: read, end } in text.at(at) {
            let same = match (self.coat, sign) {
                (Coat::Text, _) => read.eq_ignore_ascii_case(&sign),
                (_, '+') => read == '+' || read == '-',
                (_, '/') => read == '/' || read == '_',
                _ => read == sign,
            };
            if same {
                add(end);
            }
        }
    }

    /// Whether the text ends at `at`, or with something there that is not whole.
    fn is_cut_off(&self, text: &Readings<'_>, at: usize) -> bool {
        match self.coat {
            Coat::Utf16 { .. } => text.bytes.len() - at < 2,
            _ => text.is_cut_off(at),
        }
    }

    /// With the signs of base64 beside it that hold some of its bits.
    fn widened(&self, range: Range<usize>, text: &[u8]) -> Range<usize> {
        let Coat::Base64 { before, behind } = self.coat else { return range };
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        let before = before && range.start.checked_sub(1).is_some_and(|at| is_base64(&text[at]));
        let behind = behind && text.get(range.end).is_some_and(is_base64);
        range.start - usize::from(before)..range.end + usize::from(behind)
    }
}

/// Where a comparison has come to; kept to spare allocations.
#[derive(Default)]
pub struct Places {
    now: Vec<usize>,
    next: Vec<usize>,
}
