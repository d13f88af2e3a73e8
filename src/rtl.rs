//! `spatten rtl`: Verilog of a configuration, one file per module, and the list of files.

use crate::cli::Failure;
use crate::output::{say, write_atomically};
use clap::Args;
use spatten_arch::ArchConfig;
use spatten_hw::emit::{Design, Module};
use spatten_hw::registry;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The list of files, in an order in which every module stands before its users; `verilator -f`, `yosys -f`.
const FILE_LIST: &str = "files.f";

/// Arguments of `spatten rtl`.
#[derive(Debug, Args)]
pub struct RtlArgs {
    /// Accelerator configuration: tiny, eighth, paper, or a TOML file.
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "paper")]
    arch: String,
    /// One block with what it contains; without it, every block.
    #[arg(long, value_name = "NAME")]
    block: Option<String>,
    /// Folder to write to; made if it does not exist.
    #[arg(short, long = "out", value_name = "DIR", required_unless_present = "share")]
    out: Option<PathBuf>,
    /// Print how many lines come from kernels and how many are Verilog text, and write nothing unless -o is given.
    #[arg(long)]
    share: bool,
}

/// Writes the Verilog.
///
/// # Errors
/// Unknown configuration or block, or a folder that cannot be written.
pub fn command(args: &RtlArgs) -> Result<(), Failure> {
    let config = ArchConfig::load(&args.arch)?;
    let names: Vec<&str> = match &args.block {
        None => registry::names().collect(),
        Some(name) => match registry::names().find(|n| n == name) {
            Some(name) => vec![name],
            None => {
                let known = registry::names().collect::<Vec<_>>().join(", ");
                return Err(Failure::input(format!("--block: no block {name:?}, expected one of {known}")));
            }
        },
    };
    let mut designs = vec![];
    for name in names {
        let design = registry::block(name, &config).expect("a listed name");
        designs.push((name, design.map_err(|e| Failure::Job(e.into()))?));
    }
    if let Some(folder) = &args.out {
        write(folder, &config, &designs, args.block.is_some())?;
    }
    if args.share {
        say(&share(&designs)).map_err(|e| Failure::Job(e.into()))?;
    }
    Ok(())
}

/// Modules once each, children before parents.
fn modules(designs: &[(&str, Design)]) -> Result<Vec<Module>, Failure> {
    let mut all: Vec<Module> = vec![];
    for module in designs.iter().flat_map(|(_, d)| &d.modules) {
        match all.iter().find(|m| m.name == module.name) {
            Some(same) if same == module => {}
            Some(_) => return Err(Failure::Job(anyhow::anyhow!("two blocks print different modules {}", module.name))),
            None => all.push(module.clone()),
        }
    }
    Ok(all)
}

fn write(folder: &Path, config: &ArchConfig, designs: &[(&str, Design)], one: bool) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| Failure::input(format!("{}: cannot make the folder: {e}", folder.display()));
    let mut modules = modules(designs)?;
    if one {
        // The top is called as the block is, whatever sizes its own name carries.
        let (name, design) = &designs[0];
        let top = modules.iter_mut().find(|m| m.name == design.top).expect("the top is a module");
        top.text = top.text.replacen(&format!("module {}(", design.top), &format!("module {name}("), 1);
        top.name = (*name).into();
    }
    std::fs::create_dir_all(folder).map_err(cannot)?;
    let list = folder.join(FILE_LIST);
    let before = std::fs::read_to_string(&list).unwrap_or_default();
    let mut names = String::new();
    for module in &modules {
        let file = format!("{}.v", module.name);
        let origin = if module.native { "from its rust-hdl kernel" } else { "a leaf of Verilog text" };
        let head =
            format!("// {}: {origin}. Written by `spatten rtl --arch {}`; do not edit.\n", module.name, config.name);
        write_atomically(&folder.join(&file), (head + &module.text).as_bytes())?;
        names += &format!("{file}\n");
    }
    write_atomically(&list, names.as_bytes())?;
    // What an earlier run wrote and this one did not.
    for stale in before.lines().filter(|l| l.ends_with(".v") && !l.contains('/') && !names.lines().any(|n| n == *l)) {
        let _ = std::fs::remove_file(folder.join(stale));
    }
    Ok(())
}

fn share(designs: &[(&str, Design)]) -> String {
    let mut table = format!("{:24} {:>8} {:>8} {:>8}\n", "block", "modules", "kernel", "text");
    let mut all: BTreeMap<&str, &Module> = BTreeMap::new();
    for (name, design) in designs {
        let (native, text) = design.lines();
        let _ = writeln!(table, "{name:24} {:8} {native:8} {text:8}", design.modules.len());
        all.extend(design.modules.iter().map(|m| (m.name.as_str(), m)));
    }
    let lines = |native| -> usize { all.values().filter(|m| m.native == native).map(|m| m.text.lines().count()).sum() };
    let _ = writeln!(table, "{:24} {:8} {:8} {:8}  (each module once)", "all", all.len(), lines(true), lines(false));
    table
}
