//! Arguments of `serve` and `token`.

use std::net::SocketAddr;
use std::path::PathBuf;

use attestry_serve::Role;
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(after_help = "\
A status of success means that what was sent is on stable storage. SIGTERM and Ctrl-C end
the server in an orderly way: requests are answered, calls that are open are stored as
abandoned, and the exit status is 0. SIGHUP reads tokens and certificates again.

Without --tokens every client may do everything; that is allowed on this host only, unless
--insecure is given. Reads, exports, decryptions and erasures are recorded in the access
log, which is a store of its own: `attestry --store ./audit/.attestry/access list`.

Examples:
  attestry serve --store-content
  curl -H 'Content-Type: application/json' http://127.0.0.1:4318/v1/entries \\
    -d '{\"input\": \"What is 2+2?\", \"output\": \"4\", \"model\": \"gpt-4\"}'
  curl 'http://127.0.0.1:4318/v1/entries?order=descending&limit=10'

  attestry token new --tokens tokens --name billing-service --role record
  attestry serve --listen 0.0.0.0:4318 --tokens tokens \\
    --tls-cert server.pem --tls-key server.key")]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 lets the system choose one, which is printed [default:
    /// 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS", env = "ATTESTRY_SERVE_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address for OTLP over gRPC [default: 127.0.0.1:4317 without --listen, else none]
    #[arg(long, value_name = "ADDRESS", env = "ATTESTRY_SERVE_GRPC_LISTEN")]
    pub(crate) grpc_listen: Option<SocketAddr>,
    /// Folder where parts of calls that telemetry brings wait for the others [default:
    /// .attestry/inbox in the folder of the store; none for other stores]
    #[arg(long, value_name = "FOLDER", env = "ATTESTRY_SERVE_INBOX")]
    pub(crate) inbox: Option<PathBuf>,
    /// How many seconds a part of a call waits for the others
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "30",
        env = "ATTESTRY_SERVE_JOIN_DEADLINE"
    )]
    pub(crate) join_deadline: u32,
    /// Store the content of interactions, not only its hashes; encrypted, if there is a key
    #[arg(long, env = "ATTESTRY_SERVE_STORE_CONTENT")]
    pub(crate) store_content: bool,
    /// Answer reads only; the store is not changed
    #[arg(long, env = "ATTESTRY_SERVE_READ_ONLY")]
    pub(crate) read_only: bool,
    /// File of tokens: a name, a role and the SHA-256 of the token in each line; see `attestry token`
    #[arg(long, value_name = "FILE", env = "ATTESTRY_SERVE_TOKENS")]
    pub(crate) tokens: Option<PathBuf>,
    /// Certificate of the server with its chain, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "ATTESTRY_SERVE_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "ATTESTRY_SERVE_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Accept only clients with a certificate of these authorities, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "ATTESTRY_SERVE_TLS_CLIENT_CA")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Folder of the access log [default: .attestry/access in the folder of the store; none for other
    /// stores]
    #[arg(long, value_name = "FOLDER", env = "ATTESTRY_SERVE_ACCESS_LOG")]
    pub(crate) access_log: Option<PathBuf>,
    /// Listen also where other hosts can connect without TLS or tokens
    #[arg(long, env = "ATTESTRY_SERVE_INSECURE")]
    pub(crate) insecure: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token for `attestry serve` and print it
    #[command(after_help = "\
The token is printed once and stored nowhere; the file gets its SHA-256. `attestry serve`
reads the file again on SIGHUP. To withdraw a token, remove its line.

Roles:
  record   record interactions and calls
  read     read entries without content, proofs and metrics
  content  read, with content
  admin    everything, also erasing

Examples:
  attestry token new --tokens tokens --name billing-service --role record
  attestry token new --tokens tokens --name auditor --role read > auditor.token")]
    New(NewTokenArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewTokenArgs {
    /// File that the token is added to; created if it does not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) tokens: PathBuf,
    /// Name of the client, which the access log shows
    #[arg(long)]
    pub(crate) name: String,
    /// What the token allows: record, read, content or admin
    #[arg(long)]
    pub(crate) role: Role,
}
