//! Replays the fuzz corpus of `rigs/fuzz/`.
#![allow(clippy::unwrap_used)]

pub mod properties;

use std::fs;
use std::path::Path;

use properties::{accepted, timestamp};

#[test]
fn replies_of_the_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rigs/fuzz/corpus/timestamp");
    let files = fs::read_dir(corpus).unwrap().map(|item| item.unwrap().path());
    let (mut inputs, mut good) = (0, Vec::new());
    for path in files {
        let input = fs::read(&path).unwrap();
        (0..=input.len()).for_each(|cut| timestamp(&input[..cut]));
        inputs += 1;
        if accepted(&input).is_some() {
            good.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    assert!(inputs > 8, "the corpus is in rigs/fuzz/corpus");
    good.sort();
    assert_eq!(good, ["p384-chain", "p384-ess-v1", "p384-sha512-imprint", "rsa"]);
}
