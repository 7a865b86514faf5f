//! The file's readers: a few threads, each with a connection that only reads. A question is answered whole on one of
//! them and its transaction is over before a byte is sent, so that a slow client holds nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use actix::{Actor, Addr, Handler, SyncArbiter, SyncContext};

use super::messages::Question;
use super::pool::OutOfThreads;
use crate::store::read::Reader;

/// One thread of the readers.
pub struct FileReader {
    path: PathBuf,
    deadline: Duration,
    largest: usize,
    /// Opened at the first question, and anew after one that panicked.
    reader: Option<Reader>,
}

impl FileReader {
    /// Starts `readers` threads that read the file at `path`, and stop each question after `deadline`, or when its
    /// answer has more than `largest` bytes.
    ///
    /// # Errors
    /// When the system does not give so many threads.
    pub fn start(readers: usize, path: &Path, deadline: Duration, largest: usize) -> Result<Addr<Self>, OutOfThreads> {
        let mut number = 0;
        let builder = || {
            number += 1;
            thread::Builder::new().name(format!("read-{number}"))
        };
        let path = path.to_owned();
        // actix panics when a thread cannot be had.
        let started = catch_unwind(AssertUnwindSafe(|| {
            let reader = move || Self { path: path.clone(), deadline, largest, reader: None };
            SyncArbiter::start_with_thread_builder(readers, builder, reader)
        }));
        started.map_err(|_| OutOfThreads(readers))
    }

    fn answer(&mut self, question: Question) {
        if self.reader.is_none() {
            match Reader::open(&self.path, self.deadline) {
                Ok(reader) => self.reader = Some(reader.answering_at_most(self.largest)),
                Err(error) => return (question.0)(Err(error)),
            }
        }
        if let Some(reader) = &self.reader {
            (question.0)(Ok(reader));
        }
    }
}

impl Actor for FileReader {
    type Context = SyncContext<Self>;
}

impl Handler<Question> for FileReader {
    type Result = ();

    fn handle(&mut self, question: Question, _: &mut Self::Context) {
        // A panic would end this thread for good. Whoever asked sees that no answer comes.
        if catch_unwind(AssertUnwindSafe(|| self.answer(question))).is_err() {
            self.reader = None;
        }
    }
}
