//! `spatten eval`: how much quality pruning and quantisation cost on a real model.
//!
//! Sentence pairs of graded similarity are embedded densely in f64 and with each plan. Topics alternate between a tune half,
//! on which sweeps run and plans are searched, and a test half, on which the chosen plans are reported.

mod metrics;
mod plot;
mod search;
mod sentences;
mod sweep;

use crate::cli::Failure;
use crate::device::{Device, Machine};
use crate::infer::{Embedded, check, embed, embed_dense, load_model};
use crate::model::Encoder;
use crate::output::{self, progress};
use anyhow::Context;
use clap::Args;
use ndarray::Array1;
use rayon::prelude::*;
use sentences::{Half, SentenceSet};
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::cascade::LayerReport;
use std::fmt::Write;
use std::path::PathBuf;

/// Arguments of `spatten eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Folder in the Hugging Face layout, or a name.
    #[arg(long, value_name = "DIR|NAME", default_value = "all-MiniLM-L6-v2")]
    model: String,
    /// Graded sentence pairs.
    #[arg(long, default_value = "data/graded-sentences.toml")]
    sentences: PathBuf,
    /// Accelerator configuration: tiny, eighth, paper, or a TOML file.
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "paper")]
    arch: String,
    /// golden (bit-exact fixed point) or reference (f64).
    #[arg(long, value_name = "DEVICE", default_value = "golden")]
    device: Device,
    /// Plans to report on the test half; may be given several times.
    #[arg(long, value_name = "FILE.toml")]
    plan: Vec<PathBuf>,
    /// Sweep every option on the tune half and write table and plots here.
    #[arg(long, value_name = "DIR")]
    sweep: Option<PathBuf>,
    /// Search for the plans that save most at a mean cosine of 0.99 and 0.95, and write them here.
    #[arg(long, value_name = "DIR")]
    search: Option<PathBuf>,
    /// Only every N-th topic of each half: a quick look.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    every: u32,
}

/// What a plan costs and saves on one half.
#[derive(Debug, Clone)]
pub struct Quality {
    /// Of a pruned embedding to the dense one of the same text.
    pub mean_cosine: f64,
    /// The smallest of them.
    pub worst_cosine: f64,
    /// Rank correlation of the pairs' similarity with their grades.
    pub spearman: f64,
    /// Share of texts whose nearest other text is the same as with dense embeddings.
    pub top1_agreement: f64,
    /// Sums over texts and layers.
    pub total: LayerReport,
    /// Operations of attention without pruning.
    pub dense_ops: u64,
}

impl Quality {
    /// Times fewer bytes than fp32 dense.
    pub fn fp32_saving(&self) -> f64 {
        self.total.dense_fp32_bytes as f64 / self.total.read_bytes().max(1) as f64
    }

    /// Times fewer bytes than 12-bit dense.
    pub fn bits12_saving(&self) -> f64 {
        self.total.dense_12bit_bytes as f64 / self.total.read_bytes().max(1) as f64
    }

    /// Times fewer operations of attention than dense.
    pub fn ops_saving(&self) -> f64 {
        self.dense_ops as f64 / self.total.ops.max(1) as f64
    }

    /// Share of rows that were computed again.
    pub fn refetched(&self) -> f64 {
        self.total.refetched_rows as f64 / self.total.rows.max(1) as f64
    }
}

/// Some texts with a plan.
struct Sample {
    vectors: Vec<Array1<f64>>,
    cosines: Vec<f64>,
    total: LayerReport,
    dense_ops: u64,
}

impl Sample {
    fn mean_cosine(&self) -> f64 {
        self.cosines.iter().sum::<f64>() / self.cosines.len() as f64
    }
}

/// A model, its sentences, and their dense embeddings.
pub struct Evaluator {
    encoder: Encoder,
    device: Device,
    arch: ArchConfig,
    set: SentenceSet,
    dense: Vec<Array1<f64>>,
}

impl Evaluator {
    fn machine(&self, plan: &Plan, origin: &str) -> Result<Machine, Failure> {
        let machine = Machine::new(self.device, self.arch.clone(), plan.clone(), origin.into())?;
        check(&machine, &self.encoder, self.set.longest())?;
        Ok(machine)
    }

    /// Embeds some texts with a plan.
    fn sample(&self, plan: &Plan, origin: &str, texts: &[usize]) -> Result<Sample, Failure> {
        let machine = self.machine(plan, origin)?;
        let embed = |&i: &usize| embed(&machine, &self.encoder, &self.set.texts[i].ids);
        let embedded = texts.par_iter().map(embed).collect::<Result<Vec<Embedded>, Failure>>()?;
        let mut total = LayerReport::default();
        embedded.iter().for_each(|e| total += &e.total());
        let vectors: Vec<Array1<f64>> = embedded.into_iter().map(|e| e.embedding.vector).collect();
        Ok(Sample {
            cosines: vectors.iter().zip(texts).map(|(v, &i)| v.dot(&self.dense[i])).collect(),
            vectors,
            total,
            dense_ops: texts.iter().map(|&i| self.dense_ops(self.set.texts[i].ids.len() as u64)).sum(),
        })
    }

    /// Measures a plan on one half.
    pub fn measure(&self, plan: &Plan, origin: &str, half: Half) -> Result<Quality, Failure> {
        let texts = self.set.half(half);
        let sample = self.sample(plan, origin, &texts)?;
        let pruned: Vec<&Array1<f64>> = sample.vectors.iter().collect();
        let dense: Vec<&Array1<f64>> = texts.iter().map(|&i| &self.dense[i]).collect();
        Ok(Quality {
            mean_cosine: sample.mean_cosine(),
            worst_cosine: sample.cosines.iter().copied().fold(1.0, f64::min),
            spearman: self.spearman(half, &texts, &pruned),
            top1_agreement: metrics::top1_agreement(&dense, &pruned),
            total: sample.total,
            dense_ops: sample.dense_ops,
        })
    }

    /// Multiplications and additions of scores and values, all heads and layers.
    fn dense_ops(&self, tokens: u64) -> u64 {
        let e = &self.encoder;
        4 * tokens * tokens * (e.layers() * e.heads() * e.head_dim()) as u64
    }

    fn spearman(&self, half: Half, texts: &[usize], vectors: &[&Array1<f64>]) -> f64 {
        let of = |text: usize| vectors[texts.iter().position(|&t| t == text).expect("pairs stay within a half")];
        let pairs = self.set.pairs(half);
        let similarity: Vec<f64> = pairs.iter().map(|p| of(p.anchor).dot(of(p.variant))).collect();
        let grades: Vec<f64> = pairs.iter().map(|p| p.grade).collect();
        metrics::spearman(&similarity, &grades)
    }

    /// Token ids of the tune half.
    fn tune_ids(&self) -> Vec<&[u32]> {
        self.set.half(Half::Tune).into_iter().map(|i| &self.set.texts[i].ids[..]).collect()
    }

    /// The shorter half of the tune texts, for measurements that are many.
    fn short_texts(&self) -> Vec<usize> {
        let mut texts = self.set.half(Half::Tune);
        texts.sort_by_key(|&i| self.set.texts[i].ids.len());
        texts.truncate(texts.len().div_ceil(2));
        texts
    }

    fn dense_spearman(&self, half: Half) -> f64 {
        let texts = self.set.half(half);
        self.spearman(half, &texts, &texts.iter().map(|&i| &self.dense[i]).collect::<Vec<_>>())
    }
}

/// Runs the command.
pub fn command(args: &EvalArgs) -> Result<(), Failure> {
    let arch = ArchConfig::load(&args.arch)?;
    let plans = args
        .plan
        .iter()
        .map(|path| Ok((path.display().to_string(), Plan::load(path)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    for folder in [&args.sweep, &args.search].into_iter().flatten() {
        std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot create the folder", folder.display()))?;
        output::check_writable(&folder.join("table.md"))?;
    }
    let encoder = load_model(&args.model)?;
    let set = SentenceSet::load(&args.sentences, &encoder, args.every as usize)?;
    let bar = progress(set.texts.len(), "dense");
    let dense = set
        .texts
        .par_iter()
        .map(|t| {
            let e = embed_dense(&encoder, &t.ids);
            bar.inc(1);
            e
        })
        .collect();
    bar.finish_and_clear();
    let evaluator = Evaluator { encoder, device: args.device, arch, set, dense };
    for (origin, plan) in &plans {
        evaluator.machine(plan, origin)?;
    }
    let mut head = format!("{}\n", evaluator.set.summary());
    for half in [Half::Tune, Half::Test] {
        let _ = writeln!(head, "dense f64: Spearman {:.4} on the {} half", evaluator.dense_spearman(half), half.name());
    }
    say(&head)?;

    if let Some(folder) = &args.sweep {
        sweep::run(&evaluator, folder)?;
    }
    if let Some(folder) = &args.search {
        search::run(&evaluator, folder)?;
    }
    if !plans.is_empty() {
        let mut table = Table::new();
        for (origin, plan) in &plans {
            table.row(origin, &evaluator.measure(plan, origin, Half::Test)?);
        }
        say(&format!("\ntest half:\n{}", table.text()))?;
    }
    Ok(())
}

/// Prints; what is lost when that fails is the job's result.
fn say(text: &str) -> Result<(), Failure> {
    output::say(text).map_err(|e| Failure::Job(e.into()))
}

/// Rows of qualities, readable as text and as Markdown.
struct Table(String);

impl Table {
    fn new() -> Self {
        let mut s = String::new();
        let columns = ["mean cos", "worst cos", "Spearman", "top-1", "refetched", "vs fp32", "vs 12 bit", "fewer ops"];
        let _ = write!(s, "| {:44} |", "setting");
        columns.iter().for_each(|c| {
            let _ = write!(s, " {c:>9} |");
        });
        let _ = write!(s, "\n| {:44} |", "---");
        columns.iter().for_each(|_| s += " --------: |");
        s.push('\n');
        Self(s)
    }

    fn row(&mut self, name: &str, q: &Quality) {
        let _ = writeln!(
            self.0,
            "| {name:44} | {:9.4} | {:9.4} | {:9.4} | {:8.1}% | {:8.1}% | {:8.2}x | {:8.2}x | {:8.2}x |",
            q.mean_cosine,
            q.worst_cosine,
            q.spearman,
            100.0 * q.top1_agreement,
            100.0 * q.refetched(),
            q.fp32_saving(),
            q.bits12_saving(),
            q.ops_saving()
        );
    }

    fn text(&self) -> &str {
        &self.0
    }
}
