//! Which client may do what: bearer tokens with roles, and sessions of browsers.

pub(crate) mod authenticate;
pub(crate) mod caller;
pub(crate) mod failures;
pub(crate) mod host;
pub(crate) mod role;
pub(crate) mod sessions;
pub(crate) mod tokens;
