//! What failures leave to look at: equal evidence is kept once, and only the newest.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::rollup::HOUR_MICROS;
use crate::model::{Evidence, Guess, Timestamp};

/// The most rows that each table keeps. With at most a few KiB each they stay below a few dozen MiB.
const MOST_ROWS: i64 = 10_000;
/// A row says to so much when it was last used: a failure that goes on does not write it each time.
const LAST_USED_GRAIN: i64 = HOUR_MICROS;

/// The evidence of one transaction.
pub struct KeptEvidence<'t> {
    transaction: &'t Transaction<'t>,
    sent: Known,
    answers: Known,
}

/// The rows of a table that this transaction has seen. Their numbers are known for no longer than that, because rows are
/// dropped at its end; a failure that goes on is then simply kept anew.
#[derive(Default)]
struct Known {
    ids: HashMap<[u8; 16], i64>,
    newest: Option<i64>,
}

impl<'t> KeptEvidence<'t> {
    pub fn new(transaction: &'t Transaction<'t>) -> Self {
        Self { transaction, sent: Known::default(), answers: Known::default() }
    }

    /// The number of the row that is equal to what was sent to the endpoint with this key, made when there is none;
    /// `seen` is when it was first seen.
    pub fn sent(&mut self, evidence: &Evidence, endpoint: i64, seen: Timestamp) -> rusqlite::Result<i64> {
        let fingerprint = evidence.sent_fingerprint(endpoint);
        self.sent.id(self.transaction, "sent", fingerprint, seen, |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO sent (fingerprint, first_seen, last_used, request) VALUES (?1, ?2, ?2, ?3)",
            )?;
            insert.insert(params![fingerprint, seen.as_micros(), evidence.sent])
        })
    }

    /// The same for what came back, if something did.
    pub fn answer(&mut self, evidence: &Evidence, seen: Timestamp) -> rusqlite::Result<Option<i64>> {
        let Some(answer) = &evidence.answer else { return Ok(None) };
        let fingerprint = answer.fingerprint();
        let id = self.answers.id(self.transaction, "evidence", fingerprint, seen, |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO evidence (fingerprint, first_seen, last_used, status, headers, body, cut, guess)
                 VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            insert.insert(params![
                fingerprint,
                seen.as_micros(),
                answer.status,
                answer.headers,
                answer.body,
                answer.cut,
                evidence.guess.map(Guess::as_str),
            ])
        });
        id.map(Some)
    }

    /// Drops the oldest rows until the bound holds. Numbers are given out one after the other, and only the lowest are
    /// taken back, so the newest one says how many there are.
    pub fn drop_oldest(self) -> rusqlite::Result<()> {
        for (known, delete) in [
            (self.sent, "DELETE FROM sent WHERE sent_id <= ?1"),
            (self.answers, "DELETE FROM evidence WHERE evidence_id <= ?1"),
        ] {
            if let Some(newest) = known.newest {
                self.transaction.prepare_cached(delete)?.execute([newest - MOST_ROWS])?;
            }
        }
        Ok(())
    }
}

impl Known {
    fn id(
        &mut self,
        transaction: &Transaction<'_>,
        table: &str,
        fingerprint: [u8; 16],
        seen: Timestamp,
        insert: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<i64>,
    ) -> rusqlite::Result<i64> {
        if let Some(&id) = self.ids.get(&fingerprint) {
            return Ok(id);
        }
        let find = format!("SELECT {table}_id, last_used FROM {table} WHERE fingerprint = ?1");
        let found = transaction
            .prepare_cached(&find)?
            .query_row([fingerprint], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        let id = match found {
            Some((id, last_used)) => {
                if seen.as_micros() - last_used >= LAST_USED_GRAIN {
                    let update = format!("UPDATE {table} SET last_used = ?2 WHERE {table}_id = ?1");
                    transaction.prepare_cached(&update)?.execute([id, seen.as_micros()])?;
                }
                id
            }
            None => *self.newest.insert(insert(transaction)?),
        };
        self.ids.insert(fingerprint, id);
        Ok(id)
    }
}

/// The memory that evidence holds.
pub fn bytes(evidence: &Evidence) -> usize {
    let answer = evidence.answer.as_ref().map_or(0, |answer| answer.headers.len() + answer.body.len());
    size_of::<Evidence>() + evidence.sent.len() + answer
}
