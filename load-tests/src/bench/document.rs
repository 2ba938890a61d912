//! Tables of `PERFORMANCE.md`. What stands between a pair of marks is written anew; all else is left as somebody wrote it.
//!
//!     <!-- begin NAME: written by load-tests bench -->
//!     <!-- end NAME -->

use std::fs;
use std::path::Path;

use super::results::Results;
use super::tables;

pub(super) fn write(results: &Results, folder: &Path) -> Result<(), String> {
    let path = folder.join("PERFORMANCE.md");
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut text = fs::read_to_string(&path).map_err(|error| told(&error))?;
    for (name, table) in [
        ("machine", tables::machine(results)),
        ("scenarios", tables::scenarios(results)),
        ("cpu", tables::cpu(results)),
        ("ratios", under_plot("cpu", &tables::ratios(results))),
        ("latency", under_plot("latency", &tables::latency(results))),
        ("rates", under_plot("rates", &tables::rates(results))),
        ("memory", under_plot("memory", &tables::memory(results))),
        ("missing", tables::missing(results)),
    ] {
        text = replaced(&text, name, &table).ok_or_else(|| {
            told(&format_args!(
                "there are no lines that begin and end {name}"
            ))
        })?;
    }
    fs::write(&path, text).map_err(|error| told(&error))
}

/// A plot of the same figures comes first.
fn under_plot(name: &str, table: &str) -> String {
    format!("![the table below as bars](performance/{name}.svg)\n\n{table}")
}

/// With another text between the marks.
fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    let begin = format!("<!-- begin {name}: written by load-tests bench -->\n");
    let end = format!("<!-- end {name} -->");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let marks = |inside: &str| {
            format!(
                "before\n<!-- begin a: written by load-tests bench -->\n{inside}\n<!-- end a -->\nafter\n"
            )
        };
        let once = replaced(&marks("old"), "a", "| new |\n").unwrap();
        assert_eq!(once, marks("\n| new |\n"));
        assert_eq!(replaced(&once, "a", "| new |\n").unwrap(), once);
    }

    #[test]
    fn marks_that_are_not_there_are_missed() {
        assert_eq!(replaced("before and after", "a", "new"), None);
    }
}
