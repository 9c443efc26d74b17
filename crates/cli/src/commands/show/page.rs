//! The layout of a conversation: indented and wrapped to the terminal.

use textwrap::Options;

use super::messages::{Message, Part};
use crate::errors::Failure;
use crate::output::Stdout;
use crate::text::escaped;

/// Lines longer than this are hard to read.
const MAX_WIDTH: usize = 120;
const MIN_WIDTH: usize = 30;

pub(super) struct Page {
    width: usize,
}

impl Page {
    /// As wide as the terminal, or 80 columns if there is none.
    pub(super) fn new(width: Option<usize>) -> Self {
        let width = width.unwrap_or_else(|| textwrap::termwidth().min(MAX_WIDTH));
        Self { width: width.max(MIN_WIDTH) }
    }

    pub(super) fn title(&self, text: &str, out: &mut Stdout) -> Result<(), Failure> {
        self.print("", "", text, out)
    }

    pub(super) fn heading(&self, text: &str, out: &mut Stdout) -> Result<(), Failure> {
        out.line(format_args!(""))?;
        self.print("── ", "   ", text, out)
    }

    /// A field of the entry.
    pub(super) fn fact(&self, label: &str, text: &str, out: &mut Stdout) -> Result<(), Failure> {
        self.print(&format!("   {label}: "), "      ", text, out)
    }

    /// Instead of content.
    pub(super) fn note(&self, label: &str, text: &str, out: &mut Stdout) -> Result<(), Failure> {
        self.print(&format!("   {label} "), "      ", &format!("({text})"), out)
    }

    pub(super) fn message(&self, message: &Message, out: &mut Stdout) -> Result<(), Failure> {
        out.line(format_args!("   {}", escaped(&message.role)))?;
        for part in &message.parts {
            match part {
                Part::Text(text) => self.print("      ", "      ", text, out)?,
                Part::Labelled { label, text } => {
                    let label = format!("      [{}] ", escaped(label));
                    self.print(&label, "          ", text, out)?;
                }
            }
        }
        Ok(())
    }

    /// Prints `text` line by line, escaped and wrapped.
    fn print(&self, first: &str, rest: &str, text: &str, out: &mut Stdout) -> Result<(), Failure> {
        let mut indent = first;
        for line in text.lines() {
            let line = escaped(&line.replace('\t', "    "));
            let options = Options::new(self.width).initial_indent(indent).subsequent_indent(rest);
            for line in textwrap::wrap(&line, options) {
                out.line(format_args!("{}", line.trim_end()))?;
            }
            indent = rest;
        }
        Ok(())
    }
}
