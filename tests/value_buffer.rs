//! `value_buffer`: RTL against a plain array of heads, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::format::TOKEN_SCALE_FRACTION;
use spatten_hw::{emit::emit, value_buffer as rtl};
use spatten_sim::cosim::{Bits, BlockBench, Coverage, Field, Stalls, Verilog, seed};
use spatten_sim::key_buffer::Size;
use spatten_sim::value_buffer::{Input, Request, Rows, ValueBuffer};
use spatten_testkit::{Checks, Rng};

struct Stimulus {
    size: Size,
    dim: u32,
    scaled: bool,
    writes: Vec<Input>,
    scales: Vec<Input>,
    reads: Vec<Input>,
    adds: Vec<Input>,
    out: Vec<Rows>,
}

impl Stimulus {
    fn new(size: Size, dim: u32, scaled: bool) -> Self {
        Self { size, dim, scaled, writes: vec![], scales: vec![], reads: vec![], adds: vec![], out: vec![] }
    }

    fn rows_per_word(&self) -> usize {
        (self.size.word / (16 << self.dim)).max(1)
    }

    /// A head of `count` rows, of which some are requested, with a weight each.
    fn head(&mut self, count: usize, requests: &[Vec<u16>], rng: &mut Rng, coverage: &mut Coverage) {
        self.head_with(count, requests, None, rng, coverage);
    }

    /// The same, where behind a request as many rows are added to the first ones.
    fn head_with(
        &mut self,
        count: usize,
        requests: &[Vec<u16>],
        added: Option<(usize, usize)>,
        rng: &mut Rng,
        coverage: &mut Coverage,
    ) {
        let Size { bits, word, beat, lanes, .. } = self.size;
        let dimension = 16usize << self.dim;
        let (rows, parts) = (self.rows_per_word(), (dimension / word).max(1));
        let length = (count * dimension).next_multiple_of(beat).next_multiple_of(word);
        let mut operands: Vec<u16> = (0..length).map(|_| rng.below(1 << bits) as u16).collect();
        let beats = length / beat;
        for (i, chunk) in operands.chunks(beat).enumerate() {
            self.writes.push(Input::Write { lanes: chunk.into(), bits, last: i + 1 == beats });
        }
        let scale = |_| (0..lanes).map(|_| rng.below((1 << TOKEN_SCALE_FRACTION) + 1) as u32).collect();
        let scales: Vec<Box<[u32]>> = (0..count.div_ceil(rows)).map(scale).collect();
        if self.scaled {
            for (i, lanes) in scales.iter().enumerate() {
                self.scales.push(Input::Scale { lanes: lanes.clone(), last: i + 1 == scales.len() });
            }
        }
        for (i, request) in requests.iter().enumerate() {
            let last = rng.below(3) == 0;
            let weighted: Vec<(u16, u16)> = request.iter().map(|&row| (row, rng.below(4097) as u16)).collect();
            let read = Request::new(&self.size, &weighted, last, i + 1 == requests.len());
            let adds = added.filter(|(behind, _)| *behind == i);
            self.reads.push(Input::Read(if adds.is_some() { read.again() } else { read }));
            let mut left = weighted;
            let mut passes = 0;
            loop {
                // The first row of each place goes.
                let mut going: Vec<(u16, u16)> = vec![];
                left.retain(|row| {
                    let taken = going.iter().any(|other| usize::from(other.0 ^ row.0) % rows == 0);
                    if !taken {
                        going.push(*row);
                    }
                    taken
                });
                passes += 1;
                for part in 0..parts {
                    let place_width = dimension.min(word);
                    let mut beat = Rows {
                        lanes: operands[..word].into(),
                        bits,
                        weights: vec![0; lanes].into(),
                        scales: if self.scaled {
                            scales[0].clone()
                        } else {
                            vec![1 << TOKEN_SCALE_FRACTION; lanes].into()
                        },
                        part: part as u32,
                        last: last && left.is_empty() && part + 1 == parts,
                    };
                    for &(row, weight) in &going {
                        let (row, place) = (usize::from(row), usize::from(row) % rows);
                        let from = row * dimension + part * word;
                        beat.lanes[place * place_width..(place + 1) * place_width]
                            .copy_from_slice(&operands[from..from + place_width]);
                        beat.weights[place] = weight;
                        if self.scaled {
                            beat.scales[place] = scales[row / rows][place];
                        }
                    }
                    self.out.push(beat);
                }
                if left.is_empty() {
                    break;
                }
            }
            if let Some((_, rows)) = adds {
                let length = (rows * dimension).next_multiple_of(beat);
                let lsbs: Vec<u16> = (0..length).map(|_| rng.below(1 << bits) as u16).collect();
                for (i, chunk) in lsbs.chunks(beat).enumerate() {
                    self.adds.push(Input::Add { lanes: chunk.into(), bits, last: i + 1 == length / beat });
                }
                for (operand, lsb) in operands.iter_mut().zip(lsbs) {
                    *operand = (u32::from(*operand) + u32::from(lsb)) as u16 & (u16::MAX >> (16 - bits));
                }
            }
            coverage.add("added", adds.is_some().into());
            coverage.add("conflict", (passes > 1).into());
            coverage.add("all in one place", (rows > 1 && passes == rows).into());
            coverage.add("no conflict", (passes == 1 && request.len() == rows).into());
            coverage.add("no row", request.is_empty().into());
        }
    }

    fn random(size: Size, dim: u32, scaled: bool, beats: usize, coverage: &mut Coverage) -> Self {
        let mut stimulus = Self::new(size, dim, scaled);
        let mut rng = Rng::new(seed(u64::from(dim) * 2 + u64::from(scaled)));
        let most = (size.head(dim) >> (dim + 4)).min(size.keys);
        let rows = stimulus.rows_per_word();
        let mut heads = 0;
        while stimulus.out.len() < beats {
            let count = if heads == 0 { most } else { 1 + rng.below(most as u64) as usize };
            let requests = if heads == 1 { 1 } else { 1 + rng.below(beats as u64 / 8) as usize };
            let request = |_| {
                let n = match rng.below(6) {
                    0 => rng.below(rows as u64 + 1) as usize,
                    _ => rows,
                };
                let mut list: Vec<u16> = match rng.below(4) {
                    // Neighbours, a column, any.
                    0 => {
                        let first = rng.below(count as u64) as usize;
                        (first..count.min(first + n)).map(|row| row as u16).collect()
                    }
                    1 => (0..n).map(|i| i * rows).filter(|row| *row < count).map(|row| row as u16).collect(),
                    _ => (0..n).map(|_| rng.below(count as u64) as u16).collect(),
                };
                list.sort_unstable();
                list.dedup();
                list
            };
            let requests: Vec<Vec<u16>> = (0..requests).map(request).collect();
            coverage.add("one request", (requests.len() == 1).into());
            coverage.add("last row", requests.iter().flatten().any(|&row| usize::from(row) + 1 == count).into());
            // Now and then behind any but the last request.
            let behind = rng.below(2 * requests.len() as u64) as usize;
            let added = (behind + 1 < requests.len()).then(|| (behind, 1 + rng.below(count as u64) as usize));
            stimulus.head_with(count, &requests, added, &mut rng, coverage);
            heads += 1;
        }
        stimulus
    }

    fn bench(&self, verilog: Verilog, config: &str) -> BlockBench<ValueBuffer> {
        BlockBench::new(verilog, "value_buffer", config, seed(0xbf), ValueBuffer::new(self.size, self.dim, self.scaled))
            .input("write", self.writes.clone())
            .input("scale", self.scales.clone())
            .input("read", self.reads.clone())
            .input("add", self.adds.clone())
            .output("out", self.out.clone())
            .pin("dim", Bits::new(self.dim.into(), 2))
            .pin("scaled", Bits::new(self.scaled.into(), 1))
            .status(|model| vec![Field::value("full", model.full(), 2)])
            .again("cargo test --test value_buffer")
    }
}

fn size(config: &ArchConfig) -> Size {
    Size::of(config, config.value_buffer_bytes)
}

#[test]
fn every_row_comes_out_with_its_weight_under_every_stall() {
    let mut checks = Checks::new("value_buffer");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("value_buffer", &config));
        let mut beats = 0;
        for (dim, scaled) in (0..4).flat_map(|dim| [(dim, false), (dim, true)]) {
            let stimulus = Stimulus::random(size(&config), dim, scaled, 1_300, &mut coverage);
            let name = format!("{} D={} scaled={scaled}", config.name, 16 << dim);
            let reports = run_all(&stimulus.bench(verilog.clone(), &name), stimulus.out.len(), &mut coverage);
            checks.that(reports.iter().all(|r| r.checked[0].1 >= 1_300), || name);
            beats += stimulus.out.len();
        }
        checks.that(beats >= 10_000, || format!("{}: {beats} beats", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall", "conflict", "all in one place", "no conflict", "no row"]);
    coverage.require(&["one request", "last row", "added"]);
    checks.finish_any();
}

#[test]
fn cycles_are_the_rows_of_the_fullest_place() {
    let config = ArchConfig::eighth();
    let mut checks = Checks::new("value_buffer_cycles");
    let mut coverage = Coverage::default();
    let verilog = verilog(&design("value_buffer", &config));
    let size = size(&config);
    // D = 16: four places. Rows of neighbours, of one place, of two places.
    for (step, cycles) in [(1u16, 1), (4, 4), (2, 2)] {
        let mut stimulus = Stimulus::new(size, 0, false);
        let requests: Vec<Vec<u16>> = (0..100).map(|i| (0..4).map(|lane| i + lane * step).collect()).collect();
        stimulus.head(128, &requests, &mut Rng::new(5), &mut coverage);
        let report = stimulus.bench(verilog.clone(), "eighth").run(Stalls::None).unwrap();
        report.finish(100 * cycles);
        // 32 writes, then 100 requests; the first beat is there 8 cycles after its request.
        checks.eq(report.span(), (32 + 100 * cycles + 8) as u64, || format!("step {step}"));
    }
    // Heads of one request each: the next head's is accepted 6 cycles after.
    let mut stimulus = Stimulus::new(size, 2, false);
    for _ in 0..10 {
        stimulus.head(1, &[vec![0]], &mut Rng::new(6), &mut coverage);
    }
    let report = stimulus.bench(verilog, "eighth").run(Stalls::None).unwrap();
    report.finish(10);
    checks.eq(report.span(), 1 + 9 * 6 + 9, || "heads of one request".into());
    checks.finish(4);
}

#[test]
fn beats_narrower_and_wider_than_words_work() {
    let mut coverage = Coverage::default();
    for (multipliers, channels) in [(128, 1), (16, 4)] {
        let text = format!("base = \"tiny\"\nmultipliers = {multipliers}\nchannels = {channels}");
        let config = ArchConfig::from_toml(&text, "own.toml").unwrap();
        let design = emit(rtl::ValueBuffer::of(&config)).unwrap();
        for dim in [0, 2, 3] {
            let stimulus = Stimulus::random(size(&config), dim, true, 150, &mut coverage);
            let bench = stimulus.bench(verilog(&design), &format!("{multipliers} x {channels}"));
            for stalls in [Stalls::None, Stalls::Bursts] {
                bench.run(stalls).unwrap().finish(stimulus.out.len());
            }
        }
    }
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("value_buffer", &config);
    let stimulus = Stimulus::random(size(&config), 1, true, 200, &mut Coverage::default());
    same_in_icarus(&stimulus.bench(verilog(&design), &config.name), &design, "value_buffer");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::eighth();
    let design = design("value_buffer", &config);
    let stimulus = Stimulus::random(size(&config), 1, true, 200, &mut Coverage::default());
    faults_at_the_port_are_caught(&design, "out", "data", |verilog| stimulus.bench(verilog, "eighth"));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&stimulus.bench(broken(&design, module, from, to), "eighth"), what);
    };
    check(
        "value_buffer",
        "c_valid_next = b_valid;",
        "c_valid_next = b_valid & ~(b_last & b_weight_0[0]);",
        "a beat lost",
    );
    check(
        "value_buffer",
        "assign d_weight_1_next = c_weight_1;",
        "assign d_weight_1_next = c_weight_0;",
        "out_weight differs",
    );
    check("value_buffer", "assign stuck_1 = ", "assign stuck_1 = p_valid & ", "differs");
}
