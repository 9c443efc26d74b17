//! `attestry verify-proof`: verifies the inclusion proof of an entry without the store.

use std::fs;

use attestry::evidence::{InclusionProof, InvalidProof, NotOneLine, line_hash};

use crate::args::VerifyProofArgs;
use crate::errors::{Failure, Status, with_sources};
use crate::output::Stdout;
use crate::policy;
use crate::text::{escaped, stderr_line, thousands};

pub(super) fn run(args: &VerifyProofArgs, out: &mut Stdout) -> Result<Status, Failure> {
    let required = args.policy.required_policy()?;
    let text = policy::read("the proof", &args.proof)?;
    let proof: InclusionProof = text.parse().map_err(|error: InvalidProof| {
        Failure::new(format!("{} is not an inclusion proof", args.proof.display())).caused_by(error)
    })?;
    let entry = fs::read(&args.entry).map_err(|error| {
        Failure::new(format!("cannot read the entry {}", args.entry.display())).caused_by(error)
    })?;
    let leaf = line_hash(&entry).map_err(|error: NotOneLine| {
        Failure::new(format!("{} is not the stored line of an entry", args.entry.display()))
            .caused_by(error)
            .hint("pass the stored line: `attestry get --raw ID > entry.json`")
    })?;
    match proof.verify(leaf, &required) {
        Ok(opened) => {
            let checkpoint = opened.checkpoint();
            out.line(format_args!(
                "verified: the entry is leaf {} of the log {} with {} leaves",
                thousands(i128::from(proof.index())),
                escaped(checkpoint.origin()),
                thousands(i128::from(checkpoint.size())),
            ))?;
            for cosignature in opened.cosignatures() {
                out.line(format_args!(
                    "cosigned by the witness {} at {}",
                    escaped(&cosignature.witness),
                    cosignature.time()
                ))?;
            }
            Ok(Status::Success)
        }
        Err(error) => {
            stderr_line(format_args!("not verified: {}", escaped(&with_sources(&error))));
            Ok(Status::Problems)
        }
    }
}
