//! What failures leave to look at: equal evidence is kept once, and only the newest.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::{Evidence, Guess, Timestamp};

/// The most rows that are kept. With at most a few KiB each they stay below a few dozen MiB.
const MOST_ROWS: i64 = 10_000;

/// The evidence of one transaction. Its rows' numbers are known for no longer than that, because rows are dropped at
/// its end; a failure that goes on is then simply kept anew.
pub struct KeptEvidence<'t> {
    transaction: &'t Transaction<'t>,
    ids: HashMap<[u8; 16], i64>,
    newest: Option<i64>,
}

impl<'t> KeptEvidence<'t> {
    pub fn new(transaction: &'t Transaction<'t>) -> Self {
        Self { transaction, ids: HashMap::new(), newest: None }
    }

    /// The number of the row that is equal to `evidence`, made when there is none; `seen` is when it was first seen.
    pub fn id(&mut self, evidence: &Evidence, seen: Timestamp) -> rusqlite::Result<i64> {
        let fingerprint = evidence.fingerprint();
        if let Some(&id) = self.ids.get(&fingerprint) {
            return Ok(id);
        }
        let mut find = self.transaction.prepare_cached("SELECT evidence_id FROM evidence WHERE fingerprint = ?1")?;
        let id = match find.query_row([fingerprint], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => self.insert(fingerprint, evidence, seen)?,
        };
        self.ids.insert(fingerprint, id);
        Ok(id)
    }

    fn insert(&mut self, fingerprint: [u8; 16], evidence: &Evidence, seen: Timestamp) -> rusqlite::Result<i64> {
        let answer = evidence.answer.as_ref();
        let mut insert = self.transaction.prepare_cached(
            "INSERT INTO evidence (fingerprint, first_seen, sent, status, headers, body, cut, guess)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let id = insert.insert(params![
            fingerprint,
            seen.as_micros(),
            evidence.sent,
            answer.map(|answer| answer.status),
            answer.map(|answer| &answer.headers),
            answer.map(|answer| &answer.body),
            answer.map(|answer| answer.cut),
            evidence.guess.map(Guess::as_str),
        ])?;
        self.newest = Some(id);
        Ok(id)
    }

    /// Drops the oldest rows until the bound holds. Numbers are given out one after the other, and only the lowest are
    /// taken back, so the newest one says how many there are.
    pub fn drop_oldest(self) -> rusqlite::Result<()> {
        let Some(newest) = self.newest else { return Ok(()) };
        let mut delete = self.transaction.prepare_cached("DELETE FROM evidence WHERE evidence_id <= ?1")?;
        delete.execute([newest - MOST_ROWS])?;
        Ok(())
    }
}

/// The memory that evidence holds.
pub fn bytes(evidence: &Evidence) -> usize {
    let answer = evidence.answer.as_ref().map_or(0, |answer| answer.headers.len() + answer.body.len());
    size_of::<Evidence>() + evidence.sent.len() + answer
}
