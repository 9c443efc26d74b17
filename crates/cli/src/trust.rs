//! Keys and checkpoints from files: whom to believe.

use std::fs;
use std::path::Path;

use attestry::evidence::{InvalidKey, LogKey, OpenedCheckpoint, Policy, SigningKey, WitnessKey};

use crate::args::TrustArgs;
use crate::errors::Failure;

impl TrustArgs {
    /// Whose signatures count; `None` where no public key is given.
    pub(crate) fn policy(&self) -> Result<Option<Policy>, Failure> {
        let Some(path) = &self.public_key else { return Ok(None) };
        let policy = Policy::new(public_key(path)?);
        if self.witnesses.is_empty() {
            return Ok(Some(policy));
        }
        let keys: Vec<WitnessKey> =
            self.witnesses.iter().map(|text| witness(text)).collect::<Result<_, _>>()?;
        let needed = self.witnesses_needed.unwrap_or(keys.len());
        let policy = policy.with_witnesses(keys, needed);
        policy
            .map(Some)
            .map_err(|error| Failure::new("the witnesses make no sense").caused_by(error))
    }

    /// [`policy`](Self::policy), which must be given.
    pub(crate) fn needed_policy(&self) -> Result<Policy, Failure> {
        self.policy()?.ok_or_else(|| {
            Failure::new("the public key of the log is needed").hint(
                "give it with --public-key FILE; it stands in the .pub file of the signing key",
            )
        })
    }
}

fn read(what: &str, path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("cannot read {what} {}", path.display())).caused_by(error)
    })
}

fn public_key(path: &Path) -> Result<LogKey, Failure> {
    read("the public key", path)?.trim().parse().map_err(|error: InvalidKey| {
        let failure = Failure::new(format!("{} holds no public key of a log", path.display()));
        failure
            .caused_by(error)
            .hint("`attestry key generate --signing` writes it to a file that ends in .pub")
    })
}

/// The signing key in a file. Errors show nothing of it.
pub(crate) fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    let text = attestry::evidence::Zeroizing::new(read("the signing key", path)?);
    text.trim().parse().map_err(|error: InvalidKey| {
        let failure = Failure::new(format!("{} holds no signing key", path.display()));
        failure.caused_by(error).hint("`attestry key generate --signing --out FILE` makes one")
    })
}

fn witness(text: &str) -> Result<WitnessKey, Failure> {
    let path = Path::new(text);
    let key = if path.is_file() { read("the key", path)? } else { text.to_owned() };
    key.trim().parse().map_err(|error: InvalidKey| {
        Failure::new(format!("{text:?} is not the key of a witness, nor a file with one"))
            .caused_by(error)
    })
}

/// The checkpoint in a file, if it is signed as `policy` asks.
pub(crate) fn checkpoint(path: &Path, policy: &Policy) -> Result<OpenedCheckpoint, Failure> {
    let text = read("the checkpoint", path)?;
    policy.open(&text).map_err(|error| {
        Failure::new(format!("{} is no checkpoint to go by", path.display())).caused_by(error)
    })
}

/// The text in a file that a command was given.
pub(crate) fn text(what: &str, path: &Path) -> Result<String, Failure> {
    read(what, path)
}
