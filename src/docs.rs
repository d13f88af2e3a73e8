//! `spatten docs`: tables that are generated from `spatten-arch`, so that no fact stands twice by hand.

use crate::cli::Failure;
use crate::output;
use anyhow::Context;
use clap::Args;
use spatten_arch::format::Formats;
use spatten_arch::registers::{self, Page};
use spatten_arch::{ArchConfig, blocks, c_header, descriptor};
use std::path::PathBuf;

/// Arguments of `spatten docs`.
#[derive(Debug, Args)]
pub struct DocsArgs {
    /// Only say whether the tables are current; exit status 1 if one is stale.
    #[arg(long)]
    check: bool,
    /// Root of the project.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Files that are generated as a whole.
fn files() -> [(&'static str, String); 1] {
    [("driver/include/spatten.h", c_header::text())]
}

/// A generated region: file, its name in the markers, and its text.
fn regions() -> Vec<(&'static str, &'static str, String)> {
    let formats = |arch: ArchConfig| Formats::new(&arch).markdown();
    vec![
        ("README.md", "blocks", blocks::markdown()),
        ("docs/formats.md", "formats", formats(ArchConfig::paper())),
        ("docs/formats.md", "configurations", configurations()),
        ("docs/registers.md", "registers", registers::markdown(Page::Registers)),
        ("docs/registers.md", "counters", registers::counters_markdown()),
        ("docs/registers.md", "doorbells", registers::markdown(Page::Doorbells)),
        ("docs/registers.md", "jobs", descriptor::jobs_markdown()),
        ("docs/registers.md", "parameters", descriptor::parameters_markdown()),
        ("docs/registers.md", "state", descriptor::state_markdown()),
        ("docs/registers.md", "completions", descriptor::completions_markdown()),
    ]
}

fn configurations() -> String {
    let mut s = String::from(
        "| name | multipliers QK + PV | keys on chip | K + V SRAM bytes | softmax lanes | top-k lanes | memory |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for name in ArchConfig::NAMES {
        let c = ArchConfig::named(name).expect("a named configuration");
        s += &format!(
            "| `{name}` | {m} + {m} | {} | {} + {} | {} | {} | {} x {} B/cycle |\n",
            c.keys_on_chip,
            c.key_buffer_bytes,
            c.value_buffer_bytes,
            c.softmax_lanes,
            c.topk_lanes,
            c.channels,
            c.channel_bytes,
            m = c.multipliers,
        );
    }
    s
}

/// Replaces the text between `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
fn replace(text: &str, name: &str, body: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), format!("<!-- end: {name} -->"));
    let from = text.find(&begin)? + begin.len();
    let to = from + text[from..].find(&end)?;
    Some(format!("{}{body}{}", &text[..from], &text[to..]))
}

/// Runs the command.
pub fn command(args: &DocsArgs) -> Result<(), Failure> {
    let mut stale = vec![];
    for (file, name, body) in regions() {
        let path = args.root.join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}: cannot read", path.display()))?;
        let new = replace(&text, name, &body)
            .with_context(|| format!("{}: no region `<!-- generated: {name} -->`", path.display()))?;
        if new == text {
            continue;
        }
        stale.push(format!("{file} ({name})"));
        if !args.check {
            output::write_atomically(&path, new.as_bytes())?;
        }
    }
    for (file, text) in files() {
        let path = args.root.join(file);
        // A file that is not there is stale.
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            continue;
        }
        stale.push(file.into());
        if !args.check {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot make", folder.display()))?;
            }
            output::write_atomically(&path, text.as_bytes())?;
        }
    }
    match (args.check, stale.is_empty()) {
        (_, true) => output::say("what is generated is current\n")?,
        (false, _) => output::say(&format!("wrote {}\n", stale.join(", ")))?,
        (true, _) => return Err(Failure::Job(anyhow::anyhow!("stale: {}; run `make docs`", stale.join(", ")))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_region_changes() {
        let text = "a\n<!-- generated: x -->\nold\n<!-- end: x -->\nb\n";
        assert_eq!(replace(text, "x", "new\n").unwrap(), "a\n<!-- generated: x -->\nnew\n<!-- end: x -->\nb\n");
        assert!(replace(text, "y", "").is_none());
    }
}
