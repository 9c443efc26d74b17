//! Tables for people: aligned columns, of any number of rows, in bounded memory.

use crate::errors::Failure;
use crate::output::Stdout;

/// How many rows decide how wide the columns are; those behind them must do with it.
const ROWS_MEASURED: usize = 100;

/// On which side of its column a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

struct Column {
    name: &'static str,
    align: Align,
    /// The width at which a text is cut; the first 36 of a UUID are never cut.
    most: usize,
    width: usize,
}

/// Prints rows as they come, once it has seen enough of them to know how wide they are.
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    waiting: Vec<[String; N]>,
    begun: bool,
}

impl<const N: usize> Table<N> {
    /// A table of columns with their names, their sides, and the width at which a text is cut.
    pub(crate) fn new(columns: [(&'static str, Align, usize); N]) -> Self {
        let columns =
            columns.map(|(name, align, most)| Column { name, align, most, width: name.len() });
        Self { columns, waiting: Vec::new(), begun: false }
    }

    pub(crate) fn row(&mut self, row: [String; N], out: &mut Stdout) -> Result<(), Failure> {
        if self.begun {
            return self.print(&row, out);
        }
        self.waiting.push(row);
        if self.waiting.len() < ROWS_MEASURED { Ok(()) } else { self.begin(out) }
    }

    /// Prints the rows still waiting, and the header if there was no row at all.
    pub(crate) fn finish(&mut self, out: &mut Stdout) -> Result<(), Failure> {
        if self.begun { Ok(()) } else { self.begin(out) }
    }

    fn begin(&mut self, out: &mut Stdout) -> Result<(), Failure> {
        self.begun = true;
        for row in &self.waiting {
            for (column, text) in self.columns.iter_mut().zip(row) {
                column.width = column.width.max(text.chars().count().min(column.most));
            }
        }
        let names = self.columns.each_ref().map(|column| column.name.to_owned());
        self.print(&names, out)?;
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().try_for_each(|row| self.print(row, out))
    }

    fn print(&self, row: &[String; N], out: &mut Stdout) -> Result<(), Failure> {
        let mut line = String::new();
        for (column, text) in self.columns.iter().zip(row) {
            let (text, width) = (cut(text, column.width.max(column.most)), column.width);
            match column.align {
                Align::Left => line.push_str(&format!("{text:width$}  ")),
                Align::Right => line.push_str(&format!("{text:>width$}  ")),
            }
        }
        out.line(format_args!("{}", line.trim_end()))
    }
}

/// `text`, or as much of it as fits with an ellipsis.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("日本語", 3), "日本語");
        assert_eq!(cut("日本語テキスト", 3), "日本…");
        assert_eq!(cut("", 3), "");
    }
}
