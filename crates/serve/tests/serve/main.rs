//! The integration tests of the server: one program, since each costs seconds to link.

#![allow(clippy::unwrap_used)] // also in helpers

mod common;

mod calls;
mod grpc;
mod inbox;
mod limits;
mod openapi;
mod otlp;
mod read;
mod record;
mod roles;
mod tls;
mod tree;
mod verify;
mod viewer_access;
mod viewer_conversation;
mod viewer_entries;
mod viewer_entry;
mod viewer_integrity;
mod viewer_log_in;
mod viewer_overview;
mod viewer_pages;
