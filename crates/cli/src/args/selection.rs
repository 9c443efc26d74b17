//! Filters that select entries.

use attestry::{Query, Timestamp};
use clap::Args;

use super::Safety;
use super::values::until;
use crate::errors::Failure;

/// Filters that select entries.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// Only entries at or after TIME, such as 2026-01-28 or 2026-01-28T09:15:00.5; UTC unless it has
    /// an offset
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Only entries at or before TIME; a date means the end of that day
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub(crate) until: Option<Timestamp>,
    /// Only entries of this provider
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// Only entries of this model
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Only entries of this conversation
    #[arg(long, alias = "conversation-id", value_name = "ID")]
    pub(crate) conversation: Option<String>,
    /// Only entries with this result of the safety checks
    #[arg(long, value_name = "OUTCOME")]
    pub(crate) safety: Option<Safety>,
    /// Only entries for which this detector triggered
    #[arg(long, value_name = "NAME")]
    pub(crate) detector: Option<String>,
}

impl Selection {
    /// Fails if the filters contradict each other.
    pub(crate) fn query(self) -> Result<Query, Failure> {
        let query = Query::new()
            .since(self.since)
            .until(self.until)
            .provider(self.provider)
            .model(self.model)
            .conversation_id(self.conversation)
            .safety_passed(self.safety.map(Safety::passed))
            .detector(self.detector);
        query.validate()?;
        Ok(query)
    }
}
