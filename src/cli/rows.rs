//! Observations from the database to wherever they go, by turns: a slow reader of ours never holds a read transaction.

use std::io::{Write, stdout};
use std::ops::ControlFlow;

use super::sheet::Sheet;
use crate::store::history::{Observation, Selection};
use crate::store::read::Reader;

/// So much is collected before it is handed on.
const TURN: usize = 1024 * 1024;

/// Where observations go.
pub trait Sink {
    /// Takes one.
    fn take(&mut self, observation: &Observation<'_>) -> anyhow::Result<()>;

    /// Whether it wants to hand on what it has.
    fn is_full(&self) -> bool;

    /// Hands on what it has, however long that takes.
    fn hand_on(&mut self) -> anyhow::Result<()>;
}

/// Sends all that is `wanted` to `sink`.
pub fn send(reader: &Reader, wanted: &Selection<'_>, sink: &mut impl Sink) -> anyhow::Result<()> {
    let mut wanted = *wanted;
    loop {
        let mut result = Ok(());
        let stopped = reader.observations(&wanted, |observation| {
            result = sink.take(observation);
            if result.is_err() || sink.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        result?;
        sink.hand_on()?;
        if stopped.is_none() {
            return Ok(());
        }
        wanted.after = stopped;
    }
}

/// Whether a sheet in memory wants to be printed.
pub fn is_full(sheet: &Sheet<Vec<u8>>) -> bool {
    sheet.printed().len() >= TURN
}

/// Prints what is in a sheet in memory to standard output.
pub fn print(sheet: &mut Sheet<Vec<u8>>) -> anyhow::Result<()> {
    stdout().lock().write_all(sheet.out())?;
    sheet.out().clear();
    Ok(())
}

/// Prints the rest of a sheet in memory.
pub fn print_rest(sheet: Sheet<Vec<u8>>) -> anyhow::Result<()> {
    stdout().lock().write_all(&sheet.finish()?)?;
    Ok(())
}
