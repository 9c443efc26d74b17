//! One behaviour suite that every Attestry storage backend must pass.
