//! Any bytes as a segment and as an index file.

mod index_file;
mod segment;

pub use index_file::index_file;
pub use segment::{many_lines, segment};
