//! What failures leave to look at: equal evidence is kept once, and only the newest.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::{Evidence, Guess, Timestamp};

/// The most rows that each table keeps. With at most a few KiB each they stay below a few dozen MiB.
const MOST_ROWS: i64 = 10_000;

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
        let find = "SELECT sent_id FROM sent WHERE fingerprint = ?1";
        self.sent.id(self.transaction, fingerprint, find, |transaction| {
            let mut insert = transaction
                .prepare_cached("INSERT INTO sent (fingerprint, first_seen, request) VALUES (?1, ?2, ?3)")?;
            insert.insert(params![fingerprint, seen.as_micros(), evidence.sent])
        })
    }

    /// The same for what came back, if something did.
    pub fn answer(&mut self, evidence: &Evidence, seen: Timestamp) -> rusqlite::Result<Option<i64>> {
        let Some(answer) = &evidence.answer else { return Ok(None) };
        let fingerprint = answer.fingerprint();
        let find = "SELECT evidence_id FROM evidence WHERE fingerprint = ?1";
        let id = self.answers.id(self.transaction, fingerprint, find, |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO evidence (fingerprint, first_seen, status, headers, body, cut, guess)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
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
        fingerprint: [u8; 16],
        find: &str,
        insert: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<i64>,
    ) -> rusqlite::Result<i64> {
        if let Some(&id) = self.ids.get(&fingerprint) {
            return Ok(id);
        }
        let found = transaction.prepare_cached(find)?.query_row([fingerprint], |row| row.get(0)).optional()?;
        let id = match found {
            Some(id) => id,
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
