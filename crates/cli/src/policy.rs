//! Reads keys, signature policies and checkpoints from files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use attestry::anchor::Witness;
use attestry::evidence::{
    InvalidKey, InvalidPolicyFile, KeyRange, LogKey, LogKeys, OpenError, OpenedCheckpoint, Policy,
    PolicyFile, SignedCheckpoint, SigningKey, Tree, WitnessKey,
};

use crate::args::PolicyArgs;
use crate::dumps;
use crate::errors::Failure;

impl PolicyArgs {
    /// The required signatures; `None` without a public key.
    pub(crate) fn policy(&self) -> Result<Option<Policy>, Failure> {
        let file = self.policy.as_deref().map(policy_file).transpose()?;
        let mut ranges: Vec<KeyRange> =
            self.public_key.iter().map(|text| key_range(text)).collect::<Result<_, _>>()?;
        if let (true, Some(file)) = (ranges.is_empty(), &file) {
            let whole = |key: &LogKey| KeyRange::new(key.clone(), 0, Tree::MAX_SIZE);
            ranges = file.logs().iter().map(whole).collect();
        }
        let Some(origin) = ranges.first().map(|range| range.key.name().to_owned()) else {
            if file.is_some() {
                return Err(Failure::new("the policy file names no log")
                    .hint("pass --public-key FILE, with the .pub file of the signing key"));
            }
            if self.witnesses.is_empty() {
                return Ok(None);
            }
            return Err(Failure::new("--witness needs the public key of the log")
                .hint("pass --public-key FILE, with the .pub file of the signing key"));
        };
        if let Some(other) = ranges.iter().find(|range| range.key.name() != origin) {
            let name = other.key.name();
            return Err(Failure::new(format!("the keys are of two logs, {origin} and {name}"))
                .hint("pass keys of one log only"));
        }
        let Some(policy) = Policy::with_keys(LogKeys::with_ranges(origin, ranges)) else {
            return Ok(None);
        };
        if let Some(file) = &file {
            let required = file.require(policy);
            return required
                .map(Some)
                .map_err(|error| Failure::new("invalid policy file").caused_by(error));
        }
        if self.witnesses.is_empty() {
            return Ok(Some(policy));
        }
        let keys: Vec<WitnessKey> =
            self.witnesses.iter().map(|text| witness(text)).collect::<Result<_, _>>()?;
        let needed = self.witnesses_needed.unwrap_or(keys.len());
        let policy = policy.with_witnesses(keys, needed);
        policy.map(Some).map_err(|error| Failure::new("invalid witness options").caused_by(error))
    }

    /// The required signatures; fails without a public key.
    pub(crate) fn required_policy(&self) -> Result<Policy, Failure> {
        self.policy()?.ok_or_else(|| {
            Failure::new("the public key of the log is missing")
                .hint("pass --public-key FILE, with the .pub file of the signing key")
        })
    }
}

/// Longer than any key, checkpoint or proof.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a file; `what` describes it in errors.
pub(crate) fn read(what: &str, path: &Path) -> Result<String, Failure> {
    let failed = |error: io::Error| {
        Failure::new(format!("cannot read {what} {}", path.display())).caused_by(error)
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 1 MiB")));
    }
    Ok(text)
}

/// `FILE`, or `FILE@FROM..UNTIL`.
fn key_range(text: &Path) -> Result<KeyRange, Failure> {
    let whole = |key| KeyRange::new(key, 0, Tree::MAX_SIZE);
    let split = text.to_str().and_then(|text| text.rsplit_once('@'));
    let Some((path, range)) = split.filter(|_| !text.exists()) else {
        return public_key(text).map(whole);
    };
    let number = |text: &str, default| match text {
        "" => Some(default),
        text => text.parse().ok(),
    };
    let limits = range
        .split_once("..")
        .and_then(|(from, until)| Some((number(from, 0)?, number(until, Tree::MAX_SIZE)?)));
    match limits {
        Some((from, until)) => Ok(KeyRange::new(public_key(Path::new(path))?, from, until)),
        None => Err(Failure::new(format!("{range:?} is not a range of sizes"))
            .hint("pass FILE@FROM..UNTIL, such as old.key.pub@..51200")),
    }
}

/// The public key in a file.
pub(crate) fn public_key(path: &Path) -> Result<LogKey, Failure> {
    read("the public key", path)?.trim().parse().map_err(|error: InvalidKey| {
        let failure =
            Failure::new(format!("{} does not contain the public key of a log", path.display()));
        failure.caused_by(error).hint("`attestry key generate --signing` writes it to a .pub file")
    })
}

/// The signing key in a file. Errors do not show any part of it.
pub(crate) fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    dumps::forbid();
    Ok(SigningKey::from_file(path)?)
}

/// Reads a signed checkpoint, without verification of its signatures.
pub(crate) fn signed_checkpoint(path: &Path) -> Result<SignedCheckpoint, Failure> {
    read("the checkpoint", path)?.parse().map_err(|error: OpenError| {
        Failure::new(format!("{} is not a signed checkpoint", path.display())).caused_by(error)
    })
}

pub(crate) fn policy_file(path: &Path) -> Result<PolicyFile, Failure> {
    read("the policy", path)?.parse().map_err(|error: InvalidPolicyFile| {
        Failure::new(format!("{} is not a policy file", path.display()))
            .caused_by(error)
            .hint("https://c2sp.org/tlog-policy describes the format")
    })
}

fn witness(text: &str) -> Result<WitnessKey, Failure> {
    let path = Path::new(text);
    let key = if path.is_file() { read("the key", path)? } else { text.to_owned() };
    if let Ok(witness) = key.trim().parse::<Witness>() {
        return Ok(witness.key().clone());
    }
    key.trim().parse().map_err(|error: InvalidKey| {
        Failure::new(format!("{text:?} is neither a witness key nor a file with one"))
            .caused_by(error)
    })
}

/// The checkpoint in a file, verified by `policy`.
pub(crate) fn checkpoint(path: &Path, policy: &Policy) -> Result<OpenedCheckpoint, Failure> {
    let text = read("the checkpoint", path)?;
    policy.open(&text).map_err(|error| {
        Failure::new(format!("cannot verify the checkpoint {}", path.display())).caused_by(error)
    })
}
