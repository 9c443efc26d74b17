//! Messages as the content of interactions and entries.

use attestry_core::metadata;

use super::{InvalidContent, Messages};
use crate::{Content, Interaction};

impl Interaction<'static> {
    /// An interaction whose input and output are messages: the text is their
    /// [canonical form](Messages::canonical), and the metadata `attestry.content` says so.
    ///
    /// ```
    /// use attestry_logger::Interaction;
    /// use attestry_logger::messages::{Message, Messages, Part};
    ///
    /// let input = Messages(vec![Message::new("user", [Part::text("What is 2+2?")])]);
    /// let output = Messages(vec![Message::new("assistant", [Part::text("4")])]);
    /// let interaction = Interaction::from_messages(&input, &output).model("gpt-4");
    /// assert_eq!(interaction.output(), r#"[{"parts":[{"content":"4","type":"text"}],"role":"assistant"}]"#);
    /// ```
    #[must_use]
    pub fn from_messages(input: &Messages, output: &Messages) -> Self {
        Interaction::new(input.canonical(), output.canonical())
            .metadata(metadata::CONTENT, metadata::CONTENT_MESSAGES_V1)
    }
}

impl Content {
    /// Input and output as messages: `None` for one that is not stored, or that is not messages
    /// according to the entry's metadata.
    ///
    /// ```
    /// use attestry_logger::messages::{Message, Messages, Part};
    /// use attestry_logger::{AuditLogger, Interaction};
    /// use attestry_memory::MemoryStorage;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let logger = AuditLogger::builder(MemoryStorage::new()).store_content(true).build();
    /// let input = Messages(vec![Message::new("user", [Part::text("What is 2+2?")])]);
    /// let id = logger.log(Interaction::from_messages(&input, &Messages::default())).await?;
    ///
    /// let entry = logger.get_entry(&id).await?.expect("just stored");
    /// let (stored, _) = logger.decrypt_entry(&entry)?.messages()?;
    /// assert_eq!(stored, Some(input));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidContent`] if it is not messages although the metadata says so, which only another
    /// program can have written.
    pub fn messages(&self) -> Result<(Option<Messages>, Option<Messages>), InvalidContent> {
        let parse = |kind: &Option<String>, text: &Option<String>| match (kind.as_deref(), text) {
            (Some(metadata::CONTENT_MESSAGES_V1), Some(text)) if !text.is_empty() => {
                Messages::parse(text).map(Some)
            }
            _ => Ok(None),
        };
        Ok((parse(&self.input_kind, &self.input)?, parse(&self.output_kind, &self.output)?))
    }
}
