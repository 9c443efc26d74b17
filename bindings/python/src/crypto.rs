//! Encryption and hashes, with the names of the package.

use attestry::crypto::{self, DecryptError, InvalidKey, Key};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::failure;

/// Of more bytes, other threads run meanwhile.
const DETACHED_FROM: usize = 16 << 10;

/// Runs `work` on `length` bytes, detached if that takes long.
fn compute<T: Send>(py: Python<'_>, length: usize, work: impl FnOnce() -> T + Send) -> T {
    if length < DETACHED_FROM { work() } else { py.detach(work) }
}

fn decrypted<T>(py: Python<'_>, result: Result<T, DecryptError>) -> PyResult<T> {
    result.map_err(|error| {
        failure::invalid_token(py, &error.to_string()).unwrap_or_else(|error| error)
    })
}

/// A key in bytes or text.
fn key_of(key: &Bound<'_, PyAny>) -> PyResult<Key> {
    let parsed: Result<Key, InvalidKey> = if let Ok(bytes) = key.cast::<PyBytes>() {
        std::str::from_utf8(bytes.as_bytes()).unwrap_or_default().parse()
    } else if let Ok(text) = key.cast::<PyString>() {
        text.to_str()?.parse()
    } else {
        return Err(PyTypeError::new_err("a key is bytes or str"));
    };
    parsed.map_err(|error| {
        PyValueError::new_err(format!(
            "Fernet key must be 32 url-safe base64-encoded bytes: {error}"
        ))
    })
}

/// Encrypts and decrypts texts with a key.
#[pyclass(frozen, subclass, name = "EncryptionManager")]
pub(crate) struct EncryptionManager(crypto::EncryptionManager);

impl EncryptionManager {
    pub(crate) fn manager(&self) -> &crypto::EncryptionManager {
        &self.0
    }
}

#[pymethods]
impl EncryptionManager {
    #[new]
    #[pyo3(signature = (key=None))]
    fn new(key: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let key = key.map_or_else(|| Ok(Key::generate()), key_of)?;
        Ok(Self(crypto::EncryptionManager::new(key)))
    }

    /// Encrypt a text.
    ///
    /// >>> manager = EncryptionManager()
    /// >>> manager.decrypt(manager.encrypt("secret"))
    /// 'secret'
    fn encrypt(&self, py: Python<'_>, data: &str) -> String {
        compute(py, data.len(), || self.0.encrypt(data))
    }

    /// Decrypt what `encrypt` returned.
    ///
    /// Raises cryptography.fernet.InvalidToken (a subclass that is also a ValueError).
    fn decrypt(&self, py: Python<'_>, data: &str) -> PyResult<String> {
        let result = compute(py, data.len(), || self.0.decrypt(data));
        decrypted(py, result)
    }

    /// The key. Store it securely: without it nothing can be decrypted.
    fn get_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.key().expose_secret().as_bytes())
    }

    fn __repr__(&self) -> &'static str {
        "<EncryptionManager>"
    }
}

/// Generate a new key.
///
/// >>> len(generate_key())
/// 44
#[pyfunction]
pub(crate) fn generate_key(py: Python<'_>) -> Bound<'_, PyBytes> {
    PyBytes::new(py, Key::generate().expose_secret().as_bytes())
}

/// Encrypt bytes with a key.
#[pyfunction]
pub(crate) fn encrypt<'py>(
    py: Python<'py>,
    data: &[u8],
    key: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let key = key_of(key)?;
    let token = compute(py, data.len(), || crypto::encrypt(data, &key));
    Ok(PyBytes::new(py, token.as_bytes()))
}

/// Decrypt what `encrypt` returned.
#[pyfunction]
pub(crate) fn decrypt<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let key = key_of(key)?;
    let data: Vec<u8> = match data.cast::<PyString>() {
        Ok(text) => text.to_str()?.as_bytes().to_vec(),
        Err(_) => data.extract()?,
    };
    let result = compute(py, data.len(), || crypto::decrypt(&data, &key));
    Ok(PyBytes::new(py, &decrypted(py, result)?))
}

/// The SHA-256 of a text, in hexadecimal.
///
/// >>> hash_content("hello world")[:8]
/// 'b94d27b9'
#[pyfunction]
pub(crate) fn hash_content(py: Python<'_>, content: &str) -> String {
    compute(py, content.len(), || attestry::hash_content(content))
}

/// A new id, a random UUID.
#[pyfunction]
pub(crate) fn create_entry_id() -> String {
    attestry::create_entry_id().as_str().to_owned()
}

/// The time now, as entries have it.
#[pyfunction]
pub(crate) fn now() -> String {
    attestry::Timestamp::now().to_string()
}
