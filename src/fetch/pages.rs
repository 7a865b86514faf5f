//! An answer in pages: which page comes next, and what all of them make together.

use std::borrow::Cow;
use std::collections::BTreeSet;

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

use super::json;
use crate::config::{Next, Pages};
use crate::model::{Detail, Document, Outcome, Pointer, Timestamp, elements, members};

/// The pages of one slot so far, and which one is to be asked for now.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// Each page as it came.
    parts: Vec<Document>,
    bytes: u64,
    asked: Vec<Target>,
    /// What `now` is in all of their requests: a cursor belongs to the question that it was given for.
    now: Timestamp,
}

/// Where a page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The request's own URL.
    First,
    /// Another URL of the same origin.
    Url(Url),
    /// The request's own URL with a parameter.
    Parameter(String, String),
}

impl Gathered {
    /// Nothing yet; the first page comes next, and `now` it is for all.
    #[must_use]
    pub fn none(pages: &Pages, now: Timestamp) -> Self {
        let first = match &pages.next {
            Next::Counter { parameter, first, .. } => Target::Parameter(parameter.clone(), first.to_string()),
            Next::Link | Next::Url(_) | Next::Cursor { .. } => Target::First,
        };
        Self { parts: Vec::new(), bytes: 0, asked: vec![first], now }
    }

    /// The page that is asked for now.
    #[must_use]
    pub fn target(&self) -> &Target {
        self.asked.last().unwrap_or(&Target::First)
    }

    /// When the first page was asked for.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How many bytes the pages take so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// What a page has led to.
pub enum Turned {
    /// The next page is to be asked for.
    Next(Gathered),
    /// That was the last: the document of all, and whether there would have been more.
    Last(Document, bool),
}

type Refusal = (Outcome, Detail);

/// Adds a page that came from `url` to those before.
///
/// # Errors
/// When the page does not hold what it should, leads to a page that was asked for already, or to another origin.
pub fn turn(
    pages: &Pages,
    mut gathered: Gathered,
    page: Document,
    headers: &HeaderMap,
    url: &Url,
) -> Result<Turned, Refusal> {
    let next = match next(pages, &gathered, &page, headers, url)? {
        End::Empty => None,
        End::Last => {
            gathered.add(page);
            None
        }
        End::More(next) => {
            gathered.add(page);
            Some(next)
        }
    };
    let number = gathered.asked.len();
    match next {
        Some(next) if gathered.asked.contains(&next) => {
            let detail = format!("page {number} leads to a page that was asked for already");
            Err((Outcome::Protocol, Detail::new(detail)))
        }
        Some(next) if number < pages.max_pages as usize => {
            gathered.asked.push(next);
            Ok(Turned::Next(gathered))
        }
        more => Ok(Turned::Last(join(pages, &gathered.parts)?, more.is_some())),
    }
}

/// What comes after a page.
enum End {
    /// It has no items: it only marks the end.
    Empty,
    /// Nothing.
    Last,
    /// Another page.
    More(Target),
}

fn next(pages: &Pages, gathered: &Gathered, page: &Document, headers: &HeaderMap, url: &Url) -> Result<End, Refusal> {
    let found = |at: &Pointer| at.find(page.text()).map(str::trim).filter(|text| !is_nothing(text));
    if let Some(items) = &pages.items
        && !gathered.parts.is_empty()
        && items.find(page.text()).is_none()
        && !is_like(page, &gathered.parts)
    {
        return Err(no_items(items));
    }
    let target = match &pages.next {
        Next::Link => linked(headers).map(|next| same_origin(url, &next)).transpose()?,
        Next::Url(at) => {
            let text = found(at).map(|text| string(text, at)).transpose()?;
            text.map(|next| same_origin(url, &next)).transpose()?
        }
        Next::Cursor { pointer, parameter } => {
            // Where a next page cannot be the first, 0 is the end (X's API, before version 2).
            let cursor = found(pointer).filter(|text| *text != "0");
            let cursor = cursor.map(|text| scalar(text, pointer)).transpose()?;
            cursor.map(|cursor| Target::Parameter(parameter.clone(), cursor))
        }
        Next::Counter { parameter, first, step } => {
            let mut is_empty = true;
            // The config asks for it with a counter.
            if let Some(items) = &pages.items
                && !each_item(page, items, |_| is_empty = false)?
                && gathered.parts.is_empty()
            {
                return Err(no_items(items));
            }
            if is_empty {
                return Ok(End::Empty);
            }
            let number = first.saturating_add(step.saturating_mul(gathered.asked.len() as u64));
            Some(Target::Parameter(parameter.clone(), number.to_string()))
        }
    };
    Ok(target.map_or(End::Last, End::More))
}

impl Gathered {
    fn add(&mut self, page: Document) {
        self.bytes += page.text().len() as u64;
        self.parts.push(page);
    }
}

/// What APIs write where there is no next page.
fn is_nothing(text: &str) -> bool {
    ["null", "false", "\"\""].contains(&text)
}

fn string(text: &str, at: &Pointer) -> Result<String, Refusal> {
    serde_json::from_str(text).map_err(|_| (Outcome::NotJson, Detail::new(format!("pages: no text at {at:?}"))))
}

/// A cursor is a text or a number, which keeps its digits.
fn scalar(text: &str, at: &Pointer) -> Result<String, Refusal> {
    match text.as_bytes().first() {
        Some(b'"') => string(text, at),
        Some(b'[' | b'{') | None => Err((Outcome::NotJson, Detail::new(format!("pages: no cursor at {at:?}")))),
        Some(_) => Ok(text.to_owned()),
    }
}

fn same_origin(url: &Url, next: &str) -> Result<Target, Refusal> {
    let refused = |why: &str| (Outcome::Redirect, Detail::new(format!("pages: the next one is {why}")));
    let mut next = url.join(next).map_err(|_| refused("no URL"))?;
    // The origin of a `blob:` URL is that of the URL inside it.
    if next.scheme() != url.scheme() || next.origin() != url.origin() {
        return Err(refused("at another origin"));
    }
    // Credentials are ours, wherever the server would like to put some.
    if next.set_username("").and_then(|()| next.set_password(None)).is_err() {
        return Err(refused("no URL"));
    }
    next.set_fragment(None);
    Ok(Target::Url(next))
}

/// The target of the first `rel=next` (RFC 8288, section 3). A line that is not ASCII is read as well: passed over, it
/// would make the page look like the last.
fn linked(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(LINK).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.find_map(|line| next_link(&line))
}

/// The first target with the relation `next` in one `Link` header.
#[must_use]
pub fn next_link(line: &str) -> Option<String> {
    let mut rest = line;
    loop {
        let (_, behind) = rest.split_once('<')?;
        let (target, behind) = behind.split_once('>')?;
        let (parameters, next) = split_outside_quotes(behind, ',');
        // With an anchor it is what follows something else (RFC 8288, section 3.2).
        let is_of_this = parameter(parameters, "anchor").is_none();
        let relations = parameter(parameters, "rel").unwrap_or_default().split_ascii_whitespace();
        if is_of_this && relations.into_iter().any(|relation| relation.eq_ignore_ascii_case("next")) {
            return Some(target.trim().to_owned());
        }
        rest = next?;
    }
}

/// The first parameter of this name, without its quotes: also those that are none by the RFC, which some servers write.
fn parameter<'p>(parameters: &'p str, wanted: &str) -> Option<&'p str> {
    let mut rest = Some(parameters);
    let parameters = std::iter::from_fn(move || {
        let (parameter, next) = split_outside_quotes(rest?, ';');
        rest = next;
        Some(parameter)
    });
    let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
    let found = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
    found.map(|(_, value)| value.trim().trim_matches(['"', '\'']))
}

/// `text` up to the first `sign` that stands outside of quotes, and what follows it.
fn split_outside_quotes(text: &str, sign: char) -> (&str, Option<&str>) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == sign && !quoted => return (&text[..at], Some(&text[at + c.len_utf8()..])),
            _ => {}
        }
    }
    (text, None)
}

/// Shows the text of each item of a page, and answers whether there is a list; null stands for one without items. APIs whose
/// answers are made by Protocol Buffers leave empty lists out.
fn each_item<'t>(page: &'t Document, at: &Pointer, see: impl FnMut(&'t str)) -> Result<bool, Refusal> {
    match at.find(page.text()) {
        Some("null") => Ok(true),
        Some(found) => elements(found).map(|items| items.for_each(see)).map(|()| true).ok_or_else(|| no_items(at)),
        None => Ok(false),
    }
}

/// Whether `page` has only members that one of `others` has as well: what tells of an error has others.
fn is_like(page: &Document, others: &[Document]) -> bool {
    let known: BTreeSet<_> = others.iter().filter_map(member_names).flatten().collect();
    member_names(page).is_some_and(|names| names.is_subset(&known))
}

fn member_names(page: &Document) -> Option<BTreeSet<Cow<'_, str>>> {
    Some(members(page.text())?.map(|(name, _)| name).collect())
}

fn no_items(at: &Pointer) -> Refusal {
    (Outcome::NotJson, Detail::new(format!("pages: no list of items at {at:?}")))
}

/// The array of the pages, or of the items in them, of which one at least has to have a list.
fn join(pages: &Pages, parts: &[Document]) -> Result<Document, Refusal> {
    let most: usize = parts.iter().map(|part| part.text().len() + 1).sum();
    let mut all = String::with_capacity(most + 2);
    let mut add = |text: &str| {
        all.push(if all.is_empty() { '[' } else { ',' });
        all.push_str(text);
    };
    let mut lists = 0;
    for part in parts {
        match &pages.items {
            Some(at) => lists += usize::from(each_item(part, at, &mut add)?),
            None => add(part.text()),
        }
    }
    if let Some(at) = pages.items.as_ref().filter(|_| lists == 0 && !parts.is_empty()) {
        return Err(no_items(at));
    }
    if all.is_empty() {
        all.push('[');
    }
    all.push(']');
    json::document(all.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_header_is_read_as_rfc_8288_has_it() {
        for (line, expected) in [
            ("<https://a.example/2>; rel=\"next\"", Some("https://a.example/2")),
            ("</x?page=1>; rel=prev, </x?page=3>; rel=next", Some("/x?page=3")),
            ("</1>; title=\"a, b; rel=next\"; rel=\"last\", </2>; rel=\"start Next\"", Some("/2")),
            ("</1>; rel=next; rel=prev", Some("/1")),
            ("</1>; rel=prev; rel=next", None),
            ("</1>; title=\"\\\"\"; REL=NEXT", Some("/1")),
            ("</1>; rel='next'", Some("/1")),
            ("</1>; rel=next; anchor=\"/other\", </2>; rel=next", Some("/2")),
            ("</1>", None),
            ("nothing", None),
            ("</1; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_link(line).as_deref(), expected, "{line}");
        }
    }
}
