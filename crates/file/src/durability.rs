//! What an acknowledged write survives.

/// What an acknowledged write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// A power cut: the line is on stable storage (`fdatasync` of the file, and `fsync` of the folder
    /// for a new file). Many writers share one sync.
    #[default]
    Sync,
    /// A crash of the process, not a power cut: the line is in the page cache, which the kernel writes
    /// to the disk within some 30 seconds. For users who accept the loss of the last seconds on a
    /// power cut. `flush` and `close` make everything durable.
    Buffered,
}
