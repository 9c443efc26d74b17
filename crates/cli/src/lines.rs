//! Inputs that are not JSON Lines, as JSON Lines: one record is one line.

use std::io::{self, Read};

use attestry::line::MAX_LINE_BYTES;
use attestry_genai::ValueSplitter;

const BLOCK_BYTES: usize = 64 << 10;

/// JSON documents: an array of records, or records with line breaks inside. A record that is too long becomes a line
/// that is too long, and is refused as such.
pub(crate) struct JsonDocuments<R> {
    input: R,
    splitter: ValueSplitter,
    is_finished: bool,
    lines: Ready,
}

impl<R: Read> JsonDocuments<R> {
    pub(crate) fn new(input: R) -> Self {
        let splitter = ValueSplitter::new(MAX_LINE_BYTES + 1);
        Self { input, splitter, is_finished: false, lines: Ready::default() }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        while self.lines.is_empty() && !self.is_finished {
            let read = read(&mut self.input, &mut block)?;
            let lines = &mut self.lines;
            let mut add = |value: &[u8]| lines.add(value);
            self.splitter.push(&block[..read], &mut add);
            if read == 0 {
                self.splitter.finish(add);
                self.is_finished = true;
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for JsonDocuments<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        self.lines.read(buffer)
    }
}

/// Rows of CSV: an object for each, with the names of the columns as keys and the fields as text.
pub(crate) struct CsvRows<R> {
    rows: csv::Reader<R>,
    columns: Vec<String>,
    lines: Ready,
}

impl<R: Read> CsvRows<R> {
    pub(crate) fn new(input: R) -> io::Result<Self> {
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let columns = rows.headers().map_err(invalid)?.iter().map(str::to_owned).collect();
        Ok(Self { rows, columns, lines: Ready::default() })
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut row = csv::StringRecord::new();
        if !self.lines.is_empty() || !self.rows.read_record(&mut row).map_err(invalid)? {
            return Ok(());
        }
        let mut fields = serde_json::Map::new();
        for (number, field) in row.iter().enumerate() {
            let name = self.columns.get(number).cloned();
            fields.insert(name.unwrap_or_else(|| format!("column_{}", number + 1)), field.into());
        }
        self.lines.add(serde_json::Value::from(fields).to_string().as_bytes());
        Ok(())
    }
}

impl<R: Read> Read for CsvRows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fill()?;
        self.lines.read(buffer)
    }
}

fn invalid(error: csv::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Lines that were not read yet.
#[derive(Default)]
struct Ready {
    bytes: Vec<u8>,
    read: usize,
}

impl Ready {
    fn add(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
    }

    fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&self.bytes[self.read..]).read(buffer)?;
        self.read += read;
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(BLOCK_BYTES);
            self.read = 0;
        }
        Ok(read)
    }
}

fn read(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_rows_become_lines() {
        let mut lines = String::new();
        JsonDocuments::new(&b"[{\"a\":\n1}, {\"b\": \"\\n\"}]"[..])
            .read_to_string(&mut lines)
            .unwrap();
        assert_eq!(lines, "{\"a\":1}\n{\"b\":\"\\n\"}\n");
        lines.clear();
        let csv = "id,\"text\"\n1,\"a\nb\"\n2,c,d\n";
        CsvRows::new(csv.as_bytes()).unwrap().read_to_string(&mut lines).unwrap();
        assert_eq!(
            lines,
            "{\"id\":\"1\",\"text\":\"a\\nb\"}\n{\"id\":\"2\",\"text\":\"c\",\"column_3\":\"d\"}\n"
        );
    }
}
