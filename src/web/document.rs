//! Answers on their way to clients, which may be slow: handed on piece by piece, large ones within a bound that all share.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::LARGEST;
use super::problem::Problem;

/// What is handed to a connection at once: the library copies it, whole, whether the client reads or not. What is no
/// larger is not counted.
const PIECE: usize = 32 * 1024;
/// The most bytes of all answers that are being sent: eight of the largest. Otherwise each connection could hold one.
const MOST_SENT: usize = 8 * LARGEST;

/// A place for each KiB, of the process as its memory is.
static PLACES: Semaphore = Semaphore::const_new(MOST_SENT / 1024);

/// An answer being sent.
pub struct Document {
    rest: Bytes,
    _places: Option<SemaphorePermit<'static>>,
}

impl Document {
    /// `content` to be sent, now that there is room for it.
    ///
    /// # Errors
    /// 503 when too much is being sent.
    pub fn new(content: Bytes) -> Result<Self, Problem> {
        Self::within(&PLACES, content)
    }

    fn within(places: &'static Semaphore, content: Bytes) -> Result<Self, Problem> {
        if content.len() <= PIECE {
            return Ok(Self { rest: content, _places: None });
        }
        let count = u32::try_from(content.len().div_ceil(1024)).unwrap_or(u32::MAX);
        let places = places.try_acquire_many(count).map_err(|_| {
            let detail = "clients are too slow to take the large answers that are being sent: ask for less, or later";
            Problem::unavailable(detail, Duration::from_secs(1))
        })?;
        Ok(Self { rest: content, _places: Some(places) })
    }
}

impl MessageBody for Document {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = PIECE.min(self.rest.len());
        Poll::Ready(Some(Ok(self.rest.split_to(length))))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[actix_web::test]
    async fn large_answers_share_a_bound_and_make_room_when_they_are_sent() {
        static PLACES: Semaphore = Semaphore::const_new(100);
        let bytes = |kib: usize| Bytes::from(vec![b'x'; kib * 1024]);
        let first = Document::within(&PLACES, bytes(60)).expect("room");
        let refused = Document::within(&PLACES, bytes(60)).err().expect("no room");
        assert!(refused.to_string().contains("too slow"), "{refused}");
        assert!(Document::within(&PLACES, bytes(32)).is_ok(), "a small one needs none");
        assert_eq!((first.size(), to_bytes(first).await.expect("sent").len()), (BodySize::Sized(61_440), 61_440));
        assert!(Document::within(&PLACES, bytes(100)).is_ok());
    }
}
