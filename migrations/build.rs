//! Embeds every migration file beside it, in order: adding a pair of files is enough.
//!
//! Refuses what would only fail later: a name that isn't one, half a pair, two pairs of one version.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[path = "src/file_name.rs"]
mod file_name;

fn main() -> Result<(), Box<dyn Error>> {
    writeln!(io::stdout(), "cargo::rerun-if-changed=.")?;
    let files = sql_files(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let names = pairs(&files)?;
    let out_dir = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(PathBuf::from(out_dir).join("embedded.rs"), listing(&names))?;
    Ok(())
}

/// Names of the SQL files in the folder.
fn sql_files(dir: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let file = entry?.file_name().into_string();
        let file = file.map_err(|file| format!("{} is not UTF-8", file.display()))?;
        if file.ends_with(".sql") {
            files.push(file);
        }
    }
    Ok(files)
}

/// Name by version, each with both of its files.
fn pairs(files: &[String]) -> Result<BTreeMap<i64, &str>, String> {
    let mut names = BTreeMap::new();
    for file in files {
        let (version, name) = file_name::parse(file)
            .ok_or_else(|| format!("{file}: not YYYYMMDDHHMMSS_name.up.sql or .down.sql"))?;
        for half in [
            file_name::up_file(version, name),
            file_name::down_file(version, name),
        ] {
            if !files.contains(&half) {
                return Err(format!("{file}: {half} is missing"));
            }
        }
        if names
            .insert(version, name)
            .is_some_and(|other| other != name)
        {
            return Err(format!("{file}: another migration has its version"));
        }
    }
    Ok(names)
}

/// The list as a Rust expression.
fn listing(names: &BTreeMap<i64, &str>) -> String {
    let include =
        |file: String| format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{file}\"))");
    let entries = names.iter().map(|(&version, name)| {
        let up = include(file_name::up_file(version, name));
        let down = include(file_name::down_file(version, name));
        format!(
            "    Migration {{ version: {version}, name: \"{name}\", up: {up}, down: {down} }},\n"
        )
    });
    format!("&[\n{}]\n", entries.collect::<String>())
}
