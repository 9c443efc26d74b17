//! Tables with aligned columns, for any number of rows in bounded memory.

use crate::errors::Failure;
use crate::output::Stdout;

/// The column widths fit the first rows; later rows may be misaligned.
const MEASURED_ROWS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

struct Column {
    name: String,
    align: Align,
    /// Longer texts are truncated.
    max_width: usize,
    width: usize,
}

/// Buffers the first rows to measure them, and prints the others at once.
pub(crate) struct Table {
    columns: Vec<Column>,
    buffered: Vec<Vec<String>>,
    header_printed: bool,
}

impl Table {
    /// Each column has a name, an alignment and a maximum width.
    pub(crate) fn new(columns: impl IntoIterator<Item = (String, Align, usize)>) -> Self {
        let column = |(name, align, max_width): (String, _, _)| {
            let width = name.chars().count();
            Column { name, align, max_width, width }
        };
        let columns = columns.into_iter().map(column).collect();
        Self { columns, buffered: Vec::new(), header_printed: false }
    }

    pub(crate) fn row(&mut self, row: Vec<String>, out: &mut Stdout) -> Result<(), Failure> {
        if self.header_printed {
            return self.print(&row, out);
        }
        self.buffered.push(row);
        if self.buffered.len() < MEASURED_ROWS { Ok(()) } else { self.print_buffered(out) }
    }

    /// Prints the buffered rows, or only the header if there are none.
    pub(crate) fn finish(&mut self, out: &mut Stdout) -> Result<(), Failure> {
        if self.header_printed { Ok(()) } else { self.print_buffered(out) }
    }

    fn print_buffered(&mut self, out: &mut Stdout) -> Result<(), Failure> {
        self.header_printed = true;
        for row in &self.buffered {
            for (column, text) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(text.chars().count().min(column.max_width));
            }
        }
        let names: Vec<_> = self.columns.iter().map(|column| column.name.clone()).collect();
        self.print(&names, out)?;
        let buffered = std::mem::take(&mut self.buffered);
        buffered.iter().try_for_each(|row| self.print(row, out))
    }

    fn print(&self, row: &[String], out: &mut Stdout) -> Result<(), Failure> {
        let mut line = String::new();
        for (column, text) in self.columns.iter().zip(row) {
            let (text, width) = (truncated(text, column.width.max(column.max_width)), column.width);
            match column.align {
                Align::Left => line.push_str(&format!("{text:width$}  ")),
                Align::Right => line.push_str(&format!("{text:>width$}  ")),
            }
        }
        out.line(format_args!("{}", line.trim_end()))
    }
}

/// `text`, shortened to `width` characters with an ellipsis.
fn truncated(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::truncated;

    #[test]
    fn long_text_is_truncated_between_characters() {
        assert_eq!(truncated("日本語", 3), "日本語");
        assert_eq!(truncated("日本語テキスト", 3), "日本…");
        assert_eq!(truncated("", 3), "");
    }
}
