//! The checkpoint of a log: the text that is signed (C2SP tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::number::parse_number;
use crate::{Hash, InvalidHash};

/// The origin of a log, the number of its leaves and their root.
///
/// Its text is exactly what is signed. Parsing and printing a checkpoint gives the same text.
///
/// ```
/// use attestry_evidence::{Checkpoint, Hash};
///
/// let checkpoint = Checkpoint::new("example.com/log", 0, Hash::EMPTY_TREE)?;
/// let text = "example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
/// assert_eq!(checkpoint.to_string(), text);
/// assert_eq!(text.parse(), Ok(checkpoint));
/// # Ok::<(), attestry_evidence::InvalidCheckpoint>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidCheckpoint {
    /// The origin, the first line, is empty.
    #[error("the first line of the checkpoint, the origin, is empty")]
    EmptyOrigin,
    /// A line contains a control character, such as a line break in the origin.
    #[error("line {line} of the checkpoint contains a control character")]
    ControlCharacter {
        /// The line; the origin is line 1.
        line: usize,
    },
    /// The second line is not a size.
    #[error("the second line of the checkpoint is not a number of leaves without leading zeros")]
    Size,
    /// The third line is not a hash.
    #[error("the third line of the checkpoint is not a root hash")]
    Root(#[source] InvalidHash),
    /// The size is 0, but the root is not that of the empty tree.
    #[error("the checkpoint has size 0, but not the root of the empty tree")]
    RootOfEmptyTree,
    /// An extension line is empty.
    #[error("line {line} of the checkpoint is empty")]
    EmptyExtension {
        /// The line; the origin is line 1.
        line: usize,
    },
    /// The text does not end with a line break: its end is missing.
    #[error("the last line of the checkpoint is incomplete")]
    Truncated,
}

impl Checkpoint {
    /// The checkpoint of the log `origin` at this size. The origin is by convention a URL without its
    /// scheme, such as `example.com/audit`.
    ///
    /// # Errors
    ///
    /// [`InvalidCheckpoint`] when the origin is empty or not one line, or `size` is 0 and `root` is not
    /// [`Hash::EMPTY_TREE`].
    pub fn new(
        origin: impl Into<String>,
        size: u64,
        root: Hash,
    ) -> Result<Self, InvalidCheckpoint> {
        Self::from_parts(origin.into(), size, root, Vec::new())
    }

    fn from_parts(
        origin: String,
        size: u64,
        root: Hash,
        extensions: Vec<String>,
    ) -> Result<Self, InvalidCheckpoint> {
        if origin.is_empty() {
            return Err(InvalidCheckpoint::EmptyOrigin);
        }
        check_control_characters(&origin, 1)?;
        for (line, extension) in (4..).zip(&extensions) {
            if extension.is_empty() {
                return Err(InvalidCheckpoint::EmptyExtension { line });
            }
            check_control_characters(extension, line)?;
        }
        if size == 0 && root != Hash::EMPTY_TREE {
            return Err(InvalidCheckpoint::RootOfEmptyTree);
        }
        Ok(Self { origin, size, root, extensions })
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Extension lines. They are signed and otherwise ignored; Attestry writes none.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

fn check_control_characters(text: &str, line: usize) -> Result<(), InvalidCheckpoint> {
    if text.contains(|c: char| c < ' ') {
        return Err(InvalidCheckpoint::ControlCharacter { line });
    }
    Ok(())
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = InvalidCheckpoint;

    /// Parses the text without signatures. [`SignedCheckpoint`](crate::SignedCheckpoint) has them.
    fn from_str(text: &str) -> Result<Self, InvalidCheckpoint> {
        let mut lines = text.strip_suffix('\n').ok_or(InvalidCheckpoint::Truncated)?.split('\n');
        let origin = lines.next().unwrap_or_default();
        let size = lines.next().and_then(parse_number).ok_or(InvalidCheckpoint::Size)?;
        let root = lines.next().unwrap_or_default().parse().map_err(InvalidCheckpoint::Root)?;
        Self::from_parts(origin.to_owned(), size, root, lines.map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

    fn parse(text: &str) -> Result<Checkpoint, InvalidCheckpoint> {
        text.parse()
    }

    #[test]
    fn parsing_and_printing_round_trips() {
        for text in [
            format!("example.com/behind-the-sofa\n20852163\n{ROOT}\n"),
            format!("a log with spaces\n18446744073709551615\n{ROOT}\none\nand two\n"),
        ] {
            assert_eq!(parse(&text).map(|c| c.to_string()).as_deref(), Ok(&*text));
        }
    }

    #[test]
    fn malformed_checkpoints_are_rejected() {
        use InvalidCheckpoint as E;
        for (text, error) in [
            (String::new(), E::Truncated),
            ("\n".to_owned(), E::Size),
            (format!("\n1\n{ROOT}\n"), E::EmptyOrigin),
            (format!("o\n1\n{ROOT}"), E::Truncated),
            (format!("o\n01\n{ROOT}\n"), E::Size),
            (format!("o\n+1\n{ROOT}\n"), E::Size),
            (format!("o\n\n{ROOT}\n"), E::Size),
            (format!("o\n18446744073709551616\n{ROOT}\n"), E::Size),
            ("o\n1\n".to_owned(), E::Root(InvalidHash)),
            (format!("o\n1\n{}\n", &ROOT[..43]), E::Root(InvalidHash)),
            (format!("o\n1\n {ROOT}\n"), E::Root(InvalidHash)),
            (format!("o\n0\n{ROOT}\n"), E::RootOfEmptyTree),
            (format!("o\n1\n{ROOT}\n\n"), E::EmptyExtension { line: 4 }),
            (format!("o\n1\n{ROOT}\na\n\nb\n"), E::EmptyExtension { line: 5 }),
            (format!("o\r\n1\n{ROOT}\n"), E::ControlCharacter { line: 1 }),
            (format!("o\n1\n{ROOT}\na\tb\n"), E::ControlCharacter { line: 4 }),
        ] {
            assert_eq!(parse(&text), Err(error), "{text:?}");
        }
        assert_eq!(
            Checkpoint::new("a\nb", 0, Hash::EMPTY_TREE),
            Err(E::ControlCharacter { line: 1 })
        );
    }
}
