//! What buckets are filled from: the values of an endpoint's slots, and the last one before them.

use std::ops::ControlFlow;
use std::time::Duration;

use super::buckets::Buckets;
use super::field::{Field, Found};
use super::observations::{Place, Selection, Span};
use crate::store::error::StoreError;
use crate::store::read::Reader;

/// How far back a value before a stretch is looked for, one after the other: most have it nearby, and some nowhere.
const FURTHER_BACK: [Option<Duration>; 3] = [Some(Duration::from_hours(24)), Some(Duration::from_hours(24 * 30)), None];

impl Reader {
    /// Visits the slots of `wanted` as [`Buckets::add`] takes them: where each stands, whether it has a document, and what
    /// `field` is in that. Without a field it is documents that are counted: each is 1. As for [`Reader::observations`],
    /// it answers the place of the last one where `visit` breaks.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn values(
        &self,
        wanted: &Selection<'_>,
        field: Option<&Field>,
        mut visit: impl FnMut(Place, bool, Option<&str>) -> ControlFlow<()>,
    ) -> Result<Option<Place>, StoreError> {
        self.documents(wanted, |document| {
            let found = document.body.map(|body| field.map(|field| field.find(body)));
            let value = match &found {
                Some(Some(found)) => Found::value(found),
                Some(None) => Some("1"),
                None => None,
            };
            visit(document.place, document.body.is_some(), value)
        })
    }

    /// The same buckets, which are those of `wanted` from its beginning on, with the value of the last bucket before that
    /// has one, where that stands for those without numbers. What lies before the beginning in the same bucket is the last
    /// one of those.
    ///
    /// # Errors
    /// When the file cannot be read in time.
    pub fn carried_into(
        &self,
        buckets: Buckets,
        wanted: &Selection<'_>,
        field: Option<&Field>,
    ) -> Result<Buckets, StoreError> {
        let Some(from) = wanted.span.from.filter(|_| buckets.lack_last_value()) else { return Ok(buckets) };
        let mut until = from;
        for reach in FURTHER_BACK {
            // Whole buckets: the next look goes on where this one began.
            let begin = reach.map(|reach| buckets.begin_of(from.minus(reach)).min(until));
            let wanted = Selection { span: Span { from: begin, until: Some(until) }, after: None, ..*wanted };
            let (mut earlier, mut last) = (buckets.of_same_kind(), None);
            let mut done = |bucket: super::Bucket| {
                last = bucket.value.or(last.take());
                ControlFlow::Continue(())
            };
            self.values(&wanted, field, |place, ok, value| earlier.add(place.due, ok, value, &mut done))?;
            let _ = earlier.finish(None, &mut done);
            match (last, begin) {
                (Some(last), _) => return Ok(buckets.carrying(last)),
                (None, Some(begin)) => until = begin,
                (None, None) => break,
            }
        }
        Ok(buckets)
    }
}
