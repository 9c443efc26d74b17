//! What operations cost when that was last recorded, and how much more they may cost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::rounded;
use crate::cmd::Result;

/// By operation and by kind: `instructions`, `allocations`, `written` (bytes), `syncs`.
pub(super) type Costs = BTreeMap<String, BTreeMap<&'static str, f64>>;

/// A file of costs.
#[derive(Debug)]
pub(super) struct Baseline(Value);

/// What differs, one line for each.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) dearer: Vec<String>,
    pub(super) cheaper: Vec<String>,
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let value = serde_json::from_str(&text)
            .map_err(|error| format!("{} is no JSON: {error}", path.display()))?;
        Ok(Self(value))
    }

    pub(super) fn write(&self, path: &Path) -> Result {
        Ok(fs::write(path, format!("{:#}\n", self.0))?)
    }

    /// The same tolerances with these costs, taken with these programs.
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

    /// The version of a program that costs were counted with.
    pub(super) fn taken_with(&self, program: &str) -> String {
        self.0["taken_with"][program].as_str().unwrap_or("an unknown version").to_owned()
    }

    /// What is recorded.
    pub(super) fn cost(&self, operation: &str, kind: &str) -> Option<f64> {
        self.0["costs"][operation][kind].as_f64()
    }

    /// How much more this much may become: a share of it, and an amount on top that matters where
    /// it is next to nothing.
    fn tolerated(&self, kind: &str, cost: f64) -> f64 {
        let tolerance = &self.0["tolerance"][kind];
        let part = |name: &str| tolerance[name].as_f64().unwrap_or(0.0);
        cost * part("share") + part("amount")
    }

    /// What costs more, or less, than is recorded and tolerated. What could not be counted here is
    /// not compared; what is not recorded is dearer than that.
    pub(super) fn compare(&self, measured: &Costs) -> Found {
        let mut found = Found::default();
        for (operation, kinds) in measured {
            for (kind, &now) in kinds {
                let Some(then) = self.cost(operation, kind) else {
                    found.dearer.push(format!("{operation}: {now:.2} {kind}, none recorded"));
                    continue;
                };
                let tolerated = self.tolerated(kind, then);
                let change = if then > 0.0 { (now / then - 1.0) * 100.0 } else { 100.0 };
                let line = format!(
                    "{operation}: {now:.2} {kind}, {then:.2} recorded ({change:+.1} %, \
                     {tolerated:.2} tolerated)"
                );
                if now > then + tolerated {
                    found.dearer.push(line);
                } else if now < then - tolerated {
                    found.cheaper.push(line);
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
    fn more_than_is_tolerated_is_named() {
        let found = baseline().compare(&costs(1_060.0, 10.1));
        assert!(found.dearer.is_empty() && found.cheaper.is_empty(), "{found:?}");
        let found = baseline().compare(&costs(1_061.0, 11.0));
        assert_eq!(found.dearer.len(), 2, "{found:?}");
        assert!(found.dearer[0].starts_with("log: 11.00 allocations, 10.00 recorded (+10.0 %"));
        assert_eq!(baseline().compare(&costs(900.0, 10.0)).cheaper.len(), 1);
    }

    #[test]
    fn what_is_not_recorded_is_named() {
        let mut measured = costs(1_000.0, 10.0);
        measured.insert("new".to_owned(), [("syncs", 1.0)].into_iter().collect());
        assert_eq!(baseline().compare(&measured).dearer, ["new: 1.00 syncs, none recorded"]);
    }

    #[test]
    fn renewing_keeps_the_tolerances() {
        let renewed = baseline().renewed(costs(1_234.567, 9.0), &json!({"rustc": "rustc 1"}));
        assert_eq!(renewed.cost("log", "instructions"), Some(1_234.57));
        assert_eq!(renewed.taken_with("rustc"), "rustc 1");
        assert!(renewed.compare(&costs(1_250.0, 9.0)).dearer.is_empty());
    }
}
