//! `spatten infer`: sentences through a real transformer, its attention on the device, beside the dense f64 result.

use crate::card::attention::Timing;
use crate::cli::{Failure, MachineArgs};
use crate::device::{Device, Machine};
use crate::model::{DenseAttention, Embedding, Encoder, resolve};
use crate::output::{self, OutTensors, progress};
use crate::report::Speed;
use anyhow::Context;
use clap::Args;
use ndarray::Array1;
use rayon::prelude::*;
use serde::Serialize;
use spatten_arch::toml_file::one_line;
use spatten_golden::attention::{Attention, LayerInput, LayerOutput};
use spatten_golden::cascade::{LayerReport, Sequence};
use spatten_golden::quantiser::{Calibration, absmax_per_head};
use spatten_golden::trace::Mode;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A text file longer than this is not a list of sentences.
const MAX_TEXT_BYTES: u64 = 16 << 20;

/// The model and its texts.
#[derive(Debug, Clone, Args)]
pub struct TextArgs {
    /// Folder in the Hugging Face layout, or a name.
    #[arg(long, value_name = "DIR|NAME", default_value = "all-MiniLM-L6-v2")]
    model: String,
    /// A sentence; may be given several times.
    #[arg(long, conflicts_with = "file", required_unless_present = "file")]
    text: Vec<String>,
    /// A file with one sentence per line; empty lines and lines that begin with # are skipped.
    #[arg(long)]
    file: Option<PathBuf>,
}

/// Arguments of `spatten infer`.
#[derive(Debug, Args)]
pub struct InferArgs {
    #[command(flatten)]
    texts: TextArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// Embeddings as safetensors: `embeddings` and `dense`, f32 [sentences, hidden].
    #[arg(long, value_name = "OUT.safetensors")]
    out: Option<PathBuf>,
    /// The same figures as JSON.
    #[arg(long, value_name = "REPORT.json")]
    report: Option<PathBuf>,
}

/// Arguments of `spatten calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    texts: TextArgs,
    /// The table to write (TOML).
    #[arg(long, value_name = "FILE.toml")]
    out: PathBuf,
}

/// Loads a model by folder or name.
pub fn load_model(name: &str) -> Result<Encoder, Failure> {
    Ok(Encoder::load(&resolve(name)?)?)
}

impl TextArgs {
    fn read(&self) -> Result<Vec<String>, Failure> {
        let Some(path) = &self.file else { return Ok(self.text.clone()) };
        let shown = path.display();
        let meta = std::fs::metadata(path).with_context(|| format!("{shown}: cannot read sentences"))?;
        if !meta.is_file() || meta.len() > MAX_TEXT_BYTES {
            return Err(Failure::input(format!("{shown}: expected a text file of at most {MAX_TEXT_BYTES} bytes")));
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot read sentences"))?;
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let sentences: Vec<String> = lines.map(String::from).collect();
        if sentences.is_empty() {
            return Err(Failure::input(format!("{shown}: no sentence, expected one per line")));
        }
        Ok(sentences)
    }
}

/// A sentence on a machine.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// The embedding and what was alive in each layer.
    pub embedding: Embedding,
    /// Traffic per layer.
    pub layers: Vec<LayerReport>,
    /// Cycles, where the device has them.
    pub timing: Option<Timing>,
}

impl Embedded {
    /// Sums over layers.
    pub fn total(&self) -> LayerReport {
        let mut sum = LayerReport::default();
        self.layers.iter().for_each(|l| sum += l);
        sum
    }
}

fn sequence(encoder: &Encoder, tokens: usize) -> Sequence {
    Sequence {
        layers: encoder.layers(),
        heads: encoder.heads(),
        kv_heads: encoder.heads(),
        head_dim: encoder.head_dim(),
        rows: tokens,
        mask: vec![true; tokens],
        mode: Mode::Encoder,
        scale: 1.0 / (encoder.head_dim() as f64).sqrt(),
    }
}

/// Whether sentences of up to `tokens` tokens of this model can run on the machine.
pub fn check(machine: &Machine, encoder: &Encoder, tokens: usize) -> Result<(), Failure> {
    let heads = encoder.heads();
    machine.check("the longest sentence", encoder.layers(), heads, heads, tokens, encoder.head_dim())
}

/// Embeds token ids with the machine's attention.
pub fn embed(machine: &Machine, encoder: &Encoder, ids: &[u32]) -> Result<Embedded, Failure> {
    let mut job = machine.begin(sequence(encoder, ids.len()))?;
    let embedding = encoder.embed(ids, job.sequential());
    let layers = job.sequential().reports().to_vec();
    let timing = job.finish()?;
    Ok(Embedded { embedding, layers, timing })
}

/// Embeds token ids densely in f64.
pub fn embed_dense(encoder: &Encoder, ids: &[u32]) -> Array1<f64> {
    encoder.embed(ids, &mut DenseAttention::new(ids.len(), encoder.heads())).vector
}

#[derive(Debug, Serialize)]
struct SentenceReport {
    text: String,
    tokens: usize,
    truncated: bool,
    cosine_to_dense: f64,
    tokens_kept: Vec<usize>,
    heads_kept: Vec<usize>,
    rows: u64,
    refetched_rows: u64,
    saturations: u64,
    read_bytes: u64,
    dense_12bit_bytes: u64,
    dense_fp32_bytes: u64,
    #[serde(flatten)]
    speed: Option<Speed>,
}

#[derive(Debug, Serialize)]
struct InferReport {
    arch: String,
    device: Device,
    model: String,
    plan: String,
    mean_cosine_to_dense: f64,
    read_bytes: u64,
    dense_12bit_bytes: u64,
    dense_fp32_bytes: u64,
    sentences: Vec<SentenceReport>,
    similarity_dense: Vec<Vec<f64>>,
    similarity: Vec<Vec<f64>>,
}

/// Runs `spatten infer`.
pub fn command(args: &InferArgs) -> Result<(), Failure> {
    let machine = Machine::load(&args.machine)?;
    let texts = args.texts.read()?;
    let outputs = [("--out", &args.out), ("--report", &args.report)];
    let outputs: Vec<_> = outputs.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?))).collect();
    let mut inputs = args.machine.files();
    inputs.extend(args.texts.file.as_deref().map(|file| ("--file", file)));
    output::check_places(&outputs, &inputs)?;
    let encoder = load_model(&args.texts.model)?;
    let tokens = texts.iter().map(|t| encoder.tokenize(t)).collect::<Result<Vec<_>, _>>()?;
    check(&machine, &encoder, tokens.iter().map(|t| t.ids.len()).max().unwrap_or(0))?;

    let bar = progress(2 * texts.len(), "embedding");
    let results = tokens
        .par_iter()
        .map(|t| {
            let dense = embed_dense(&encoder, &t.ids);
            bar.inc(1);
            let embedded = embed(&machine, &encoder, &t.ids)?;
            bar.inc(1);
            Ok((dense, embedded))
        })
        .collect::<Result<Vec<(Array1<f64>, Embedded)>, Failure>>();
    bar.finish_and_clear();
    let results = results?;

    let sentences: Vec<SentenceReport> = texts
        .iter()
        .zip(&tokens)
        .zip(&results)
        .map(|((text, tokens), (dense, e))| {
            let total = e.total();
            SentenceReport {
                text: text.clone(),
                tokens: tokens.ids.len(),
                truncated: tokens.truncated,
                cosine_to_dense: dense.dot(&e.embedding.vector),
                tokens_kept: e.embedding.tokens_kept(),
                heads_kept: e.embedding.heads_kept(),
                rows: total.rows,
                refetched_rows: total.refetched_rows,
                saturations: total.saturations.total(),
                read_bytes: total.read_bytes(),
                dense_12bit_bytes: total.dense_12bit_bytes,
                dense_fp32_bytes: total.dense_fp32_bytes,
                speed: e.timing.as_ref().map(|t| Speed::of(&t.total, &machine.arch, total.ops)),
            }
        })
        .collect();
    let matrix = |pick: &dyn Fn(usize) -> Array1<f64>| -> Vec<Vec<f64>> {
        let vectors: Vec<Array1<f64>> = (0..results.len()).map(pick).collect();
        vectors.iter().map(|a| vectors.iter().map(|b| a.dot(b)).collect()).collect()
    };
    let sum = |of: fn(&SentenceReport) -> u64| sentences.iter().map(of).sum::<u64>();
    let report = InferReport {
        arch: machine.arch.name.clone(),
        device: machine.device,
        model: args.texts.model.clone(),
        plan: machine.plan_origin.clone(),
        mean_cosine_to_dense: sentences.iter().map(|s| s.cosine_to_dense).sum::<f64>() / sentences.len() as f64,
        read_bytes: sum(|s| s.read_bytes),
        dense_12bit_bytes: sum(|s| s.dense_12bit_bytes),
        dense_fp32_bytes: sum(|s| s.dense_fp32_bytes),
        similarity_dense: matrix(&|i| results[i].0.clone()),
        similarity: matrix(&|i| results[i].1.embedding.vector.clone()),
        sentences,
    };
    let job = |e: output::OutputError| Failure::Job(e.into());
    output::say(&summary(&report, &encoder)).map_err(job)?;

    if let Some(path) = &args.report {
        let json = serde_json::to_string_pretty(&report).context("report to JSON").map_err(Failure::Job)?;
        output::write_atomically(path, format!("{json}\n").as_bytes()).map_err(job)?;
    }
    if let Some(path) = &args.out {
        let shape = [results.len(), encoder.hidden()];
        let flat = |vectors: Vec<&Array1<f64>>| vectors.into_iter().flatten().map(|&x| x as f32).collect::<Vec<_>>();
        let embeddings = flat(results.iter().map(|r| &r.1.embedding.vector).collect());
        let dense = flat(results.iter().map(|r| &r.0).collect());
        let bytes = OutTensors::new().f32("embeddings", &shape, &embeddings).f32("dense", &shape, &dense).to_bytes();
        output::write_atomically(path, &bytes).map_err(job)?;
    }
    Ok(())
}

fn clip(text: &str, width: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= width {
        return text;
    }
    format!("{}...", text.chars().take(width - 3).collect::<String>())
}

fn summary(r: &InferReport, encoder: &Encoder) -> String {
    let mut s = String::new();
    let _ = writeln!(
        s,
        "{}: {} layers, {} heads, d {}, {} values per embedding; host layers f64",
        r.model,
        encoder.layers(),
        encoder.heads(),
        encoder.head_dim(),
        encoder.hidden()
    );
    let _ = writeln!(s, "attention: device {}, arch {}, plan {}\n", r.device.name(), r.arch, r.plan);
    let lists: Vec<(String, String)> =
        r.sentences.iter().map(|x| (format!("{:?}", x.tokens_kept), format!("{:?}", x.heads_kept))).collect();
    let tokens_width = lists.iter().map(|l| l.0.len()).max().unwrap_or(0).max(21);
    let heads_width = lists.iter().map(|l| l.1.len()).max().unwrap_or(0).max(20);
    let _ = writeln!(
        s,
        " # cosine to dense  {:tokens_width$}  {:heads_width$}  refetched   KB read  vs fp32  vs 12 bit  sentence",
        "tokens kept per layer", "heads kept per layer"
    );
    for (i, (x, (tokens, heads))) in r.sentences.iter().zip(&lists).enumerate() {
        let times = |dense: u64| dense as f64 / x.read_bytes.max(1) as f64;
        let _ = writeln!(
            s,
            "{:2} {:15.5}  {tokens:tokens_width$}  {heads:heads_width$}  {:8.1}%  {:8.1}  {:6.2}x  {:8.2}x  {}{}",
            i + 1,
            x.cosine_to_dense,
            100.0 * x.refetched_rows as f64 / x.rows.max(1) as f64,
            x.read_bytes as f64 / 1e3,
            times(x.dense_fp32_bytes),
            times(x.dense_12bit_bytes),
            clip(&x.text, 48),
            if x.truncated { " (truncated)" } else { "" }
        );
    }
    let _ = writeln!(
        s,
        "\nmean cosine to dense {:.5}; {:.1} KB read against {:.1} KB in fp32 ({:.2}x) and {:.1} KB in 12 bit ({:.2}x)",
        r.mean_cosine_to_dense,
        r.read_bytes as f64 / 1e3,
        r.dense_fp32_bytes as f64 / 1e3,
        r.dense_fp32_bytes as f64 / r.read_bytes.max(1) as f64,
        r.dense_12bit_bytes as f64 / 1e3,
        r.dense_12bit_bytes as f64 / r.read_bytes.max(1) as f64
    );
    let n = r.sentences.len();
    if (2..=16).contains(&n) {
        let _ = writeln!(s, "\nsimilarity of the sentences: dense f64 above the diagonal, {} below", r.device.name());
        let _ = writeln!(s, "    {}", (1..=n).map(|j| format!("{j:7}")).collect::<String>());
        for i in 0..n {
            let row: String = (0..n)
                .map(|j| match i.cmp(&j) {
                    std::cmp::Ordering::Less => format!("{:7.3}", r.similarity_dense[i][j]),
                    std::cmp::Ordering::Equal => "      -".into(),
                    std::cmp::Ordering::Greater => format!("{:7.3}", r.similarity[i][j]),
                })
                .collect();
            let _ = writeln!(s, "{:3} {row}", i + 1);
        }
        let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        let worst = pairs.map(|(i, j)| (r.similarity[i][j] - r.similarity_dense[i][j]).abs()).fold(0.0, f64::max);
        let _ = writeln!(s, "largest change of a similarity {worst:.4}");
    }
    s
}

/// Attention that also records the absolute maxima of what passes through it.
struct Recorder {
    inner: DenseAttention,
    table: Calibration,
}

impl Attention for Recorder {
    fn queries(&self) -> &[usize] {
        self.inner.queries()
    }

    fn survivors(&self) -> &[usize] {
        self.inner.survivors()
    }

    fn heads_alive(&self) -> &[usize] {
        self.inner.heads_alive()
    }

    fn layer(&mut self, input: LayerInput<'_>) -> LayerOutput {
        let real = vec![true; input.q.dim().1];
        self.table.q.push(absmax_per_head(&input.q.to_owned(), &real));
        self.table.k.push(absmax_per_head(&input.k.to_owned(), &real));
        self.table.v.push(absmax_per_head(&input.v.to_owned(), &real));
        self.inner.layer(input)
    }
}

/// Absolute maxima over token lists.
pub fn calibration(encoder: &Encoder, ids: &[&[u32]]) -> Calibration {
    let tables: Vec<Calibration> = ids
        .par_iter()
        .map(|ids| {
            let inner = DenseAttention::new(ids.len(), encoder.heads());
            let mut recorder = Recorder { inner, table: Calibration::default() };
            encoder.embed(ids, &mut recorder);
            recorder.table
        })
        .collect();
    let mut all = Calibration::default();
    tables.iter().for_each(|t| all.merge(t));
    all
}

/// Runs `spatten calibrate`.
pub fn calibrate(args: &CalibrateArgs) -> Result<(), Failure> {
    let texts = args.texts.read()?;
    let inputs: Vec<_> = args.texts.file.as_deref().map(|file| ("--file", file)).into_iter().collect();
    output::check_places(&[("--out", &args.out)], &inputs)?;
    let encoder = load_model(&args.texts.model)?;
    let tokens = texts.iter().map(|t| encoder.tokenize(t)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<&[u32]> = tokens.iter().map(|t| &t.ids[..]).collect();
    write_calibration(&args.out, &calibration(&encoder, &ids))?;
    let done = format!("{}: absolute maxima of q, k and v over {} sentences\n", args.out.display(), texts.len());
    output::say(&done).map_err(|e| Failure::Job(e.into()))
}

/// Writes a calibration table.
pub fn write_calibration(path: &Path, table: &Calibration) -> Result<(), Failure> {
    let toml = toml::to_string(table).context("calibration to TOML").map_err(Failure::Job)?;
    output::write_atomically(path, toml.as_bytes()).map_err(|e| Failure::Job(e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_clipped_by_characters() {
        assert_eq!(clip("short", 8), "short");
        assert_eq!(clip("längerer Text", 8), "länge...");
    }
}
