//! Evidence: keys, checkpoints, proofs and verification.

use attestry::evidence::{
    InclusionProof, LogKey, Policy, SigningKey, Verification, VerifyOptions, line_hash,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::failure;

fn invalid(error: &(dyn std::error::Error + 'static)) -> PyErr {
    PyValueError::new_err(attestry::ErrorChain(error).to_string())
}

/// A new key that signs the checkpoints of the log called `name`.
#[pyfunction]
pub(crate) fn generate_signing_key(name: &str) -> PyResult<String> {
    let key = SigningKey::generate(name).map_err(|error| invalid(&error))?;
    Ok(key.expose_secret().as_str().to_owned())
}

/// The public key of a signing key.
#[pyfunction]
pub(crate) fn public_key(signing_key: &str) -> PyResult<String> {
    let key: SigningKey = signing_key.trim().parse().map_err(|error| invalid(&error))?;
    Ok(key.public().to_string())
}

/// The policy of a public key in text.
pub(crate) fn policy(public_key: &str) -> PyResult<Policy> {
    let key: LogKey = public_key.trim().parse().map_err(|error| invalid(&error))?;
    Ok(Policy::new(key))
}

/// The options of a verification.
pub(crate) fn verify_options(
    public_key: Option<&str>,
    against: Option<&str>,
) -> PyResult<VerifyOptions> {
    let mut options = VerifyOptions::new();
    if let Some(text) = against {
        let checkpoint = text.parse().map_err(|error| invalid(&error))?;
        options = options.against_signed(checkpoint);
    }
    if let Some(key) = public_key {
        options = options.policy(policy(key)?);
    }
    Ok(options)
}

/// Checks that `line` is in the log of the public key; returns the size of its checkpoint.
#[pyfunction]
pub(crate) fn verify_proof(
    py: Python<'_>,
    line: &[u8],
    proof: &str,
    public_key: &str,
) -> PyResult<u64> {
    let policy = policy(public_key)?;
    let verified = || -> Result<u64, Box<dyn std::error::Error>> {
        let proof: InclusionProof = proof.parse()?;
        let opened = proof.verify(line_hash(line)?, &policy)?;
        Ok(opened.checkpoint().size())
    };
    verified().map_err(|error| {
        let message = attestry::ErrorChain(&*error).to_string();
        failure::evidence_error(py, &message).unwrap_or_else(|error| error)
    })
}

/// What a verification found.
pub(crate) fn report(verification: &Verification) -> Value {
    let problems = verification.problems.iter().map(|problem| {
        json!({
            "kind": problem.kind.as_str(),
            "leaf": problem.leaf,
            "id": problem.id,
            "path": problem.path.as_ref().map(|path| path.to_string_lossy()),
            "offset": problem.offset,
            "reason": problem.reason,
        })
    });
    let observations = verification.observations.iter().map(|observation| {
        json!({
            "kind": observation.kind.as_str(),
            "count": observation.count,
            "text": observation.text,
        })
    });
    json!({
        "is_clean": verification.is_clean(),
        "leaves": verification.leaves,
        "lines": verification.lines,
        "erased": verification.erased,
        "checkpoints": verification.checkpoints,
        "not_covered": verification.not_covered,
        "root": verification.root.to_string(),
        "problems": problems.collect::<Vec<_>>(),
        "problems_unlisted": verification.problems_unlisted,
        "observations": observations.collect::<Vec<_>>(),
    })
}
