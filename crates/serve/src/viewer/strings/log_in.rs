//! Texts of the log-in.

pub(in crate::viewer) const TITLE: &str = "Log in";
pub(in crate::viewer) const TOKEN: &str = "Token";
pub(in crate::viewer) const TOKEN_HELP: &str =
    "A token of the role read, content or admin, as `attestry token new` prints it.";
pub(in crate::viewer) const SUBMIT: &str = "Log in";
pub(in crate::viewer) const UNKNOWN: &str =
    "The token is not known. It may have been removed from the file of tokens.";
pub(in crate::viewer) const USED: &str = "This address was used already, or is not of this run of the server. Log in with a token, or run `attestry view` again.";
pub(in crate::viewer) const CONTINUE: &str = "Continue";
