//! The recorded costs and their tolerances.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::rounded;
use crate::cmd::Result;

/// By operation and by kind: `instructions`, `allocations`, `written` (bytes), `syncs`.
pub(super) type Costs = BTreeMap<String, BTreeMap<&'static str, f64>>;

/// The file of recorded costs.
#[derive(Debug)]
pub(super) struct Baseline(Value);

/// Differences, one line each.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) higher: Vec<String>,
    pub(super) lower: Vec<String>,
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let value = serde_json::from_str(&text)
            .map_err(|error| format!("{} is not JSON: {error}", path.display()))?;
        Ok(Self(value))
    }

    pub(super) fn write(&self, path: &Path) -> Result {
        Ok(fs::write(path, format!("{:#}\n", self.0))?)
    }

    /// The same tolerances with new costs, counted with these programs.
    pub(super) fn renewed(&self, costs: Costs, with: &Value) -> Self {
        let costs: Map<String, Value> = costs
            .into_iter()
            .map(|(name, kinds)| {
                let kinds: Map<String, Value> = kinds
                    .into_iter()
                    .map(|(kind, value)| (kind.to_owned(), rounded(value)))
                    .collect();
                (name, Value::Object(kinds))
            })
            .collect();
        Self(json!({
            "taken_with": with,
            "tolerance": self.0["tolerance"],
            "costs": costs,
        }))
    }

    /// The recorded version of a program.
    pub(super) fn taken_with(&self, program: &str) -> String {
        self.0["taken_with"][program].as_str().unwrap_or("an unknown version").to_owned()
    }

    /// A recorded cost.
    pub(super) fn cost(&self, operation: &str, kind: &str) -> Option<f64> {
        self.0["costs"][operation][kind].as_f64()
    }

    /// The tolerated increase: a share of the cost, plus an absolute amount for small costs.
    fn tolerated(&self, kind: &str, cost: f64) -> f64 {
        let tolerance = &self.0["tolerance"][kind];
        let part = |name: &str| tolerance[name].as_f64().unwrap_or(0.0);
        cost * part("share") + part("amount")
    }

    /// Costs outside of their tolerance. Uncounted costs are not compared; unrecorded costs count as increases.
    pub(super) fn compare(&self, measured: &Costs) -> Found {
        let mut found = Found::default();
        for (operation, kinds) in measured {
            for (kind, &now) in kinds {
                let Some(then) = self.cost(operation, kind) else {
                    found.higher.push(format!("{operation}: {now:.2} {kind}, none recorded"));
                    continue;
                };
                let tolerated = self.tolerated(kind, then);
                let change = if then > 0.0 { (now / then - 1.0) * 100.0 } else { 100.0 };
                let line = format!(
                    "{operation}: {now:.2} {kind}, {then:.2} recorded ({change:+.1} %, \
                     {tolerated:.2} tolerated)"
                );
                if now > then + tolerated {
                    found.higher.push(line);
                } else if now < then - tolerated {
                    found.lower.push(line);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        Baseline(json!({
            "tolerance": {
                "instructions": {"share": 0.05, "amount": 10.0},
                "allocations": {"share": 0.0, "amount": 0.1},
            },
            "costs": {"log": {"instructions": 1000.0, "allocations": 10.0}},
        }))
    }

    fn costs(instructions: f64, allocations: f64) -> Costs {
        let kinds = [("instructions", instructions), ("allocations", allocations)];
        [("log".to_owned(), kinds.into_iter().collect())].into_iter().collect()
    }

    #[test]
    fn costs_beyond_the_tolerance_are_named() {
        let found = baseline().compare(&costs(1_060.0, 10.1));
        assert!(found.higher.is_empty() && found.lower.is_empty(), "{found:?}");
        let found = baseline().compare(&costs(1_061.0, 11.0));
        assert_eq!(found.higher.len(), 2, "{found:?}");
        assert!(found.higher[0].starts_with("log: 11.00 allocations, 10.00 recorded (+10.0 %"));
        assert_eq!(baseline().compare(&costs(900.0, 10.0)).lower.len(), 1);
    }

    #[test]
    fn unrecorded_costs_are_named() {
        let mut measured = costs(1_000.0, 10.0);
        measured.insert("new".to_owned(), [("syncs", 1.0)].into_iter().collect());
        assert_eq!(baseline().compare(&measured).higher, ["new: 1.00 syncs, none recorded"]);
    }

    #[test]
    fn renewing_keeps_the_tolerances() {
        let renewed = baseline().renewed(costs(1_234.567, 9.0), &json!({"rustc": "rustc 1"}));
        assert_eq!(renewed.cost("log", "instructions"), Some(1_234.57));
        assert_eq!(renewed.taken_with("rustc"), "rustc 1");
        assert!(renewed.compare(&costs(1_250.0, 9.0)).higher.is_empty());
    }
}
