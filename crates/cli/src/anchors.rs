//! Hands checkpoints over to witnesses, timestamp authorities and places elsewhere while a command runs.

use std::path::Path;
use std::time::Duration;

use attestry::AuditLogger;
use attestry::anchor::{
    self, Dispatcher, DispatcherBuilder, HttpClient, HttpError, TimestampAuthority, Witness,
    Witnesses,
};
use attestry::evidence::{EvidenceExt, LogKey};

use crate::args::{AnchorArgs, PlaceArgs, StoreArgs};
use crate::errors::{Failure, Status, with_sources};
use crate::policy;
use crate::text::{escaped, stderr_line};

/// The hand-over of a command's checkpoints.
pub(crate) struct Anchors {
    dispatcher: Option<Dispatcher>,
    limit: Duration,
}

impl AnchorArgs {
    /// Begins to hand checkpoints of `logger` over while a command runs.
    pub(crate) fn start(
        &self,
        store: &StoreArgs,
        logger: &AuditLogger,
    ) -> Result<Anchors, Failure> {
        // A command is short: it looks for its checkpoint often, and retries soon.
        let (poll, most) = (Duration::from_millis(200), Duration::from_secs(60));
        let builder = self.builder(store)?.poll_interval(poll);
        let dispatcher = started(builder.backoff(anchor::Backoff::new(poll, most)), logger)?;
        Ok(Anchors { dispatcher, limit: self.places.anchor_timeout })
    }

    /// Begins to hand checkpoints of `logger` over for as long as a server runs; `None` if there is no place for them.
    #[cfg(feature = "serve")]
    pub(crate) fn start_for_server(
        &self,
        store: &StoreArgs,
        logger: &AuditLogger,
    ) -> Result<Option<Dispatcher>, Failure> {
        started(self.builder(store)?, logger)
    }

    /// Whether checkpoints stay where they are.
    pub(crate) fn is_empty(&self) -> bool {
        let PlaceArgs { authorities, checkpoint_to, .. } = &self.places;
        let witnesses = self.witnesses.is_empty() && self.policy.is_none();
        witnesses && authorities.is_empty() && checkpoint_to.is_empty()
    }

    /// All anchors that the arguments name.
    pub(crate) fn builder(&self, store: &StoreArgs) -> Result<DispatcherBuilder, Failure> {
        let builder = self.places.builder()?;
        if self.is_empty() {
            return Ok(builder);
        }
        let log = store.signing_key()?.ok_or_else(no_key)?.public();
        Ok(match &self.policy {
            Some(path) => builder.anchor(of_policy(log, path)?),
            None if self.witnesses.is_empty() => builder,
            None => builder.anchor(self.witnesses(log)?),
        })
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

fn of_policy(log: LogKey, path: &Path) -> Result<Witnesses, Failure> {
    let file = policy::policy_file(path)?;
    Witnesses::of_policy(log, &file, http_client()?).map_err(|error| {
        Failure::new(format!("cannot use the policy {}", path.display())).caused_by(error)
    })
}

fn started(
    builder: DispatcherBuilder,
    logger: &AuditLogger,
) -> Result<Option<Dispatcher>, Failure> {
    if builder.is_empty() {
        return Ok(None);
    }
    let dispatcher = builder.start(logger.storage().clone());
    dispatcher
        .map(Some)
        .map_err(|error| Failure::new("checkpoints cannot be handed over").caused_by(error))
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
        Ok(builder)
    }
}

impl Anchors {
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
