//! Times as they are written on the command line and printed in results.

mod parse;
mod zone;

pub(crate) use self::parse::{TimeText, duration};
pub(crate) use self::zone::Zone;
