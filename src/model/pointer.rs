//! JSON Pointers (RFC 6901) into the text of documents that were validated: only what lies on the way is looked at, everything
//! else is skipped, and what is found is a piece of the text, to the digit. Nothing is built on the way: a list of the elements
//! would be many times as large as a text whose elements are small.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use memchr::memmem::Finder;

/// A JSON Pointer, ready to be applied to many documents.
#[derive(Clone)]
pub struct Pointer {
    text: Box<str>,
    tokens: Box<[Token]>,
}

#[derive(Clone, Debug)]
struct Token {
    key: Box<str>,
    /// Finds the key in its quotes.
    quoted: Finder<'static>,
    /// What it is in an array.
    index: Option<usize>,
}

impl Pointer {
    /// The pointer that `text` is: empty, or parts that each begin with a slash, `~1` a slash in one and `~0` a tilde.
    /// `None` when it is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let before = parts.next()?;
        let escapes_right = |part: &str| part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        let token = |part: &str| {
            let leading_zero = part.len() > 1 && part.starts_with('0');
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let index = part.parse().ok().filter(|_| digits && !leading_zero);
            let key = part.replace("~1", "/").replace("~0", "~").into_boxed_str();
            let quoted = Finder::new(&format!("\"{key}\"")).into_owned();
            escapes_right(part).then_some(Token { key, quoted, index })
        };
        let tokens = parts.map(token).collect::<Option<Box<[Token]>>>()?;
        before.is_empty().then_some(Self { text: text.into(), tokens })
    }

    /// The text of what it points at in `document`, without blanks around it. Of a key that is there twice the last one
    /// counts, as in most parsers. A text that is not JSON gives nothing or something, never a panic.
    #[must_use]
    pub fn find<'t>(&self, document: &'t str) -> Option<&'t str> {
        let mut scan = Scan { text: document, at: 0 };
        for token in &self.tokens {
            scan.blanks();
            scan.at = match scan.peek() {
                b'{' => scan.member(token)?,
                b'[' => scan.element(token.index?)?,
                _ => return None,
            };
        }
        scan.blanks();
        let from = scan.at;
        scan.skip_value();
        document.get(from..scan.at).filter(|found| !found.is_empty())
    }
}

/// As it was written.
impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl PartialEq for Pointer {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pointer {}

/// The members of an object's text, in order, their keys without escapes; `None` when it is no object.
#[must_use]
pub fn members(text: &str) -> Option<impl Iterator<Item = (Cow<'_, str>, &str)>> {
    let mut scan = Scan { text, at: 0 };
    scan.blanks();
    scan.enter(b'{')?;
    Some(std::iter::from_fn(move || {
        let key = scan.next_key()?;
        Some((unescaped(key), scan.next_value()?))
    }))
}

/// The elements of an array's text, in order; `None` when it is no array.
#[must_use]
pub fn elements(text: &str) -> Option<impl Iterator<Item = &str>> {
    let mut scan = Scan { text, at: 0 };
    scan.blanks();
    scan.enter(b'[')?;
    Some(std::iter::from_fn(move || if scan.next_element() { scan.next_value() } else { None }))
}

/// What stands between the quotes of a string, without escapes.
#[must_use]
pub fn unescaped(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    serde_json::from_str::<String>(&format!("\"{raw}\"")).map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// A place in a text. At its end there are only zeros.
struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn enter(&mut self, open: u8) -> Option<()> {
        (self.peek() == open).then(|| self.at += 1)
    }

    /// The value of the last member that has this key.
    fn member(&mut self, wanted: &Token) -> Option<usize> {
        let mut found = None;
        self.enter(b'{')?;
        while let Some(raw) = self.next_key() {
            if *raw == *wanted.key || (raw.contains('\\') && *unescaped(raw) == *wanted.key) {
                found = Some(self.at);
                if !self.may_come_again(wanted) {
                    break;
                }
            }
            self.skip_value();
        }
        found
    }

    /// Whether the key could stand in the rest of the text, as it is or escaped: to look for that is several times faster
    /// than to go through the members.
    fn may_come_again(&self, wanted: &Token) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        wanted.quoted.find(rest).is_some() || memchr(b'\\', rest).is_some()
    }

    /// The value of the element with this index.
    fn element(&mut self, index: usize) -> Option<usize> {
        self.enter(b'[')?;
        for _ in 0..index {
            if !self.next_element() {
                return None;
            }
            self.skip_value();
        }
        self.next_element().then_some(self.at)
    }

    /// Inside of an object: what stands between the quotes of the next key, going on to its value.
    fn next_key(&mut self) -> Option<&'t str> {
        self.separator();
        if self.peek() != b'"' {
            return None;
        }
        let from = self.at + 1;
        self.skip_string();
        let key = self.text.get(from..self.at - 1);
        self.blanks();
        if self.peek() == b':' {
            self.at += 1;
        }
        self.blanks();
        key
    }

    /// Inside of an array: whether there is a next element, going on to it.
    fn next_element(&mut self) -> bool {
        self.separator();
        !matches!(self.peek(), b']' | b'}' | b',' | b':' | 0)
    }

    fn separator(&mut self) {
        self.blanks();
        if self.peek() == b',' {
            self.at += 1;
            self.blanks();
        }
    }

    fn next_value(&mut self) -> Option<&'t str> {
        let from = self.at;
        self.skip_value();
        self.text.get(from..self.at)
    }

    fn skip_value(&mut self) {
        match self.peek() {
            b'"' => self.skip_string(),
            b'{' | b'[' => self.skip_nested(),
            _ => {
                while !matches!(self.peek(), b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t' | 0) {
                    self.at += 1;
                }
            }
        }
    }

    /// From an opening quote to behind the closing one.
    fn skip_string(&mut self) {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => break,
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
        self.at = (at + 1).min(bytes.len());
    }

    /// From an opening bracket to behind its closing one: which brackets they are was looked at when it was validated.
    fn skip_nested(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                b'"' => {
                    self.skip_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                0 if self.at >= self.text.len() => return,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn find<'t>(document: &'t str, pointer: &str) -> Option<&'t str> {
        Pointer::parse(pointer).and_then(|pointer| pointer.find(document))
    }

    #[test]
    fn what_a_pointer_points_at_is_found_as_it_was_sent() {
        let document = r#" {"a": [1.10, {"b/c": "x\"]}"}, []], "a~b": 1e400, "": 2, "\u006b": 3, "k2": {"x": 1}, "k2": 12345678901234567890.10, "é" : true } "#;
        for (pointer, expected) in [
            ("/a/0", Some("1.10")),
            ("/a/1/b~1c", Some(r#""x\"]}""#)),
            ("/a/2", Some("[]")),
            ("/a~0b", Some("1e400")),
            ("/", Some("2")),
            ("/k", Some("3")),
            ("/k2", Some("12345678901234567890.10")),
            ("/é", Some("true")),
            ("/k2/x", None),
            ("/a/01", None),
            ("/a/+1", None),
            ("/a/-", None),
            ("/a/3", None),
            ("/a/2/0", None),
            ("/b", None),
            ("/a~0b/x", None),
        ] {
            assert_eq!(find(document, pointer), expected, "{pointer}");
        }
        assert_eq!(find(document, ""), Some(document.trim()));
        for wrong in ["a", "a/b", "/a~", "/~2"] {
            assert!(Pointer::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn of_two_equal_keys_the_last_one_counts_however_it_is_written() {
        for (document, pointer, expected) in [
            (r#"{"a":1,"b":{"a":2},"a":3}"#, "/a", "3"),
            (r#"{"a":1,"b":{"a":2}}"#, "/a", "1"),
            (r#"{"a":{"a":1},"b":2}"#, "/a", r#"{"a":1}"#),
            (r#"{"a":1,"\u0061":2}"#, "/a", "2"),
            (r#"{"a":1,"b":"\"a\":2"}"#, "/a", "1"),
            (r#"{"x":{"a":1},"x":{"b":2},"a":3}"#, "/x/b", "2"),
            (r#"{"q\"":1,"q\"":2}"#, "/q\"", "2"),
        ] {
            assert_eq!(find(document, pointer), Some(expected), "{document}");
        }
        assert_eq!(find(r#"{"x":{"a":1},"x":{"b":2}}"#, "/x/a"), None, "what was overwritten is not there");
    }

    #[test]
    fn elements_and_members_are_shown_as_they_were_sent() {
        let of_array = |text: &'static str| elements(text).map(Iterator::collect::<Vec<_>>);
        assert_eq!(of_array("[1 ,[2], \"3\"]"), Some(vec!["1", "[2]", "\"3\""]));
        assert_eq!((of_array("[ ]"), of_array("{}"), of_array("1")), (Some(vec![]), None, None));
        let of_object = members(r#" {"\u0061": 1.0, "b": {"c": 2} }"#).expect("an object");
        assert_eq!(of_object.collect::<Vec<_>>(), [("a".into(), "1.0"), ("b".into(), r#"{"c": 2}"#)]);
        assert!(members("[]").is_none());
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn each_path(value: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
        visit(path, value);
        match value {
            Value::Array(elements) => {
                elements
                    .iter()
                    .enumerate()
                    .for_each(|(index, inner)| each_path(inner, &format!("{path}/{index}"), visit));
            }
            Value::Object(members) => members.iter().for_each(|(key, inner)| {
                each_path(inner, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), visit);
            }),
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn every_value_of_any_document_is_found(document in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
            let text = text.expect("JSON");
            each_path(&document, "", &mut |path, value| {
                let found = find(&text, path).expect("found");
                let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
                assert_eq!(read(found), read(&value.to_string()), "{path} in {text}");
            });
        }

        #[test]
        fn text_that_is_not_json_is_no_panic(text in any::<String>(), pointer in "(/[a-z0-9~]{0,3}){0,3}") {
            find(&text, &pointer);
            members(&text).map(Iterator::count);
            elements(&text).map(Iterator::count);
        }

        #[test]
        fn brackets_and_quotes_in_disorder_are_no_panic(text in r#"[\[\]{}",:a1\\ ]{0,40}"#, pointer in "(/[a1]){0,3}") {
            find(&text, &pointer);
            members(&text).map(Iterator::count);
            elements(&text).map(Iterator::count);
        }
    }
}
