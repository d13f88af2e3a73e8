//! Selection engines in RTL: cycles per row, cells, against a sorting network. `make bench-topk` runs it and rewrites
//! `docs/topk.md` and `docs/topk.svg`.
//!
//! ```text
//! rows --> beats, k --> Verilated engine --> answers, compared with golden
//!            \--- cycle of the first beat taken, of the answer ---> mean, p99, max
//! ```
//! Every number of cycles comes from the RTL; the answers are checked, so that no fast wrong engine wins.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/common/selection.rs"]
mod rows;

use anyhow::{Context, Result, ensure};
use plotters::prelude::*;
use rows::{Row, adversary, beats};
use spatten_arch::ArchConfig;
use spatten_arch::format::{Formats, LOGIT_FRACTION};
use spatten_arch::lfsr::Lfsr;
use spatten_golden::{radix_select, softmax};
use spatten_hw::emit::{Design, emit};
use spatten_sim::cosim::{Bits, Cache, Init, Model, Pin, Verilog};
use spatten_testkit::{Rng, workspace_root};
use std::fmt::Write;
use std::process::Command;

/// Rows of one case, the first not counted; of long rows fewer.
const ROWS: usize = 201;
const LONG_ROWS: usize = 101;

/// Sizes of an engine.
#[derive(Debug, Clone, Copy)]
struct Size {
    bits: usize,
    lanes: usize,
    keys: usize,
}

/// An engine: its Verilog, and the rows that it likes least.
trait Engine {
    fn name(&self) -> &'static str;
    fn design(&self, size: Size) -> Result<Design>;
    /// Rows in the order in which they are run after reset.
    fn adversary(&self, n: usize, k: usize, size: Size) -> Vec<Row>;
}

struct QuickSelect;

impl Engine for QuickSelect {
    fn name(&self) -> &'static str {
        "quick_select"
    }

    fn design(&self, size: Size) -> Result<Design> {
        Ok(emit(spatten_hw::quick_select::QuickSelect::new(size.bits, size.lanes, size.keys))?)
    }

    fn adversary(&self, n: usize, k: usize, _: Size) -> Vec<Row> {
        let mut generator = Lfsr::default();
        (0..2).map(|_| adversary(n, k, &mut generator)).collect()
    }
}

struct RadixSelect;

impl Engine for RadixSelect {
    fn name(&self) -> &'static str {
        "radix_select"
    }

    fn design(&self, size: Size) -> Result<Design> {
        Ok(emit(spatten_hw::radix_select::RadixSelect::new(size.bits, size.lanes, size.keys))?)
    }

    /// None is worse than another. Here all scores stay candidates until the last digit.
    fn adversary(&self, n: usize, k: usize, size: Size) -> Vec<Row> {
        vec![Row { scores: vec![(1 << size.bits) - 1; n], k }; 2]
    }
}

fn engines() -> Vec<Box<dyn Engine>> {
    vec![Box::new(QuickSelect), Box::new(RadixSelect)]
}

/// Cycles of one row.
#[derive(Debug, Clone, Copy)]
struct Time {
    /// From the cycle of its first beat to the cycle in which the answer is there.
    latency: u64,
    /// From the answer of the row before, everything offered as early as it can be.
    period: u64,
}

/// A Verilated engine with its pins.
struct Rtl {
    model: Model,
    size: Size,
    pins: Pins,
}

struct Pins {
    in_valid: Pin,
    in_ready: Pin,
    in_scores: Pin,
    in_count: Pin,
    in_last: Pin,
    k_valid: Pin,
    k_ready: Pin,
    k_count: Pin,
    out_valid: Pin,
    out_ready: Pin,
    out_score: Pin,
    out_equal: Pin,
}

impl Rtl {
    fn new(engine: &dyn Engine, size: Size) -> Result<Self> {
        let design = engine.design(size)?;
        let verilog =
            design.modules.iter().fold(Verilog::new(&design.top), |v, m| v.file(format!("{}.v", m.name), &m.text));
        let model = Model::load(&Cache::default().build(&verilog)?, Init::Random(1))?;
        let pin = |name: &str| model.pin(name);
        let pins = Pins {
            in_valid: pin("in_valid")?,
            in_ready: pin("in_ready")?,
            in_scores: pin("in_scores")?,
            in_count: pin("in_count")?,
            in_last: pin("in_last")?,
            k_valid: pin("k_valid")?,
            k_ready: pin("k_ready")?,
            k_count: pin("k_count")?,
            out_valid: pin("out_valid")?,
            out_ready: pin("out_ready")?,
            out_score: pin("out_score")?,
            out_equal: pin("out_equal")?,
        };
        Ok(Self { model, size, pins })
    }

    /// All rows one after the other, everything offered as early as it can be. The first row fills the engine and is not
    /// among the times.
    fn run(&mut self, rows: &[Row]) -> Result<Vec<Time>> {
        let (model, size, pins) = (&mut self.model, self.size, &self.pins);
        model.reset(2)?;
        let stream: Vec<(usize, Bits, usize, bool)> = rows
            .iter()
            .enumerate()
            .flat_map(|(i, row)| {
                beats(&row.scores, size.lanes).into_iter().map(move |(mut scores, last)| {
                    let count = scores.len();
                    scores.resize(size.lanes, 0);
                    (i, Bits::from_lanes(&scores, size.bits as u32), count, last)
                })
            })
            .collect();
        let (mut beat, mut k, mut answers) = (0, 0, 0);
        let (mut first, mut done) = (vec![], vec![]);
        model.set(pins.out_ready, 1);
        let mut idle = 0;
        for cycle in 0u64.. {
            if done.len() == rows.len() {
                break;
            }
            ensure!(idle < 50_000_000, "stuck at row {answers}");
            idle += 1;
            model.set(pins.in_valid, u64::from(beat < stream.len()));
            if let Some((_, scores, count, last)) = stream.get(beat) {
                model.set_bits(pins.in_scores, scores);
                model.set(pins.in_count, *count as u64);
                model.set(pins.in_last, u64::from(*last));
            }
            model.set(pins.k_valid, u64::from(k < rows.len()));
            if let Some(row) = rows.get(k) {
                model.set(pins.k_count, row.k as u64);
            }
            model.eval()?;
            if beat < stream.len() && model.get(pins.in_ready) == 1 {
                if stream[beat].0 == first.len() {
                    first.push(cycle);
                }
                beat += 1;
                idle = 0;
            }
            k += usize::from(k < rows.len() && model.get(pins.k_ready) == 1);
            if model.get(pins.out_valid) == 1 && answers < rows.len() {
                let found = (model.get(pins.out_score), model.get(pins.out_equal) as usize);
                let row = &rows[answers];
                let golden =
                    radix_select::fixed(&row.scores, row.k, size.bits as u32, |_| ()).map(|t| (t.score, t.equal));
                ensure!(golden == Some(found), "row {answers}: {found:?}, golden {golden:?}");
                done.push(cycle);
                answers += 1;
                idle = 0;
            }
            model.step()?;
        }
        Ok((1..rows.len()).map(|i| Time { latency: done[i] - first[i], period: done[i] - done[i - 1] }).collect())
    }
}

/// Mean, 99th percentile and largest.
#[derive(Debug, Clone, Copy)]
struct Summary {
    mean: f64,
    p99: u64,
    max: u64,
}

impl Summary {
    fn of(mut values: Vec<u64>) -> Self {
        values.sort_unstable();
        let at = (values.len() * 99).div_ceil(100) - 1;
        let mean = values.iter().sum::<u64>() as f64 / values.len() as f64;
        Self { mean, p99: values[at], max: values[values.len() - 1] }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0} / {} / {}", self.mean, self.p99, self.max)
    }
}

/// Batcher's odd-even merge sorter: the comparators of each stage. An `n` that is no power of two is padded.
#[derive(Debug, Clone)]
struct Batcher {
    stages: Vec<u64>,
}

impl Batcher {
    /// The network as Batcher 1968 builds it, checked against the published sums: for `n = 2^p`, `p (p + 1) / 2` stages and
    /// `(p^2 - p + 4) 2^(p - 2) - 1` comparators (Knuth, The Art of Computer Programming, volume 3, section 5.3.4).
    fn new(n: usize) -> Self {
        let n = n.next_power_of_two();
        let mut stages = vec![];
        let mut merged = 1;
        while merged < n {
            let mut distance = merged;
            while distance > 0 {
                let pairs = (distance % merged..n - distance).step_by(2 * distance);
                let lanes = pairs.flat_map(|j| (j..j + distance).filter(|i| i + distance < n));
                let in_one_merge = |i: &usize| i / (2 * merged) == (i + distance) / (2 * merged);
                stages.push(lanes.filter(in_one_merge).count() as u64);
                distance /= 2;
            }
            merged *= 2;
        }
        let p = u64::from(n.ilog2());
        assert_eq!(stages.len() as u64, p * (p + 1) / 2, "stages of {n}");
        assert_eq!(stages.iter().sum::<u64>(), (p * p - p + 4) * n as u64 / 4 - 1, "comparators of {n}");
        Self { stages }
    }

    fn comparators(&self) -> u64 {
        self.stages.iter().sum()
    }

    /// Cycles of a row where as many comparators work as quick-select has, two arrays of `lanes`, a stage after the other.
    fn folded(&self, lanes: usize) -> u64 {
        self.stages.iter().map(|c| c.div_ceil(2 * lanes as u64)).sum()
    }
}

/// Probabilities of recorded attention rows with their length; empty without the data.
fn attention_rows() -> Vec<(usize, Vec<Vec<u64>>)> {
    let Some((_, traces)) = common::recorded() else { return vec![] };
    let mut all = vec![];
    for recorded in &traces {
        let trace = &recorded.trace;
        let (keys, dim) = (trace.keys(), trace.head_dim());
        let unit = std::f64::consts::LOG2_E * f64::from(1u32 << LOGIT_FRACTION) / (dim as f64).sqrt();
        let mut rows = vec![];
        for layer in 0..trace.layers() {
            for head in 0..trace.heads() {
                for row in 0..trace.rows() {
                    let logit = |key: usize| {
                        let dot =
                            |d| f64::from(trace.q[[layer, head, row, d]]) * f64::from(trace.k[[layer, head, key, d]]);
                        ((0..dim).map(dot).sum::<f64>() * unit).round() as i32
                    };
                    let logits: Vec<i32> = (0..keys).map(logit).collect();
                    rows.push(softmax::fixed(&logits).into_iter().map(u64::from).collect::<Vec<u64>>());
                }
            }
        }
        // As many as of the others, spread over layers, heads and rows.
        let step = (rows.len() / ROWS).max(1);
        all.push((keys, rows.into_iter().step_by(step | 1).take(ROWS).collect()));
    }
    all.sort_by_key(|(n, _)| *n);
    all
}

/// Scores of a kind.
fn kinds(n: usize, bits: usize, count: usize) -> Vec<(&'static str, Vec<Vec<u64>>)> {
    let mut rng = Rng::new(n as u64);
    let mut uniform = || (0..n).map(|_| rng.bits() >> (64 - bits)).collect::<Vec<u64>>();
    let random: Vec<_> = (0..count).map(|_| uniform()).collect();
    let mut sorted: Vec<_> = (0..count).map(|_| uniform()).collect();
    sorted.iter_mut().for_each(|row| row.sort_unstable());
    vec![("uniform", random), ("sorted", sorted), ("all equal", vec![vec![17; n]; count])]
}

fn ks(n: usize) -> [usize; 4] {
    [1, n.div_ceil(10), n / 2, n]
}

/// One line of the table.
struct Case {
    lanes: usize,
    n: usize,
    kind: String,
    k: usize,
    /// Latency and period of each engine.
    engines: Vec<(Summary, Summary)>,
}

fn measure(config: &ArchConfig, keys: usize, lengths: &[usize], into: &mut Vec<Case>) -> Result<()> {
    let size = Size { bits: Formats::new(config).probability.width() as usize, lanes: config.topk_lanes, keys };
    let engines = engines();
    let mut rtl = engines.iter().map(|e| Rtl::new(e.as_ref(), size)).collect::<Result<Vec<_>>>()?;
    let mut case = |n: usize, kind: &str, k: usize, rows: &dyn Fn(&dyn Engine) -> Vec<Row>| -> Result<()> {
        let mut summaries = vec![];
        for (engine, rtl) in engines.iter().zip(&mut rtl) {
            let times =
                rtl.run(&rows(engine.as_ref())).with_context(|| format!("{} {kind} n {n} k {k}", engine.name()))?;
            let latency = Summary::of(times.iter().map(|t| t.latency).collect());
            summaries.push((latency, Summary::of(times.iter().map(|t| t.period).collect())));
        }
        let periods: Vec<String> = summaries.iter().map(|s| s.1.to_string()).collect();
        eprintln!("{} lanes, n {n}, {kind}, k {k}: {}", size.lanes, periods.join("; "));
        into.push(Case { lanes: size.lanes, n, kind: kind.into(), k, engines: summaries });
        Ok(())
    };
    let with_k = |scores: &[Vec<u64>], k| scores.iter().map(|s| Row { scores: s.clone(), k }).collect::<Vec<_>>();
    for &n in lengths {
        let count = if n > 1024 { LONG_ROWS } else { ROWS };
        for (kind, scores) in kinds(n, size.bits, count) {
            for k in ks(n) {
                case(n, kind, k, &|_| with_k(&scores, k))?;
            }
        }
        for k in ks(n) {
            case(n, "adversary", k, &|engine| engine.adversary(n, k, size))?;
        }
    }
    if keys == config.keys_on_chip {
        for (n, scores) in attention_rows() {
            for k in ks(n) {
                case(n, "attention", k, &|_| with_k(&scores, k))?;
            }
        }
    }
    Ok(())
}

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

fn main() -> Result<()> {
    let mut cases = vec![];
    for config in [ArchConfig::eighth(), ArchConfig::paper()] {
        measure(&config, config.keys_on_chip, &[16, 64, 256, 384, 1024], &mut cases)?;
        // Memories for the longest rows that any configuration can have.
        measure(&config, 4096, &[4096], &mut cases)?;
    }
    let text = report(&cases)?;
    println!("{text}");
    let docs = workspace_root().join("docs");
    std::fs::write(docs.join("topk.md"), &text)?;
    std::fs::write(docs.join("topk.svg"), plot(&cases).map_err(|e| anyhow::anyhow!("plot: {e}"))?)?;
    Ok(())
}

const HEAD: &str = "\
# Selection engines

Written by `make bench-topk`; do not edit. What follows from it: `docs/decisions/0011-topk-engine.md`.

Every number of cycles is measured in the Verilated RTL, whose answers are compared with golden. Cycles are those from
answer to answer of rows that are offered as early as they can be, as mean / 99th percentile / largest over the rows of a case;
beside them the mean time from a row's first beat to its answer. Scores are probabilities (13 bits). `adversary` is each engine's own: for quick-select rows made for the state of its
pivot generator, in which every pivot is the smallest or the largest candidate; for radix-select, whose time does not depend
on the scores, rows of the largest score. Radix-select takes a row while it works on the one before, so that the time until
its answer is longer than the time from row to row.
";

fn report(cases: &[Case]) -> Result<String> {
    let engines = engines();
    let names: Vec<&str> = engines.iter().map(|e| e.name()).collect();
    let mut text = String::from(HEAD);
    if !cases.iter().any(|c| c.kind == "attention") {
        writeln!(text, "\nAttention rows of a model are missing: the recorded traces are not there (`SPATTEN_DATA`).")?;
    }
    text += "\n![cycles per row](topk.svg)\n\n## Cells\n\n";
    text += "`scripts/synth.py` (yosys, ECP5), rows of up to 1024 scores.\n\n";
    text += "| lanes | engine | LUT4 | FF | CCU2C | DSP | block RAM |\n| --- | --- | --- | --- | --- | --- | --- |\n";
    for config in [ArchConfig::eighth(), ArchConfig::paper()] {
        let bits = Formats::new(&config).probability.width() as usize;
        let size = Size { bits, lanes: config.topk_lanes, keys: config.keys_on_chip };
        for engine in &engines {
            let cells = cells(engine.as_ref(), size)?;
            let [lut, ff, carry, dsp, ram] = ["lut4", "ff", "ccu2c", "dsp", "bram"].map(|key| cells[key].to_string());
            writeln!(text, "| {} | `{}` | {lut} | {ff} | {carry} | {dsp} | {ram} |", size.lanes, engine.name())?;
        }
    }

    text += "\n## Batcher's odd-even merge sorter\n\n\
        For n = 2^p inputs: p (p + 1) / 2 stages, (p^2 - p + 4) 2^(p - 2) - 1 comparators (Batcher 1968; Knuth, The Art of\n\
        Computer Programming, volume 3, section 5.3.4). Whole, it takes a row in n / lanes cycles; its cycles below are those of a\n\
        sorter that is folded onto 2 * lanes comparators, as many as quick-select's two arrays have: the sum over its stages of\n\
        comparators / (2 * lanes), rounded up; reading and writing n scores beside it is not counted.\n\n\
        | n | stages | comparators | latency of the whole, 16 lanes | folded, 8 lanes | folded, 16 lanes |\n\
        | --- | --- | --- | --- | --- | --- |\n";
    for n in [16, 64, 256, 384, 1024, 4096] {
        let b = Batcher::new(n);
        writeln!(
            text,
            "| {n} | {} | {} | {} | {} | {} |",
            b.stages.len(),
            b.comparators(),
            n / 16 + b.stages.len(),
            b.folded(8),
            b.folded(16)
        )?;
    }

    for lanes in [8, 16] {
        write!(text, "\n## {lanes} lanes\n\n| n | rows | k | Batcher |")?;
        names.iter().try_for_each(|name| write!(text, " `{name}` | until its answer |"))?;
        text += "\n| --- | --- | --- | --- |";
        names.iter().for_each(|_| text += " --- | --- |");
        text += "\n";
        for c in cases.iter().filter(|c| c.lanes == lanes) {
            write!(text, "| {} | {} | {} | {} |", c.n, c.kind, c.k, Batcher::new(c.n).folded(lanes))?;
            c.engines.iter().try_for_each(|(latency, period)| write!(text, " {period} | {:.0} |", latency.mean))?;
            text += "\n";
        }
    }
    let uniform = cases.iter().filter(|c| c.lanes == 16 && c.n == 1024 && c.kind == "uniform");
    let measured: Vec<String> =
        uniform.map(|c| format!("{:.0} (k = {}, p99 {})", c.engines[0].1.mean, c.k, c.engines[0].1.p99)).collect();
    writeln!(
        text,
        "\n## The authors' latency model\n\nFor n = 1024 and 16 lanes it gives quick-select 214 to 261 cycles on average and 390 to \
         430 at the 99th percentile.\nThe RTL needs, on uniform rows, {}. Of those, {} cycles store the\nrow and begin, and each \
         pass has {} cycles beside its beats, until its last beat is counted and stored and the next\npivot is read.",
        measured.join(", "),
        1024 / 16 + 3,
        spatten_hw::quick_select::QuickSelect::pass_cycles(16)
    )?;
    Ok(text)
}

type Points = Vec<(f64, f64)>;

/// Cycles per row over n at 16 lanes, both logarithmic: of uniform rows with k = n / 2 mean and p99, and of the adversary.
fn plot(cases: &[Case]) -> Result<String, Box<dyn std::error::Error>> {
    const LANES: usize = 16;
    let colours = [RGBColor(0x1b, 0x6c, 0xa8), RGBColor(0xd1, 0x49, 0x5b), RGBColor(0x2e, 0x8b, 0x57)];
    let mut series: Vec<(String, RGBColor, Points)> = vec![];
    let lengths = [16usize, 64, 256, 384, 1024, 4096];
    for (e, engine) in engines().iter().enumerate() {
        let mut add = |label: &str, kind: &str, shade: f64, value: &dyn Fn(&Summary) -> f64| {
            let point = |n: &usize| {
                let of = |c: &&Case| c.lanes == LANES && c.n == *n && c.kind == kind && c.k == n / 2;
                cases.iter().find(of).map(|c| (*n as f64, value(&c.engines[e].1)))
            };
            let mix = |c: u8| (f64::from(c) * shade + 255.0 * (1.0 - shade)) as u8;
            let RGBColor(r, g, b) = colours[e];
            let colour = RGBColor(mix(r), mix(g), mix(b));
            series.push((format!("{}, {label}", engine.name()), colour, lengths.iter().filter_map(point).collect()));
        };
        add("adversary", "adversary", 1.0, &|s| s.max as f64);
        add("uniform, p99", "uniform", 0.7, &|s| s.p99 as f64);
        add("uniform, mean", "uniform", 0.45, &|s| s.mean);
    }
    let of_n = |f: &dyn Fn(usize) -> f64| lengths.iter().map(|&n| (n as f64, f(n))).collect::<Vec<_>>();
    let grey = RGBColor(0x77, 0x77, 0x77);
    series.push(("Batcher on 32 comparators".into(), colours[2], of_n(&|n| Batcher::new(n).folded(LANES) as f64)));
    series.push(("dot products, 8 keys per cycle".into(), grey, of_n(&|n| n as f64 / 8.0)));

    const LEGEND_WIDTH: i32 = 250;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1000, 520)).into_drawing_area();
        area.fill(&WHITE)?;
        let most = series.iter().flat_map(|s| &s.2).map(|p| p.1).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("Cycles per row, k = n / 2, {LANES} lanes"), ("sans-serif", 20))
            .margin(12)
            .margin_right(LEGEND_WIDTH)
            .x_label_area_size(42)
            .y_label_area_size(70)
            .build_cartesian_2d((14f64..4700f64).log_scale(), (1f64..most * 1.5).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("scores per row")
            .y_desc("cycles per row")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .light_line_style(RGBColor(0xf0, 0xf0, 0xf0))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (i, (name, colour, points)) in series.iter().enumerate() {
            chart.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
            chart.draw_series(points.iter().map(|&p| Circle::new(p, 4, colour.filled())))?;
            let (x, y) = (1000 - LEGEND_WIDTH + 10, 60 + 24 * i as i32);
            area.draw(&Circle::new((x, y), 5, colour.filled()))?;
            area.draw(&Text::new(name.clone(), (x + 14, y - 7), ("sans-serif", 14)))?;
        }
        area.present()?;
    }
    Ok(svg)
}
