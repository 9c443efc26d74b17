//! Arguments of `serve` and `token`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use attestry_serve::Role;
use clap::{Arg, Args, Subcommand, ValueEnum};

use super::AnchorArgs;
use crate::times::duration;

#[derive(Debug, Args)]
#[command(after_help = "\
A status of success means that what was sent is on stable storage. SIGTERM and Ctrl-C end
the server in an orderly way: requests are answered, calls that are open are stored as
abandoned, and the exit status is 0. SIGHUP reads tokens and certificates again.

Without --tokens every client may do everything; that is allowed on this host only, unless
--insecure is given. Reads, exports, decryptions and erasures are recorded in the access
log: `attestry access list`.

Each option can also be set by its environment variable, or in a file: --config. The command
line comes before the environment, and that before the file. In the file, the name of the
option is the key:

  listen = \"0.0.0.0:4318\"
  tokens = \"/etc/attestry/tokens\"
  store-content = true
  verify-every = \"1d\"

Examples:
  attestry serve --store-content
  curl -H 'Content-Type: application/json' http://127.0.0.1:4318/v1/entries \\
    -d '{\"input\": \"What is 2+2?\", \"output\": \"4\", \"model\": \"gpt-4\"}'
  curl 'http://127.0.0.1:4318/v1/entries?order=descending&limit=10'

  attestry token new --tokens tokens --name billing-service --role record
  attestry serve --listen 0.0.0.0:4318 --tokens tokens \\
    --tls-cert server.pem --tls-key server.key
  attestry serve --config serve.toml --check-config")]
#[command(mut_args(with_environment_variable))]
pub(crate) struct ServeArgs {
    /// File with options of this command and of the store, in TOML
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Check the options, keys, tokens and certificates, and end
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Address to listen on; port 0 lets the system choose one, which is printed [default:
    /// 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address for OTLP over gRPC [default: 127.0.0.1:4317 without --listen, else none]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) grpc_listen: Option<SocketAddr>,
    /// Folder where parts of calls that telemetry brings wait for the others [default:
    /// .attestry/inbox in the folder of the store; none for other stores]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) inbox: Option<PathBuf>,
    /// How many seconds a part of a call waits for the others
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub(crate) join_deadline: u32,
    /// Store the content of interactions, not only its hashes; encrypted, if there is a key
    #[arg(long)]
    pub(crate) store_content: bool,
    /// Answer reads only; the store is not changed
    #[arg(long)]
    pub(crate) read_only: bool,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    #[command(flatten)]
    pub(crate) maintenance: MaintenanceArgs,
    #[command(flatten)]
    pub(crate) anchors: AnchorArgs,
    #[command(flatten)]
    pub(crate) logs: LogsArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Which clients may connect and do what.
#[derive(Debug, Args)]
#[command(next_help_heading = "Security")]
pub(crate) struct SecurityArgs {
    /// File of tokens: a name, a role and the SHA-256 of the token in each line; see `attestry token`
    #[arg(long, value_name = "FILE")]
    pub(crate) tokens: Option<PathBuf>,
    /// Certificate of the server with its chain, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Accept only clients with a certificate of these authorities, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Folder of the access log [default: .attestry/access in the folder of the store; none for other
    /// stores]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) access_log: Option<PathBuf>,
    /// Serve the checkpoint and the tiles of the Merkle tree also without a token, for monitors
    #[arg(long)]
    pub(crate) public_tree: bool,
    /// Listen also where other hosts can connect without TLS or tokens
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// What the server does by itself.
#[derive(Debug, Args)]
#[command(next_help_heading = "Maintenance")]
pub(crate) struct MaintenanceArgs {
    /// Erase entries that are as many days old or older, each night [default: never]
    #[arg(long, value_name = "DAYS")]
    pub(crate) retention_days: Option<u32>,
    /// Erase entries of the access log that are as many days old or older, each night [default: never]
    #[arg(long, value_name = "DAYS")]
    pub(crate) access_retention_days: Option<u32>,
    /// Time of that, in UTC
    #[arg(
        long,
        value_name = "HH:MM",
        default_value = "03:00",
        value_parser = time_of_day
    )]
    pub(crate) cleanup_at: Duration,
    /// Verify the store so often, such as 12h or 7d [default: never]
    #[arg(long, value_name = "TIME", value_parser = interval)]
    pub(crate) verify_every: Option<Duration>,
    /// File with the public key that verifications require [default: that of --signing-key]
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
}

/// What the server writes to standard error.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogsArgs {
    /// Format of the lines on standard error
    #[arg(long, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Least important level: error, warn, info, or debug, which has a line for each request
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// Limits, so that no client can exhaust the server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Bytes of a body as it is sent [default: 16 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_encoded_body: Option<usize>,
    /// Bytes of a body after decompression [default: 64 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_body: Option<usize>,
    /// Connections at the same time; more wait [default: 4096]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_connections: Option<usize>,
    /// Requests that are answered at the same time; more get 503 [default: 1024]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_requests: Option<usize>,
    /// Calls that are open at the same time; more get 503 [default: 10000]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_open_calls: Option<usize>,
    /// Bytes of OTLP requests that are held at the same time; more get 503 [default: 80 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_received_bytes: Option<usize>,
    /// Bytes of parts of calls that wait in memory; of more, the oldest are written [default: 32 MiB]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_waiting_bytes: Option<usize>,
    /// Time for a TLS handshake [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) handshake_timeout: Option<Duration>,
    /// Time for the head of a request, also of the next one of a connection [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) head_timeout: Option<Duration>,
    /// Time for the body of a request [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) body_timeout: Option<Duration>,
    /// How long a response waits for a client that does not read [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) stall_timeout: Option<Duration>,
    /// After this time without output or end, an open call is stored as abandoned [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) idle_call_timeout: Option<Duration>,
    /// How long a shutdown waits for requests that are being answered [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) shutdown_timeout: Option<Duration>,
}

/// Options that are for the command line only.
const WITHOUT_VARIABLE: [&str; 1] = ["check-config"];

/// The environment variable of an option is `ATTESTRY_SERVE_` and its name.
fn with_environment_variable(option: Arg) -> Arg {
    match option.get_long() {
        Some(name) if !WITHOUT_VARIABLE.contains(&name) => {
            let variable = format!("ATTESTRY_SERVE_{}", name.replace('-', "_").to_uppercase());
            option.env(variable)
        }
        _ => option,
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected more than no time, such as 12h or 7d".to_owned()),
        interval => Ok(interval),
    }
}

/// A time of the day, as the time after midnight.
fn time_of_day(text: &str) -> Result<Duration, String> {
    let parts = text.split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours < 24 && minutes < 60).then(|| Duration::from_secs(hours * 3600 + minutes * 60))
    });
    parts.ok_or_else(|| "expected a time such as 03:00".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token for `attestry serve` and print it
    #[command(after_help = "\
The token is printed once and stored nowhere; the file gets its SHA-256. `attestry serve`
reads the file again on SIGHUP. To withdraw a token, remove its line.

Roles:
  record   record interactions and calls
  read     read entries without content, statistics, proofs and metrics; verify
  content  read and search, with content
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
