//! `EncryptionManager::encrypt` of both texts of an interaction, compared with Python and with its
//! parts: AES-128-CBC, HMAC-SHA-256 and two base64 encodings.

use std::hint::black_box;
use std::process::Command;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockEncryptMut, KeyIvInit};
use attestry::crypto::EncryptionManager;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::python::finished;
use crate::report::Row;
use crate::rig::Rig;
use crate::stats::{Figure, median};
use crate::{Result, plain, remove};

/// Texts per round, and how many of them differ.
const COUNT: usize = 20_000;
const DISTINCT: usize = 256;

/// Texts that Python encrypts per round.
const PYTHON_COUNT: usize = 4_000;

const PYTHON_SCRIPT: &str = include_str!("../../python/encrypt_rate.py");

/// Version, timestamp and IV.
const HEADER: usize = 25;

const HMAC: usize = 32;

pub(super) fn run(rig: &mut Rig) -> Result<Vec<Row>> {
    let texts: Vec<String> = (0..DISTINCT)
        .map(|number| rig.workload.item(number))
        .map(|item| item.input.clone() + &item.output)
        .collect();
    let longest = texts.iter().map(String::len).max().unwrap_or_default();
    let text = |number: usize| texts[number % DISTINCT].as_bytes();
    let manager = EncryptionManager::generate();
    let mut parts = Parts::new(longest);
    let file = rig.path("texts.json");
    std::fs::write(&file, serde_json::to_vec(&texts)?)?;

    let mut samples = Samples::default();
    for _ in 0..rig.rounds {
        samples.encrypt.push(plain::each(COUNT, |number| {
            black_box(manager.encrypt(black_box(&texts[number % DISTINCT])));
            Ok(())
        })?);
        samples.all_parts.push(plain::each(COUNT, |number| {
            black_box(parts.all(black_box(text(number)))?);
            Ok(())
        })?);
        samples.aes.push(plain::each(COUNT, |number| parts.aes(black_box(text(number))))?);
        samples.hmac.push(plain::each(COUNT, |_| black_box(&mut parts).hmac())?);
        samples.base64.push(plain::each(COUNT, |_| {
            black_box(black_box(&mut parts).base64()?);
            Ok(())
        })?);
        if let Some((python, _)) = &rig.python {
            let mut command = Command::new(python);
            command.args(["-B", "-c", PYTHON_SCRIPT]).arg(&file);
            command.args(["--count", &PYTHON_COUNT.to_string()]);
            let printed: Value = serde_json::from_slice(&finished(&mut command)?)?;
            let rate = |name: &str| printed[name].as_f64().ok_or("the script printed no rate");
            samples.python_fernet.push(rate("fernet")?);
            samples.python_manager.push(rate("manager")?);
        }
    }
    remove(&file)?;
    Ok(samples.rows())
}

/// One value per round: Python's in texts per second, all others in µs per text.
#[derive(Default)]
struct Samples {
    encrypt: Vec<f64>,
    all_parts: Vec<f64>,
    aes: Vec<f64>,
    hmac: Vec<f64>,
    base64: Vec<f64>,
    python_fernet: Vec<f64>,
    python_manager: Vec<f64>,
}

impl Samples {
    fn rows(&self) -> Vec<Row> {
        let rate = |micros: &[f64]| {
            let rates: Vec<f64> = micros.iter().map(|micros| 1e6 / micros).collect();
            Figure::of(&rates, "texts/s")
        };
        let row = || Row::new("encrypt", "EncryptionManager::encrypt of 2 KB", rate(&self.encrypt));
        let mut rows = Vec::new();
        if !self.python_fernet.is_empty() {
            let fernet = Figure::of(&self.python_fernet, "texts/s");
            let manager = median(&self.python_manager);
            rows.push(
                row()
                    .against("Python cryptography", fernet)
                    .ratio_at_least(2.0)
                    .note(format!("Python EncryptionManager: {manager:.0} texts/s")),
            );
        }
        rows.push(row().against("its parts", rate(&self.all_parts)).note(format!(
            "{:.2} µs; of the parts, AES-128-CBC {:.2} µs, HMAC-SHA-256 {:.2} µs, base64 twice {:.2} µs",
            median(&self.encrypt),
            median(&self.aes),
            median(&self.hmac),
            median(&self.base64)
        )));
        rows
    }
}

/// The operations that encryption consists of, with the libraries that the `fernet` crate uses, one
/// after the other and into buffers that are allocated once.
struct Parts {
    /// AES key, HMAC key and IV. Their values do not matter.
    secrets: [[u8; 16]; 3],
    token: Vec<u8>,
    length: usize,
    inner: Vec<u8>,
    outer: Vec<u8>,
}

impl Parts {
    fn new(longest: usize) -> Self {
        let room = HEADER + longest + 16 + HMAC;
        Self {
            secrets: [[1; 16], [2; 16], [3; 16]],
            token: vec![0; room],
            length: HEADER + HMAC,
            inner: vec![0; room * 4 / 3 + 4],
            outer: vec![0; room * 16 / 9 + 8],
        }
    }

    fn aes(&mut self, text: &[u8]) -> Result<()> {
        let [key, _, iv] = self.secrets;
        let written = cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into())
            .encrypt_padded_b2b_mut::<Pkcs7>(text, &mut self.token[HEADER..]);
        self.length = HEADER + written.map_err(|_| "the buffer is too small")?.len() + HMAC;
        Ok(())
    }

    fn hmac(&mut self) -> Result<()> {
        let (signed, signature) = self.token[..self.length].split_at_mut(self.length - HMAC);
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.secrets[1])?;
        mac.update(signed);
        signature.copy_from_slice(&mac.finalize().into_bytes());
        Ok(())
    }

    /// Encodes the token, and that text once more. Returns the length of the result.
    fn base64(&mut self) -> Result<usize> {
        let inner = URL_SAFE.encode_slice(&self.token[..self.length], &mut self.inner)?;
        Ok(URL_SAFE.encode_slice(&self.inner[..inner], &mut self.outer)?)
    }

    fn all(&mut self, text: &[u8]) -> Result<usize> {
        self.aes(text)?;
        self.hmac()?;
        self.base64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_as_many_bytes_as_encrypt() {
        let manager = EncryptionManager::generate();
        let mut parts = Parts::new(2_048);
        for length in [0, 1, 15, 16, 2_006] {
            let text = "x".repeat(length);
            assert_eq!(parts.all(text.as_bytes()).unwrap(), manager.encrypt(&text).len());
        }
    }
}
