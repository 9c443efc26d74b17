//! A timestamp authority: `openssl ts -reply` behind the HTTP server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::server::{Request, Response};

/// The keys of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Rsa,
    P384,
}

/// Certificates and settings in a folder: `ca.pem`, `sub.pem` (signed by it), `tsa.pem` (signed by that).
pub(crate) struct Authority(TempDir);

impl Authority {
    pub(crate) fn new(keys: Keys) -> Self {
        Self::with(keys, "extendedKeyUsage=critical,timeStamping", "3650")
    }

    /// With other extensions and another validity of its certificate.
    pub(crate) fn with(keys: Keys, extensions: &str, days: &str) -> Self {
        let authority = Self(tempfile::tempdir().unwrap());
        let ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign";
        authority.certificate("ca", None, keys, ca, "3650");
        authority.certificate("sub", Some("ca"), keys, ca, "3650");
        authority.certificate("tsa", Some("sub"), keys, extensions, days);
        fs::write(authority.path("serial"), "01").unwrap();
        let folder = authority.0.path().display();
        let settings = format!(
            "[tsa]\ndefault_tsa=a\n[a]\nserial={folder}/serial\nsigner_cert={folder}/tsa.pem\n\
             signer_key={folder}/tsa.key\ncerts={folder}/sub.pem\nsigner_digest=sha384\n\
             default_policy=1.2.3.4.1\ndigests=sha256\nordering=yes\ntsa_name=yes\n\
             ess_cert_id_chain=yes\ness_cert_id_alg=sha256\naccuracy=secs:1,millisecs:500\n"
        );
        fs::write(authority.path("tsa.cnf"), settings).unwrap();
        authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn set(&self, setting: &str, value: &str) {
        let text = fs::read_to_string(self.path("tsa.cnf")).unwrap();
        let other = text.lines().filter(|line| !line.starts_with(&format!("{setting}=")));
        let text = other.map(|line| format!("{line}\n")).collect::<String>();
        fs::write(self.path("tsa.cnf"), format!("{text}{setting}={value}\n")).unwrap();
    }

    fn certificate(&self, name: &str, by: Option<&str>, keys: Keys, extensions: &str, days: &str) {
        let algorithm: &[&str] = match keys {
            Keys::Rsa => &["-newkey", "rsa:2048"],
            Keys::P384 => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        };
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        let subject = format!("/CN=Test {name}");
        let new = ["req", "-nodes", "-keyout", &key, "-out", &request, "-subj", &subject];
        self.openssl(&[&new[..], algorithm].concat());
        fs::write(self.path("ext"), extensions).unwrap();
        let pem = format!("{name}.pem");
        let sign =
            ["x509", "-req", "-in", &request, "-out", &pem, "-days", days, "-extfile", "ext"];
        let issuer = by.map(|by| (format!("{by}.pem"), format!("{by}.key")));
        let by = match &issuer {
            Some((pem, key)) => vec!["-CA", pem, "-CAkey", key, "-CAcreateserial"],
            None => vec!["-signkey", &key],
        };
        self.openssl(&[&sign[..], &by].concat());
    }

    fn openssl(&self, arguments: &[&str]) {
        openssl(self.0.path(), arguments).unwrap();
    }

    /// The reply to a query.
    pub(crate) fn reply(&self, query: &[u8]) -> Vec<u8> {
        fs::write(self.path("query"), query).unwrap();
        let sign = ["ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply"];
        self.openssl(&sign);
        fs::read(self.path("reply")).unwrap()
    }

    /// A further certificate, signed by `sub`.
    pub(crate) fn certify(&self, name: &str, extensions: &str) {
        self.certificate(name, Some("sub"), Keys::P384, extensions, "3650");
    }

    /// A reply with the content of `reply`, signed with another certificate.
    pub(crate) fn sign_again(&self, reply: &[u8], name: &str) -> Vec<u8> {
        fs::write(self.path("reply"), reply).unwrap();
        self.openssl(&["ts", "-reply", "-in", "reply", "-token_out", "-out", "token"]);
        let content = ["cms", "-verify", "-noverify", "-inform", "DER", "-in", "token"];
        self.openssl(&[&content[..], &["-binary", "-out", "content"]].concat());
        let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
        let sign = ["cms", "-sign", "-binary", "-nodetach", "-cades", "-md", "sha256"];
        let kind = ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-in", "content"];
        let by = ["-signer", &pem, "-inkey", &key, "-certfile", "sub.pem"];
        let out = ["-outform", "DER", "-out", "token"];
        self.openssl(&[&sign[..], &kind, &by, &out].concat());
        let token = fs::read(self.path("token")).unwrap();
        let granted = [0x30, 0x03, 0x02, 0x01, 0x00];
        let length = u16::try_from(granted.len() + token.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], &length[..], &granted, &token].concat()
    }

    /// The reply to an HTTP request.
    pub(crate) fn answer(&self, request: &Request) -> Response {
        assert_eq!(request.content_type, "application/timestamp-query");
        Response::new(200, "application/timestamp-reply", self.reply(&request.body))
    }
}

/// Runs `openssl`, and returns what it printed on standard error if it fails.
pub(crate) fn openssl(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output();
    let output = output.expect("these tests need openssl");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("openssl {arguments:?}: {text}")) }
}
