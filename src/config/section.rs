//! One table of the file being read: values are taken by key, each mistake is noted with its line, and what nobody
//! took is an unknown key. serde would stop at the first mistake; people want all of them at once.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, meant};
use super::value::OFF;

/// Keys that people write one level too high or too low, and where they belong.
const ELSEWHERE: [(&[&str], &str); 10] = [
    (
        &[
            "method",
            "json",
            "query",
            "headers",
            "user_agent",
            "token",
            "token_header",
            "token_scheme",
            "token_query",
            "basic",
            "oauth2",
            "timeout",
            "connect_timeout",
            "max_body",
            "retries",
            "redirects",
            "success",
            "error_if",
            "ca_file",
            "client_cert",
            "client_key",
            "proxy",
            "pages",
            "conditional",
            "max_per_host",
            "rate",
        ],
        "[defaults], a [[job]] or an endpoint",
    ),
    (
        &["every", "cron", "timezone", "offset", "jitter", "deadline", "run_on_start", "ping_url", "endpoints"],
        "a [[job]]",
    ),
    (&["retain"], "the top of the file, before the first section, or a [[job]]"),
    (&["max_pages", "items", "link", "cursor", "counter"], "`pages = { … }`"),
    (&["token_url", "client_id", "client_secret", "scopes", "credentials_in"], "`oauth2 = { … }`"),
    (&["at", "backup"], "[maintenance]"),
    (&["folder", "keep"], "[maintenance], in `backup = { … }`"),
    (&["listen", "hosts"], "[server]"),
    (&["kind", "after", "pause"], "a [[notify]]"),
    (&["database", "workers", "grace"], "the top of the file, before the first section"),
];

/// Keys that other programs have, and what they are called here.
const SYNONYMS: [(&str, &str); 14] = [
    ("retry", "retries"),
    ("max_retries", "retries"),
    ("attempts", "retries"),
    ("interval", "every"),
    ("period", "every"),
    ("schedule", "cron"),
    ("tz", "timezone"),
    ("urls", "endpoints"),
    ("targets", "endpoints"),
    ("uri", "url"),
    ("params", "query"),
    ("body", "json"),
    ("db", "database"),
    ("threads", "workers"),
];

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    pub value: T,
    pub place: Place,
}

/// A key that is turned off by `false`, which is `None` inside.
pub type OrFalse<T> = Option<Located<Option<T>>>;

/// Where something stands in the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    pub line: usize,
    pub key: String,
}

impl Place {
    /// A line, without a key.
    pub fn line(line: usize) -> Self {
        Self { line, key: String::new() }
    }
}

/// The text being read, and the mistakes found in it so far.
pub struct Text<'i> {
    source: &'i str,
    /// Where each line ends, for binary search: a config may have thousands of endpoints.
    line_ends: Vec<usize>,
    mistakes: RefCell<Vec<Mistake>>,
}

impl<'i> Text<'i> {
    pub fn new(source: &'i str) -> Self {
        let line_ends = source.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at).collect();
        Self { source, line_ends, mistakes: RefCell::default() }
    }

    /// The document as far as it parses; each syntax error is noted.
    pub fn parse(&self) -> DeTable<'i> {
        let (document, errors) = DeTable::parse_recoverable(self.source);
        for error in errors {
            let line = self.line(&error.span().unwrap_or_default());
            self.mistake(&Place { line, key: String::new() }, format!("not TOML: {}", error.message()));
        }
        document.into_inner()
    }

    pub fn mistake(&self, place: &Place, problem: impl Into<String>) {
        let mistake = Mistake { line: place.line, key: place.key.clone(), problem: problem.into() };
        self.mistakes.borrow_mut().push(mistake);
    }

    /// The keys of the mistakes so far; a syntax error has an empty one.
    pub fn mistaken_keys(&self) -> Vec<String> {
        self.mistakes.borrow().iter().map(|mistake| mistake.key.clone()).collect()
    }

    /// Whether the text is not TOML: what stands where is then a guess.
    fn is_broken(&self) -> bool {
        self.mistakes.borrow().iter().any(|mistake| mistake.key.is_empty())
    }

    /// The mistakes in the order of their lines, equal ones once.
    pub fn into_mistakes(self) -> Vec<Mistake> {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by(|a, b| (a.line, &a.key, &a.problem).cmp(&(b.line, &b.key, &b.problem)));
        mistakes.dedup();
        mistakes
    }

    fn line(&self, span: &Range<usize>) -> usize {
        1 + self.line_ends.partition_point(|&end| end < span.start)
    }
}

/// One table. Keys are taken with the `take…` calls; `finish` reports the ones that nobody knows.
pub struct Section<'a, 'i> {
    text: &'a Text<'i>,
    table: &'a DeTable<'i>,
    /// Where the table starts; its key is the prefix of the keys in it.
    pub place: Place,
    known: RefCell<Vec<&'static str>>,
}

impl<'a, 'i> Section<'a, 'i> {
    /// The file's outermost table.
    pub fn top(text: &'a Text<'i>, table: &'a DeTable<'i>) -> Self {
        Self { text, table, place: Place { line: 1, key: String::new() }, known: RefCell::default() }
    }

    /// Takes `key` through `convert`, whose error is noted.
    pub fn take<T>(
        &self,
        key: &'static str,
        convert: impl FnOnce(&DeValue<'i>) -> Result<T, String>,
    ) -> Option<Located<T>> {
        let value = self.value(key)?;
        let place = self.place_of(key, value);
        match convert(value.get_ref()) {
            Ok(value) => Some(Located { value, place }),
            Err(problem) => {
                self.text.mistake(&place, problem);
                None
            }
        }
    }

    /// Takes `key` as a table.
    pub fn take_section(&self, key: &'static str) -> Option<Section<'a, 'i>> {
        let value = self.value(key)?;
        self.section(self.place_of(key, value), value)
    }

    /// Takes `key` as a table through `read`, or `false` for none; `example` is what would be right.
    pub fn take_section_or_false<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl FnOnce(Section<'a, 'i>) -> Option<T>,
    ) -> OrFalse<T> {
        let value = self.value(key)?;
        let place = self.place_of(key, value);
        let value = match value.get_ref() {
            DeValue::Boolean(false) => None,
            DeValue::Boolean(true) => {
                self.text.mistake(&place, format!("expected {example}{OFF}"));
                return None;
            }
            _ => Some(read(self.section(place.clone(), value)?)?),
        };
        Some(Located { value, place })
    }

    /// Takes `key` as a list; `example` is what would be right.
    pub fn take_list(&self, key: &'static str, example: &str) -> Option<Located<&'a [Spanned<DeValue<'i>>]>> {
        let value = self.value(key)?;
        let place = self.place_of(key, value);
        match value.get_ref().as_array() {
            Some(list) => Some(Located { value: list.as_ref(), place }),
            None => {
                self.text.mistake(&place, format!("expected {example}"));
                None
            }
        }
    }

    /// Takes each `[[key]]`, called by the `name` in it where there is one.
    pub fn take_named(&self, key: &'static str) -> Vec<Self> {
        let example = format!("[[{key}]], with two brackets, before each {key}");
        let Some(list) = self.take_list(key, &example) else { return Vec::new() };
        let sections = list.value.iter().enumerate().filter_map(|(index, value)| {
            let mut place = self.place_in_list(&list.place, index, value);
            if let Some(name) = value.get_ref().get("name").and_then(|name| name.get_ref().as_str()) {
                place.key = format!("{key} {name:?}");
            }
            self.section(place, value)
        });
        sections.collect()
    }

    /// A section for a table that stands at `place`; anything else there is noted.
    pub fn section(&self, place: Place, value: &'a Spanned<DeValue<'i>>) -> Option<Section<'a, 'i>> {
        match value.get_ref().as_table() {
            Some(table) => Some(Section { text: self.text, table, place, known: RefCell::default() }),
            None => {
                self.text.mistake(&place, "expected a table, such as { key = \"value\" }");
                None
            }
        }
    }

    /// The keys as they are, for tables whose keys the user chooses. Nothing in it is unknown.
    pub fn entries(&self) -> impl Iterator<Item = (Place, &'a str, &'a DeValue<'i>)> {
        self.table
            .iter()
            .map(|(key, value)| (self.place_of(key.get_ref(), value), key.get_ref().as_ref(), value.get_ref()))
    }

    /// Whether `key` stands here, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Notes each key that was not taken, and the nearest known one.
    pub fn finish(self) {
        if self.text.is_broken() {
            return;
        }
        let known = self.known.into_inner();
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let line = self.text.line(&key.span());
            let elsewhere = ELSEWHERE.iter().find(|(keys, _)| keys.contains(&name));
            let synonym = SYNONYMS.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours);
            let ours = synonym.filter(|ours| known.contains(ours)).or_else(|| meant(name, known.iter().copied()));
            let hint = match (elsewhere, ours) {
                (Some((_, place)), _) => format!("it belongs in {place}"),
                (None, Some(ours)) => format!("did you mean `{ours}`?"),
                (None, None) => format!("known here: {}", known.join(", ")),
            };
            self.text.mistake(&Place { line, key: joined(&self.place.key, name) }, format!("unknown key; {hint}"));
        }
    }

    /// Notes a mistake that concerns the section as a whole.
    pub fn mistake(&self, problem: impl Into<String>) {
        self.text.mistake(&self.place, problem);
    }

    /// Notes a mistake at `place`.
    pub fn mistake_at(&self, place: &Place, problem: impl Into<String>) {
        self.text.mistake(place, problem);
    }

    /// The place of the value at `index` of the list at `list`.
    pub fn place_in_list(&self, list: &Place, index: usize, value: &Spanned<DeValue<'i>>) -> Place {
        Place { line: self.text.line(&value.span()), key: format!("{}[{}]", list.key, index + 1) }
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'i>>> {
        self.known.borrow_mut().push(key);
        self.table.get(key)
    }

    fn place_of(&self, key: &str, value: &Spanned<DeValue<'i>>) -> Place {
        let key_line = self.table.get_key_value(key).map_or(usize::MAX, |(key, _)| self.text.line(&key.span()));
        Place { line: self.text.line(&value.span()).min(key_line), key: joined(&self.place.key, key) }
    }
}

/// `prefix.key`, or `prefix: key` behind a name in quotes.
fn joined(prefix: &str, key: &str) -> String {
    match prefix {
        "" => key.to_owned(),
        prefix if prefix.ends_with('"') => format!("{prefix}: {key}"),
        prefix => format!("{prefix}.{key}"),
    }
}
