//! The extension module of the Python package `attestry`. Its classes and functions are private to the
//! package; `python/attestry` has what users import.

mod bridge;
mod call;
mod convert;
mod crypto;
mod evidence;
mod exchange;
mod failure;
mod import;
mod interaction;
mod json;
mod logger;
mod options;
mod process;
mod query;
mod storage;
mod wait;

use pyo3::prelude::*;

/// The extension module.
// No free-threaded interpreter that PyO3 supports has run the tests: loading it there enables the GIL.
#[pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::bridge::Bridge;
    #[pymodule_export]
    use crate::call::Call;
    #[pymodule_export]
    use crate::crypto::{
        EncryptionManager, create_entry_id, decrypt, encrypt, generate_key, hash_content, now,
    };
    #[pymodule_export]
    use crate::evidence::{generate_signing_key, public_key, verify_proof};
    #[pymodule_export]
    use crate::exchange::Exchange;
    #[pymodule_export]
    use crate::logger::Logger;
    #[pymodule_export]
    use crate::process::close_all;
    #[pymodule_export]
    use crate::query::Scan;
    #[pymodule_export]
    use crate::storage::Storage;
}
