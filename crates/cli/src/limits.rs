//! How many files may be open at once.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises it to what this user may have. A store of a segment a day has two open for each, and the
/// limit that is usual, 1,024, stems from programs that cannot count further.
pub(crate) fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that is refused, an error says which file could not be opened.
    let _ = setrlimit(Resource::Nofile, limit);
}
