//! Selection engines in RTL: cycles per row, cells, against a sorting network and the authors' latency model.
//! `make bench-topk` runs it and rewrites `docs/topk.md` and `docs/topk.svg`.
//!
//! ```text
//! rows --> beats, k --> Verilated engine --> answers, compared with golden
//!            \--- cycle of the first beat taken, of the last beat out ---> mean, p99, max
//! ```
//! Every number of cycles of our engines comes from the RTL; the answers are checked, so that no fast wrong engine wins.
//!
//! | file | idea |
//! | --- | --- |
//! | `engines` | what is measured |
//! | `cases` | with which rows |
//! | `rtl` | how |
//! | `others` | what it is compared with |
//! | `report`, `plot` | the document |

#[path = "bench_topk/cases.rs"]
mod cases;
#[path = "../tests/common/mod.rs"]
mod common;
#[path = "bench_topk/engines.rs"]
mod engines;
#[path = "bench_topk/others.rs"]
mod others;
#[path = "bench_topk/plot.rs"]
mod plot;
#[path = "bench_topk/report.rs"]
mod report;
#[path = "../tests/common/selection.rs"]
mod rows;
#[path = "bench_topk/rtl.rs"]
mod rtl;

use anyhow::{Context, Result};
use cases::{Keep, attention, kinds, row_count};
use engines::{Engine, Size, engines};
use rows::Row;
use rtl::Rtl;
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_testkit::workspace_root;

/// Mean, 99th percentile and largest.
#[derive(Debug, Clone, Copy)]
struct Summary {
    mean: f64,
    p99: u64,
    max: u64,
}

impl Summary {
    fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.collect();
        values.sort_unstable();
        let at = (values.len() * 99).div_ceil(100) - 1;
        let mean = values.iter().sum::<u64>() as f64 / values.len() as f64;
        Self { mean, p99: values[at], max: values[values.len() - 1] }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.mean == self.max as f64 {
            return write!(f, "{}", self.max);
        }
        write!(f, "{:.0} / {} / {}", self.mean, self.p99, self.max)
    }
}

/// One line of the table.
struct Case {
    lanes: usize,
    n: usize,
    kind: &'static str,
    keep: Keep,
    /// Latency and period of each engine.
    engines: Vec<(Summary, Summary)>,
    /// What the authors' model says of the paper's engine.
    authors: Summary,
}

fn size_of(config: &ArchConfig, keys: usize) -> Size {
    Size { bits: Formats::new(config).probability.width() as usize, lanes: config.topk_lanes, keys }
}

fn measure(config: &ArchConfig, keys: usize, lengths: &[usize], into: &mut Vec<Case>) -> Result<()> {
    let size = size_of(config, keys);
    let engines = engines();
    let mut rtl = engines.iter().map(|e| Rtl::new(e.as_ref(), size)).collect::<Result<Vec<_>>>()?;
    let mut case = |n: usize, kind: &'static str, keep: Keep, rows: &dyn Fn(&dyn Engine) -> Vec<Row>| -> Result<()> {
        let mut summaries = vec![];
        for (engine, rtl) in engines.iter().zip(&mut rtl) {
            let times =
                rtl.run(&rows(engine.as_ref())).with_context(|| format!("{} {kind} n {n} k {keep}", engine.name()))?;
            let latency = Summary::of(times.iter().map(|t| t.latency));
            summaries.push((latency, Summary::of(times.iter().map(|t| t.period))));
        }
        let periods: Vec<String> = summaries.iter().map(|s| s.1.to_string()).collect();
        eprintln!("{} lanes, n {n}, {kind}, k {keep}: {}", size.lanes, periods.join("; "));
        let authors = Summary::of(others::authors(&rows(engines[0].as_ref()), size.lanes).into_iter());
        into.push(Case { lanes: size.lanes, n, kind, keep, engines: summaries, authors });
        Ok(())
    };
    // Beside the rows that fill the pipeline, and the last, after which no row begins.
    let beside = |engine: &dyn Engine| engine.warm_up() + 1;
    for &n in lengths {
        let count = row_count(n);
        for (kind, scores) in kinds(n, size.bits, count) {
            for keep in Keep::all(n) {
                case(n, kind, keep, &|engine| keep.rows(&scores, count + beside(engine)))?;
            }
        }
        for keep in Keep::all(n) {
            // Hundreds of thousands of cycles each where it hurts.
            if let Keep::Of(k) = keep {
                case(n, "adversary", keep, &|engine| engine.adversary(n, k, 2 + beside(engine), size))?;
            }
        }
    }
    if keys == config.keys_on_chip {
        for (n, scores) in attention(row_count(keys)) {
            for keep in Keep::all(n) {
                case(n, "attention", keep, &|engine| keep.rows(&scores, scores.len() + beside(engine)))?;
            }
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut cases = vec![];
    for config in [ArchConfig::eighth(), ArchConfig::paper()] {
        measure(&config, config.keys_on_chip, &[16, 64, 256, 384, 1024], &mut cases)?;
        // Memories for the longest rows that any configuration can have.
        measure(&config, 4096, &[4096], &mut cases)?;
    }
    let text = report::report(&cases)?;
    println!("{text}");
    let docs = workspace_root().join("docs");
    std::fs::write(docs.join("topk.md"), &text)?;
    std::fs::write(docs.join("topk.svg"), plot::plot(&cases).map_err(|e| anyhow::anyhow!("plot: {e}"))?)?;
    Ok(())
}
