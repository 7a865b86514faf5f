//! What endpoints answered over time: the one read path of observations, single rounds, and what is made of them
//! (fields, buckets, differences). Nothing here knows how slots are kept, but `observations` and `vector`.

mod buckets;
mod decimal;
mod diff;
mod field;
mod jq;
mod jq_bounds;
mod observations;
mod pages;
mod rounds;
mod tally;
mod values;
mod vector;
mod zone;

pub use buckets::{Aggregate, Bucket, Buckets, Every, Fill};
pub use decimal::{compare, same_number};
pub use diff::{Change, PathChange, SlotDiff, diff};
pub use field::{Field, FieldError, Found};
pub use jq::{Jq, JqError};
pub use observations::{DocumentAt, Gap, Observation, Place, Selection, Span};
pub(super) use pages::{COLUMNS, stored_round};
pub use pages::{Page, StoredRound};
pub use vector::{Vector, VectorSlot, Which};
pub use zone::Zone;
