//! The form of a notice: JSON, Slack's, or ntfy's. README.md documents them.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::health::Degraded;
use super::notice::{Failing, News, Notice, Place, Recovered};
use crate::config::NotifyKind;
use crate::model::{IncidentMemory, Timestamp};

/// The most endpoints that a text names.
const MOST_LINES: usize = 10;
/// The most bytes of a text, as it is sent: Discord takes 2,000 characters.
const LONGEST_TEXT: usize = 1_900;
/// The most endpoints in the JSON form.
const MOST_ENDPOINTS: usize = 100;

/// What is posted.
#[derive(Clone, Debug)]
pub struct Message {
    /// One line, for the log.
    pub title: String,
    /// The headers that belong to its form.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// What is to be remembered once it is told.
    pub changes: IncidentMemory,
}

impl Message {
    /// `notice` in the form of `kind`, as told by this `machine`.
    pub fn new(kind: NotifyKind, notice: &Notice, machine: &str) -> Self {
        let (title, text) = (title(&notice.news, machine), text(&notice.news));
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        let body = match kind {
            NotifyKind::Json => {
                headers.insert(CONTENT_TYPE, json);
                object(notice, machine, &title, &text).to_string()
            }
            NotifyKind::Slack => {
                headers.insert(CONTENT_TYPE, json);
                json!({ "text": escaped(&format!("*{title}*\n{text}")) }).to_string()
            }
            NotifyKind::Ntfy => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
                let (priority, tags) = urgency(&notice.news);
                headers.insert("priority", HeaderValue::from_static(priority));
                headers.insert("tags", HeaderValue::from_static(tags));
                headers.insert("title", header(&title));
                text
            }
        };
        Self { title, headers, body, changes: IncidentMemory::default() }
    }
}

/// ntfy's priority and tags.
fn urgency(news: &News) -> (&'static str, &'static str) {
    match news {
        News::Failing(_) => ("high", "warning"),
        News::Degraded(_) => ("urgent", "rotating_light"),
        News::Recovered(_) | News::Well { .. } => ("default", "white_check_mark"),
        News::Test => ("default", "test_tube"),
    }
}

/// A header's value; what is not ASCII is encoded (RFC 2047), which ntfy undoes.
fn header(text: &str) -> HeaderValue {
    let plain = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii());
    let encoded = || HeaderValue::try_from(format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode(text)));
    // Base64 is printable.
    plain.or_else(|| encoded().ok()).unwrap_or(HeaderValue::from_static("gatherd"))
}

/// Nothing in the answer is a link or calls people, as names and details may come from others; and it is cut to
/// [`LONGEST_TEXT`].
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        let length = escaped.len();
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' => escaped.push_str("@\u{200b}"),
            c => escaped.push(c),
        }
        if escaped.len() > LONGEST_TEXT {
            escaped.truncate(length);
            escaped.push('…');
            break;
        }
    }
    escaped
}

fn title(news: &News, machine: &str) -> String {
    let what = match news {
        News::Failing(list) => match list.as_slice() {
            [one] => format!("{} fails", named(&one.place)),
            many => format!("{} endpoints of {} fail", many.len(), hosts(many.iter().map(|it| &*it.place))),
        },
        News::Recovered(list) => match list.as_slice() {
            [one] => format!("{} works again", named(&one.place)),
            many => format!("{} endpoints of {} work again", many.len(), hosts(many.iter().map(|it| &*it.place))),
        },
        News::Degraded(_) => "gatherd itself is in trouble".to_owned(),
        News::Well { .. } => "gatherd itself is well again".to_owned(),
        News::Test => "a test: messages arrive".to_owned(),
    };
    format!("gatherd on {machine}: {what}")
}

fn named(place: &Place) -> String {
    format!("{} / {}", place.job, place.endpoint)
}

/// The only host, or how many there are.
fn hosts<'a>(places: impl Iterator<Item = &'a Place>) -> String {
    let mut hosts: Vec<&str> = places.map(|place| &*place.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    if let [one] = hosts.as_slice() { (*one).to_owned() } else { format!("{} hosts", hosts.len()) }
}

fn text(news: &News) -> String {
    let lines = match news {
        News::Failing(list) => {
            let mut lines: Vec<String> = list.iter().take(MOST_LINES).map(failing).collect();
            lines.extend(more(list.len(), MOST_LINES));
            lines.extend(list.first().map(|first| format!("What to try: {}", why(&first.place))));
            lines
        }
        News::Recovered(list) => {
            let mut lines: Vec<String> = list.iter().take(MOST_LINES).map(recovered).collect();
            lines.extend(more(list.len(), MOST_LINES));
            lines
        }
        News::Degraded(trouble) => degraded(trouble),
        News::Well { since } => vec![format!("Its trouble was told at {since}.")],
        News::Test => vec!["This is what gatherd notify --test sends.".to_owned()],
    };
    let mut text = lines.join("\n");
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push('…');
    }
    text
}

fn failing(it: &Failing) -> String {
    let detail = if it.detail.is_empty() { String::new() } else { format!(" ({})", it.detail) };
    let rounds = if it.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds in a row", it.rounds) };
    format!("{}: {}{detail}, {rounds}, since {}", named(&it.place), it.outcome, it.since)
}

fn recovered(it: &Recovered) -> String {
    format!("{}: failed for {}, until {}", named(&it.place), span(it.since, it.until), it.until)
}

fn span(since: Timestamp, until: Timestamp) -> humantime::FormattedDuration {
    let span = until.since(since);
    humantime::format_duration(if span < Duration::from_secs(1) { span } else { Duration::from_secs(span.as_secs()) })
}

fn more(all: usize, shown: usize) -> Option<String> {
    all.checked_sub(shown).filter(|&more| more > 0).map(|more| format!("and {more} more"))
}

fn degraded(trouble: &Degraded) -> Vec<String> {
    let Degraded { since, waiting, dropped, panics } = trouble;
    let mut lines = vec![format!("Since {since}.")];
    if *waiting > 0 {
        lines.push(format!("The database refuses, {waiting} rounds wait: is the disk full, or does somebody lock it?"));
    }
    if *dropped > 0 {
        lines.push(format!("{dropped} rounds were dropped because it refused for too long; they are in the ledger."));
    }
    if *panics > 0 {
        lines.push(format!("{panics} attempts ended in a panic, which is a defect: see the log."));
    }
    lines
}

/// The command that says what to try, for a shell.
fn why(place: &Place) -> String {
    let quoted = |word: &str| {
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c));
        if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    format!("gatherd why {} {}", quoted(place.job.as_str()), quoted(&place.endpoint))
}

fn object(notice: &Notice, machine: &str, title: &str, text: &str) -> Value {
    let event = match notice.news {
        News::Failing(_) => "failing",
        News::Recovered(_) => "recovered",
        News::Degraded(_) => "degraded",
        News::Well { .. } => "well",
        News::Test => "test",
    };
    let mut object = json!({
        "version": 1, "event": event, "at": notice.at.to_string(), "machine": machine, "title": title, "text": text,
    });
    match &notice.news {
        News::Failing(list) => {
            object["count"] = list.len().into();
            object["endpoints"] = list.iter().take(MOST_ENDPOINTS).map(failing_object).collect();
        }
        News::Recovered(list) => {
            object["count"] = list.len().into();
            object["endpoints"] = list.iter().take(MOST_ENDPOINTS).map(recovered_object).collect();
        }
        News::Degraded(Degraded { since, waiting, dropped, panics }) => {
            object["daemon"] =
                json!({ "since": since.to_string(), "waiting": waiting, "dropped": dropped, "panics": panics });
        }
        News::Well { since } => object["daemon"] = json!({ "since": since.to_string() }),
        News::Test => {}
    }
    object
}

fn failing_object(it: &Failing) -> Value {
    let Failing { place, since, rounds, outcome, http_status, detail } = it;
    json!({
        "job": place.job.as_str(), "endpoint": &*place.endpoint, "url": place.url, "host": &*place.host,
        "since": since.to_string(), "rounds": rounds, "outcome": outcome.as_str(), "http_status": http_status,
        "detail": detail, "why": why(place),
    })
}

fn recovered_object(it: &Recovered) -> Value {
    let Recovered { place, since, until } = it;
    json!({
        "job": place.job.as_str(), "endpoint": &*place.endpoint, "url": place.url, "host": &*place.host,
        "since": since.to_string(), "until": until.to_string(), "seconds": until.since(*since).as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{JobName, Outcome};

    fn place(endpoint: &str) -> Arc<Place> {
        let job = JobName::new("a job");
        let (url, host) = ("https://api.example.com/x?key=***".to_owned(), "api.example.com:443".into());
        Place { job, position: 0, endpoint: endpoint.into(), url, host }.into()
    }

    fn fails(endpoint: &str) -> Failing {
        let (since, outcome) = (Timestamp::from_micros(1_767_225_600_000_000), Outcome::HttpStatus);
        let detail = "503 <!channel>".to_owned();
        Failing { place: place(endpoint), since, rounds: 3, outcome, http_status: Some(503), detail }
    }

    fn message(kind: NotifyKind, news: News) -> Message {
        Message::new(kind, &Notice { at: Timestamp::default(), news }, "nas")
    }

    #[test]
    fn the_json_form_has_a_title_a_text_and_each_endpoint() {
        let message = message(NotifyKind::Json, News::Failing(vec![fails("it's"), fails("b")]));
        let object: Value = serde_json::from_str(&message.body).expect("JSON");
        assert_eq!(object["title"], "gatherd on nas: 2 endpoints of api.example.com:443 fail");
        assert_eq!((&object["event"], &object["count"]), (&"failing".into(), &2.into()));
        let first = &object["endpoints"][0];
        assert_eq!(first["since"], "2026-01-01T00:00:00.000Z");
        assert_eq!((&first["outcome"], &first["http_status"]), (&"http_status".into(), &503.into()));
        assert_eq!(first["why"], r"gatherd why 'a job' 'it'\''s'");
        assert!(object["text"].as_str().is_some_and(|text| text.contains("3 rounds in a row")));
    }

    #[test]
    fn a_text_of_slack_calls_nobody_and_stays_within_what_discord_takes() {
        for (count, filling) in [(200, "ü"), (200, "&<"), (1, "https://a.example/?a=1&b=2&")] {
            let name = |number| format!("@everyone {number} {}", filling.repeat(100));
            let failing = (0..count).map(|number| fails(&name(number))).collect();
            let message = message(NotifyKind::Slack, News::Failing(failing));
            let object: Value = serde_json::from_str(&message.body).expect("JSON");
            let text = object["text"].as_str().expect("a text");
            assert!(!text.contains("<!channel>") && !text.contains("@everyone"), "{text}");
            assert!(text.chars().count() <= 2_000, "{}", text.chars().count());
            let entities = ["&amp;", "&lt;", "&gt;"];
            let rest = entities.iter().fold(text.to_owned(), |text, entity| text.replace(entity, ""));
            assert!(!rest.contains('&'), "no entity is cut: {text}");
        }
    }

    #[test]
    fn a_title_of_ntfy_may_have_any_letters() {
        let one = message(NotifyKind::Ntfy, News::Failing(vec![fails("b")]));
        assert_eq!(one.headers["title"], "gatherd on nas: a job / b fails");
        assert_eq!(
            (&one.headers["priority"], &one.headers["tags"]),
            (&"high".parse().expect("a value"), &"warning".parse().expect("a value"))
        );
        let one = message(NotifyKind::Ntfy, News::Failing(vec![fails("größe")]));
        assert!(one.headers["title"].to_str().is_ok_and(|title| title.starts_with("=?UTF-8?B?")));
    }

    #[test]
    fn a_recovery_says_after_how_long() {
        let since = Timestamp::from_micros(1_767_225_600_000_000);
        let it = Recovered { place: place("b"), since, until: since.plus(Duration::from_secs(3_725)) };
        let message = message(NotifyKind::Ntfy, News::Recovered(vec![it]));
        assert!(message.body.contains("failed for 1h 2m 5s"), "{}", message.body);
    }
}
