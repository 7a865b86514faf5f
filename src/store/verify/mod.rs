//! Whether the file is what it should be: SQLite's own check, and what gatherd promises of its rows.

mod rollups;
mod rounds;
mod slots;

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Connection;

use super::error::{StoreError, is_damage};
use super::migrate::in_memory;
use super::open::sqlite;
use super::read::Reader;

/// Of each kind so many are told one by one.
pub const MOST_TOLD: usize = 20;
/// How long a verification may take: it reads all of the file.
pub const DEADLINE: Duration = Duration::from_hours(24);

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rounds and entries of the ledger.
    pub rounds: u64,
    /// Slots.
    pub slots: u64,
    /// Hours of a job whose rollups were made again and compared or, where the slots are gone, read.
    pub hours: u64,
    /// Slots by outcomes that this version does not know: a newer one may have written them.
    pub unknown_outcomes: BTreeMap<String, u64>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `integrity`, `schema`, `layout`, `round`, `vector`, `body`, `slot`, `rollup` or `ledger`.
    pub kind: &'static str,
    /// Where: a job, and a round or an hour of it; rounds that are missing; a part of the schema.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

impl Problem {
    /// One that is not known to be at a narrower place.
    #[must_use]
    pub fn of_file(kind: &'static str, problem: String) -> Self {
        Self { kind, place: "the file".to_owned(), problem }
    }
}

impl Reader {
    /// What SQLite finds wrong with the file (`PRAGMA integrity_check`, `foreign_key_check`).
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn verify_integrity(&self) -> Result<Vec<Problem>, StoreError> {
        let verified = self.look("integrity", |verified| {
            let connection = &self.connection;
            let mut statement = connection.prepare(&format!("PRAGMA integrity_check({MOST_TOLD})"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let problem: String = row.get(0)?;
                if problem != "ok" {
                    verified.problems.push(Problem::of_file("integrity", problem));
                }
            }
            if !verified.problems.is_empty() {
                // Where rows are not found for the damage, all that point at them would be told.
                return Ok(());
            }
            let mut statement =
                connection.prepare("SELECT \"table\", count(*) FROM pragma_foreign_key_check GROUP BY 1")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (place, count): (String, i64) = (format!("table {}", row.get::<_, String>(0)?), row.get(1)?);
                let problem = format!("{count} rows point at rows that are not there");
                verified.problems.push(Problem { kind: "integrity", place, problem });
            }
            Ok(())
        })?;
        Ok(verified.problems)
    }

    /// Whether all tables, indices and views of gatherd are there; somebody else's may stand beside them. Tables are not
    /// compared by their text: SQLite writes it anew when they are altered.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn verify_schema(&self) -> Result<Vec<Problem>, StoreError> {
        let (wanted, path) = (in_memory(self.path())?, self.path());
        let wanted = objects(&wanted).map_err(|source| sqlite(path, source))?;
        let verified = self.look("schema", |verified| {
            let found = objects(&self.connection)?;
            for (name, (kind, text)) in wanted {
                let problem = match found.get(&name) {
                    Some((found, _)) if *found != kind => format!("it is no {kind}"),
                    Some((_, found)) if kind != "table" && *found != text => format!("the {kind} is not gatherd's"),
                    Some(_) => continue,
                    None => format!("the {kind} is missing"),
                };
                verified.problems.push(Problem { kind: "schema", place: name, problem });
            }
            Ok(())
        })?;
        Ok(verified.problems)
    }

    /// Does `look`, which notes what it finds. What it cannot read for the damage of the file is a finding as well, and its
    /// end.
    fn look(
        &self,
        kind: &'static str,
        look: impl FnOnce(&mut Verified) -> rusqlite::Result<()>,
    ) -> Result<Verified, StoreError> {
        let mut verified = Verified::default();
        self.in_time(|| match look(&mut verified) {
            Err(error) if is_damage(&error) => {
                verified.problems.push(Problem::of_file(kind, format!("not all of it can be read: {error}")));
                Ok(())
            }
            other => other,
        })?;
        Ok(verified)
    }
}

/// What a schema has: names, and of each what it is and its text.
fn objects(connection: &Connection) -> rusqlite::Result<BTreeMap<String, (String, Option<String>)>> {
    let mut statement = connection.prepare("SELECT name, type, sql FROM sqlite_schema")?;
    statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?.collect()
}

impl Verified {
    /// Adds what another check found.
    pub fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.slots += other.slots;
        self.hours += other.hours;
        self.problems.extend(other.problems);
        for (outcome, count) in other.unknown_outcomes {
            *self.unknown_outcomes.entry(outcome).or_default() += count;
        }
    }

    /// Counts an outcome that this version does not know.
    fn note_outcome(&mut self, outcome: &str) {
        if let Some(count) = self.unknown_outcomes.get_mut(outcome) {
            *count += 1;
        } else if self.unknown_outcomes.len() < MOST_TOLD {
            self.unknown_outcomes.insert(outcome.to_owned(), 1);
        }
    }
}
