//! A timestamp authority as an anchor.

use std::sync::Arc;

use async_trait::async_trait;
use attestry_evidence::SignedCheckpoint;
use attestry_file::FileStorage;
use hyper::Uri;
use ring::digest;

use crate::anchor::{Anchor, AnchorError, HandedOver};
use crate::http::{HttpClient, HttpError, parse_url, shown};
use crate::timestamp::{
    IMPRINT_BYTES, TimestampError, TimestampRoots, Token, full_length, request,
};

/// A timestamp authority (RFC 3161), reached over HTTP. Its reply to a checkpoint is stored beside it
/// as it came ([`FileStorage::timestamps`]), so that it can be verified offline, by
/// [`verify_timestamp`](crate::verify_timestamp) or `openssl ts -verify`.
///
/// A reply is accepted if it is signed with the certificate that it contains and answers this request.
/// With [`roots`](Self::roots) the certificate must be trusted, too.
#[derive(Debug, Clone)]
pub struct TimestampAuthority {
    url: Uri,
    http: HttpClient,
    roots: Option<Arc<TimestampRoots>>,
}

impl TimestampAuthority {
    /// The authority at `url`.
    ///
    /// # Errors
    ///
    /// [`HttpError::InvalidUrl`].
    pub fn new(url: &str, http: HttpClient) -> Result<Self, HttpError> {
        Ok(Self { url: parse_url(url)?, http, roots: None })
    }

    /// Accepts only replies whose certificate leads to one of these.
    #[must_use]
    pub fn roots(mut self, roots: TimestampRoots) -> Self {
        self.roots = Some(Arc::new(roots));
        self
    }

    fn check(&self, reply: &[u8], stamped: &[u8], nonce: u64) -> Result<(), TimestampError> {
        let token = Token::parse(reply)?;
        token.check_nonce(nonce)?;
        token.check_imprint(stamped)?;
        let certificate = token.check_signature()?;
        match &self.roots {
            Some(roots) => roots.check(&certificate, &token.certificates(), token.time()),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Anchor for TimestampAuthority {
    fn name(&self) -> String {
        format!("tsa {}", shown(&self.url))
    }

    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        store: &FileStorage,
    ) -> Result<HandedOver, AnchorError> {
        let stamped = checkpoint.as_str().as_bytes();
        let mut imprint = [0; IMPRINT_BYTES];
        imprint.copy_from_slice(digest::digest(&digest::SHA256, stamped).as_ref());
        let nonce = getrandom::u64().map_err(|error| AnchorError::Other {
            message: "the system has no random numbers".to_owned(),
            source: Box::new(error),
        })?;
        let body = request(&imprint, nonce);
        let reply = self.http.post(&self.url, "application/timestamp-query", body).await?;
        if reply.status != 200 {
            return Err(reply.into_error(&self.url).into());
        }
        self.check(&reply.body, stamped, full_length(nonce))?;
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        store.store_timestamp(checkpoint, host, &reply.body).await?;
        Ok(HandedOver::default())
    }
}
