//! Lists that come in pages, in each of the usual styles, and lists that lead their reader astray.
//!
//! There are four pages of three items; `?pages=` and `?items=` ask for other numbers.

use std::fmt::Write;

use super::modes::Call;
use super::respond::{After, JSON, answer, answer_with, json};

const PAGES: u64 = 4;
const ITEMS: u64 = 3;
const MOST_ITEMS: u64 = 10_000;

/// More digits than a binary floating-point number keeps.
const AMOUNT: &str = "12345678901234567890.10";

/// What is behind the number of a page in its cursor: each of them has to be escaped in a query.
const CURSOR_END: &str = "+/=";

/// One page of a list.
#[derive(Clone, Copy)]
struct Page<'c> {
    call: &'c Call<'c>,
    /// From 1.
    number: u64,
    pages: u64,
    items: u64,
}

impl<'c> Page<'c> {
    /// The page that `?page=` names; the first without it.
    fn numbered(call: &'c Call<'c>) -> Option<Self> {
        Self::at(call, call.request.parameter("page").map_or(Some(1), |number| number.parse().ok()))
    }

    /// The page that `?cursor=` names; the first without it.
    fn with_cursor(call: &'c Call<'c>) -> Option<Self> {
        let cursor = call.request.parameter("cursor").filter(|cursor| !cursor.is_empty());
        Self::at(call, cursor.map_or(Some(1), |cursor| cursor.strip_suffix(CURSOR_END)?.parse().ok()))
    }

    /// The page that is asked for in whatever style.
    fn somehow(call: &'c Call<'c>) -> Option<Self> {
        if let Some(offset) = call.request.parameter("offset") {
            let items = Self::at(call, Some(1))?.items;
            return Self::at(call, Some(offset.parse::<u64>().ok()? / items + 1));
        }
        if call.request.parameter("cursor").is_some() { Self::with_cursor(call) } else { Self::numbered(call) }
    }

    fn at(call: &'c Call<'c>, number: Option<u64>) -> Option<Self> {
        let parameter = |name| call.request.parameter(name).and_then(|text| text.parse::<u64>().ok());
        let pages = parameter("pages").unwrap_or(PAGES);
        let items = parameter("items").unwrap_or(ITEMS).clamp(1, MOST_ITEMS);
        number.filter(|number| *number > 0).map(|number| Page { call, number, pages, items })
    }

    fn next(&self) -> Option<Self> {
        (self.number < self.pages).then(|| Page { number: self.number + 1, ..*self })
    }

    /// Its items as a JSON array, which is empty behind the last page.
    fn data(&self) -> String {
        let items = if self.number <= self.pages { self.items } else { 0 };
        data((self.number - 1).saturating_mul(self.items), items)
    }

    /// The query that asks for it.
    fn query(&self) -> String {
        let mut query = format!("?page={}", self.number);
        for name in ["pages", "items"] {
            if let Some(value) = self.call.request.parameter(name).filter(|value| value.parse::<u64>().is_ok()) {
                // Writing to a String cannot fail.
                let _ = write!(query, "&{name}={value}");
            }
        }
        query
    }

    fn cursor(&self) -> String {
        format!("{}{CURSOR_END}", self.number)
    }

    /// Link headers in the ways that RFC 8288 allows, another with each page.
    fn links(&self) -> String {
        let path = self.call.request.path;
        let first = Page { number: 1, ..*self }.query();
        let last = Page { number: self.pages, ..*self }.query();
        let Some(next) = self.next().map(|next| next.query()) else {
            return format!("Link: <{path}{first}>; rel=\"first\"\r\n");
        };
        match self.number % 3 {
            1 => format!(
                "Link: <{path}{first}>; rel=\"first\", <{next}>; title=\"more, or \\\"next\\\"; go on\"; rel=\"next\", \
                 <{path}{last}>; rel=\"last\"\r\n"
            ),
            2 => {
                let segment = path.rsplit('/').next().unwrap_or_default();
                format!("Link: <{path}{first}>;rel=first\r\nlink: <{segment}{next}>;REL=next\r\n")
            }
            _ => format!(
                "Link: <{path}{last}>; title=\"rel=next\"; rel=\"last\" ,, <{path}{next}> ; rel=\"section Next\"\r\n"
            ),
        }
    }
}

/// So many items behind the first `skipped` as a JSON array.
fn data(skipped: u64, items: u64) -> String {
    let first = skipped.saturating_add(1);
    let items: Vec<String> =
        (first..first.saturating_add(items)).map(|id| format!(r#"{{"id":{id},"amount":{AMOUNT}}}"#)).collect();
    format!("[{}]", items.join(","))
}

/// Where the server is as the client sees it, such as `http://127.0.0.1:8080`.
fn origin(call: &Call<'_>) -> Option<String> {
    call.request.header("host").map(|host| format!("{}://{host}", call.scheme))
}

/// The next page in Link headers, with relative URLs.
pub(super) fn link(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let Some(page) = Page::numbered(call) else { return unknown(out) };
    let body = format!(r#"{{"page":{},"data":{}}}"#, page.number, page.data());
    answer_with(out, 200, format_args!("Content-Type: {JSON}\r\n{}", page.links()), body.as_bytes())
}

/// The next page as an absolute URL in the document.
pub(super) fn url(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let (Some(page), Some(origin)) = (Page::numbered(call), origin(call)) else { return unknown(out) };
    let next = page.next().map(|next| format!("{origin}{}{}", call.request.path, next.query()));
    json(out, format!(r#"{{"data":{},"next":{}}}"#, page.data(), quoted(next.as_deref())).as_bytes())
}

/// The next page by a cursor; behind the last, the member is empty, or what the path says.
pub(super) fn cursor(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let Some(page) = Page::with_cursor(call) else { return unknown(out) };
    let meta = match (page.next(), call.request.argument()) {
        (Some(next), _) => format!(r#"{{"next_cursor":"{}"}}"#, next.cursor()),
        (None, "absent") => "{}".to_owned(),
        (None, "null") => r#"{"next_cursor":null}"#.to_owned(),
        (None, _) => r#"{"next_cursor":""}"#.to_owned(),
    };
    json(out, format!(r#"{{"data":{},"meta":{meta}}}"#, page.data()).as_bytes())
}

/// Pages by their number, until one is empty.
pub(super) fn counter(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let Some(page) = Page::numbered(call) else { return unknown(out) };
    json(out, format!(r#"{{"page":{},"data":{}}}"#, page.number, page.data()).as_bytes())
}

/// Items from an offset on, until there are none.
pub(super) fn offset(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let offset = call.request.parameter("offset").map_or(Some(0), |offset| offset.parse::<u64>().ok());
    let (Some(offset), Some(page)) = (offset, Page::at(call, Some(1))) else { return unknown(out) };
    let total = page.pages.saturating_mul(page.items);
    let data = data(offset, page.items.min(total.saturating_sub(offset)));
    json(out, format!(r#"{{"offset":{offset},"total":{total},"data":{data}}}"#).as_bytes())
}

/// The third page is an error.
pub(super) fn broken(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let Some(page) = Page::somehow(call) else { return unknown(out) };
    if page.number == 3 {
        return answer(out, 500, JSON, br#"{"error":"this page cannot be shown"}"#);
    }
    leading_to(&page, page.next(), out)
}

/// Each page leads to itself.
pub(super) fn circular(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let Some(page) = Page::somehow(call) else { return unknown(out) };
    leading_to(&page, Some(page), out)
}

/// There is always a next page.
pub(super) fn endless(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let Some(page) = Page::somehow(call) else { return unknown(out) };
    let page = Page { pages: u64::MAX, ..page };
    leading_to(&page, page.next(), out)
}

/// The next page is wherever `?url=` says.
pub(super) fn away(call: &Call<'_>, out: &mut Vec<u8>) -> After {
    let url = call.request.parameter("url").unwrap_or_else(|| "http://other.example/".to_owned());
    let Some(page) = Page::numbered(call) else { return unknown(out) };
    in_every_style(&page, Some(&url), None, out)
}

fn leading_to(page: &Page<'_>, next: Option<Page<'_>>, out: &mut Vec<u8>) -> After {
    let Some(origin) = origin(page.call) else { return unknown(out) };
    let url = next.map(|next| format!("{origin}{}{}", page.call.request.path, next.query()));
    in_every_style(page, url.as_deref(), next.map(|next| next.cursor()).as_deref(), out)
}

/// The next page in a Link header, as a URL in the document, and by a cursor.
fn in_every_style(page: &Page<'_>, url: Option<&str>, cursor: Option<&str>, out: &mut Vec<u8>) -> After {
    let link = url.map(|url| format!("Link: <{url}>; rel=\"next\"\r\n")).unwrap_or_default();
    let body = format!(
        r#"{{"page":{},"data":{},"next":{},"meta":{{"next_cursor":{}}}}}"#,
        page.number,
        page.data(),
        quoted(url),
        quoted(cursor),
    );
    answer_with(out, 200, format_args!("Content-Type: {JSON}\r\n{link}"), body.as_bytes())
}

/// A JSON string, or null.
fn quoted(text: Option<&str>) -> String {
    serde_json::Value::from(text).to_string()
}

fn unknown(out: &mut Vec<u8>) -> After {
    answer(out, 400, JSON, br#"{"error":"there is no such page: they are numbered from 1, and a Host is needed"}"#)
}
