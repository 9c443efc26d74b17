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

/// A test that cannot run here. With `ATTESTRY_REQUIRE=all`, as in continuous integration, it fails instead.
pub(crate) fn skipped<T>(reason: impl Into<String>) -> Result<T> {
    let reason = reason.into();
    if std::env::var_os("ATTESTRY_REQUIRE").is_some_and(|value| value == "all") {
        return failed(format!("ATTESTRY_REQUIRE=all forbids skipping: {reason}"));
    }
    Err(Stop::Skipped(reason))
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
