//! One segment: its name, its lines, its index, and appending to it.

mod active;
mod index;
mod name;
mod reader;

pub(crate) use active::{ActiveSegment, AppendError};
pub(crate) use index::{Index, Line};
pub(crate) use name::SegmentName;
pub(crate) use reader::{read_line, tail_start};
