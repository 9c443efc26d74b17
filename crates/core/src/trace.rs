//! Events and spans of the crate `tracing`, for the crates of this project. Without the feature `tracing`
//! nothing of them remains.
//!
//! Fields hold counts, sizes, times, ids and names of files, never content.

#[cfg(feature = "tracing")]
pub use tracing;

/// An event, as `tracing::event!`: `event!(DEBUG, bytes = 3, path = %path.display(), "batch written")`.
#[cfg(feature = "tracing")]
#[doc(hidden)]
#[macro_export]
macro_rules! event {
    ($level:ident, $($fields:tt)+) => {
        $crate::trace::tracing::event!($crate::trace::tracing::Level::$level, $($fields)+)
    };
}

/// A span that is entered until the returned guard is dropped, as `tracing::span!`.
#[cfg(feature = "tracing")]
#[doc(hidden)]
#[macro_export]
macro_rules! span {
    ($level:ident, $($fields:tt)+) => {
        $crate::trace::tracing::span!($crate::trace::tracing::Level::$level, $($fields)+).entered()
    };
}

/// Whether an event of this level is received by a subscriber, for what is measured for it.
#[cfg(feature = "tracing")]
#[doc(hidden)]
#[macro_export]
macro_rules! traced {
    ($level:ident) => {
        $crate::trace::tracing::enabled!($crate::trace::tracing::Level::$level)
    };
}

#[cfg(not(feature = "tracing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! event {
    ($level:ident, $($fields:tt)+) => {
        $crate::__unevaluated!($($fields)+)
    };
}

#[cfg(not(feature = "tracing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! span {
    ($level:ident, $name:literal $(, $($fields:tt)+)?) => {{
        $($crate::__unevaluated!($($fields)+, "");)?
        $crate::trace::NoSpan
    }};
}

#[cfg(not(feature = "tracing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! traced {
    ($level:ident) => {
        false
    };
}

/// Uses the values of fields without evaluating them, so that nothing counts as unused.
#[cfg(not(feature = "tracing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __unevaluated {
    ($message:literal) => {
        ()
    };
    ($key:ident = % $value:expr, $($rest:tt)+) => {
        $crate::__unevaluated!($key = $value, $($rest)+)
    };
    ($key:ident = ? $value:expr, $($rest:tt)+) => {
        $crate::__unevaluated!($key = $value, $($rest)+)
    };
    ($key:ident = $value:expr, $($rest:tt)+) => {{
        if false {
            let _ = &$value;
        }
        $crate::__unevaluated!($($rest)+)
    }};
}

/// The span of a build without the feature.
#[cfg(not(feature = "tracing"))]
#[derive(Debug)]
pub struct NoSpan;

/// With `--all-features` this tests the real events, otherwise their absence.
#[cfg(test)]
mod tests {
    #[test]
    fn fields_are_evaluated_only_for_a_subscriber() {
        let evaluated = std::cell::Cell::new(0);
        let value = || {
            evaluated.set(evaluated.get() + 1);
            "text"
        };
        let _span = crate::span!(INFO, "span", one = value());
        crate::event!(TRACE, one = value(), two = %value(), "event");
        assert!(!crate::traced!(TRACE));
        assert_eq!(evaluated.get(), 0);
    }
}
