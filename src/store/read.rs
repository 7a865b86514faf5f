//! Questions to the file. Each opens it read-only, needs no daemon, disturbs none, and has a deadline.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, Params, Statement};

use super::error::StoreError;
use super::open::{open_read_only, sqlite};

/// The largest answer in bytes: it is held in memory to be laid out.
const LARGEST_ANSWER: usize = 256 * 1024 * 1024;

/// Steps of SQLite's machine between two looks at the time: some dozen microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;

/// One value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl Value {
    /// The memory that it holds, roughly.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(text) => text.len(),
                Self::Blob(bytes) => bytes.len(),
                Self::Null | Self::Integer(_) | Self::Real(_) => 0,
            }
    }
}

/// An answer: names of columns, and rows of as many values.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
}

/// One row, whose values are asked for by the names of their columns.
#[derive(Clone, Copy, Debug)]
pub struct NamedRow<'a> {
    columns: &'a [String],
    values: &'a [Value],
}

impl Answer {
    /// The rows with their columns' names.
    pub fn named_rows(&self) -> impl Iterator<Item = NamedRow<'_>> {
        self.rows.iter().map(|values| NamedRow { columns: &self.columns, values })
    }
}

impl<'a> NamedRow<'a> {
    /// The value in the column called `name`; NULL when there is no such column.
    #[must_use]
    pub fn get(&self, name: &str) -> &'a Value {
        let index = self.columns.iter().position(|column| column == name);
        index.and_then(|index| self.values.get(index)).unwrap_or(&Value::Null)
    }
}

/// A connection that only reads.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
    path: PathBuf,
    deadline: Duration,
    /// When the questions that are asked together have to be answered.
    until: Cell<Option<Instant>>,
    largest: usize,
}

impl Reader {
    /// Opens the database at `path`; each question is stopped after `deadline`.
    ///
    /// # Errors
    /// When it is not there, not ours, or of a newer version.
    pub fn open(path: &Path, deadline: Duration) -> Result<Self, StoreError> {
        let (connection, path) = (open_read_only(path)?, path.to_owned());
        Ok(Self { connection, path, deadline, until: Cell::default(), largest: LARGEST_ANSWER })
    }

    /// Where the file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The same, with answers of at most so many bytes in memory.
    #[must_use]
    pub fn answering_at_most(mut self, bytes: usize) -> Self {
        self.largest = bytes;
        self
    }

    /// Asks several questions of one moment of the file: what is committed meanwhile is not seen. The deadline is for all
    /// of them together.
    ///
    /// # Errors
    /// When the file cannot be read in time, and what `questions` answers.
    pub fn at_one_moment<T, E: From<StoreError>>(&self, questions: impl FnOnce(&Self) -> Result<T, E>) -> Result<T, E> {
        // Rolled back at the end: nothing was written.
        let _moment = self.connection.unchecked_transaction().map_err(|error| self.failed(error))?;
        self.until.set(Instant::now().checked_add(self.deadline));
        let answer = questions(self);
        self.until.set(None);
        answer
    }

    /// The names of all jobs that ever ran.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn jobs(&self) -> Result<Vec<String>, StoreError> {
        let answer = self.ask("SELECT name FROM job ORDER BY name", [])?;
        let names = answer.rows.into_iter().flatten();
        Ok(names.filter_map(|value| if let Value::Text(name) = value { Some(name) } else { None }).collect())
    }

    /// The last `last` rounds and ledger entries of a job or of all, the newest at the end: the columns of the view
    /// `rounds`, and with `vectors` the one of `vectors`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn rounds(&self, job: Option<&str>, last: u32, vectors: bool) -> Result<Answer, StoreError> {
        // The newest are found in an index; the views then add the names and forms that people read.
        let newest = match job {
            Some(_) => "job_id = (SELECT job_id FROM job WHERE name = ?1) ORDER BY round_id DESC",
            None => "?1 IS NULL ORDER BY round_id DESC",
        };
        let vector =
            if vectors { ", (SELECT vector FROM vectors v WHERE v.round_id = rounds.round_id) AS vector" } else { "" };
        self.ask(
            &format!(
                "SELECT *{vector} FROM rounds
                 WHERE round_id IN (SELECT round_id FROM round WHERE {newest} LIMIT ?2) ORDER BY round_id"
            ),
            (job, last),
        )
    }

    /// The last complete round of a job or of all, a row an endpoint: the columns of the view `latest`.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn latest(&self, job: Option<&str>) -> Result<Answer, StoreError> {
        self.ask("SELECT * FROM latest WHERE ?1 IS NULL OR job = ?1 ORDER BY job, position", [job])
    }

    /// The answer to any single statement that reads.
    ///
    /// # Errors
    /// When it is not that, is not SQL, or takes too long.
    pub fn sql(&self, text: &str) -> Result<Answer, StoreError> {
        if text.trim().is_empty() {
            return Err(StoreError::Sql("no statement".to_owned()));
        }
        // All of these are "read-only" to SQLite, and reach outside of this file or this statement.
        let only_read = |context: AuthContext<'_>| match context.action {
            AuthAction::Attach { .. } | AuthAction::Detach { .. } | AuthAction::Transaction { .. } => {
                Authorization::Deny
            }
            _ => Authorization::Allow,
        };
        self.connection.authorizer(Some(only_read)).map_err(|error| self.failed(error))?;
        let answer = self.only_statement(text);
        let nothing: Option<fn(AuthContext<'_>) -> Authorization> = None;
        self.connection.authorizer(nothing).map_err(|error| self.failed(error))?;
        answer
    }

    fn only_statement(&self, text: &str) -> Result<Answer, StoreError> {
        let statement = self.connection.prepare(text).map_err(|error| self.question(error))?;
        if !statement.readonly() {
            let word = text.split_whitespace().next().unwrap_or_default();
            return Err(StoreError::NotReadOnly(format!("`{word}` does more")));
        }
        self.run(statement, []).map_err(|error| match error {
            StoreError::Sqlite { source, .. } => self.question(source),
            other => other,
        })
    }

    /// What is wrong with a statement of the user's; what is wrong with the file stays that.
    fn question(&self, error: rusqlite::Error) -> StoreError {
        use ErrorCode::{CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, NotADatabase, SystemIoFailure};
        let file = [CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, NotADatabase, SystemIoFailure];
        match error {
            rusqlite::Error::MultipleStatement => StoreError::NotReadOnly("there are several".to_owned()),
            rusqlite::Error::SqlInputError { msg, offset, .. } => {
                StoreError::Sql(format!("{msg}, at character {}", offset.saturating_add(1)))
            }
            rusqlite::Error::SqliteFailure(failure, _) if file.contains(&failure.code) => self.failed(error),
            other => StoreError::Sql(other.to_string()),
        }
    }

    pub(super) fn ask(&self, sql: &str, params: impl Params) -> Result<Answer, StoreError> {
        let statement = self.connection.prepare(sql).map_err(|error| self.failed(error))?;
        self.run(statement, params)
    }

    fn run(&self, mut statement: Statement<'_>, params: impl Params) -> Result<Answer, StoreError> {
        self.in_time(|| collect(&mut statement, params, self.largest))?.ok_or(StoreError::LargeAnswer(self.largest))
    }

    /// Does `work`, whose statements are interrupted once the deadline is over.
    pub(super) fn in_time<T>(&self, work: impl FnOnce() -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let until = self.until();
        let is_over = move || until.is_some_and(|until| Instant::now() > until);
        let no_more: Option<fn() -> bool> = None;
        let set = self.connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(is_over));
        let result = set.and_then(|()| work());
        self.connection.progress_handler(0, no_more).and(result).map_err(|error| self.failed(error))
    }

    /// When a question that begins now has to be answered. Beyond the end of time there is no such moment.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until.get().or_else(|| Instant::now().checked_add(self.deadline))
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        if is_interrupt(&error) { StoreError::Deadline(self.deadline) } else { sqlite(&self.path, error) }
    }
}

/// What stops a statement whose deadline is over, where SQLite has no occasion to see that itself.
pub(super) fn interrupt() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT), None)
}

/// Whether a statement was stopped for its deadline.
pub(super) fn is_interrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// The whole answer, or `None` when it is larger than this process should hold.
fn collect(statement: &mut Statement<'_>, params: impl Params, largest: usize) -> rusqlite::Result<Option<Answer>> {
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let mut found = statement.query(params)?;
    while let Some(row) = found.next()? {
        let values = (0..columns.len()).map(|column| row.get_ref(column).map(value));
        let values = values.collect::<rusqlite::Result<Vec<Value>>>()?;
        bytes += values.iter().map(Value::bytes).sum::<usize>();
        if bytes > largest {
            return Ok(None);
        }
        rows.push(values);
    }
    Ok(Some(Answer { columns, rows }))
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
    }
}
