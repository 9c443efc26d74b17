//! Filters that select entries.

use attestry::{MetadataCondition, Query, Timestamp, metadata};
use clap::Args;

use super::{CallPhase, Safety};
use crate::errors::Failure;
use crate::times::{TimeText, Zone};

/// Options that select entries by time and by their fields.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct Selection {
    /// Only entries at or after TIME: 2026-01-28T09:15, a day, a month such as 2026-01, yesterday,
    /// today, or an age such as 7d or 12h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<TimeText>,
    /// Only entries at or before TIME; a day or month means its end
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<TimeText>,
    #[command(flatten)]
    pub(crate) zone: ZoneArgs,
    #[command(flatten)]
    pub(crate) filters: Filters,
}

/// The time zone.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct ZoneArgs {
    /// Time zone of times without an offset, of days, and of the times in the output: a name such as
    /// Europe/Berlin, an offset such as +02:00, or local
    #[arg(long, value_name = "ZONE", default_value = "UTC", allow_hyphen_values = true)]
    pub(crate) tz: Zone,
}

/// Which entries of calls.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct PhaseArgs {
    /// Which entries of a call with a start and an end: the latest one, so that each call is one entry;
    /// all; starts; ends; or starts without an end
    #[arg(long, value_name = "PHASE", default_value = "latest")]
    pub(crate) phase: CallPhase,
}

/// Options that select entries by their fields.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct Filters {
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
    /// Only entries of this user: the same as --metadata user.id="ID", with ID as a text
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Only entries of this tenant: the same as --metadata attestry.tenant="NAME"
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<String>,
    /// Only entries whose metadata has KEY with VALUE: a number, true, false, null or a text (in
    /// quotes if it looks like one of these). Without =VALUE: entries that have KEY. May be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) metadata: Vec<MetadataCondition>,
}

impl Selection {
    /// Fails if the conditions contradict each other.
    pub(crate) fn query(&self) -> Result<Query, Failure> {
        let now = Timestamp::now();
        let zone = &self.zone.tz;
        let query = self
            .filters
            .query()
            .since(self.since.map(|time| time.start(zone, now)))
            .until(self.until.map(|time| time.end(zone, now)));
        query.validate()?;
        Ok(query)
    }

    /// Whether no option was given that selects entries.
    pub(crate) fn is_empty(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.filters.is_empty()
    }
}

impl Filters {
    pub(crate) fn query(&self) -> Query {
        let mut query = Query::new()
            .provider(self.provider.as_deref())
            .model(self.model.as_deref())
            .conversation_id(self.conversation.as_deref())
            .safety_passed(self.safety.map(Safety::passed))
            .detector(self.detector.as_deref());
        query.metadata.clone_from(&self.metadata);
        for (key, value) in [(metadata::USER, &self.user), (metadata::TENANT, &self.tenant)] {
            if let Some(value) = value {
                query = query.metadata_equals(key, value.as_str());
            }
        }
        query
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.query() == Query::new()
    }
}
