//! The fields of a form that was sent.

use bytes::Bytes;

/// Forms are small.
pub(super) const MAX_BYTES: usize = 64 << 10;
/// The field that shows that a form is from a page of this server.
pub(super) const TOKEN: &str = "form_token";

/// The fields of a form. [`admit`](super::admit::admit) has checked where it is from.
#[derive(Debug, Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn parse(body: &Bytes) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The value of a field; empty if it is missing.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find_map(|(known, value)| (known == name).then_some(&**value)).unwrap_or("")
    }
}
