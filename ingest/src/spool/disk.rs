//! What the spool asks of a disk.
//!
//! Nothing is durable before its sync has returned: a file's bytes and length after [`DiskFile::sync`], the
//! names in a folder after [`Disk::sync_folder`].

use std::fmt::Debug;
use std::io;
use std::path::Path;

/// Folders and names.
pub(crate) trait Disk: Debug + Send + Sync {
    /// What is in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;
    /// Creates a folder in one that exists; if it exists itself, that is fine.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Creates a file that doesn't exist yet, to be written.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that exists.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub(crate) trait DiskFile: Debug + Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Makes a new file this long, with blocks of its own for every byte, and zeros in all.
    fn allocate(&self, len: u64, blocks: Blocks) -> io::Result<()>;
    /// Reads some bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of the bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes bytes and length durable. Never to be called again on a file for which it failed, nor by two threads at once.
    fn sync(&self) -> io::Result<()>;
}

/// How the blocks of an allocated file are got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocks {
    /// Reserved: fast, but the first write to each changes the file's metadata too, which its sync has to put
    /// into the file system's journal.
    Reserved,
    /// Reserved, then written once: later writes and their syncs have nothing to do but data.
    Written,
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading alone.
    Read,
    /// Reading and writing.
    Write,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name; one that isn't UTF-8 is none of ours and not listed.
    pub(crate) name: String,
    /// Whether it is a folder.
    pub(crate) is_folder: bool,
}
