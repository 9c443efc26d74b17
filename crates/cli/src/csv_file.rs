//! CSV on standard output.

use std::io::{self, IsTerminal};

use crate::errors::Failure;
use crate::output::Stdout;
use crate::text::escaped;

/// Writes CSV records. On a terminal, control characters in fields are escaped, as in all other output;
/// in a file or pipe, fields are unchanged.
pub(crate) struct CsvWriter {
    escape: bool,
    /// Whether fields that a spreadsheet would evaluate as a formula are neutralised.
    safe: bool,
}

impl CsvWriter {
    pub(crate) fn new(safe: bool) -> Self {
        Self { escape: io::stdout().is_terminal(), safe }
    }

    pub(crate) fn record(
        &self,
        fields: impl IntoIterator<Item = String>,
        out: &mut Stdout,
    ) -> Result<(), Failure> {
        let record = self.encode(fields).map_err(|error| Failure::new(error.to_string()))?;
        out.bytes(&record)
    }

    fn encode(&self, fields: impl IntoIterator<Item = String>) -> Result<Vec<u8>, csv::Error> {
        let mut record = csv::Writer::from_writer(Vec::new());
        // A writer per record, because it cannot be reused after `into_inner`.
        record.write_record(fields.into_iter().map(|field| self.field(field)))?;
        record.into_inner().map_err(|error| error.into_error().into())
    }

    fn field(&self, mut field: String) -> String {
        if self.safe && is_formula(&field) {
            field.insert(0, '\'');
        }
        if self.escape { escaped(&field) } else { field }
    }
}

/// Whether a spreadsheet may evaluate `field`. Numbers are no formulas.
fn is_formula(field: &str) -> bool {
    field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
        && field.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::CsvWriter;

    fn encode(writer: &CsvWriter, field: &str) -> String {
        String::from_utf8(writer.encode([field.to_owned(), String::new()]).unwrap()).unwrap()
    }

    #[test]
    fn control_characters_are_escaped_on_a_terminal() {
        let (file, terminal) =
            (CsvWriter { escape: false, safe: false }, CsvWriter { escape: true, safe: false });
        assert_eq!(encode(&file, "a\u{1b}[2J\n=1"), "\"a\u{1b}[2J\n=1\",\n");
        assert_eq!(encode(&terminal, "a\u{1b}[2J\n=1"), "a\\u{1b}[2J\\n=1,\n");
    }

    #[test]
    fn formulas_are_neutralised_if_asked() {
        let (plain, safe) =
            (CsvWriter { escape: false, safe: false }, CsvWriter { escape: false, safe: true });
        for formula in ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "＝1"] {
            assert_eq!(encode(&plain, formula), format!("{formula},\n"));
            assert_eq!(encode(&safe, formula), format!("'{formula},\n"));
        }
        for field in ["", "-5", "+5.5e3", "a=b", "{\"a\": 1}", "2026-01-28T09:15:00.000000Z"] {
            assert_eq!(encode(&safe, field), encode(&plain, field), "{field}");
        }
    }
}
