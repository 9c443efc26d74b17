//! Arguments of setters that take a text or an `Option` of one.

use std::borrow::Cow;

/// A text, or an `Option` of one: the argument of setters for optional text fields.
///
/// ```
/// use attestry_core::Query;
///
/// let model: Option<&str> = None; // from a request, for instance
/// let query = Query::new().provider("openai").model(model);
/// assert_eq!(query.provider.as_deref(), Some("openai"));
/// assert_eq!(query.model, None);
/// ```
pub trait OptionalText {
    /// The text, if there is one.
    fn into_optional_text(self) -> Option<String>;
}

macro_rules! text {
    ($($text:ty),*) => {
        $(impl OptionalText for $text {
            fn into_optional_text(self) -> Option<String> {
                Some(self.into())
            }
        })*
    };
}

text!(String, &str, &String, Cow<'_, str>, Box<str>);

impl<T: Into<String>> OptionalText for Option<T> {
    fn into_optional_text(self) -> Option<String> {
        self.map(Into::into)
    }
}
