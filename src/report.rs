//! `REPORT.json` and its summary. Keys that need a device with cycles are absent without one, not zero.

mod speed;

pub use speed::Speed;

use crate::card::Counters;
use crate::device::{Device, Machine, Run};
use crate::workload::counts::{CountRow, CountTrace};
use serde::Serialize;
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::registers::Counter;
use spatten_arch::toml_file::one_line;
use spatten_golden::bitwidth_converter::plane_bytes;
use spatten_golden::cascade::{LayerReport, Saturations};
use spatten_golden::trace::{Mode, Trace};
use std::fmt::Write;

/// A report; see 3-interfaces of the documentation for the keys. Numbers are plain counts and bytes.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    arch: String,
    device: Device,
    seed: u64,
    workload: WorkloadSummary,
    #[serde(flatten)]
    speed: Option<Speed>,
    ops: u64,
    dram: Dram,
    /// Tokens that entered each layer; in generation of the last step.
    tokens_kept: Vec<usize>,
    /// Heads computed in each layer; likewise.
    heads_kept: Vec<usize>,
    rows: u64,
    refetched_rows: u64,
    /// All values that did not fit their format.
    #[serde(skip_serializing_if = "Option::is_none")]
    saturations: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saturations_by_kind: Option<SaturationReport>,
    /// Counts of a plan that were above what was left.
    clamped_counts: u64,
    topk: TopK,
    layers: Vec<Layer>,
    /// One per generation step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step>,
    /// What a reader should know before using the numbers.
    notes: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct WorkloadSummary {
    file: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    layers: usize,
    heads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    kv_heads: Option<usize>,
    head_dim: usize,
    query_rows: usize,
    keys: usize,
    /// Tensors of the file that nothing reads.
    ignored_tensors: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct ReadBytes {
    q: u64,
    k_msb: u64,
    k_lsb: u64,
    v: u64,
    /// Parameters, maps and contexts.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<u64>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Dram {
    read_bytes: ReadBytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_bytes: Option<u64>,
    dense_12bit_bytes: u64,
    dense_fp32_bytes: u64,
    /// Share of the bytes that the channels could have moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    bandwidth_utilization: Option<f64>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct SaturationReport {
    logit: u64,
    output: u64,
    importance: u64,
    value_norm: u64,
}

#[derive(Debug, Clone, Default, Serialize)]
struct TopK {
    calls: u64,
    /// Of all selections.
    #[serde(skip_serializing_if = "Option::is_none")]
    cycles: Option<u64>,
    /// Of the longest one of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cycles: Option<u64>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Layer {
    layer: usize,
    tokens_kept: usize,
    heads_kept: usize,
    query_rows: usize,
    #[serde(flatten)]
    speed: Option<Speed>,
    ops: u64,
    dram: Dram,
    rows: u64,
    refetched_rows: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    saturations: Option<u64>,
    topk: TopK,
}

#[derive(Debug, Clone, Serialize)]
struct Step {
    tokens_kept: Vec<usize>,
    heads_kept: Vec<usize>,
    refetched_rows: u64,
    read_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cycles: Option<u64>,
}

impl From<Saturations> for SaturationReport {
    fn from(s: Saturations) -> Self {
        Self { logit: s.logit, output: s.output, importance: s.importance, value_norm: s.value_norm }
    }
}

impl Dram {
    fn of(r: &LayerReport, counters: Option<&Counters>, arch: &ArchConfig) -> Self {
        Self {
            read_bytes: ReadBytes {
                q: r.q_bytes,
                k_msb: r.k_msb_bytes,
                k_lsb: r.k_lsb_bytes,
                v: r.v_bytes,
                other: counters.map(|c| c[Counter::ReadOther]),
            },
            write_bytes: Some(counters.map_or(r.write_bytes, |c| c[Counter::Write])),
            dense_12bit_bytes: r.dense_12bit_bytes,
            dense_fp32_bytes: r.dense_fp32_bytes,
            bandwidth_utilization: counters.map(|c| speed::bandwidth_utilization(c, arch)),
        }
    }

    fn read(&self) -> u64 {
        let r = &self.read_bytes;
        r.q + r.k_msb + r.k_lsb + r.v
    }
}

impl TopK {
    fn of(r: &LayerReport, counters: Option<&Counters>) -> Self {
        Self {
            calls: r.topk_calls,
            cycles: counters.and_then(|c| c.get(Counter::TopkCycles)),
            max_cycles: counters.and_then(|c| c.get(Counter::TopkCycles).map(|_| c.topk_longest)),
        }
    }
}

impl Report {
    /// Of a run with tensors.
    pub fn of_trace(machine: &Machine, seed: u64, file: &str, trace: &Trace, ignored: &[String], run: &Run) -> Self {
        let (result, timing, arch) = (&run.result, run.timing.as_ref(), &machine.arch);
        let layers = trace.layers();
        // A card may not count them.
        let saturates = timing.is_none_or(|t| t.total.get(Counter::SaturatedLogit).is_some());
        let mut per_layer = vec![LayerReport::default(); layers];
        for step in &result.reports {
            for (sum, layer) in per_layer.iter_mut().zip(step) {
                *sum += layer;
            }
        }
        // Of every layer over all steps, as far as the device counts.
        let counted: Option<Vec<Counters>> = timing.map(|t| {
            let mut sums = vec![Counters::default(); layers];
            t.layers.chunks(layers).flat_map(|step| step.iter().enumerate()).for_each(|(l, c)| sums[l] += c);
            sums
        });
        let mut total = LayerReport::default();
        per_layer.iter().for_each(|l| total += l);
        let lengths = |lists: &[Vec<usize>]| lists.iter().take(layers).map(Vec::len).collect::<Vec<_>>();
        let last = result.passes.last().expect("a run has at least one pass");
        let mut notes = vec![];
        let dim = trace.head_dim();
        if machine.device != Device::Reference && !HEAD_DIMS.contains(&dim) {
            let padded = HEAD_DIMS.into_iter().find(|&d| d > dim).unwrap_or(dim);
            notes.push(format!("head dimension {dim} runs as {padded}, padded with zeros; bytes are those of {dim}"));
        }
        if total.clamped_counts > 0 {
            notes
                .push(format!("{} counts of the plan were above what was left and were clamped", total.clamped_counts));
        }
        if !ignored.is_empty() {
            notes.push(format!("{} tensors of the file are not part of the workload and were ignored", ignored.len()));
        }
        let steps = if trace.mode == Mode::Decode {
            result
                .passes
                .iter()
                .zip(&result.reports)
                .enumerate()
                .map(|(step, (pass, reports))| Step {
                    tokens_kept: lengths(&pass.survivors),
                    heads_kept: lengths(&pass.heads),
                    refetched_rows: reports.iter().map(|r| r.refetched_rows).sum(),
                    read_bytes: reports.iter().map(LayerReport::read_bytes).sum(),
                    cycles: timing.map(|t| t.layers[step * layers..][..layers].iter().map(|c| c[Counter::Busy]).sum()),
                })
                .collect()
        } else {
            vec![]
        };
        Self {
            arch: machine.arch.name.clone(),
            device: machine.device,
            seed,
            workload: WorkloadSummary {
                file: file.into(),
                kind: "trace",
                mode: Some(trace.mode.name()),
                layers,
                heads: trace.heads(),
                kv_heads: Some(trace.kv_heads()),
                head_dim: dim,
                query_rows: trace.rows(),
                keys: trace.keys(),
                ignored_tensors: ignored.to_vec(),
            },
            speed: timing.map(|t| Speed::of(&t.total, arch, total.ops)),
            ops: total.ops,
            dram: Dram::of(&total, timing.map(|t| &t.total), arch),
            tokens_kept: lengths(&last.survivors),
            heads_kept: lengths(&last.heads),
            rows: total.rows,
            refetched_rows: total.refetched_rows,
            saturations: saturates.then(|| total.saturations.total()),
            saturations_by_kind: saturates.then(|| total.saturations.into()),
            clamped_counts: total.clamped_counts,
            topk: TopK::of(&total, timing.map(|t| &t.total)),
            layers: per_layer
                .iter()
                .enumerate()
                .map(|(layer, r)| (layer, r, counted.as_ref().map(|c| &c[layer])))
                .map(|(layer, r, c)| Layer {
                    layer,
                    tokens_kept: r.tokens,
                    heads_kept: r.heads,
                    query_rows: r.queries,
                    speed: c.map(|c| Speed::of(c, arch, r.ops)),
                    ops: r.ops,
                    dram: Dram::of(r, c, arch),
                    rows: r.rows,
                    refetched_rows: r.refetched_rows,
                    saturations: saturates.then(|| r.saturations.total()),
                    topk: TopK::of(r, c),
                })
                .collect(),
            steps,
            notes,
        }
    }

    /// One screen for a person.
    pub fn summary(&self) -> String {
        let mut s = String::new();
        let w = &self.workload;
        let mode = w.mode.map(|m| format!(", {m}")).unwrap_or_default();
        let _ = writeln!(
            s,
            "{}: {} layers, {} heads, D {}, {} query rows, {} keys{mode}; device {}, arch {}",
            one_line(&w.file),
            w.layers,
            w.heads,
            w.head_dim,
            w.query_rows,
            w.keys,
            self.device.name(),
            self.arch
        );
        let read = self.dram.read();
        let _ = writeln!(s, "tokens kept per layer  {:?}", self.tokens_kept);
        let _ = writeln!(s, "heads kept per layer   {:?}", self.heads_kept);
        let _ = writeln!(s, "refetched rows         {} of {}", self.refetched_rows, self.rows);
        let r = &self.dram.read_bytes;
        let _ =
            writeln!(s, "read                   {read} B (q {}, k_msb {}, k_lsb {}, v {})", r.q, r.k_msb, r.k_lsb, r.v);
        let times = |dense: u64| if read == 0 { f64::INFINITY } else { dense as f64 / read as f64 };
        let (b12, b32) = (self.dram.dense_12bit_bytes, self.dram.dense_fp32_bytes);
        let _ = writeln!(s, "dense 12 bit           {b12} B = {:.2} x", times(b12));
        let _ = writeln!(s, "dense fp32             {b32} B = {:.2} x", times(b32));
        let _ = writeln!(s, "operations             {}", self.ops);
        if let Some(saturations) = self.saturations {
            let _ = writeln!(s, "saturations            {saturations}");
        }
        if let Some(speed) = &self.speed {
            let bandwidth = self.dram.bandwidth_utilization.unwrap_or(0.0);
            let _ = writeln!(s, "{}, channels {:.1} %", speed.summary(), 100.0 * bandwidth);
        }
        for note in &self.notes {
            let _ = writeln!(s, "note: {note}");
        }
        s
    }
}

impl Report {
    /// Of a workload that has counts only: traffic as the file says it.
    pub fn of_counts(machine: &Machine, seed: u64, file: &str, counts: &CountTrace) -> Self {
        let on_chip = machine.arch.datapath_bits;
        let rows = &counts.rows;
        let most = |of: fn(&CountRow) -> u32| rows.iter().map(of).max().unwrap_or(0) as usize;
        let (layer_count, head_count, last_step) = (most(|r| r.layer) + 1, most(|r| r.head) + 1, most(|r| r.iteration));
        let mut layers: Vec<Layer> = (0..layer_count).map(|layer| Layer { layer, ..Layer::default() }).collect();
        for r in rows {
            let l = &mut layers[r.layer as usize];
            let (dim, keys, values) = (r.head_dim as usize, r.keys_fetched as usize, r.values_fetched as usize);
            let width = |bits: Option<u32>| bits.unwrap_or(on_chip);
            let bytes = |rows: usize, bits: u32| plane_bytes(rows * dim, bits) as u64;
            l.dram.read_bytes.q += bytes(1, width(r.query_bits));
            l.dram.read_bytes.k_msb += bytes(keys, width(r.key_bits));
            let again = if r.requantised { r.requant_bits.unwrap_or(0) } else { 0 };
            l.dram.read_bytes.k_lsb += bytes(keys, again);
            l.dram.read_bytes.v += bytes(values, width(r.value_bits));
            l.dram.dense_12bit_bytes += bytes(1 + 2 * r.sentence_length as usize, 12);
            l.dram.dense_fp32_bytes += bytes(1 + 2 * r.sentence_length as usize, 32);
            let passes = if r.requantised { 2 } else { 1 };
            l.ops += 2 * ((keys * passes + values) * dim) as u64;
            l.rows += 1;
            l.refetched_rows += u64::from(r.requantised);
            l.topk.calls += u64::from(r.top_k.is_some()) + u64::from(r.values_fetched < r.keys_fetched);
            if r.iteration as usize == last_step {
                l.tokens_kept = l.tokens_kept.max(keys);
                l.heads_kept += 1;
                l.query_rows = 1;
            }
        }
        let mut dram = Dram::default();
        for l in &layers {
            dram.read_bytes.q += l.dram.read_bytes.q;
            dram.read_bytes.k_msb += l.dram.read_bytes.k_msb;
            dram.read_bytes.k_lsb += l.dram.read_bytes.k_lsb;
            dram.read_bytes.v += l.dram.read_bytes.v;
            dram.dense_12bit_bytes += l.dram.dense_12bit_bytes;
            dram.dense_fp32_bytes += l.dram.dense_fp32_bytes;
        }
        let mut notes = vec![
            format!(
                "counts of {}; the file has no tensors, so nothing was computed and no score was drawn",
                counts.source.as_deref().unwrap_or("an unnamed run")
            ),
            "cycles need a simulator; this report has traffic and operations as the file counts them".to_string(),
        ];
        if rows.iter().any(|r| r.key_bits.is_none() || r.value_bits.is_none() || r.query_bits.is_none()) {
            notes.push(format!("unquantised tensors (-1 bits) are counted at the datapath's {on_chip} bits"));
        }
        Self {
            arch: machine.arch.name.clone(),
            device: machine.device,
            seed,
            workload: WorkloadSummary {
                file: file.into(),
                kind: "counts",
                mode: None,
                layers: layer_count,
                heads: head_count,
                kv_heads: None,
                head_dim: most(|r| r.head_dim),
                query_rows: last_step + 1,
                keys: most(|r| r.sentence_length),
                ignored_tensors: vec![],
            },
            speed: None,
            ops: layers.iter().map(|l| l.ops).sum(),
            dram,
            tokens_kept: layers.iter().map(|l| l.tokens_kept).collect(),
            heads_kept: layers.iter().map(|l| l.heads_kept).collect(),
            rows: layers.iter().map(|l| l.rows).sum(),
            refetched_rows: layers.iter().map(|l| l.refetched_rows).sum(),
            saturations: Some(0),
            saturations_by_kind: Some(SaturationReport::default()),
            clamped_counts: 0,
            topk: TopK { calls: layers.iter().map(|l| l.topk.calls).sum(), ..TopK::default() },
            layers,
            steps: vec![],
            notes,
        }
    }
}
