//! The witnesses of a log as one anchor.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use attestry_evidence::{
    Checkpoint, InvalidPolicy, LogKey, OpenError, Policy, PolicyFile, SignedCheckpoint,
};
use attestry_file::FileStorage;
use futures_util::future::join_all;
use thiserror::Error;

use crate::anchor::{Anchor, AnchorError, HandedOver, with_causes};
use crate::http::HttpClient;
use crate::witness::{Answer, InvalidWitness, Witness, WitnessError, answer};

/// A witness names a size at most a few times: once if it is ahead of what is known here, and again if
/// another process of the log submits at the same moment.
const MAX_CONFLICTS: usize = 4;

/// The witnesses of a log. A checkpoint is handed over when enough of them have cosigned it; it is then
/// stored with all cosignatures obtained.
///
/// The witnesses are asked at the same time. Each is asked for a proof from the size it cosigned last; that
/// size is learned from the witness itself, so nothing is lost by a restart.
#[derive(Debug)]
pub struct Witnesses {
    /// Those that are asked.
    witnesses: Vec<Witness>,
    /// What a checkpoint needs to be handed over.
    required: Policy,
    /// The same with any number of cosignatures: a note with too few is kept, to be completed later.
    collected: Policy,
    http: HttpClient,
    memory: Mutex<Memory>,
}

/// Why the witnesses of a policy file cannot be asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnusablePolicy {
    /// The URL of a witness is not one.
    #[error("the witness {name} cannot be asked")]
    Witness {
        /// Its name in the file.
        name: String,
        /// What is wrong.
        source: InvalidWitness,
    },
    /// Witnesses without a URL are not asked, and the others are not the quorum.
    #[error(
        "the witnesses with a URL are not the quorum of the policy; add the URLs of the others"
    )]
    MissingUrls,
    /// A key of the file is that of the log.
    #[error(transparent)]
    Policy(#[from] InvalidPolicy),
}

#[derive(Debug, Default)]
struct Memory {
    /// The leaves that each witness has cosigned, as far as this process knows.
    cosigned: HashMap<String, u64>,
    /// The latest submitted checkpoint with the cosignatures obtained so far.
    note: Option<Collected>,
}

#[derive(Debug, Clone)]
struct Collected {
    submitted: SignedCheckpoint,
    note: SignedCheckpoint,
}

impl Witnesses {
    /// These witnesses of the log with the key `log`, of which `needed` must cosign.
    ///
    /// # Errors
    ///
    /// [`InvalidPolicy`] if there are fewer than `needed` witnesses, or a key occurs twice or is the log's.
    pub fn new(
        log: LogKey,
        witnesses: impl IntoIterator<Item = Witness>,
        needed: usize,
        http: HttpClient,
    ) -> Result<Self, InvalidPolicy> {
        let witnesses: Vec<Witness> = witnesses.into_iter().collect();
        let keys: Vec<_> = witnesses.iter().map(|witness| witness.key().clone()).collect();
        let required = Policy::new(log).with_witnesses(keys.clone(), needed)?;
        let collected = required.clone().with_witnesses(keys, 0)?;
        Ok(Self { witnesses, required, collected, http, memory: Mutex::default() })
    }

    /// The witnesses of a policy file, of which its quorum must cosign. Those without a URL are not asked. The log has
    /// the key `log`, whatever logs the file names.
    ///
    /// # Errors
    ///
    /// [`UnusablePolicy`].
    pub fn of_policy(
        log: LogKey,
        file: &PolicyFile,
        http: HttpClient,
    ) -> Result<Self, UnusablePolicy> {
        if !file.is_quorum(|witness| witness.url.is_some()) {
            return Err(UnusablePolicy::MissingUrls);
        }
        let with_url = file.witnesses().iter().filter_map(|named| {
            let witness = Witness::new(named.url.as_deref()?, named.key.clone());
            let name = named.name.clone();
            Some(witness.map_err(|source| UnusablePolicy::Witness { name, source }))
        });
        let witnesses = with_url.collect::<Result<_, _>>()?;
        let required = file.policy(log)?;
        let keys = file.witnesses().iter().map(|named| named.key.clone());
        let collected = required.clone().with_witnesses(keys, 0)?;
        Ok(Self { witnesses, required, collected, http, memory: Mutex::default() })
    }

    fn memory<T>(&self, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The names of the witnesses that have cosigned `note`.
    fn cosigners(&self, note: &SignedCheckpoint) -> Result<Vec<String>, AnchorError> {
        let opened = self.collected.open(note)?;
        Ok(opened.cosignatures().iter().map(|by| by.witness.clone()).collect())
    }

    /// The signature lines of one witness for `checkpoint`.
    async fn ask(
        &self,
        witness: &Witness,
        signed: &SignedCheckpoint,
        checkpoint: &Checkpoint,
        store: &FileStorage,
    ) -> Result<String, WitnessError> {
        let key = witness.key().to_string();
        let size = checkpoint.size();
        let cosigned = self.memory(|memory| memory.cosigned.get(&key).copied());
        let mut old = cosigned.filter(|known| *known <= size).unwrap_or(0);
        for _ in 0..MAX_CONFLICTS {
            let proof = store.growth_proof(old, signed).await?.to_string();
            let reply =
                self.http.post(witness.add_checkpoint(), "text/plain", proof.into_bytes()).await?;
            let held = match answer(&reply)? {
                Answer::Cosigned(lines) => return Ok(lines),
                Answer::Inconsistent(text) => return Err(WitnessError::OtherTree { text }),
                Answer::Refused => return Err(reply.into_error(witness.add_checkpoint()).into()),
                Answer::Conflict(held) => held,
            };
            if let Some(cosigned) = cosigned.filter(|cosigned| held < *cosigned) {
                return Err(WitnessError::Forgot { cosigned, held });
            }
            if held > size {
                return Err(WitnessError::Ahead { held, size });
            }
            if held == old {
                let text = format!("it refuses a proof from its own size, {held}");
                return Err(WitnessError::OtherTree { text });
            }
            old = held;
        }
        Err(WitnessError::InvalidReply { reason: "it names another size each time" })
    }

    /// Verifies the lines of a witness and adds them to `note`.
    fn add(
        &self,
        note: &SignedCheckpoint,
        witness: &Witness,
        lines: &str,
    ) -> Result<SignedCheckpoint, WitnessError> {
        let added = self.collected.add_cosignatures(note, lines)?;
        let by = self.collected.open(&added)?;
        if !by.cosignatures().iter().any(|by| by.witness == witness.key().name()) {
            let reason = "it has no cosignature of the key of the witness";
            return Err(WitnessError::InvalidReply { reason });
        }
        let (key, size) = (witness.key().to_string(), by.checkpoint().size());
        self.memory(|memory| memory.cosigned.insert(key, size));
        Ok(added)
    }

    /// Asks the witnesses that have not cosigned yet. Returns the note with all cosignatures, and the failures.
    async fn collect(
        &self,
        signed: &SignedCheckpoint,
        store: &FileStorage,
    ) -> Result<(SignedCheckpoint, Vec<(String, WitnessError)>), AnchorError> {
        let checkpoint = self.collected.open(signed)?.checkpoint().clone();
        let before = self.memory(|memory| memory.note.clone());
        let mut note = match before {
            Some(collected) if collected.submitted == *signed => collected.note,
            _ => signed.clone(),
        };
        let have = self.cosigners(&note)?;
        let missing = self.witnesses.iter().filter(|w| !have.iter().any(|h| h == w.key().name()));
        let asked = missing
            .map(async |witness| (witness, self.ask(witness, signed, &checkpoint, store).await));
        let mut failures = Vec::new();
        for (witness, lines) in join_all(asked).await {
            match lines.and_then(|lines| self.add(&note, witness, &lines)) {
                Ok(added) => note = added,
                Err(error) => failures.push((witness.key().name().to_owned(), error)),
            }
        }
        let collected = Collected { submitted: signed.clone(), note: note.clone() };
        self.memory(|memory| memory.note = Some(collected));
        Ok((note, failures))
    }
}

#[async_trait]
impl Anchor for Witnesses {
    fn name(&self) -> String {
        "witnesses".to_owned()
    }

    async fn hand_over(
        &self,
        checkpoint: &SignedCheckpoint,
        store: &FileStorage,
    ) -> Result<HandedOver, AnchorError> {
        let (note, failures) = self.collect(checkpoint, store).await?;
        let lacks = match self.required.open(&note) {
            Ok(_) => {
                store.store_cosigned_checkpoint(&note, self.collected.clone()).await?;
                let lacking =
                    failures.iter().map(|(name, error)| format!("{name}: {}", with_causes(error)));
                let lacking = lacking.collect::<Vec<_>>().join("; ");
                return Ok(HandedOver { lacking: (!lacking.is_empty()).then_some(lacking) });
            }
            Err(lacks) => lacks,
        };
        let ahead = failures.iter().filter_map(|(_, error)| match error {
            WitnessError::Ahead { held, .. } => Some(*held),
            _ => None,
        });
        if let Some(held) = ahead.max()
            && self.latest_size(store).await? >= held
        {
            // Another process has signed and submitted a newer checkpoint meanwhile.
            return Err(AnchorError::Superseded);
        }
        Err(match lacks {
            OpenError::TooFewWitnesses { needed, found } => {
                AnchorError::TooFewWitnesses { needed, found, failures }
            }
            OpenError::NoQuorum { found } => AnchorError::NoQuorum { found, failures },
            other => other.into(),
        })
    }
}

impl Witnesses {
    /// The leaves of the latest checkpoint; 0 if it is of another log.
    async fn latest_size(&self, store: &FileStorage) -> Result<u64, AnchorError> {
        let latest = store.latest_checkpoint().await?;
        let opened = latest.and_then(|note| self.collected.open(&note).ok());
        Ok(opened.map_or(0, |opened| opened.checkpoint().size()))
    }
}
