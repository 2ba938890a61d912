//! Folders: which names there are now, and which a power loss leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::rngs::StdRng;

use super::Entry;

/// Names of files, by their number, and of folders. Folders are durable when they are created.
#[derive(Debug, Default)]
pub(super) struct Names {
    now: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> Option<usize> {
        self.now.get(path).copied()
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, usize)> {
        self.now.iter().map(|(path, file)| (path, *file))
    }

    pub(super) fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        if !self.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let files = self.now.keys().map(|path| (path, false));
        let folders = self.folders.iter().map(|path| (path, true));
        Ok(files
            .chain(folders)
            .filter(|(path, _)| path.parent() == Some(folder))
            .map(|(path, is_folder)| Entry {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                is_folder,
            })
            .collect())
    }

    pub(super) fn create_folder(&mut self, folder: &Path) {
        self.folders.insert(folder.to_owned());
    }

    pub(super) fn link(&mut self, path: &Path, file: usize) {
        self.change(Change::Link(path.to_owned(), file));
    }

    /// A folder's name changes durably.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        if self.folders.contains(from) {
            self.rename_folder(from, to);
            return;
        }
        let file = self.now[from];
        self.change(Change::Rename(from.to_owned(), to.to_owned(), file));
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.get(path).ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Remove(path.to_owned()));
        Ok(())
    }

    pub(super) fn sync(&mut self, folder: &Path) {
        for change in &self.unsynced {
            if change.folder() == Some(folder) {
                change.apply(&mut self.durable);
            }
        }
        self.unsynced
            .retain(|change| change.folder() != Some(folder));
    }

    pub(super) fn lose_power(&mut self, random: &mut StdRng) {
        for change in self.unsynced.drain(..) {
            if random.random() {
                change.apply(&mut self.durable);
            }
        }
        self.now = self.durable.clone();
    }

    fn rename_folder(&mut self, from: &Path, to: &Path) {
        let moved = |path: &Path| match path.strip_prefix(from) {
            // To join nothing would add a separator.
            Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
            Ok(rest) => to.join(rest),
            Err(_) => path.to_owned(),
        };
        let names = |names: &BTreeMap<PathBuf, usize>| {
            let files = names.iter().map(|(path, file)| (moved(path), *file));
            files.collect()
        };
        self.now = names(&self.now);
        self.durable = names(&self.durable);
        self.folders = self.folders.iter().map(|path| moved(path)).collect();
        for change in &mut self.unsynced {
            match change {
                Change::Link(path, _) | Change::Remove(path) => *path = moved(path),
                Change::Rename(old, new, _) => (*old, *new) = (moved(old), moved(new)),
            }
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }
}

impl Change {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Link(path, _) | Self::Rename(path, _, _) | Self::Remove(path) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Link(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Rename(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}
