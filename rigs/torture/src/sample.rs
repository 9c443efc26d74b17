//! Entries derived from their ids, so that every reader can check them.

use attestry_core::{AuditEntry, EntryId, Timestamp, hash_content};
use serde_json::{Value, json};

use crate::outcome::{Result, failed};
use crate::rng::Rng;

/// 2026-01-01, in microseconds since 1970.
const EPOCH: i64 = 1_767_225_600_000_000;
/// About ten years later.
const LATE: i64 = EPOCH + 3_660 * 24 * 3_600 * 1_000_000;
/// Number of consecutive entries that are kept.
const LASTING: u64 = 12;

/// The id of the `number`th entry that worker `worker` writes.
pub(crate) fn id(worker: usize, number: usize) -> String {
    format!("w{worker}-{number:06}")
}

/// The entry of this id.
pub(crate) fn entry(id: &str) -> Result<AuditEntry> {
    let (worker, number) = parts(id)?;
    let mut rng = Rng::derive(worker, number);
    let mut entry = AuditEntry::new(
        EntryId::new(id)?,
        timestamp(id)?,
        hash_content(id),
        hash_content(&format!("answer to {id}")),
    );
    entry.provider = rng.pick(&["openai", "anthropic", "tiefsee"]).map(|name| (*name).to_owned());
    entry.conversation_id = Some(format!("conversation-{}", number % 7));
    entry.safety_passed = !rng.percent(10);
    entry.latency_ms = rng.below(10_000) as f64 / 8.0;
    if rng.percent(30) {
        let length = if rng.percent(5) { 20_000 } else { rng.below(1_500) };
        entry.output_content = Some("Ja, \"läuft\"\n→ ".chars().cycle().take(length).collect());
    }
    if let Value::Object(metadata) = json!({"worker": worker, "number": number}) {
        entry.metadata = metadata;
    }
    Ok(entry)
}

/// A conflicting entry under this id, which differs in one field.
pub(crate) fn other(id: &str) -> Result<AuditEntry> {
    let entry = entry(id)?;
    let latency_ms = entry.latency_ms + 1.0;
    Ok(AuditEntry { latency_ms, ..entry })
}

/// Whether workers never erase it. Kept entries come in runs, so that other segments have none.
pub(crate) fn lasts(id: &str) -> Result<bool> {
    Ok(parts(id)?.1 / LASTING % 8 == 1)
}

/// Its time: roughly increasing with the number; kept entries are later than all others.
pub(crate) fn timestamp(id: &str) -> Result<Timestamp> {
    let (worker, number) = parts(id)?;
    if lasts(id)? {
        let micros = LATE + worker as i64 * 20_000_000 + number as i64 * 100_000;
        return Ok(Timestamp::from_unix_micros(micros)?);
    }
    let disorder = Rng::derive(number, worker).below(5_000_000) as i64;
    let micros = EPOCH + worker as i64 * 20_000_000 + number as i64 * 100_000 - disorder;
    Ok(Timestamp::from_unix_micros(micros)?)
}

fn parts(id: &str) -> Result<(u64, u64)> {
    let found = id.strip_prefix('w').and_then(|rest| rest.split_once('-'));
    match found.map(|(worker, number)| (worker.parse(), number.parse())) {
        Some((Ok(worker), Ok(number))) => Ok((worker, number)),
        _ => failed(format!("{id:?} is not an id of a worker")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_determines_its_entry() {
        assert_eq!(entry("w3-000017").unwrap(), entry("w3-000017").unwrap());
        assert_ne!(entry("w3-000017").unwrap(), entry("w3-000018").unwrap());
        assert!(entry("w3").is_err());
    }

    #[test]
    fn a_conflicting_entry_differs() {
        assert_eq!(other("w3-000017").unwrap().id, entry("w3-000017").unwrap().id);
        assert_ne!(other("w3-000017").unwrap(), entry("w3-000017").unwrap());
    }

    #[test]
    fn kept_entries_are_later_than_all_others() {
        let (first, others): (Vec<_>, Vec<_>) =
            (0..200).map(|number| id(9, number)).partition(|id| lasts(id).unwrap());
        let earliest = first.iter().map(|id| timestamp(id).unwrap()).min().unwrap();
        assert!(others.iter().all(|id| timestamp(id).unwrap() < earliest));
    }
}
