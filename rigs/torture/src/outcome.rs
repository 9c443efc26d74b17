//! How a test ends.

use std::fmt::Display;

/// What every step of a test returns.
pub(crate) type Result<T = ()> = std::result::Result<T, Stop>;

/// Why a test did not come to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something it needs is missing here: a privilege, a program, a kind of file system.
    Skipped(String),
    /// A promise was broken, or the test itself could not go on.
    Failed(String),
}

impl Stop {
    /// A failure, with where it happened.
    pub(crate) fn within(self, place: impl Display) -> Self {
        match self {
            Self::Failed(reason) => Self::Failed(format!("{place}: {reason}")),
            skipped @ Self::Skipped(_) => skipped,
        }
    }
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(chain(&error))
    }
}

/// A failure with this text.
pub(crate) fn failed<T>(reason: impl Into<String>) -> Result<T> {
    Err(Stop::Failed(reason.into()))
}

/// A test that cannot be done here.
pub(crate) fn skipped<T>(reason: impl Into<String>) -> Result<T> {
    Err(Stop::Skipped(reason.into()))
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
