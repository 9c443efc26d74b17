//! Anchors that keep a checkpoint somewhere else.

mod command;
mod file;
mod git;
mod program;

pub use command::CommandSink;
pub use file::{FileSink, FolderSink, checkpoint_file_name};
pub use git::GitSink;
