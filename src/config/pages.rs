//! `pages`: an answer that comes in several parts.

use super::section::{Located, Section};
use super::value;
use crate::model::Pointer;

/// How often a next page is asked for unless `max_pages` says otherwise.
const MAX_PAGES: u32 = 100;
/// The most that `max_pages` may be.
const MOST_PAGES: u32 = 10_000;

/// An answer that comes in pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pages {
    /// How the next page is found.
    pub next: Next,
    /// Where a page's items are (RFC 6901): the document is then the array of all items, else of all pages.
    pub items: Option<Pointer>,
    /// The most pages that are fetched.
    pub max_pages: u32,
}

/// How the next page is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// `Link: <…>; rel="next"` (RFC 8288).
    Link,
    /// A JSON pointer to its URL.
    Url(Pointer),
    /// A JSON pointer to a cursor, which is sent as a parameter.
    Cursor {
        /// Where the cursor is.
        pointer: Pointer,
        /// The parameter.
        parameter: String,
    },
    /// A number that grows with each page until a page has no items.
    Counter {
        /// The parameter.
        parameter: String,
        /// The number of the first page.
        first: u64,
        /// What is added for the next.
        step: u64,
    },
}

impl Next {
    /// The parameter that says which page is asked for, where there is one.
    #[must_use]
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Link | Self::Url(_) => None,
            Self::Cursor { parameter, .. } | Self::Counter { parameter, .. } => Some(parameter),
        }
    }
}

/// What would be right.
pub const EXAMPLE: &str = "{ link = true }, or another way to the next page";

/// The pages that `section` says.
pub fn read(section: Section<'_, '_>) -> Option<Pages> {
    let link = section.take("link", value::boolean).filter(|key| key.value).map(|_| Next::Link);
    let url = section.take("url", value::pointer).map(|key| Next::Url(key.value));
    let cursor = section.take("cursor", value::pointer);
    let parameter = section.take("parameter", value::text);
    let counter = section.take("counter", value::text);
    let first = section.take("first", value::whole_number);
    let step = section.take("step", value::whole_number);
    let items = section.take("items", value::pointer).map(|key| key.value);
    let max_pages = section.take("max_pages", value::whole_number);
    let (by_cursor, by_counter) = (cursor.is_some(), counter.is_some());
    if by_cursor != parameter.is_some() {
        section.mistake("`cursor` and `parameter` go together: { cursor = \"/next_cursor\", parameter = \"cursor\" }");
    }
    if let Some(key) = first.as_ref().or(step.as_ref()).filter(|_| !by_counter) {
        section.mistake_at(&key.place, "goes with `counter`");
    }
    if by_counter && items.is_none() {
        section.mistake("`counter` needs `items`, to see the end: where a page's items are, \"\" for the page itself");
    }
    let cursor = cursor
        .zip(parameter)
        .map(|(pointer, parameter)| Next::Cursor { pointer: pointer.value, parameter: parameter.value });
    if let Some(key) = step.as_ref().filter(|key: &&Located<u64>| key.value == 0) {
        section.mistake_at(&key.place, "at least 1: with 0 each page would be the first");
    }
    let counter = counter.map(|parameter| Next::Counter {
        parameter: parameter.value,
        first: first.map_or(1, |key| key.value),
        step: step.map_or(1, |key| key.value),
    });
    let keys = [("link", link.is_some()), ("url", url.is_some()), ("cursor", by_cursor), ("counter", by_counter)];
    let keys: Vec<String> = keys.iter().filter(|(_, given)| *given).map(|(key, _)| format!("`{key}`")).collect();
    let next = [link, url, cursor, counter].into_iter().flatten().next();
    if let [others @ .., last] = keys.as_slice()
        && !others.is_empty()
    {
        let others = others.join(", ");
        section.mistake(format!("{others} and {last} exclude each other: keep the one that leads to the next page"));
    }
    // One that is there and wrong has been told of; `link = false` leads nowhere.
    if keys.is_empty() && !["url", "cursor", "counter"].iter().any(|key| section.has(key)) {
        section.mistake(
            "how is the next page found? One of link = true, url = \"/next\", cursor = \"/next_cursor\", counter = \"page\"",
        );
    }
    let max_pages = max_pages.map_or(MAX_PAGES, |key: Located<u32>| {
        if !(1..=MOST_PAGES).contains(&key.value) {
            section.mistake_at(&key.place, format!("from 1 to {MOST_PAGES}, not {}", key.value));
        }
        key.value
    });
    section.finish();
    Some(Pages { next: next?, items, max_pages })
}
