//! Where what is told comes from: the daemon, or its file and the lock beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::report::Report;
use super::verdict::problems;
use super::{State, Status, StatusArgs};
use crate::cli::daemon_api::{ask, plain_http, url_of};
use crate::cli::health;
use crate::cli::token;
use crate::config::{Listen, Secret, Settings};
use crate::model::Timestamp;
use crate::store::overview::identity;
use crate::store::read::Reader;
use crate::store::{StoreError, is_held};

/// The daemon that is meant.
pub struct Place {
    /// Its config, where that is right.
    settings: Option<Settings>,
    /// What is wrong with its config, where that is not.
    mistakes: Option<String>,
    /// Where it is asked, or why it cannot be.
    url: Result<Url, String>,
    /// Whether that is only where it is by default, because the config that would say it is wrong.
    guessed: bool,
    /// What it is shown, or why that cannot be read.
    token: Result<Option<Secret>, String>,
    /// Its file, unless it is somewhere else.
    database: Option<PathBuf>,
    deadline: Duration,
}

/// What came of asking the daemon.
enum Asked {
    /// It told.
    Told(Box<Report>),
    /// It is there, and does not tell more than whether it is ready: why not, and why it does not tell.
    Reticent { obstacle: Option<String>, note: String },
    /// Nobody answers, or not as gatherd does.
    Silent(String),
    /// There is nobody to be asked, or it is another daemon.
    Nobody(String),
}

impl Place {
    /// The one that `args` mean.
    ///
    /// # Errors
    /// When a token cannot be read, or a URL is not of plain HTTP.
    pub fn of(args: &StatusArgs) -> anyhow::Result<Self> {
        let deadline = args.deadline;
        let token = token::read(args.token_env.as_ref(), args.token_file.as_ref())?;
        if let Some(url) = &args.url {
            plain_http(url)?;
            let (url, token) = (Ok(url.clone()), Ok(token));
            return Ok(Self { settings: None, mistakes: None, url, guessed: false, token, database: None, deadline });
        }
        if let Some(database) = &args.database {
            let url = Err("only the file was asked".to_owned());
            let database = Some(database.clone());
            return Ok(Self {
                settings: None,
                mistakes: None,
                url,
                guessed: false,
                token: Ok(None),
                database,
                deadline,
            });
        }
        let (settings, mistakes) = Settings::load_despite_mistakes(&args.config);
        let url = match settings.server.listen {
            Listen::Off => Err("the config has listen = false".to_owned()),
            _ => url_of(&settings.server.listen).map_err(|error| error.to_string()),
        };
        let token = match (token, &settings.server.token) {
            (None, Some(source)) => source
                .read(settings.folder())
                .map(Some)
                .map_err(|error| format!("its token cannot be read here: {:#}", anyhow::Error::from(error))),
            (token, _) => Ok(token),
        };
        let database = Some(settings.database.clone());
        let guessed = mistakes.is_some() && matches!(settings.server.listen, Listen::Default(_));
        let mistakes = mistakes.map(|mistakes| mistakes.in_short());
        let settings = Some(settings).filter(|_| mistakes.is_none());
        Ok(Self { settings, mistakes, url, guessed, token, database, deadline })
    }

    /// How it is at `now`. A daemon that runs goes on with the config that it has read, so one that is wrong is the least.
    pub fn status(&self, now: Timestamp) -> Status {
        let mut status = self.of_daemon(now);
        if let Some(mistakes) = &self.mistakes {
            status.why.push(format!("its config cannot be used: {mistakes}"));
            status.state = if status.state == State::Ok { State::Degraded } else { status.state };
        }
        status
    }

    fn of_daemon(&self, now: Timestamp) -> Status {
        match self.ask() {
            Asked::Told(report) => {
                let why = problems(&report, now);
                Status { state: state(&why), why, notes: Vec::new(), report: *report }
            }
            Asked::Reticent { note, .. } if self.is_free() => {
                let path = self.database.as_deref().unwrap_or(Path::new("the database")).display();
                self.down(format!("no daemon runs: nobody holds {path}.lock, another answers ({note})"), now)
            }
            Asked::Reticent { obstacle, note } => {
                let mut status = self.by_file(true, now, Vec::new());
                if status.report.database.is_some() {
                    status.notes.insert(0, format!("only its file is known: {note}"));
                } else {
                    status.why.push(format!("no more is known than that it answers: {note}"));
                }
                let why: Vec<String> = obstacle.into_iter().chain(status.why).collect();
                Status { state: state(&why), why, ..status }
            }
            // It may well answer elsewhere.
            Asked::Silent(reason) if self.guessed && self.lock() == Some(true) => {
                self.by_file(true, now, vec![format!("only its file is known: {reason}")])
            }
            Asked::Silent(reason) => {
                let held = if self.lock() == Some(true) { ", though the lock of its database is held" } else { "" };
                self.down(format!("{reason}{held}"), now)
            }
            Asked::Nobody(reason) if self.lock() == Some(true) => {
                let note = format!("only its file is known: {reason}");
                let status = self.by_file(true, now, vec![note]);
                Status { state: state(&status.why), ..status }
            }
            Asked::Nobody(reason) => {
                let path = self.database.as_deref().unwrap_or(Path::new("the database")).display();
                self.down(format!("no daemon runs: nobody holds {path}.lock ({reason})"), now)
            }
        }
    }

    fn down(&self, reason: String, now: Timestamp) -> Status {
        let status = self.by_file(false, now, Vec::new());
        let why = std::iter::once(reason).chain(status.why).collect();
        Status { state: State::Down, why, ..status }
    }

    /// What the file tells of a daemon that `runs` or not.
    fn by_file(&self, runs: bool, now: Timestamp, mut notes: Vec<String>) -> Status {
        let mut why = Vec::new();
        let mut report = Report::default();
        if let Some(path) = &self.database {
            match Reader::open(path, self.deadline).and_then(|reader| reader.overview(now)) {
                Ok(overview) => {
                    report = Report::by_file(overview, path, self.settings.as_ref(), runs, now);
                    why = problems(&report, now);
                }
                Err(StoreError::Absent { path }) => notes.push(format!("there is no database at {}", path.display())),
                Err(error) => why.push(format!("the database cannot be read: {}", error.with_cause())),
            }
        }
        Status { state: State::Ok, why, notes, report }
    }

    /// Whether the lock of the database is held; `None` when that is not known.
    fn lock(&self) -> Option<bool> {
        is_held(self.database.as_deref()?).ok()
    }

    /// Whether the database is there and no daemon has it: who answers where that would be is somebody else.
    fn is_free(&self) -> bool {
        self.lock() == Some(false) && self.database.as_deref().is_some_and(Path::exists)
    }

    fn ask(&self) -> Asked {
        let url = match &self.url {
            Ok(url) => url,
            Err(reason) => return Asked::Nobody(reason.clone()),
        };
        let note = match &self.token {
            Ok(token) => match self.tell(url, token.as_ref().filter(|_| !self.is_free())) {
                Ok(asked) => return asked,
                Err(note) => note,
            },
            Err(reason) => reason.clone(),
        };
        // It takes no token.
        match ask(url, "/readyz", None, health::PATIENCE) {
            Err(error) => Asked::Silent(format!("nobody answers at {url}: {error}")),
            Ok(answer) => {
                let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                match (answer.status, document["status"].as_str(), document["detail"].as_str()) {
                    (200, Some("ok"), _) => Asked::Reticent { obstacle: None, note },
                    (503, _, Some(detail)) => Asked::Reticent { obstacle: Some(detail.to_owned()), note },
                    (status, ..) => Asked::Silent(format!("what answers {status} at {url} is not gatherd")),
                }
            }
        }
    }

    /// What the daemon at `url` tells.
    ///
    /// # Errors
    /// Why it does not, when somebody answers.
    fn tell(&self, url: &Url, token: Option<&Secret>) -> Result<Asked, String> {
        let answer = match ask(url, "/api/v1/status", token, self.deadline) {
            Ok(answer) => answer,
            Err(error) => return Ok(Asked::Silent(format!("nobody answers at {url}: {error}"))),
        };
        if answer.status != 200 {
            let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let detail = document["detail"].as_str().unwrap_or("and does not say why");
            return Err(format!("{url} answers {}: {detail}", answer.status));
        }
        let report: Report =
            serde_json::from_slice(&answer.body).map_err(|error| format!("the answer of {url} is another: {error}"))?;
        let there = report.database.as_ref().and_then(|database| database.identity.clone());
        let here = self.database.as_deref().and_then(identity);
        Ok(match here.zip(there) {
            Some((here, there)) if here != there => Asked::Nobody(format!("the daemon at {url} has another database")),
            _ => Asked::Told(Box::new(report)),
        })
    }
}

fn state(why: &[String]) -> State {
    if why.is_empty() { State::Ok } else { State::Degraded }
}
