//! What all routes share: problem details, bodies, query strings.

pub(crate) mod body;
pub(crate) mod limit;
pub(crate) mod problem;
pub(crate) mod query_string;
pub(crate) mod request_log;
