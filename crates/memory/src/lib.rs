//! Attestry's in-memory storage backend.
