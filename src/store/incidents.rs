//! What those who are told of failures know, over a restart.

use std::sync::Arc;

use rusqlite::{Row, params};

use super::error::StoreError;
use super::open::sqlite;
use super::write::Writer;
use crate::model::{Incident, IncidentKey, IncidentMemory, JobName, Timestamp, Told, ToldKey};

impl Writer {
    /// All that is remembered.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn incidents(&self) -> Result<IncidentMemory, StoreError> {
        let read = || {
            let mut statement =
                self.connection.prepare("SELECT target, job, endpoint, rounds, since, told FROM incident")?;
            let incidents = statement.query_map([], incident)?.collect::<rusqlite::Result<_>>()?;
            let mut statement = self.connection.prepare("SELECT target, subject, told_at, open FROM told")?;
            let told = statement.query_map([], told)?.collect::<rusqlite::Result<_>>()?;
            Ok(IncidentMemory { incidents, told })
        };
        read().map_err(|source| sqlite(&self.path, source))
    }

    /// Writes what changed.
    ///
    /// # Errors
    /// When the file cannot be written; nothing of it is then there.
    pub fn remember_incidents(&mut self, changes: &IncidentMemory) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            let mut put = transaction.prepare_cached(
                "INSERT OR REPLACE INTO incident (target, job, endpoint, rounds, since, told)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            let mut forget =
                transaction.prepare_cached("DELETE FROM incident WHERE target = ?1 AND job = ?2 AND endpoint = ?3")?;
            for (IncidentKey { target, job, endpoint }, incident) in &changes.incidents {
                match incident {
                    Some(Incident { rounds, since, told }) => {
                        put.execute(params![target, job.as_str(), endpoint, rounds, since.as_micros(), told])?
                    }
                    None => forget.execute(params![target, job.as_str(), endpoint])?,
                };
            }
            let mut put = transaction.prepare_cached(
                "INSERT OR REPLACE INTO told (target, subject, told_at, open) VALUES (?1, ?2, ?3, ?4)",
            )?;
            let mut forget = transaction.prepare_cached("DELETE FROM told WHERE target = ?1 AND subject = ?2")?;
            for (ToldKey { target, subject }, told) in &changes.told {
                match told {
                    Some(Told { at, open }) => put.execute(params![target, subject, at.as_micros(), open])?,
                    None => forget.execute(params![target, subject])?,
                };
            }
            Ok(())
        })
    }
}

fn incident(row: &Row<'_>) -> rusqlite::Result<(IncidentKey, Option<Incident>)> {
    let (target, job, endpoint): (Arc<str>, String, Arc<str>) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let since = Timestamp::from_micros(row.get(4)?);
    let incident = Incident { rounds: row.get(3)?, since, told: row.get(5)? };
    Ok((IncidentKey { target, job: JobName::new(&job), endpoint }, Some(incident)))
}

fn told(row: &Row<'_>) -> rusqlite::Result<(ToldKey, Option<Told>)> {
    let key = ToldKey { target: row.get(0)?, subject: row.get(1)? };
    Ok((key, Some(Told { at: Timestamp::from_micros(row.get(2)?), open: row.get(3)? })))
}
