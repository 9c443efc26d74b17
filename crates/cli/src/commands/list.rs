//! `attestry list`: prints entries as a table, as stored lines, or as CSV.

use attestry::{AuditEntry, Order};
use serde_json::Value;

use crate::args::{ListArgs, ListFormat, StoreArgs};
use crate::errors::{Failure, Status};
use crate::output::Stdout;
use crate::store::Settings;
use crate::table::{Align, Table};
use crate::text::escaped;

pub(super) async fn run(
    args: ListArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let order = if args.desc { Order::Descending } else { Order::Ascending };
    let query = args.selection.query()?.limit(args.limit).order(order);
    let logger = store.open_reader(Settings::default()).await?;
    if matches!(args.format, ListFormat::Json) {
        // The stored line, which may contain more than an `AuditEntry` can represent.
        let lines = logger.storage().scan_lines(query);
        let status = super::for_each(lines, |line| out.bytes(&[line, &b"\n"[..]].concat())).await?;
        logger.close().await?;
        return Ok(status);
    }
    let mut printer = Printer::new(args.format, out)?;
    let result = super::for_each(logger.query(query), |entry| printer.print(entry, out)).await;
    // Print the buffered rows even if reading the others failed.
    let status = printer.finish(out).and(result)?;
    logger.close().await?;
    Ok(status)
}

enum Printer {
    Table(Box<Table<8>>),
    Csv,
}

impl Printer {
    fn new(format: ListFormat, out: &mut Stdout) -> Result<Self, Failure> {
        Ok(match format {
            ListFormat::Table => Self::Table(Box::new(Table::new([
                ("TIME", Align::Left, 26),
                ("ID", Align::Left, 36),
                ("PROVIDER", Align::Left, 20),
                ("MODEL", Align::Left, 30),
                ("CONVERSATION", Align::Left, 24),
                ("SAFETY", Align::Left, 30),
                ("LATENCY MS", Align::Right, 12),
                ("TOKENS", Align::Right, 15),
            ]))),
            ListFormat::Json | ListFormat::Csv => {
                csv_record(COLUMNS.map(str::to_owned), out)?;
                Self::Csv
            }
        })
    }

    fn print(&mut self, entry: &AuditEntry, out: &mut Stdout) -> Result<(), Failure> {
        match self {
            Self::Table(table) => table.row(row(entry), out),
            Self::Csv => csv_record(fields(entry), out),
        }
    }

    fn finish(&mut self, out: &mut Stdout) -> Result<(), Failure> {
        match self {
            Self::Table(table) => table.finish(out),
            Self::Csv => Ok(()),
        }
    }
}

fn row(entry: &AuditEntry) -> [String; 8] {
    let text = |value: &Option<String>| value.as_deref().map_or_else(|| "-".into(), escaped);
    let number = |value: Option<i64>| value.map_or_else(|| "-".into(), |value| value.to_string());
    let safety = if entry.safety_passed { "passed" } else { "FAILED" };
    let detectors = entry.detectors_triggered.join(",");
    let tokens = match (entry.input_tokens, entry.output_tokens) {
        (None, None) => "-".into(),
        (input, output) => format!("{}/{}", number(input), number(output)),
    };
    [
        entry.timestamp.to_string(),
        escaped(entry.id.as_str()),
        text(&entry.provider),
        text(&entry.model),
        text(&entry.conversation_id),
        if detectors.is_empty() {
            safety.into()
        } else {
            escaped(&format!("{safety} {detectors}"))
        },
        if entry.latency_ms == 0.0 { "-".into() } else { format!("{:.1}", entry.latency_ms) },
        tokens,
    ]
}

/// The fields of an entry, in the order of the stored line.
const COLUMNS: [&str; 17] = [
    "id",
    "timestamp",
    "input_hash",
    "output_hash",
    "input_content",
    "output_content",
    "provider",
    "model",
    "conversation_id",
    "safety_passed",
    "detectors_triggered",
    "block_reason",
    "alerts",
    "latency_ms",
    "input_tokens",
    "output_tokens",
    "metadata",
];

fn fields(entry: &AuditEntry) -> [String; 17] {
    let values = entry.to_value();
    COLUMNS.map(|column| match &values[column] {
        // `NaN` and `inf` are null in JSON.
        _ if column == "latency_ms" => format!("{:?}", entry.latency_ms),
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}

fn csv_record<const N: usize>(fields: [String; N], out: &mut Stdout) -> Result<(), Failure> {
    let mut record = csv::Writer::from_writer(Vec::new());
    // A writer per record, because the writer cannot be reused after `into_inner`. Writes to memory do not
    // fail.
    let written = record.write_record(fields).map_err(|error| error.to_string());
    let bytes =
        written.and_then(|()| record.into_inner().map_err(|error| error.error().to_string()));
    out.bytes(&bytes.map_err(|error| Failure::new("cannot write CSV").caused_by(error))?)
}
