//! An answer taken apart as far as a guess needs it.

use http::HeaderMap;
use http::header::AsHeaderName;
use serde_json::Value;

use crate::fetch::tree::tree;

/// The part of a body that is looked at, in bytes.
const LOOKED_AT: usize = 16 * 1024;

/// The members of a JSON document that say what is wrong, in small letters without `_` and `-`.
const ERRORS: [&str; 10] = [
    "error",
    "errors",
    "errcode",
    "errorcode",
    "errormessage",
    "errordescription",
    "errormsg",
    "fault",
    "faultstring",
    "exception",
];

/// The members that do so in an answer that is refused; elsewhere they may be data.
const REMARKS: [&str; 9] = ["message", "msg", "detail", "details", "title", "reason", "code", "description", "type"];

/// An answer.
pub struct Answer<'a> {
    pub status: u16,
    headers: &'a HeaderMap,
    /// The body's beginning in small letters.
    pub text: String,
    pub body: Body,
}

/// What kind of body it is.
pub enum Body {
    None,
    /// With what its members for errors say; `None` when it has none.
    Json {
        errors: Option<String>,
    },
    /// HTML, with its title, and with that and its headings.
    Page {
        title: String,
        said: String,
    },
    /// Other XML, with the name of its first element.
    Xml {
        root: String,
    },
    Text,
}

impl<'a> Answer<'a> {
    pub fn new(status: u16, headers: &'a HeaderMap, body: &str) -> Self {
        let body = body.trim_start_matches('\u{FEFF}').trim();
        let is_whole = body.len() <= LOOKED_AT;
        let body = &body[..body.floor_char_boundary(LOOKED_AT)];
        let text = unescaped(&body.to_lowercase());
        let kind = match text.as_bytes().first() {
            None => Body::None,
            Some(b'{' | b'[') => {
                let value = tree(body).filter(|_| is_whole);
                let errors = value.map_or_else(|| errors_in_cut(&text, status), |value| errors_in(&value, status));
                Body::Json { errors }
            }
            Some(b'<') if is_page(&text) => {
                let title = elements(&text, "title");
                let said = format!("{title} {} {}", elements(&text, "h1"), elements(&text, "h2"));
                Body::Page { title, said }
            }
            Some(b'<') => Body::Xml { root: root(&text) },
            Some(_) => Body::Text,
        };
        Self { status, headers, text, body: kind }
    }

    /// A header's value in small letters.
    pub fn header(&self, name: impl AsHeaderName) -> Option<String> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
    }

    pub fn has_header(&self, name: impl AsHeaderName) -> bool {
        self.headers.contains_key(name)
    }

    pub fn is_page(&self) -> bool {
        matches!(self.body, Body::Page { .. })
    }

    pub fn title(&self) -> &str {
        if let Body::Page { title, .. } = &self.body { title } else { "" }
    }

    /// What it says it is about.
    pub fn said(&self) -> &str {
        match &self.body {
            Body::Json { errors } => errors.as_deref().unwrap_or_default(),
            Body::Page { said, .. } => said,
            Body::Xml { .. } | Body::Text if self.status >= 400 => &self.text,
            Body::None | Body::Xml { .. } | Body::Text => "",
        }
    }

    /// Whether a page's title begins with a status that is none of success: `404 Not Found`, `HTTP Status 500`.
    pub fn begins_with_status(&self) -> bool {
        let title = self.title().trim_start_matches("http").trim_start().trim_start_matches("status").trim_start();
        let number = title.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        number.len() == 3 && number.starts_with(['4', '5'])
    }
}

/// What stands for quotes and spaces in titles.
fn unescaped(text: &str) -> String {
    text.replace("&#39;", "'").replace("&#x27;", "'").replace("&rsquo;", "'").replace('’', "'").replace("&nbsp;", " ")
}

fn is_page(text: &str) -> bool {
    const ROOTS: [&str; 10] = ["html", "head", "body", "title", "meta", "script", "style", "h1", "h2", "center"];
    let head = &text[..text.floor_char_boundary(1024)];
    head.contains("<!doctype html") || ROOTS.contains(&root(text).as_str())
}

/// The name of the first element that is neither a declaration nor a comment.
fn root(text: &str) -> String {
    let name = |part: &str| part.chars().take_while(|c| c.is_alphanumeric() || ":_-.".contains(*c)).collect::<String>();
    text.split('<').map(name).find(|name| !name.is_empty()).unwrap_or_default()
}

/// The text of all elements called `name`, without the markup in it.
fn elements(text: &str, name: &str) -> String {
    let (start, end) = (format!("<{name}"), format!("</{name}"));
    let mut all = String::new();
    for element in
        text.split(start.as_str()).skip(1).filter(|element| element.starts_with(['>', ' ', '\n', '\r', '\t']))
    {
        let content = element.split_once('>').map_or("", |(_, content)| content);
        let content = content.split(end.as_str()).next().unwrap_or_default();
        let mut parts = content.split('<');
        all.extend(parts.next());
        all.extend(parts.filter_map(|part| part.split_once('>')).map(|(_, text)| text));
        all.push(' ');
    }
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the members for errors say, in small letters; `None` when there is none, or nothing in them.
fn errors_in(value: &Value, status: u16) -> Option<String> {
    let is_refused = status >= 400;
    let table = match value {
        Value::Array(list) if is_refused => list.first()?.as_object()?,
        value => value.as_object()?,
    };
    let (mut is_error, mut said) = (false, String::new());
    for (name, value) in table.iter().filter(|(_, value)| !is_empty(value)) {
        let name = name.to_lowercase().replace(['_', '-'], "");
        let is_remark = REMARKS.contains(&name.as_str());
        // Some say nothing but a note, with a success.
        let is_note = ["note", "information"].contains(&name.as_str()) && table.len() == 1;
        let is_named = ERRORS.contains(&name.as_str()) || is_failure(&name, value) || is_note;
        is_error |= is_named || (is_remark && is_refused);
        if is_named || is_remark {
            said.push_str(&value.to_string().to_lowercase());
            said.push(' ');
        }
    }
    let is_failure = table.iter().any(|(name, value)| ["success", "ok"].contains(&name.as_str()) && value == false);
    (is_error || is_failure).then_some(said)
}

/// Whether a member says in a word that the whole is a failure.
fn is_failure(name: &str, value: &Value) -> bool {
    let words = ["error", "fail", "failed", "failure"];
    ["status", "result"].contains(&name)
        && value.as_str().is_some_and(|word| words.contains(&word.to_lowercase().as_str()))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(table) => table.is_empty(),
        Value::Bool(true) => false,
    }
}

/// The same for a document that is not whole: its first member has to be one for errors.
fn errors_in_cut(text: &str, status: u16) -> Option<String> {
    let name = text.trim_start_matches(|c: char| "{[\"".contains(c) || c.is_whitespace()).split('"').next()?;
    let name = name.replace(['_', '-'], "");
    let behind = text.split_once(':')?.1.trim_start();
    let is_nothing = ["null", "false", "[]", "{}", "\"\"", "0"].iter().any(|nothing| behind.starts_with(nothing));
    let speaks = ERRORS.contains(&name.as_str()) || (status >= 400 && REMARKS.contains(&name.as_str()));
    (speaks && !is_nothing).then(|| text.to_owned())
}
