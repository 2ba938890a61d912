//! The ready file: where everything listens, for whoever started the gateway.
//!
//! It appears whole or not at all, readable by its owner only.

use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

/// Its content. URLs are origins without a path.
#[derive(Debug, Serialize)]
pub(crate) struct Ready<'a> {
    pub(crate) proxy_url: &'a str,
    pub(crate) admin_url: &'a str,
    pub(crate) metrics_url: &'a str,
    pub(crate) database_url: &'a str,
    pub(crate) pid: u32,
    pub(crate) api_key: Option<&'a str>,
    pub(crate) test_api_key: Option<&'a str>,
    pub(crate) admin_key: Option<&'a str>,
}

/// Writes a JSON file whole, with mode 0600: a temporary file beside it, then a rename.
///
/// # Errors
/// If the folder can't be written.
pub(crate) fn write_json(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Temporary files are made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, content)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
