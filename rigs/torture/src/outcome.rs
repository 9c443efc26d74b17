//! Outcomes of a test.

use std::fmt::Display;

/// Result of each step of a test.
pub(crate) type Result<T = ()> = std::result::Result<T, Stop>;

/// Why a test stopped early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A privilege, program or file system is missing here.
    Skipped(String),
    /// A promise was broken, or the test itself failed.
    Failed(String),
}

impl Stop {
    /// Adds the place of a failure to its message.
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

/// A failure with this message.
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
