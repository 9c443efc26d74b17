//! Inclusion proofs.

use attestry::EntryId;
use attestry::evidence::{EntryProof, EvidenceExt as _};

use crate::access_log::Action;
use crate::http::problem::Problem;
use crate::security::caller::Caller;
use crate::security::role::Role;
use crate::state::AppState;

/// The inclusion proof of the entry `id`, put on record as `request`.
pub(crate) async fn prove(
    state: &AppState,
    caller: &Caller,
    id: &str,
    request: &str,
) -> Result<EntryProof, Problem> {
    caller.require(Role::Read)?;
    let id: EntryId = id.parse().map_err(attestry::AuditError::from)?;
    let proven = state.logger.evidence()?.inclusion_proof(&id).await?;
    let found = u64::from(proven.is_some());
    state.record_access(caller, Action::Prove, request, Some(found)).await?;
    proven.ok_or_else(|| {
        Problem::not_found(format!("there is no entry {id} that a checkpoint covers"))
    })
}
