//! Reads the nested values of DER, whatever the order of sets: some authorities do not sort them.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Reader, SliceReader, Tag, TagNumber};

use super::TimestampError;

/// The values inside a constructed one, in order.
pub(super) struct Values<'a> {
    reader: SliceReader<'a>,
    what: &'static str,
}

impl<'a> Values<'a> {
    /// The values in `bytes`. `what` names them in errors.
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Result<Self, TimestampError> {
        let reader = SliceReader::new(bytes);
        Ok(Self { reader: reader.map_err(|_| malformed(what))?, what })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reader.is_finished()
    }

    fn next_is(&self, tag: Tag) -> bool {
        !self.is_empty() && self.reader.peek_tag() == Ok(tag)
    }

    /// The next value, of any tag.
    pub(super) fn any(&mut self) -> Result<AnyRef<'a>, TimestampError> {
        self.reader.decode().map_err(|_| malformed(self.what))
    }

    /// The next value with its tag and length.
    pub(super) fn raw(&mut self) -> Result<&'a [u8], TimestampError> {
        self.reader.tlv_bytes().map_err(|_| malformed(self.what))
    }

    /// The content of the next value, which must have this tag.
    pub(super) fn next(&mut self, tag: Tag) -> Result<&'a [u8], TimestampError> {
        let value = self.any()?;
        if der::Tagged::tag(&value) == tag { Ok(value.value()) } else { Err(malformed(self.what)) }
    }

    /// The content of the next value if it has this tag; otherwise nothing is consumed.
    pub(super) fn optional(&mut self, tag: Tag) -> Result<Option<&'a [u8]>, TimestampError> {
        if self.next_is(tag) { self.next(tag).map(Some) } else { Ok(None) }
    }

    pub(super) fn sequence(&mut self) -> Result<Self, TimestampError> {
        Values::new(self.next(Tag::Sequence)?, self.what)
    }

    pub(super) fn set(&mut self) -> Result<Self, TimestampError> {
        Values::new(self.next(Tag::Set)?, self.what)
    }

    pub(super) fn oid(&mut self) -> Result<ObjectIdentifier, TimestampError> {
        let content = self.next(Tag::ObjectIdentifier)?;
        ObjectIdentifier::from_bytes(content).map_err(|_| malformed(self.what))
    }

    /// A number of at most 64 bits that is not negative.
    pub(super) fn number(&mut self) -> Result<u64, TimestampError> {
        number(self.next(Tag::Integer)?).ok_or_else(|| malformed(self.what))
    }
}

/// The value of an unsigned big-endian number.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    let negative = bytes.first()? & 0x80 != 0;
    if negative || bytes.len() > 9 || (bytes.len() == 9 && bytes[0] != 0) {
        return None;
    }
    Some(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The tag `[number]`.
pub(super) fn context(number: u8, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber::new(number) }
}

pub(super) fn malformed(reason: &'static str) -> TimestampError {
    TimestampError::Malformed { reason }
}
