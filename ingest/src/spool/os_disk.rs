//! The disk of the operating system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::disk::{Access, Blocks, Disk, DiskFile, Entry};

static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// Plain files and folders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsDisk;

impl Disk for OsDisk {
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                let is_folder = entry.file_type()?.is_dir();
                entries.push(Entry { name, is_folder });
            }
        }
        Ok(entries)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create_new(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let write = access == Access::Write;
        let file = OpenOptions::new().read(true).write(write).open(path)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn allocate(&self, len: u64, blocks: Blocks) -> io::Result<()> {
        let reserved = reserve(self, len)?;
        match blocks {
            Blocks::Reserved if reserved => Ok(()),
            Blocks::Reserved | Blocks::Written => write_zeros(self, len),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: a changed length is synced with the data, times are not worth a write.
        self.sync_data()
    }
}

/// False if the file system can't allocate ahead.
fn reserve(file: &File, len: u64) -> io::Result<bool> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, len) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What was written once has its blocks.
fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    let mut offset = 0;
    while offset < len {
        let step = (len - offset).min(ZEROS.len() as u64);
        let zeros = ZEROS.get(..usize::try_from(step).unwrap_or(0));
        file.write_all_at(zeros.unwrap_or_default(), offset)?;
        offset += step;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocated_file_has_its_length_its_blocks_and_zeros() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for blocks in [Blocks::Reserved, Blocks::Written] {
            let file = OsDisk.create(&path).unwrap();
            file.allocate(600_000, blocks).unwrap();
            file.sync().unwrap();
            assert_eq!(fs::read(&path).unwrap(), vec![0; 600_000]);
            assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 600_000);
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_file_that_exists_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        OsDisk.create(&path).unwrap();
        assert!(OsDisk.create(&path).is_err());
    }
}
