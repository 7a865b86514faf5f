//! `gatherd demo`: rounds over the sample API, live, through the same actors as `gatherd run`.

use std::fmt::Write as _;
use std::io::{Write, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::output::moment;
use super::run::code;
use crate::app::{self, Reloads};
use crate::config::Settings;
use crate::model::{ClosedRound, Outcome};
use crate::sample_api::{SAMPLE_TOKEN, SampleApi};

/// The endpoint that asks to be left alone: on a host of its own, because that counts for the whole host.
const ASKS_FOR_A_PAUSE: &str = "429 with Retry-After: 4";

/// The endpoints: name, path, further keys.
const ENDPOINTS: [(&str, &str, &str); 11] = [
    ("users", "/figures/users", ""),
    ("revenue", "/figures/revenue", ""),
    ("healthy", "/healthy", ""),
    ("slow", "/slow", ""),
    ("hangs forever", "/hang", ""),
    ("HTML with 500", "/html-500", ", retries = 0"),
    ("HTML with 200", "/html-200", ""),
    ("wants token and User-Agent", "/guarded", ""),
    ("refuses scripts", "/guarded/script", r#", user_agent = "python-requests/2.32""#),
    (ASKS_FOR_A_PAUSE, "/rate-limited?after=4", ""),
    ("truncated body", "/truncated", ", retries = 0"),
];

/// `gatherd demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Keep the rounds in this database instead of a new temporary one
    #[arg(long, value_name = "PATH")]
    pub database: Option<PathBuf>,
    /// Stop after so many rounds
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub rounds: Option<u64>,
}

pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let start = || SampleApi::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("cannot start the sample API");
    let (api, second) = (start()?, start()?);
    let folder =
        tempfile::Builder::new().prefix("gatherd-demo-").tempdir().context("cannot make a temporary folder")?;
    let database = match &args.database {
        Some(path) => std::path::absolute(path).context("cannot use --database")?,
        None => folder.path().join("gatherd.db"),
    };
    let settings = settings(&api, &second, folder.path(), &database)?;
    introduce(&database)?;
    let (mut rounds, mut slots, mut ok) = (0_u64, 0, 0);
    let ended = app::run(settings, Reloads::Never, args.rounds.unwrap_or(u64::MAX), |round| {
        rounds += 1;
        slots += round.slots.len();
        ok += round.ok();
        let enough = args.rounds.is_some_and(|wanted| rounds >= wanted);
        // A terminal that is gone ends the demo.
        if writeln!(stdout(), "{}", line(round)).is_err() || enough {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    // The database stays, and with it the folder that it is in.
    let folder = args.database.is_none().then(|| folder.keep());
    conclude(
        &format!("{rounds} round(s), {slots} slots, {ok} with a document, {} null", slots - ok),
        &database,
        folder.as_deref(),
    )?;
    Ok(code(ended))
}

/// A config like any other, so that the demo goes the way that `gatherd run` goes.
fn settings(api: &SampleApi, second: &SampleApi, folder: &Path, database: &Path) -> anyhow::Result<Settings> {
    std::fs::write(folder.join("token"), SAMPLE_TOKEN).context("cannot write the demo's token")?;
    let mut text = format!(
        "database = {}\nworkers = 16\ngrace = \"2s\"\n\n[server]\nlisten = false\n\n[[job]]\nname = \"demo\"\nevery = \"2s\"\ntimeout = \"1500ms\"\n\
         token = {{ file = \"token\" }}\nendpoints = [\n",
        toml::Value::String(database.display().to_string())
    );
    for (name, path, keys) in ENDPOINTS {
        let host = if name == ASKS_FOR_A_PAUSE { second } else { api };
        writeln!(text, "  {{ name = {name:?}, url = {:?}{keys} }},", host.url(path))?;
    }
    text.push_str("]\n");
    let file = folder.join("config.toml");
    std::fs::write(&file, &text).context("cannot write the demo's config")?;
    Ok(Settings::parse(&file, &text)?)
}

fn introduce(database: &Path) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "A job of {} endpoints every 2 s, into {}. Ctrl-C ends.\n", ENDPOINTS.len(), database.display())?;
    for (index, (name, path, _)) in ENDPOINTS.iter().enumerate() {
        writeln!(out, "{:>4}  {name:<28} {path}", index + 1)?;
    }
    writeln!(
        out,
        "\nMarks: ✓ document  T timeout  S status  J not JSON  X truncated  B left alone  ! anything else\n"
    )?;
    Ok(())
}

/// Time, job, a mark for each slot in order, how many ok, how long.
fn line(round: &ClosedRound) -> String {
    let begin = &round.begin;
    let marks: Vec<&str> = round.slots.iter().map(|slot| mark(slot.outcome)).collect();
    let took = round.finished.since(begin.started);
    format!(
        "{}  {}  {}  {}/{} ok  {:.2} s",
        moment(begin.due, false),
        begin.layout.job,
        marks.join(" "),
        round.ok(),
        round.slots.len(),
        took.as_secs_f64()
    )
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "✓",
        Outcome::Timeout => "T",
        Outcome::HttpStatus => "S",
        Outcome::NotJson => "J",
        Outcome::Truncated => "X",
        Outcome::Backoff => "B",
        _ => "!",
    }
}

fn conclude(summary: &str, database: &Path, folder: Option<&Path>) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let path = database.display();
    writeln!(out, "\n{summary}. They are in {path}; ask it:\n")?;
    // As it was called: after `cargo run` it is not in the path.
    let gatherd = std::env::args().next().unwrap_or_else(|| "gatherd".to_owned());
    writeln!(out, "  {gatherd} rounds --vectors --database {path}")?;
    writeln!(out, "  {gatherd} latest --database {path}")?;
    writeln!(
        out,
        "  {gatherd} sql \"SELECT endpoint, outcome, count(*) FROM observations GROUP BY 1, 2\" --database {path}"
    )?;
    if let Some(folder) = folder {
        writeln!(out, "\nNothing else is left but {}, which you may delete.", folder.display())?;
    }
    Ok(())
}
