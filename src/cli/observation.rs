//! An observation as a row, with the columns of the view `observations`.

use super::sheet::Cell;
use crate::store::history::Observation;

/// The columns of the view.
pub const COLUMNS: [&str; 12] = [
    "job",
    "endpoint",
    "position",
    "round_id",
    "due_at",
    "fetched_at",
    "outcome",
    "http_status",
    "attempts",
    "elapsed_ms",
    "body",
    "detail",
];

/// The document among them, in whose place values of it may come.
pub const BODY: usize = 10;

/// The row of an observation of `job`.
pub fn cells<'a>(job: &'a str, observation: &Observation<'a>) -> [Cell<'a>; 12] {
    let place = observation.place;
    [
        Cell::Text(job),
        Cell::Text(observation.endpoint),
        Cell::count(place.position),
        Cell::Integer(place.round.0),
        Cell::Moment(place.due),
        Cell::Moment(observation.fetched_at),
        Cell::Text(observation.outcome),
        observation.http_status.map_or(Cell::Null, Cell::count),
        Cell::count(observation.attempts),
        Cell::milliseconds(observation.elapsed),
        Cell::json(observation.body),
        Cell::text(observation.detail),
    ]
}
