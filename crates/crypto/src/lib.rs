//! Fernet keys and content encryption for Attestry.
