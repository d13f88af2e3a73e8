//! `docs/topk.md`.

use crate::cases::Keep;
use crate::engines::{Engine, Size, engines};
use crate::others::{Batcher, authors};
use crate::rows::Row;
use crate::{Case, Summary, size_of};
use anyhow::{Context, Result, ensure};
use spatten_arch::ArchConfig;
use spatten_hw::quick_select::QuickSelect;
use spatten_hw::top_k::TopK;
use spatten_testkit::{Rng, workspace_root};
use std::fmt::Write;
use std::process::Command;

const HEAD: &str = "\
# Selection engines

Written by `make bench-topk`; do not edit. What follows from it: `docs/decisions/0011-topk-engine.md`.

Cycles of the engines are measured in the Verilated RTL, whose answers are compared with golden. They count from a row's first
beat to that of the next row, both offered as early as they can be taken: as mean / 99th percentile / largest over the rows of a
case, or as one number where every row took the same. Scores are probabilities (13 bits). `top_k` is the whole default block
(`radix_select`, row memory, filter, zero eliminator); the other two only find the threshold.

Rows: `uniform`, `sorted` (ascending), `all equal`, `attention` (probabilities of recorded heads of all-MiniLM-L6-v2), and each
engine's own `adversary`: for `quick_select` rows made for the state of its pivot generator, in which every pivot is the smallest
or the largest candidate; for the others, whose time does not depend on the scores, rows of the largest score. `k = 1..n` is a
row for every k.
";

/// Cells of an engine by yosys, through `scripts/synth.py`.
fn cells(engine: &dyn Engine, size: Size) -> Result<serde_json::Value> {
    let root = workspace_root();
    let folder = root.join(format!("target/bench-topk/{}-{}x{}-{}", engine.name(), size.lanes, size.bits, size.keys));
    std::fs::create_dir_all(&folder)?;
    let design = engine.design(size)?;
    let mut list = String::new();
    for module in &design.modules {
        std::fs::write(folder.join(format!("{}.v", module.name)), &module.text)?;
        writeln!(list, "{}.v", module.name)?;
    }
    std::fs::write(folder.join("files.f"), list)?;
    let out = folder.join("synth.json");
    let mut command = Command::new("python3");
    command.arg(root.join("scripts/synth.py")).arg(&folder).arg(&design.top).arg("--json").arg(&out);
    let status = command.status().context("python3 scripts/synth.py")?;
    ensure!(status.success(), "scripts/synth.py {} fails", folder.display());
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(&out)?)?;
    Ok(result["cells"].clone())
}

/// The largest of a case's rows over all cases of a length, adversaries included.
fn worst(cases: &[Case], lanes: usize, n: usize, engine: usize) -> u64 {
    cases.iter().filter(|c| c.lanes == lanes && c.n == n).map(|c| c.engines[engine].1.max).max().unwrap_or(0)
}

/// What one wants to know first: the longest row of the paper's chip.
fn answer(cases: &[Case], text: &mut String) -> Result<()> {
    let (lanes, n) = (16, 1024);
    let case = cases.iter().find(|c| c.lanes == lanes && c.n == n && c.kind == "uniform" && c.keep == Keep::Every);
    let case = case.context("uniform rows of 1024 scores")?;
    writeln!(
        text,
        "\n## {n} scores at {lanes} lanes\n\nThe dot products of such a row take {} cycles on 512 multipliers at D = 64; what a row \
         may take: 1.25 * {} + 16 = {}.\n\n\
         | | uniform rows, k = 1..n: mean | p99 | worst of all rows measured |\n| --- | --- | --- | --- |",
        n / 8,
        n / 8,
        n / 8 * 5 / 4 + 16
    )?;
    for (e, engine) in engines().iter().enumerate() {
        let Summary { mean, p99, .. } = case.engines[e].1;
        writeln!(text, "| `{}` | {mean:.0} | {p99} | {} |", engine.name(), worst(cases, lanes, n, e))?;
    }
    let folded = Batcher::new(n).folded(lanes);
    writeln!(text, "| Batcher's sorter on 32 comparators | {folded} | {folded} | {folded} |")?;
    Ok(())
}

fn authors_model(cases: &[Case], text: &mut String) -> Result<()> {
    let mut rng = Rng::new(1);
    writeln!(
        text,
        "\n## The authors' latency model\n\nThe authors' release models quick-select (`TopKLatencyModel.scala` of mit-han-lab/spatten) \
         as `ceil(candidates / lanes) + 3` cycles per\npass, over random pivots and rows of distinct random scores. Its \
         averages for 1024 scores and 16 lanes lie between\n214 and 261 cycles, p99 390 to 430. The same rule on the passes of our golden \
         engine, 1000 such rows each, mean / p99 / largest:\n"
    )?;
    let (mut head, mut rule, mut line) = (String::from("| k |"), String::from("| --- |"), String::from("| cycles |"));
    for k in [16, 32, 64, 128, 256, 512] {
        let row = |_| Row { scores: (0..1024).map(|_| rng.bits() >> 32).collect(), k };
        let rows: Vec<Row> = (0..1000).map(row).collect();
        let model = Summary::of(authors(&rows, 16).into_iter());
        write!(head, " {k} |")?;
        rule += " --- |";
        write!(line, " {model} |")?;
    }
    writeln!(text, "{head}\n{rule}\n{line}")?;
    let uniform = |c: &&Case| c.lanes == 16 && c.n == 1024 && c.kind == "uniform";
    let measured: Vec<String> =
        cases.iter().filter(uniform).map(|c| format!("{} for k = {}", c.engines[0].1, c.keep)).collect();
    writeln!(
        text,
        "\nIt counts no storing of the row ({} cycles before its first pass) and a shorter gap between passes: ours has {} cycles beside a \
         pass's\nbeats, until its last beat is counted and stored and the next pivot is read. The RTL needs, on uniform rows,\n{}.\n\
         In the tables below the column `model` is the same rule on the very rows that the RTL was given.",
        1024 / 16 + 3,
        QuickSelect::pass_cycles(16),
        measured.join("; ")
    )?;
    Ok(())
}

pub fn report(cases: &[Case]) -> Result<String> {
    let engines = engines();
    let mut text = String::from(HEAD);
    if !cases.iter().any(|c| c.kind == "attention") {
        writeln!(text, "\nAttention rows of a model are missing: the recorded traces are not there (`SPATTEN_DATA`).")?;
    }
    answer(cases, &mut text)?;
    text += "\n![cycles per row](topk.svg)\n\n## Cells\n\n\
        `scripts/synth.py` (yosys, ECP5), each alone, rows of up to 1024 scores.\n\n\
        | lanes | engine | LUT4 | FF | CCU2C | DSP | block RAM | LUT RAM |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for config in [ArchConfig::eighth(), ArchConfig::paper()] {
        let size = size_of(&config, config.keys_on_chip);
        for engine in &engines {
            let cells = cells(engine.as_ref(), size)?;
            let [lut, ff, carry, dsp, bram, lutram] =
                ["lut4", "ff", "ccu2c", "dsp", "bram", "lutram"].map(|key| cells[key].to_string());
            let name = engine.name();
            writeln!(text, "| {} | `{name}` | {lut} | {ff} | {carry} | {dsp} | {bram} | {lutram} |", size.lanes)?;
        }
    }

    text += "\n## Batcher's odd-even merge sorter\n\n\
        For n = 2^p inputs: p (p + 1) / 2 stages, (p^2 - p + 4) 2^(p - 2) - 1 comparators (Batcher 1968; Knuth, The Art of\n\
        Computer Programming, volume 3, section 5.3.4). Whole, it takes a row in n / lanes cycles; the folded one has 2 * lanes\n\
        comparators, as many as quick-select's two arrays: the sum over its stages of comparators / (2 * lanes), rounded up;\n\
        reading and writing n scores beside it is not counted.\n\n\
        | n | stages (depth) | comparators | widest stage | latency of the whole, 16 lanes | folded, 8 lanes | folded, 16 lanes |\n\
        | --- | --- | --- | --- | --- | --- | --- |\n";
    for n in [16, 64, 256, 384, 1024, 4096] {
        let b = Batcher::new(n);
        let (stages, comparators, widest) = (b.stages.len(), b.comparators(), b.stages.iter().max().unwrap_or(&0));
        let (whole, eight, sixteen) = (n / 16 + stages, b.folded(8), b.folded(16));
        writeln!(text, "| {n} | {stages} | {comparators} | {widest} | {whole} | {eight} | {sixteen} |")?;
    }
    authors_model(cases, &mut text)?;

    for lanes in [8, 16] {
        write!(
            text,
            "\n## {lanes} lanes\n\nBehind each engine's cycles from row to row: the mean from a row's first beat to the end of its answer. \
             `radix_select` and\n`top_k` work on two and three rows at once, so that this is longer than the time from row to row.\n\n\
             | n | rows | k | Batcher | model |"
        )?;
        engines.iter().try_for_each(|engine| write!(text, " `{}` | answer |", engine.name()))?;
        text += "\n| --- | --- | --- | --- | --- |";
        engines.iter().for_each(|_| text += " --- | --- |");
        text += "\n";
        for c in cases.iter().filter(|c| c.lanes == lanes) {
            let folded = Batcher::new(c.n).folded(lanes);
            write!(text, "| {} | {} | {} | {folded} | {} |", c.n, c.kind, c.keep, c.authors)?;
            c.engines.iter().try_for_each(|(latency, period)| write!(text, " {period} | {:.0} |", latency.mean))?;
            text += "\n";
        }
    }
    let size = size_of(&ArchConfig::paper(), 1024);
    let closest = (1..=1024).max_by_key(|&n| 32 * TopK::period(size.bits, size.lanes, n) as i64 - 5 * n as i64 - 512);
    let closest = closest.unwrap_or(1);
    writeln!(
        text,
        "\n## The bound\n\nAt the paper's size `top_k` takes a row of n scores every max(m + 6, 2 * m + 12) cycles with m = ceil(n / 16), \
         whatever the scores and k:\n140 for n = 1024, where 1.25 * n / 8 + 16 = 176. It comes closest to that line at n = {closest}: {} of \
         {:.1} cycles.\n`tests/top_k.rs` measures it for every n from 0 to 1024 with rows of every kind.",
        TopK::period(size.bits, size.lanes, closest),
        1.25 * closest as f64 / 8.0 + 16.0
    )?;
    Ok(text)
}
