//! Hands checkpoints over to witnesses, timestamp authorities and places elsewhere while a command runs.

use std::time::Duration;

use attestry::AuditLogger;
use attestry::anchor::{
    self, Dispatcher, DispatcherBuilder, HttpClient, HttpError, TimestampAuthority, Witness,
    Witnesses,
};
use attestry::evidence::{EvidenceExt, LogKey};

use crate::args::{AnchorArgs, PlaceArgs, StoreArgs};
use crate::errors::{Failure, Status, with_sources};
use crate::text::{escaped, stderr_line};

/// The hand-over of a command's checkpoints.
pub(crate) struct Anchors {
    dispatcher: Option<Dispatcher>,
    limit: Duration,
}

impl AnchorArgs {
    /// Begins to hand checkpoints of `logger` over.
    pub(crate) fn start(
        &self,
        store: &StoreArgs,
        logger: &AuditLogger,
    ) -> Result<Anchors, Failure> {
        let mut builder = self.places.builder()?;
        if !self.witnesses.is_empty() {
            let key = store.signing_key()?.ok_or_else(no_key)?;
            builder = builder.anchor(self.witnesses(key.public())?);
        }
        if !builder.is_empty() && store.signing_key()?.is_none() {
            return Err(no_key());
        }
        Anchors::start(builder, self.places.anchor_timeout, logger)
    }

    fn witnesses(&self, log: LogKey) -> Result<Witnesses, Failure> {
        let parse = |text: &String| {
            text.parse::<Witness>().map_err(|error| {
                Failure::new(format!("{text:?} is not a witness")).caused_by(error).hint(
                    "pass URL+KEY, such as https://witness.example/+witness.example+1a2b3c4d+B…",
                )
            })
        };
        let witnesses: Vec<_> = self.witnesses.iter().map(parse).collect::<Result<_, _>>()?;
        let needed = self.witnesses_needed.unwrap_or(witnesses.len());
        let group = Witnesses::new(log, witnesses, needed, http_client()?);
        group.map_err(|error| Failure::new("invalid witness options").caused_by(error))
    }
}

fn no_key() -> Failure {
    Failure::new("no checkpoint can be handed over: the signing key is missing")
        .hint("pass --signing-key FILE")
}

fn http_client() -> Result<HttpClient, Failure> {
    HttpClient::new().map_err(|error| Failure::new("cannot make requests").caused_by(error))
}

impl PlaceArgs {
    fn builder(&self) -> Result<DispatcherBuilder, Failure> {
        let mut builder = Dispatcher::builder();
        let every = self.tsa_every.unwrap_or_default();
        for url in &self.authorities {
            let invalid = |error: HttpError| Failure::new("invalid --tsa").caused_by(error);
            let authority = TimestampAuthority::new(url, http_client()?).map_err(invalid)?;
            builder = builder.anchor_every(every, authority);
        }
        for place in &self.checkpoint_to {
            let sink = anchor::sink(place)
                .map_err(|error| Failure::new("invalid --checkpoint-to").caused_by(error))?;
            builder = builder.anchor(sink);
        }
        // A command is short: it looks for its checkpoint often, and retries soon.
        let backoff = anchor::Backoff::new(Duration::from_millis(200), Duration::from_secs(60));
        Ok(builder.poll_interval(Duration::from_millis(200)).backoff(backoff))
    }
}

impl Anchors {
    fn start(
        builder: DispatcherBuilder,
        limit: Duration,
        logger: &AuditLogger,
    ) -> Result<Self, Failure> {
        if builder.is_empty() {
            return Ok(Self { dispatcher: None, limit });
        }
        let dispatcher = builder.start(logger.storage().clone());
        let dispatcher = dispatcher
            .map_err(|error| Failure::new("checkpoints cannot be handed over").caused_by(error))?;
        Ok(Self { dispatcher: Some(dispatcher), limit })
    }

    /// Signs a checkpoint and waits until it is handed over, for a limited time. What fails is a warning on
    /// standard error and [`Status::Problems`]; the entries are stored.
    pub(crate) async fn finish(self, logger: &AuditLogger) -> Status {
        let Some(dispatcher) = self.dispatcher else { return Status::Success };
        let signed = match logger.evidence() {
            Ok(evidence) => evidence.checkpoint().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = signed {
            stderr_line(format_args!(
                "warning: cannot sign a checkpoint: {}",
                with_sources(&error)
            ));
            return Status::Problems;
        }
        let mut status = Status::Success;
        for anchor in dispatcher.close(self.limit).await {
            let error = anchor.last_error.as_deref().unwrap_or("no answer in time");
            if anchor.pending {
                status = Status::Problems;
                let kind = if anchor.contradiction { "WARNING: CONTRADICTION" } else { "warning" };
                stderr_line(format_args!(
                    "{kind}: the checkpoint was not handed over: {}: {}",
                    escaped(&anchor.anchor),
                    escaped(error)
                ));
            } else if anchor.last_error.is_some() {
                stderr_line(format_args!(
                    "warning: {}: {}",
                    escaped(&anchor.anchor),
                    escaped(error)
                ));
            }
        }
        status
    }
}
