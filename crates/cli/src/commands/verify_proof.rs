//! `attestry verify-proof`: checks the proof of an entry, without a store.

use std::fs;

use attestry::evidence::{InclusionProof, InvalidProof, NotOneLine, line_hash};

use crate::args::VerifyProofArgs;
use crate::errors::{Failure, Status, one_line};
use crate::output::Stdout;
use crate::text::{complain, escaped, thousands};
use crate::trust;

pub(super) fn run(args: &VerifyProofArgs, out: &mut Stdout) -> Result<Status, Failure> {
    let policy = args.trust.needed_policy()?;
    let text = trust::text("the proof", &args.proof)?;
    let proof: InclusionProof = text.parse().map_err(|error: InvalidProof| {
        Failure::new(format!("{} is no proof", args.proof.display())).caused_by(error)
    })?;
    let entry = fs::read(&args.entry).map_err(|error| {
        Failure::new(format!("cannot read the entry {}", args.entry.display())).caused_by(error)
    })?;
    let leaf = line_hash(&entry).map_err(|error: NotOneLine| {
        Failure::new(format!("{} is not the line of one entry", args.entry.display()))
            .caused_by(error)
            .hint("give the line as it is stored: `attestry get --raw ID > entry.json`")
    })?;
    match proof.verify(leaf, &policy) {
        Ok(opened) => {
            let checkpoint = opened.checkpoint();
            out.line(format_args!(
                "proven: the entry is leaf {} of the log {}, of {} leaves when that was signed",
                thousands(i128::from(proof.index())),
                escaped(checkpoint.origin()),
                thousands(i128::from(checkpoint.size())),
            ))?;
            for seen in opened.cosignatures() {
                out.line(format_args!(
                    "seen by the witness {} at {}",
                    escaped(&seen.witness),
                    seen.time()
                ))?;
            }
            Ok(Status::Done)
        }
        Err(error) => {
            complain(format_args!("not proven: {}", escaped(&one_line(&error))));
            Ok(Status::Problems)
        }
    }
}
