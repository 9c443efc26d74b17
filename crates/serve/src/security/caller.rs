//! The client of a request.

use std::net::SocketAddr;

use http::StatusCode;

use super::role::Role;
use super::tokens::Token;
use crate::http::problem::Problem;

/// Name of a client where no tokens are configured.
const ANONYMOUS: &str = "anonymous";

/// The client of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(super) role: Role,
    pub(crate) address: Option<SocketAddr>,
}

/// The address of the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) SocketAddr);

impl Caller {
    /// The server itself, for what no request causes.
    pub(crate) fn of_server() -> Self {
        Self { name: "attestry-serve".to_owned(), role: Role::Admin, address: None }
    }

    /// A client with this token.
    pub(crate) fn with_token(token: &Token, address: Option<SocketAddr>) -> Self {
        Self { name: token.name().to_owned(), role: token.role(), address }
    }

    /// A client where no tokens are configured.
    pub(crate) fn anonymous(address: Option<SocketAddr>) -> Self {
        Self { name: ANONYMOUS.to_owned(), role: Role::Admin, address }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Fails unless the client may do what `role` allows.
    pub(crate) fn require(&self, role: Role) -> Result<(), Problem> {
        if self.may(role) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden").detail(format!(
            "this needs a token with the role {role}; that of {} has the role {}",
            self.name, self.role
        )))
    }

    /// Whether the client may do what `role` allows.
    pub(crate) fn may(&self, role: Role) -> bool {
        self.role.allows(role)
    }
}
