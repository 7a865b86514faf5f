//! `gatherd man`: the manual, a page a command, made from the definitions of the command line.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::args::Args;
use super::exit;

/// Which files there are, and what they are.
const FILES: [(&str, &str); 4] = [
    ("config.toml", "The config of a gatherd that somebody runs by hand, in the current folder; see gatherd-init(1)."),
    ("/etc/gatherd/config.toml", "The config of the system's service."),
    (
        "/var/lib/gatherd/gatherd.db",
        "The database of the system's service; paths in its config are relative to that folder.",
    ),
    ("gatherd.db.lock", "Beside each database: one daemon a database."),
];

/// What people do with it, and by which words.
const EXAMPLES: [(&str, &str); 5] = [
    ("Write a config, look at what it will do, and run it:", "gatherd init && gatherd check && gatherd run"),
    (
        "Fetch two documents once, as one JSON array:",
        "gatherd fetch https://api.example.com/users https://api.example.com/sales",
    ),
    ("See the last rounds, and what did not run:", "gatherd rounds --last 5"),
    ("Ask why an endpoint fails:", "gatherd why analytics signups"),
    ("Ask the database anything:", "gatherd sql \"SELECT outcome, count(*) FROM observations GROUP BY 1\""),
];

/// `gatherd man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder that the pages are written into; it is made where it is not there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

pub fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let folder = args.folder.display();
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    fs::create_dir_all(&args.folder)
        .and_then(|()| write_pages(&command, &args.folder))
        .with_context(|| format!("cannot write into {folder}"))?;
    Ok(ExitCode::SUCCESS)
}

/// The page of `command`, and those of its subcommands.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let version = concat!("gatherd ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).date(date()).source(version).manual("gatherd");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
        further_sections().to_writer(&mut page)?;
    } else {
        see_also().to_writer(&mut page)?;
    }
    File::create(folder.join(man.get_filename()))?.write_all(&page)?;
    command.get_subcommands().try_for_each(|command| write_pages(command, folder))
}

/// Today, or the day that a reproducible build calls so.
fn date() -> String {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let moment = epoch.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or_else(Utc::now);
    moment.format("%Y-%m-%d").to_string()
}

/// What the definitions of the command line do not say.
fn further_sections() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit::MEANINGS {
        page.control("TP", []).text([bold(code.to_string())]).text([roman(meaning)]);
    }
    page.control("SH", ["FILES"]);
    for (file, about) in FILES {
        page.control("TP", []).text([italic(file)]).text([roman(about)]);
    }
    page.control("SH", ["EXAMPLES"]);
    for (purpose, line) in EXAMPLES {
        page.control("PP", []).text([roman(purpose)]);
        page.control("PP", []).control("RS", ["4"]).text([bold(line)]).control("RE", []);
    }
    page
}

fn see_also() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["SEE ALSO"]).text([bold("gatherd"), roman("(1), which tells of exit codes and files")]);
    page
}
