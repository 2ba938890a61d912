//! Which form of a scenario, with which binary.

use std::path::PathBuf;

/// The command line, but for the scenario.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A bounded form that takes seconds
    #[arg(long, global = true)]
    short: bool,
    /// The gateway [default: `mindweave` beside this program]
    #[arg(long, global = true, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    short: bool,
    /// The gateway's program.
    pub(crate) binary: String,
}

impl Arguments {
    /// Finds the gateway's program, or says how to come by it.
    pub(crate) fn check(self) -> Result<Plan, String> {
        let beside = || {
            let own = std::env::current_exe().ok()?;
            Some(own.with_file_name("mindweave"))
        };
        let path = self.binary.or_else(beside).unwrap_or_default();
        if !path.is_file() {
            return Err(format!(
                "there is no {}: build it (cargo build -p gateway, with --release or not, as this program was), \
                 or name it by --binary",
                path.display()
            ));
        }
        let path = path.canonicalize().map_err(|error| error.to_string())?;
        Ok(Plan {
            short: self.short,
            binary: path.to_string_lossy().into_owned(),
        })
    }
}

impl Plan {
    /// One of two measures.
    pub(crate) fn pick<T>(&self, short: T, long: T) -> T {
        if self.short { short } else { long }
    }
}
