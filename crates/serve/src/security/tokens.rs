//! The file of tokens: a name, a role and the SHA-256 of the token in each line.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use attestry::hash_content;
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::role::{InvalidRole, Role};

/// A larger file is refused.
const MAX_FILE_BYTES: u64 = 1 << 20;
const MAX_NAME_BYTES: usize = 100;

/// The tokens that the server accepts.
///
/// Each line of the file has a name, a role and the SHA-256 of the token in hexadecimal, separated by white
/// space; blank lines and lines that begin with `#` are ignored. The token itself is not in the file.
///
/// ```
/// use attestry_serve::{Role, Token, Tokens};
///
/// let (token, secret) = Token::generate("billing-service", Role::Record)?;
/// let tokens: Tokens = token.to_string().parse()?;
/// assert_eq!(tokens.find(&secret).map(Token::name), Some("billing-service"));
/// # Ok::<(), attestry_serve::InvalidTokens>(())
/// ```
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

/// A token as the server knows it: without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    name: String,
    role: Role,
    sha256: String,
}

/// What is wrong with a file of tokens. Never quotes a line: it may contain a token by mistake.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InvalidTokens {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// Other users can add tokens.
    #[error("the file can be written by its group or by others; run chmod go-w on it")]
    Writable,
    /// The file is too large.
    #[error("the file has more than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// A line does not have three fields.
    #[error("line {line}: expected NAME ROLE SHA256")]
    Fields {
        /// Counted from 1.
        line: usize,
    },
    /// The name is too long or contains control characters or white space.
    #[error(
        "a name has 1 to {MAX_NAME_BYTES} bytes without white space, control characters and \"#\""
    )]
    Name,
    /// A role is unknown.
    #[error("line {line}")]
    Role {
        /// Counted from 1.
        line: usize,
        /// The known roles.
        source: InvalidRole,
    },
    /// A hash is no SHA-256 in hexadecimal.
    #[error(
        "line {line}: expected the SHA-256 of the token in 64 lower-case hexadecimal digits, not the token"
    )]
    Hash {
        /// Counted from 1.
        line: usize,
    },
    /// A name or a hash is there twice.
    #[error("line {line}: the name or the hash is in an earlier line, too")]
    Repeated {
        /// Counted from 1.
        line: usize,
    },
    /// There is no token, so that every request would be refused.
    #[error("there is no token")]
    Empty,
}

impl Tokens {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`InvalidTokens`]; also if the file can be written by its group or by others.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, InvalidTokens> {
        let file = File::open(path)?;
        if file.metadata()?.permissions().mode() & 0o022 != 0 {
            return Err(InvalidTokens::Writable);
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_FILE_BYTES {
            return Err(InvalidTokens::TooLarge);
        }
        text.parse()
    }

    /// The token with this secret. The time does not depend on where a hash differs.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<&Token> {
        let sha256 = hash_content(secret);
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.sha256.as_bytes().ct_eq(sha256.as_bytes())) {
                found = Some(token);
            }
        }
        found
    }

    /// All tokens, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Token> {
        self.0.iter()
    }
}

impl Token {
    /// A new token, and its secret, which is stored nowhere.
    ///
    /// # Errors
    ///
    /// [`InvalidTokens::Name`].
    ///
    /// # Panics
    ///
    /// If the operating system's random number generator fails.
    pub fn generate(name: &str, role: Role) -> Result<(Self, String), InvalidTokens> {
        check_name(name)?;
        let secret = format!("attestry_{}", random_secret());
        let token = Self { name: name.to_owned(), role, sha256: hash_content(&secret) };
        Ok((token, secret))
    }

    /// The name of the client.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the client may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}

impl Token {
    /// Whether this is its secret. The time does not depend on where the hashes differ.
    pub(super) fn has_secret(&self, secret: &str) -> bool {
        self.sha256.as_bytes().ct_eq(hash_content(secret).as_bytes()).into()
    }
}

/// 244 bits of the operating system's random number generator: two random UUIDs, in 64 hexadecimal digits.
pub(super) fn random_secret() -> String {
    let random = || attestry::create_entry_id().as_str().replace('-', "");
    random() + &random()
}

/// Its line in the file.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.role, self.sha256)
    }
}

impl std::str::FromStr for Tokens {
    type Err = InvalidTokens;
    fn from_str(text: &str) -> Result<Self, InvalidTokens> {
        let mut tokens: Vec<Token> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = text.split_whitespace().collect();
            let [name, role, sha256] = fields[..] else {
                return Err(InvalidTokens::Fields { line });
            };
            check_name(name)?;
            let role = role.parse().map_err(|source| InvalidTokens::Role { line, source })?;
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            if sha256.len() != 64 || !sha256.bytes().all(is_digit) {
                return Err(InvalidTokens::Hash { line });
            }
            if tokens.iter().any(|token| token.name == name || token.sha256 == sha256) {
                return Err(InvalidTokens::Repeated { line });
            }
            tokens.push(Token { name: name.to_owned(), role, sha256: sha256.to_owned() });
        }
        if tokens.is_empty() { Err(InvalidTokens::Empty) } else { Ok(Self(tokens)) }
    }
}

fn check_name(name: &str) -> Result<(), InvalidTokens> {
    let is_valid = |c: char| !c.is_whitespace() && !c.is_control() && c != '#';
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(is_valid) {
        Ok(())
    } else {
        Err(InvalidTokens::Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_line_and_quote_nothing() {
        let hash = hash_content("secret");
        for (text, expected) in [
            (String::new(), "there is no token"),
            ("# comment\n\n".to_owned(), "there is no token"),
            ("a record".to_owned(), "line 1: expected NAME ROLE SHA256"),
            (format!("# c\na owner {hash}"), "line 2"),
            ("a record my-secret".to_owned(), "not the token"),
            (format!("a record {}", hash.to_uppercase()), "not the token"),
            (format!("a record {hash}\nb read {hash}"), "line 2: the name or the hash"),
            (format!("{} record {hash}", "x".repeat(101)), "a name has 1 to 100 bytes"),
        ] {
            let error = text.parse::<Tokens>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("my-secret"));
        }
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let (token, secret) = Token::generate("a", Role::Read).unwrap();
        std::fs::write(&path, format!("{token}\n")).unwrap();
        for (mode, accepted) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let read = Tokens::from_file(&path);
            assert_eq!(read.is_ok(), accepted, "{mode:o}");
            if let Ok(tokens) = read {
                assert_eq!(tokens.find(&secret).map(Token::role), Some(Role::Read));
                assert_eq!(tokens.find("other"), None);
            }
        }
    }
}
