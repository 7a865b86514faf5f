//! The answer for people, at most 80 columns wide but for what cannot be broken.

use std::time::Duration;

use super::{Answer, failure};
use crate::cli::output::{self, cut, moment, plain_text, second, span};
use crate::model::{self, Guess, Phase, Phases};
use crate::store::why::{EndpointStatus, Run, StoredEvidence, StoredSlot};

const WIDTH: usize = 80;
const PHASES: [Phase; 5] = [Phase::Dns, Phase::Connect, Phase::Tls, Phase::Headers, Phase::Body];
/// So many of an answer's headers are shown, and so many lines of its body; `--json` has all that is kept.
const MOST_HEADERS: usize = 20;
const MOST_LINES: usize = 12;

/// The whole text.
pub fn of(answer: &Answer<'_>, utc: bool) -> String {
    let status = &answer.status;
    let mut page = Page::default();
    page.line(&format!("job {:?}, endpoint {:?}", answer.job, answer.endpoint));
    page.line(&plain_text(&status.url));
    page.line("");
    summary(&mut page, answer, utc);
    if let Some(slot) = failure(status) {
        if let Some(phases) = &slot.phases {
            how_far(&mut page, phases, status.url.starts_with("http://"));
        }
        exchange(&mut page, slot, utc);
    }
    if !answer.advice.is_empty() {
        page.heading(if status.slot.is_ok() { "What to try should it fail again" } else { "What to try" });
        answer.advice.iter().for_each(|advice| page.wrapped("  - ", "    ", &plain_text(advice)));
    }
    page.0
}

fn summary(page: &mut Page, answer: &Answer<'_>, utc: bool) {
    let EndpointStatus { slot, newest, run, last_failure, .. } = &answer.status;
    page.row("outcome", &ended(slot));
    let interrupted = if slot.round_status == "interrupted" { ", interrupted" } else { "" };
    page.row("round", &format!("{}, due {}{interrupted}", slot.round.id, moment(slot.round.due, utc)));
    if slot.attempts > 0 {
        let attempts = counted(slot.attempts.into(), "attempt");
        page.row("took", &format!("{}, {attempts}", short(slot.elapsed)));
    }
    if let Some(run) = run {
        history(page, run, slot, utc);
    }
    if let Some(failure) = last_failure {
        let (due, round) = (moment(failure.round.due, utc), failure.round.id);
        page.row("failed", &format!("last in round {round}, due {due}"));
        page.row("", &ended(failure));
    }
    if let Some(until) = answer.left_alone_until {
        page.row("paused", &format!("until {}: the host asked to be left alone", moment(until, utc)));
    }
    if newest.id != slot.round.id {
        let (newest, due) = (newest.id, moment(newest.due, utc));
        page.row("removed", &format!("not in the job any more: its round {newest}, due {due}, is without it"));
    }
}

/// Since when it is so.
fn history(page: &mut Page, run: &Run, slot: &StoredSlot, utc: bool) {
    let rounds = match run.rounds {
        1 => "1 round".to_owned(),
        rounds => format!("{rounds} rounds in a row"),
    };
    let length = slot.round.due.since(run.first.due);
    let span = if length.as_secs() == 0 { String::new() } else { format!("{}, ", span(length)) };
    let (since, least) = if run.whole { ("since", "") } else { ("since before", "at least ") };
    let label = if run.ok { "ok" } else { "failing" };
    page.row(label, &format!("{since} {} ({span}{least}{rounds})", moment(run.first.due, utc)));
    match run.before {
        Some(round) if !run.ok => page.row("last ok", &format!("{}, round {}", moment(round.due, utc), round.id)),
        None if !run.ok && run.whole => page.row("last ok", "never"),
        _ => {}
    }
}

fn ended(slot: &StoredSlot) -> String {
    let detail = slot.detail.as_deref().map(plain_text).unwrap_or_default();
    let status = slot.http_status.map(|status| status.to_string()).filter(|status| !detail.starts_with(status));
    let status = status.map(|status| format!(" (status {status})")).unwrap_or_default();
    let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
    format!("{}{status}{detail}", plain_text(&slot.outcome))
}

fn how_far(page: &mut Page, phases: &Phases, plain: bool) {
    page.heading("How far it came");
    let times: Vec<Option<Duration>> = phases.times().map(|(_, time)| time).collect();
    for (index, phase) in PHASES.into_iter().enumerate() {
        let time = times.get(index).copied().flatten().map_or_else(|| "-".to_owned(), short);
        let note = match phase {
            Phase::Tls if plain && phase != phases.reached => "plain HTTP",
            phase if phase == phases.reached => "<- ended here",
            phase if phase > phases.reached => "not reached",
            _ if time == "-" => "not needed, or not seen",
            _ => "",
        };
        page.line(format!("  {phase:<8} {time:>10}   {note}").trim_end());
    }
}

/// What is said in the place of evidence that is not there any more.
const DROPPED: &str = "  not kept any more: it had to make room for newer failures";

fn exchange(page: &mut Page, slot: &StoredSlot, utc: bool) {
    let Some(StoredEvidence { first_seen, evidence }) = &slot.evidence else {
        if slot.evidence_dropped {
            page.heading("What came back");
            page.line(DROPPED);
        }
        return;
    };
    let never_left = slot.phases.is_some_and(|phases| phases.reached < Phase::Headers);
    page.heading(if never_left { "What was to be sent" } else { "What was sent" });
    if evidence.sent.is_empty() {
        page.line(DROPPED);
    }
    evidence.sent.lines().for_each(|line| page.wrapped("  ", "      ", &plain_text(line)));
    page.heading("What came back");
    if *first_seen != slot.fetched_at && evidence.answer.is_some() {
        page.line(&format!("  (first seen {}; only numbers and dates differ since)", second(*first_seen, utc)));
    }
    match &evidence.answer {
        Some(answer) => came_back(page, answer),
        None if slot.evidence_dropped => page.line(DROPPED),
        None => page.line("  nothing"),
    }
    if let Some(guess) = evidence.guess {
        page.heading(&format!("It looks like {}", with_article(guess)));
    }
}

fn came_back(page: &mut Page, answer: &model::Answer) {
    page.line(&format!("  status {}", answer.status));
    let header = |line: &'_ str| match plain_text(line) {
        // It says what is wanted.
        line if line.starts_with("www-authenticate:") => broken(&line, WIDTH - 2),
        line => vec![cut(&line, WIDTH - 2).into_owned()],
    };
    page.first(MOST_HEADERS, answer.headers.lines().flat_map(header));
    page.line("");
    let body = answer.body.lines().map(plain_text).filter(|line| !line.trim().is_empty());
    let lines: Vec<String> = body.flat_map(|line| broken(line.trim_end(), WIDTH - 2)).collect();
    if answer.body.is_empty() && answer.cut {
        page.line("  (nothing of its body is kept)");
        return;
    }
    if lines.is_empty() {
        page.line("  (no body)");
    }
    let whole = page.first(MOST_LINES, lines.into_iter());
    if whole && answer.cut {
        page.line("  … (the body went on, its beginning is kept)");
    }
}

fn with_article(guess: Guess) -> String {
    format!("{} {guess}", if guess == Guess::ErrorDocument { "an" } else { "a" })
}

/// Lines of text.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn heading(&mut self, text: &str) {
        self.line("");
        self.line(text);
    }

    fn row(&mut self, label: &str, text: &str) {
        self.wrapped(&format!("  {label:<8}  "), "            ", text);
    }

    fn wrapped(&mut self, first: &str, others: &str, text: &str) {
        for line in output::wrapped(text, first, others, WIDTH) {
            self.line(line.trim_end());
        }
    }

    /// The first `most` of `lines`, indented; answers whether they were all.
    fn first(&mut self, most: usize, lines: impl Iterator<Item = String>) -> bool {
        let mut lines = lines.peekable();
        for line in lines.by_ref().take(most) {
            self.line(&format!("  {line}"));
        }
        let whole = lines.peek().is_none();
        if !whole {
            self.line(&format!("  … ({} more, see --json)", lines.count()));
        }
        whole
    }
}

/// `line` in pieces of at most `width` characters; a line without spaces, as of a page written by a machine, is one
/// word.
fn broken(line: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    characters.chunks(width).map(|piece| piece.iter().collect()).collect()
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn short(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}
