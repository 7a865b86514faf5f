//! One block of a template: text → an expression that was found fit, with durations made filters → a value.
//!
//! minijinja evaluates. It knows nothing of durations, and it finds unknown names only where evaluation gets to them, so
//! the signs of an expression are looked at first. What has no use here (lists, tables, calls, tests) is refused:
//! nothing that is left can nest deep or grow large.

use minijinja::{ErrorKind, Value};

use super::moment::{ENVIRONMENT, FILTERS, not_a_span, span};
use super::pieces::quoted_end;

/// The values that there are.
const NAMES: [&str; 3] = ["due", "now", "last_ok"];

/// Words with a meaning of their own.
const KEYWORDS: [&str; 12] = ["if", "else", "and", "or", "not", "in", "true", "True", "false", "False", "none", "None"];

/// The most words, numbers and signs in a block; it bounds how deep the parser gets.
const MOST_TOKENS: usize = 100;

/// The longest text that is shown of a problem.
const LONGEST_PROBLEM: usize = 300;

const ARITHMETIC: &str = "a moment takes + and - with a duration and its unit, such as due - 1h; to calculate with \
                          numbers, write (due | unix)";

/// A block's expression, compiled.
#[derive(Debug)]
pub struct Expression {
    compiled: minijinja::Expression<'static, 'static>,
    /// Whether it uses `last_ok`.
    pub asks_for_last_ok: bool,
}

impl Expression {
    /// The expression in `text`.
    ///
    /// # Errors
    /// What is wrong with it and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text);
        if tokens.is_empty() {
            return Err("it is empty: write an expression such as {{ due }} or {{ due - 1h | unix }}".to_owned());
        }
        if tokens.len() > MOST_TOKENS {
            return Err(format!("it is too long: more than {MOST_TOKENS} words, numbers and signs"));
        }
        let code = checked(text, &tokens)?;
        let compiled = ENVIRONMENT.compile_expression_owned(code).map_err(|error| told(&error))?;
        let asks_for_last_ok = tokens.iter().any(|token| token.kind == Kind::Word && token.text == "last_ok");
        Ok(Self { compiled, asks_for_last_ok })
    }

    /// Its value as text, for the values in `context`.
    ///
    /// # Errors
    /// When it has none, or none that is a moment, number, text or truth value.
    pub fn evaluate(&self, context: &Value) -> Result<String, String> {
        use minijinja::value::ValueKind::{Bool, Number, Plain, String};
        let value = self.compiled.eval(context.clone()).map_err(|error| told(&error))?;
        match value.kind() {
            Number if !value.is_integer() && !f64::try_from(value.clone()).is_ok_and(f64::is_finite) => {
                Err(format!("{value} is not a number that can be sent"))
            }
            // minijinja writes them as Python does.
            Bool => Ok(value.is_true().to_string()),
            Number | String | Plain => Ok(value.to_string()),
            _ => Err("it has no value: it has to become a moment, a number, a text, true or false".to_owned()),
        }
    }
}

/// A problem that minijinja found, in our words.
fn told(error: &minijinja::Error) -> String {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel => "it makes too much text".to_owned(),
        ErrorKind::UndefinedError => "it needs a value that is not there".to_owned(),
        ErrorKind::InvalidOperation if detail.starts_with("tried to use") && detail.contains("plain object") => {
            ARITHMETIC.to_owned()
        }
        ErrorKind::SyntaxError => format!("it is not an expression: {detail}"),
        ErrorKind::InvalidOperation if !detail.is_empty() => cut(detail),
        kind if detail.is_empty() => kind.to_string(),
        kind => cut(&format!("{kind}: {detail}")),
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_PROBLEM)].to_owned()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Number,
    /// A number with a unit.
    Span,
    Quoted,
    Sign,
}

#[derive(Clone, Copy, Debug)]
struct Token<'t> {
    kind: Kind,
    text: &'t str,
    start: usize,
}

impl Token<'_> {
    fn is(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    fn is_keyword(&self) -> bool {
        self.kind == Kind::Word && KEYWORDS.contains(&self.text)
    }

    fn is_name(&self) -> bool {
        self.kind == Kind::Word && !self.is_keyword()
    }

    /// Whether a value may end with it.
    fn ends_a_value(&self) -> bool {
        match self.kind {
            Kind::Sign => self.text == ")",
            _ => !self.is_keyword(),
        }
    }
}

/// What `text` is made of. Signs of two characters come as two.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        let rest = &text[start..];
        let word_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (kind, length) = match first {
            c if c.is_ascii_whitespace() => {
                start += 1;
                continue;
            }
            '"' | '\'' => (Kind::Quoted, quoted_end(rest).unwrap_or(rest.len())),
            '0'..='9' if is_number(&rest[..word_end]) => (Kind::Number, word_end),
            '0'..='9' => (Kind::Span, word_end),
            c if c.is_ascii_alphabetic() || c == '_' => (Kind::Word, word_end),
            c => (Kind::Sign, c.len_utf8()),
        };
        tokens.push(Token { kind, text: &rest[..length], start });
        start += length;
    }
    tokens
}

/// Whether minijinja reads it as a number: `60`, `1_000`, `1e9`, `0x1F`.
fn is_number(word: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || c == '_';
    let radix = ["0x", "0X", "0b", "0B", "0o", "0O"].iter().any(|radix| word.starts_with(radix));
    let rest = word.trim_start_matches(is_digit);
    radix || rest.is_empty() || rest.strip_prefix(['e', 'E']).is_some_and(|exponent| exponent.chars().all(is_digit))
}

/// The code of an expression that was found fit: `due - 1h` has become `due |minus("1h")`.
fn checked(text: &str, tokens: &[Token<'_>]) -> Result<String, String> {
    let (mut code, mut copied) = (String::with_capacity(text.len() + 16), 0);
    // Whether each parenthesis that is open holds a filter's arguments.
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| tokens.get(before));
        let after = tokens.get(index + 1);
        match (token.kind, token.text) {
            (Kind::Word, _) => check_word(before, token, after)?,
            (Kind::Span, written) => {
                let operand = index.checked_sub(2).and_then(|operand| tokens.get(operand));
                let (sign, filter) = sign_of_span(operand, before)?;
                span(written).ok_or_else(|| not_a_span(written))?;
                code.push_str(&text[copied..sign.start]);
                code.extend(["|", filter, "(\"", written, "\")"]);
                copied = token.start + written.len();
            }
            (Kind::Sign, "(") => open.push(before.is_some_and(Token::is_name)),
            (Kind::Sign, ")") => drop(open.pop()),
            (Kind::Sign, ",") if open.last() == Some(&true) => {}
            (Kind::Sign, "," | "[" | "]" | "{" | "}") => {
                return Err("lists and tables cannot be sent: write a moment, a number or a text".to_owned());
            }
            (Kind::Sign, ".") if [before, after].iter().all(|it| it.is_some_and(|it| it.kind == Kind::Number)) => {}
            (Kind::Sign, ".") => {
                return Err("there are no fields: filters stand behind a |, as in due | unix; a duration has whole \
                            numbers, as in 1h30m"
                    .to_owned());
            }
            _ => {}
        }
    }
    code.push_str(&text[copied..]);
    Ok(code)
}

/// The sign before a duration, and the filter that the two become.
fn sign_of_span<'t>(
    operand: Option<&Token<'t>>,
    sign: Option<&'t Token<'t>>,
) -> Result<(&'t Token<'t>, &'static str), String> {
    let sign = sign.filter(|_| operand.is_some_and(Token::ends_a_value));
    match sign {
        Some(sign) if sign.is("+") => Ok((sign, "plus")),
        Some(sign) if sign.is("-") => Ok((sign, "minus")),
        _ => Err("a duration stands behind a moment and + or -, in one word, as in due - 1h30m".to_owned()),
    }
}

fn check_word(before: Option<&Token<'_>>, word: &Token<'_>, after: Option<&Token<'_>>) -> Result<(), String> {
    let text = word.text;
    if before.is_some_and(|before| before.is("|")) {
        let problem = || format!("there is no filter `{text}`; filters: {}", FILTERS.join(", "));
        return FILTERS.contains(&text).then_some(()).ok_or_else(problem);
    }
    if word.is_keyword() || NAMES.contains(&text) {
        return Ok(());
    }
    if FILTERS.contains(&text) {
        return Err(format!("`{text}` is a filter: it stands behind a moment and |, as in due | {text}"));
    }
    if text == "is" {
        return Err(
            "there are no tests: what the first round lacks is written as last_ok | default(due - 1d)".to_owned()
        );
    }
    let kind = if after.is_some_and(|after| after.is("(")) { "function" } else { "name" };
    Err(format!("there is no {kind} `{text}`; names: {}; filters: {}", NAMES.join(", "), FILTERS.join(", ")))
}
