//! The receiver of OTLP: traces and logs over HTTP and gRPC.

mod budget;
mod compression;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod receiver;
mod response;
