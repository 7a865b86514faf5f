//! Values in a request that change each round: `?from={{ due - 1h }}`.
//!
//! A text is literals and blocks. A block is one expression of minijinja, over three moments and the filters in
//! [`moment`]; durations behind + and - are ours. Everything is compiled, and tried out with sample moments, when the
//! text is parsed; whatever the text says, rendering it is bounded in time and memory.

mod expression;
mod moment;
mod pieces;

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::expression::Expression;
use self::moment::Moment;
use self::pieces::{Piece, pieces, shortened};
use crate::model::Timestamp;

/// The most bytes that the blocks of one template make together.
const LARGEST: usize = 64 * 1024;

/// Everything but the unreserved characters of RFC 3986 (section 2.3), the colon and the slash, which a path, a query and
/// a fragment may have as they are, and times and dates often do.
const NOT_IN_A_URL: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'/');

/// The moments of the sample: a due, when the request is made, and the due before it.
const SAMPLE: Moments = Moments {
    due: Timestamp::from_micros(1_795_507_200_000_000),
    now: Timestamp::from_micros(1_795_507_201_250_000),
    last_ok: Some(Timestamp::from_micros(1_795_503_600_000_000)),
};

const NO_LAST_OK: &str = "there is no last success in the first round: write {{ last_ok | default(due - 1d) }}";

/// A text with at least one block of `{{ expression }}`, found fit. Clones share it, and equal is what was written alike.
///
/// Names are `due` (what the cadence asked for), `now` (when the request is made) and `last_ok` (the due of the last
/// round in which this endpoint succeeded). They take + and - with a duration, and the filters `unix`, `unix_ms`,
/// `rfc3339`, `strftime(pattern, zone)`, `floor(duration)`, `plus`, `minus` and `default`. Alone, a moment is written
/// as RFC 3339 in UTC to the second. `floor` counts from the Unix epoch: `1d` is midnight in UTC, `1w` a Thursday.
/// Literal braces are `{{ "{{" }}`.
#[derive(Clone)]
pub struct Template(Arc<Parsed>);

struct Parsed {
    source: String,
    parts: Vec<Part>,
}

enum Part {
    Literal(String),
    Block { written: String, expression: Expression },
}

/// What the names in a template stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moments {
    /// The instant that the cadence asked for.
    pub due: Timestamp,
    /// When the request is made.
    pub now: Timestamp,
    /// The due of the last round in which the endpoint succeeded, if there was one.
    pub last_ok: Option<Timestamp>,
}

/// How the values of blocks are written; what stands around them never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Percent-encoded, but for the unreserved characters of RFC 3986, the colon and the slash: a value begins no
    /// further parameter.
    Url,
    /// Escaped as inside of a JSON text, without quotes around it: numbers, true and false stay what they are.
    Json,
    /// As they are.
    None,
}

/// A template's text with a token in the place of each block, for what takes a URL apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placeholders {
    /// The text; a token has only small letters and digits.
    pub text: String,
    /// Each token and the block that was written there.
    blocks: Vec<(String, String)>,
}

impl Template {
    /// The template in `text`; `None` when there is no block in it: it then stands for itself.
    ///
    /// # Errors
    /// What is wrong with a block, and what would be right.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let mut parts = Parts::default();
        parts.add(text, str::to_owned)?;
        parts.template()
    }

    /// The template that writes `value` as JSON, with the blocks in its strings; `None` when there is none in it.
    /// With [`Escape::Json`] what it renders is always JSON, and each string in it stays a string.
    ///
    /// # Errors
    /// What is wrong with a block, and what would be right.
    pub fn from_json(value: &serde_json::Value) -> Result<Option<Self>, String> {
        let mut parts = Parts::default();
        parts.add_json(value)?;
        parts.template()
    }

    /// The text as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether a block in it uses `last_ok`.
    #[must_use]
    pub fn asks_for_last_ok(&self) -> bool {
        self.0.parts.iter().any(|part| matches!(part, Part::Block { expression, .. } if expression.asks_for_last_ok))
    }

    /// The text with the value of each block in its place, together at most 64 KiB before they are escaped.
    ///
    /// # Errors
    /// The block that has no value at these moments, such as a division by what happens to be zero; or more than 64 KiB.
    pub fn render(&self, moments: &Moments, escape: Escape) -> Result<String, String> {
        self.render_or(moments, escape, |problem| problem)
    }

    /// What it renders at sample moments, and again without a last success where it asks for that: to find out before
    /// the first request whether the text will be JSON, a URL, or whatever else it has to be.
    ///
    /// # Errors
    /// None that [`parse`](Self::parse) would not have found.
    pub fn samples(&self, escape: Escape) -> Result<Vec<String>, String> {
        let mut samples = vec![self.render(&SAMPLE, escape)?];
        if self.asks_for_last_ok() {
            let first_round = Moments { last_ok: None, ..SAMPLE };
            samples.push(self.render_or(&first_round, escape, |_| NO_LAST_OK.to_owned())?);
        }
        Ok(samples)
    }

    /// The text with a token in the place of each block.
    #[must_use]
    pub fn with_placeholders(&self) -> Placeholders {
        let mut stem = "gatherdblock".to_owned();
        // Compared in small letters, because a URL's host is written in them.
        let source = self.0.source.to_ascii_lowercase();
        while source.contains(&stem) {
            stem.push('x');
        }
        let (mut text, mut blocks) = (String::with_capacity(source.len()), Vec::new());
        for part in &self.0.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Block { written, .. } => {
                    let token = format!("{stem}{}x", blocks.len());
                    text.push_str(&token);
                    blocks.push((token, written.clone()));
                }
            }
        }
        Placeholders { text, blocks }
    }
}

impl Template {
    /// Renders; `told` says what is told of a block's problem.
    fn render_or(&self, moments: &Moments, escape: Escape, told: impl Fn(String) -> String) -> Result<String, String> {
        let context = moments.context();
        let mut rendered = String::with_capacity(self.0.source.len());
        let mut left = LARGEST;
        for part in &self.0.parts {
            match part {
                Part::Literal(text) => rendered.push_str(text),
                Part::Block { written, expression } => {
                    let value = expression.evaluate(&context).map_err(|problem| in_block(written, &told(problem)))?;
                    left = left
                        .checked_sub(value.len())
                        .ok_or_else(|| in_block(written, &format!("it makes more than {LARGEST} bytes of text")))?;
                    escape.write(&value, &mut rendered);
                }
            }
        }
        Ok(rendered)
    }
}

impl Placeholders {
    /// `text`, which came out of what has the tokens, with the blocks as they were written.
    #[must_use]
    pub fn restore(&self, text: &str) -> String {
        self.blocks.iter().fold(text.to_owned(), |text, (token, block)| text.replace(token, block))
    }
}

impl Moments {
    fn context(&self) -> Value {
        let moments = [("due", Some(self.due)), ("now", Some(self.now)), ("last_ok", self.last_ok)];
        Value::from_pairs(moments.into_iter().filter_map(|(name, moment)| Some((name, Moment::value(moment?)))))
    }
}

impl Escape {
    fn write(self, value: &str, to: &mut String) {
        match self {
            Self::Url => to.extend(utf8_percent_encode(value, NOT_IN_A_URL)),
            Self::Json => to.push_str(&json_escaped(value)),
            Self::None => to.push_str(value),
        }
    }
}

/// `text` as it stands between the quotes of a JSON string.
fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn in_block(written: &str, problem: &str) -> String {
    format!("in {}: {problem}", shortened(written))
}

/// A template while it is put together.
#[derive(Default)]
struct Parts {
    source: String,
    parts: Vec<Part>,
}

impl Parts {
    /// Adds the pieces of `text`, its literals as `literal` writes them.
    fn add(&mut self, text: &str, literal: impl Fn(&str) -> String) -> Result<(), String> {
        for piece in pieces(text)? {
            match piece {
                Piece::Literal(text) => self.literal(&literal(text)),
                Piece::Block { whole, inside } => {
                    let expression = Expression::parse(inside).map_err(|problem| in_block(whole, &problem))?;
                    self.source.push_str(whole);
                    self.parts.push(Part::Block { written: whole.to_owned(), expression });
                }
            }
        }
        Ok(())
    }

    fn literal(&mut self, text: &str) {
        self.source.push_str(text);
        match self.parts.last_mut() {
            Some(Part::Literal(before)) => before.push_str(text),
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    fn add_json(&mut self, value: &serde_json::Value) -> Result<(), String> {
        match value {
            serde_json::Value::String(text) => self.add_json_string(text),
            serde_json::Value::Array(list) => {
                self.literal("[");
                for (index, value) in list.iter().enumerate() {
                    self.literal(if index == 0 { "" } else { "," });
                    self.add_json(value)?;
                }
                self.literal("]");
                Ok(())
            }
            serde_json::Value::Object(table) => {
                self.literal("{");
                for (index, (key, value)) in table.iter().enumerate() {
                    self.literal(if index == 0 { "" } else { "," });
                    self.add_json_string(key)?;
                    self.literal(":");
                    self.add_json(value)?;
                }
                self.literal("}");
                Ok(())
            }
            other => {
                self.literal(&other.to_string());
                Ok(())
            }
        }
    }

    fn add_json_string(&mut self, text: &str) -> Result<(), String> {
        self.literal("\"");
        self.add(text, json_escaped)?;
        self.literal("\"");
        Ok(())
    }

    fn template(self) -> Result<Option<Template>, String> {
        if !self.parts.iter().any(|part| matches!(part, Part::Block { .. })) {
            return Ok(None);
        }
        let template = Template(Arc::new(Parsed { source: self.source, parts: self.parts }));
        template.samples(Escape::None)?;
        Ok(Some(template))
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Template {}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({:?})", self.source())
    }
}

#[cfg(test)]
mod tests;
