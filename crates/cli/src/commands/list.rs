//! `attestry list`: prints entries as a table, as stored lines, or as CSV.

use attestry::{AuditEntry, Order};
use serde_json::Value;

use crate::args::{ListArgs, ListFormat, StoreArgs};
use crate::csv_file::CsvWriter;
use crate::errors::{Failure, Status};
use crate::output::{Stdout, decrypted, encoded_line};
use crate::store::Settings;
use crate::suggestions;
use crate::table::{Align, Table};
use crate::text::escaped;
use crate::times::Zone;

pub(super) async fn run(
    args: ListArgs,
    store: &StoreArgs,
    out: &mut Stdout,
) -> Result<Status, Failure> {
    let order = if args.desc { Order::Descending } else { Order::Ascending };
    let query = args.selection.query()?.phase(args.phase.phase.into());
    let query = query.limit(args.limit).order(order);
    let encryption = if args.decrypt { store.encryption()? } else { None };
    let logger = store.open_reader(Settings { encryption, ..Settings::default() }).await?;
    let (mut printed, mut status) = (0_u64, Status::Success);
    let result = if matches!(args.format, ListFormat::Json) && !args.decrypt {
        // The stored line, which may contain more than an `AuditEntry` can represent.
        let lines = logger.storage().scan_lines(query.clone());
        super::for_each(lines, |line| {
            printed += 1;
            out.bytes(&[line, &b"\n"[..]].concat())
        })
        .await
    } else {
        let zone = &args.selection.zone.tz;
        let mut printer = Printer::new(args.format, args.csv_safe, zone, out)?;
        let read = super::for_each(logger.query(query.clone()), |entry| {
            printed += 1;
            if !args.decrypt {
                return printer.print(entry, out);
            }
            match decrypted(&logger, entry.clone()) {
                Ok(entry) => printer.print(&entry, out),
                Err(error) => {
                    status = status.and(super::undecrypted(&entry.id, error)?);
                    printer.print(entry, out)
                }
            }
        })
        .await;
        // Print the buffered rows even if reading the others failed.
        printer.finish(out).and(read)
    };
    status = status.and(result?);
    if printed == 0 {
        suggestions::print(&logger, &query).await?;
    }
    logger.close().await?;
    Ok(status)
}

enum Printer<'a> {
    Table(Table, &'a Zone),
    Csv(CsvWriter, &'a Zone),
    Lines,
}

impl<'a> Printer<'a> {
    fn new(
        format: ListFormat,
        csv_safe: bool,
        zone: &'a Zone,
        out: &mut Stdout,
    ) -> Result<Self, Failure> {
        Ok(match format {
            ListFormat::Table => Self::Table(
                Table::new([
                    ("TIME".into(), Align::Left, 32),
                    ("ID".into(), Align::Left, 36),
                    ("PROVIDER".into(), Align::Left, 20),
                    ("MODEL".into(), Align::Left, 30),
                    ("CONVERSATION".into(), Align::Left, 24),
                    ("SAFETY".into(), Align::Left, 30),
                    ("LATENCY MS".into(), Align::Right, 12),
                    ("TOKENS".into(), Align::Right, 15),
                ]),
                zone,
            ),
            ListFormat::Json => Self::Lines,
            ListFormat::Csv => {
                let csv = CsvWriter::new(csv_safe);
                csv.record(AuditEntry::FIELDS.map(str::to_owned), out)?;
                Self::Csv(csv, zone)
            }
        })
    }

    fn print(&mut self, entry: &AuditEntry, out: &mut Stdout) -> Result<(), Failure> {
        match self {
            Self::Table(table, zone) => table.row(row(entry, zone), out),
            Self::Csv(csv, zone) => csv.record(fields(entry, zone), out),
            Self::Lines => out.bytes(&encoded_line(entry)),
        }
    }

    fn finish(&mut self, out: &mut Stdout) -> Result<(), Failure> {
        match self {
            Self::Table(table, _) => table.finish(out),
            Self::Csv(..) | Self::Lines => Ok(()),
        }
    }
}

fn row(entry: &AuditEntry, zone: &Zone) -> Vec<String> {
    let text = |value: &Option<String>| value.as_deref().map_or_else(|| "-".into(), escaped);
    let number = |value: Option<i64>| value.map_or_else(|| "-".into(), |value| value.to_string());
    let safety = if entry.safety_passed { "passed" } else { "FAILED" };
    let detectors = entry.detectors_triggered.join(",");
    let tokens = match (entry.input_tokens, entry.output_tokens) {
        (None, None) => "-".into(),
        (input, output) => format!("{}/{}", number(input), number(output)),
    };
    vec![
        zone.show(entry.timestamp).to_string(),
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

fn fields(entry: &AuditEntry, zone: &Zone) -> [String; 17] {
    let values = entry.to_value();
    AuditEntry::FIELDS.map(|column| match &values[column] {
        _ if column == "timestamp" => zone.show(entry.timestamp).to_string(),
        // `NaN` and `inf` are null in JSON.
        _ if column == "latency_ms" => format!("{:?}", entry.latency_ms),
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    })
}
