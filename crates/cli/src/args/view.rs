//! Arguments of `view`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Listens on a free port of this host and prints a URL that lets one browser in, once. The
store is only read; what is read is recorded in the access log, as with `attestry serve`.
Ctrl-C ends it.

The browser gets the URL as an argument, which other users of this host can see for a
moment. Where that matters, use --no-open, and paste the URL.

Over SSH, forward the port: ssh -L 4318:127.0.0.1:4318 HOST, and there
`attestry view --no-open --port 4318`.

Examples:
  attestry view /var/log/audit
  attestry view /var/log/audit --key-file audit.key     read encrypted content
  attestry view --no-open                               print the URL only")]
pub(crate) struct ViewArgs {
    /// Store to view [default: that of --store]
    #[arg(value_name = "STORE")]
    pub(crate) location: Option<OsString>,
    /// Do not open a browser
    #[arg(long)]
    pub(crate) no_open: bool,
    /// Port to listen on [default: a free one]
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
    pub(crate) port: u16,
    /// File with the public key that verifications require [default: that of --signing-key]
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    /// Folder of the access log [default: .attestry/access in the folder of the store; none for other
    /// stores]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) access_log: Option<PathBuf>,
}
