//! Other receivers of OTLP over HTTP, as their packages on PyPI install them, with SQLite.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};

use crate::Result;

/// A receiver that can be started and asked for what it has stored.
pub(crate) struct Receiver {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: fn(folder: &Path, port: u16) -> Vec<String>,
    environment: fn(folder: &Path, port: u16) -> Vec<(&'static str, String)>,
    /// Answers with 200 when the server is ready.
    pub(crate) health: &'static str,
    /// Headers of a request, each with its line break.
    pub(crate) headers: &'static str,
    database: &'static str,
}

impl Receiver {
    /// Arize Phoenix, whose program this is.
    pub(crate) fn phoenix(program: PathBuf) -> Self {
        Self {
            name: "Arize Phoenix",
            program,
            arguments: |_, _| vec!["serve".to_owned()],
            environment: |folder, port| {
                vec![
                    ("PHOENIX_HOST", "127.0.0.1".to_owned()),
                    ("PHOENIX_PORT", port.to_string()),
                    ("PHOENIX_GRPC_PORT", "0".to_owned()),
                    ("PHOENIX_TELEMETRY_ENABLED", "false".to_owned()),
                    ("PHOENIX_WORKING_DIR", folder.display().to_string()),
                ]
            },
            health: "/healthz",
            headers: "",
            database: "phoenix.db",
        }
    }

    /// MLflow, whose program this is.
    pub(crate) fn mlflow(program: PathBuf) -> Self {
        Self {
            name: "MLflow",
            program,
            arguments: |folder, port| {
                let database = format!("sqlite:///{}", folder.join("mlflow.db").display());
                let (host, port) = ("127.0.0.1".to_owned(), port.to_string());
                let options = ["--host", &host, "--port", &port, "--backend-store-uri", &database];
                ["server"].iter().chain(&options).map(|&text| text.to_owned()).collect()
            },
            environment: |_, _| vec![("MLFLOW_DISABLE_TELEMETRY", "true".to_owned())],
            health: "/health",
            headers: "x-mlflow-experiment-id: 0\r\n",
            database: "mlflow.db",
        }
    }

    /// The command that starts it with a store in `folder`, and its port.
    pub(crate) fn command(&self, folder: &Path) -> Result<(Command, u16)> {
        let folder = std::path::absolute(folder)?;
        // Free until now; the programs print their own choice in no common form.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new(&self.program);
        command
            .args((self.arguments)(&folder, port))
            .envs((self.environment)(&folder, port))
            .current_dir(&folder);
        Ok((command, port))
    }

    /// Spans in its store in `folder`.
    pub(crate) fn stored(&self, folder: &Path) -> Result<u64> {
        // Not read-only: SQLite recovers its log first.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let database = Connection::open_with_flags(folder.join(self.database), flags)?;
        let count: i64 = database.query_row("SELECT count(*) FROM spans", [], |row| row.get(0))?;
        Ok(u64::try_from(count)?)
    }
}
