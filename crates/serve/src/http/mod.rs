//! What all routes share: problem details, bodies, query strings, long work.

pub(crate) mod blocking;
pub(crate) mod body;
pub(crate) mod discard;
pub(crate) mod limit;
pub(crate) mod problem;
pub(crate) mod query_string;
pub(crate) mod request_log;
