//! The one line that says more about an outcome.

use std::fmt;

/// The most bytes a detail has.
const MAX_BYTES: usize = 200;

/// One line of at most 200 bytes, without control characters: what a slot's outcome word does not say.
/// Whoever makes one keeps secrets and full URLs out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail(Box<str>);

impl Detail {
    /// Takes `text`, makes each run of white space and control characters one space, and cuts it to 200 bytes.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        let words = text.as_ref().split(|c: char| c.is_whitespace() || c.is_control());
        let mut line = String::new();
        for word in words.filter(|word| !word.is_empty()) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
            if line.len() > MAX_BYTES {
                break;
            }
        }
        if line.len() > MAX_BYTES {
            line.truncate(line.floor_char_boundary(MAX_BYTES - '…'.len_utf8()));
            line.push('…');
        }
        Self(line.into_boxed_str())
    }

    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_line_of_at_most_200_bytes() {
        let detail = Detail::new(format!("a\r\nb\u{0}{}", "ü".repeat(300)));
        assert!(detail.as_str().starts_with("a b ü"));
        assert!(detail.as_str().ends_with('…'));
        assert!(detail.as_str().len() <= MAX_BYTES);
    }
}
