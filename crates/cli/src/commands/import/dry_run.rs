//! `--dry-run`: what an import would record, and of what it is made. Stores nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use attestry::{AuditEntry, Timestamp, metadata};
use attestry_genai::{Format, Joiner, UnmappedTexts};
use serde_json::{Value, json};

use super::prepare::{Line, Prepared, Preparer};
use crate::args::{ImportArgs, ReportFormat};
use crate::errors::{Failure, Status};
use crate::input::Input;
use crate::output::Stdout;
use crate::pipeline;
use crate::table::{Align, Table};
use crate::text::{counted, escaped, stderr_line};

/// Examples of each item.
const MAX_EXAMPLES: usize = 3;

/// How often something occurs, with the first lines that have it.
#[derive(Default)]
struct Tally {
    count: u64,
    examples: Vec<String>,
}

/// What the records of all inputs become.
#[derive(Default)]
struct Mapping {
    /// By kind (`field`, `metadata`, `other`, `missing`, `refused`) and name.
    items: BTreeMap<(&'static str, String), Tally>,
    formats: Vec<(String, &'static str)>,
    interactions: u64,
    refused: u64,
    ignored: u64,
}

pub(super) async fn run(
    args: &ImportArgs,
    paths: &[PathBuf],
    out: &mut Stdout,
) -> Result<Status, Failure> {
    // In memory: only its content policy is needed.
    let logger = attestry::open_url("memory:").store_content(true).await?;
    let preparer = Arc::new(Preparer {
        logger,
        derive_ids: true,
        allow_odd: args.allow_odd,
        keep_refused: false,
        format: args.from.format(),
        unmapped_texts: UnmappedTexts::Keep,
        unknown_spans: args.unknown_spans(),
    });
    let mut mapping = Mapping::default();
    let mut joiner = Joiner::new(super::JOIN_BYTES);
    for path in paths {
        let input = Input::open_records(path)?;
        let name = input.name.clone();
        let detected = Arc::clone(&input.detected);
        let (work, of_chunk) = (Arc::clone(&preparer), Arc::clone(&detected));
        let mut prepared = pipeline::process(input, move |chunk| {
            work.prepare(chunk, of_chunk.get().copied().flatten())
        })?;
        while let Some(chunk) = prepared.next().await {
            let mut output = chunk?.output;
            let now = Timestamp::now();
            for record in std::mem::take(&mut output.records) {
                joiner
                    .push(record)
                    .into_iter()
                    .for_each(|call| preparer.add_call(call, now, &mut output));
            }
            mapping.add(&name, &output);
        }
        let format =
            preparer.format.or(detected.get().copied().flatten()).unwrap_or(Format::Attestry);
        mapping.formats.push((name, format.name()));
    }
    let mut output = Prepared::default();
    for call in joiner.finish() {
        preparer.add_call(call, Timestamp::now(), &mut output);
    }
    mapping.add("joined", &output);
    mapping.print(args.format, out)?;
    Ok(Status::success_if(mapping.refused == 0))
}

impl Mapping {
    fn add(&mut self, name: &str, prepared: &Prepared) {
        self.ignored += prepared.ignored;
        let mut entries = prepared.entries.iter();
        for Line { number, outcome } in &prepared.lines {
            let example = format!("{name}:{number}");
            match outcome {
                Err(refused) => {
                    self.refused += 1;
                    self.tally("refused", &refused.reason, &example);
                }
                Ok(_) => {
                    let Some(entry) = entries.next() else { continue };
                    self.interactions += 1;
                    self.add_entry(entry, &example);
                }
            }
        }
    }

    fn add_entry(&mut self, entry: &AuditEntry, example: &str) {
        let is_missing = |name: &str| {
            let missing = entry.metadata.get(metadata::MISSING).and_then(Value::as_array);
            missing.is_some_and(|missing| missing.iter().any(|known| known == name))
        };
        for (field, is_set) in [
            ("input", !is_missing("input")),
            ("output", !is_missing("output")),
            ("provider", entry.provider.is_some()),
            ("model", entry.model.is_some()),
            ("conversation_id", entry.conversation_id.is_some()),
            ("latency_ms", entry.latency_ms != 0.0),
            ("input_tokens", entry.input_tokens.is_some()),
            ("output_tokens", entry.output_tokens.is_some()),
            ("detectors_triggered", !entry.detectors_triggered.is_empty()),
            ("block_reason", entry.block_reason.is_some()),
            ("alerts", !entry.alerts.is_empty()),
        ] {
            if is_set {
                self.tally("field", field, example);
            }
        }
        for (key, value) in &entry.metadata {
            match (key.as_str(), value) {
                (metadata::OTHER, Value::Object(other)) => {
                    other.keys().for_each(|key| self.tally("other", key, example));
                }
                (metadata::MISSING, Value::Array(names)) => {
                    let names = names.iter().filter_map(Value::as_str);
                    names.for_each(|name| self.tally("missing", name, example));
                }
                _ => self.tally("metadata", key, example),
            }
        }
    }

    fn tally(&mut self, kind: &'static str, name: &str, example: &str) {
        let tally = self.items.entry((kind, name.to_owned())).or_default();
        tally.count += 1;
        if tally.examples.len() < MAX_EXAMPLES {
            tally.examples.push(example.to_owned());
        }
    }

    fn print(&self, format: ReportFormat, out: &mut Stdout) -> Result<(), Failure> {
        let items = self.items.iter();
        match format {
            ReportFormat::Json => {
                let items: Vec<_> = items
                    .map(|((kind, name), tally)| {
                        json!({"kind": kind, "name": name, "count": tally.count, "examples": tally.examples})
                    })
                    .collect();
                let inputs: Vec<_> = self
                    .formats
                    .iter()
                    .map(|(name, format)| json!({"input": name, "format": format}))
                    .collect();
                let report = json!({"inputs": inputs, "interactions": self.interactions,
                    "refused": self.refused, "ignored": self.ignored, "mapping": items});
                out.line(format_args!("{report}"))?;
            }
            ReportFormat::Text => {
                for (name, format) in &self.formats {
                    stderr_line(format_args!("{}: {format}", escaped(name)));
                }
                let columns = [
                    ("KIND", Align::Left, 10),
                    ("NAME", Align::Left, 60),
                    ("COUNT", Align::Right, 12),
                    ("EXAMPLES", Align::Left, 100),
                ];
                let mut table =
                    Table::new(columns.map(|(name, align, width)| (name.to_owned(), align, width)));
                for ((kind, name), tally) in items {
                    let count = tally.count.to_string();
                    let row =
                        vec![(*kind).to_owned(), name.clone(), count, tally.examples.join(" ")];
                    table.row(row, out)?;
                }
                table.finish(out)?;
            }
        }
        stderr_line(format_args!(
            "would import {}, {}, {} of something else; nothing was stored",
            counted(self.interactions, "interaction", "interactions"),
            counted(self.refused, "bad line", "bad lines"),
            self.ignored,
        ));
        Ok(())
    }
}
