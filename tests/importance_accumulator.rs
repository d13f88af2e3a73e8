//! `importance_accumulator`: RTL against golden and cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::format::Formats;
use spatten_golden::dot_product::ScaleFactor;
use spatten_golden::importance_accumulator as golden;
use spatten_sim::cosim::{BlockBench, Coverage, Stalls, Verilog, seed};
use spatten_sim::importance_accumulator::{
    Command, HeadRow, ImportanceAccumulator, Input, Output, ROW_BITS, TokenBeat, Word, count_bits,
};
use spatten_sim::softmax::{Scores, words};
use spatten_testkit::{Checks, Rng};
use std::sync::Arc;

/// Commands with their beats, and what golden makes of them.
struct Script {
    config: ArchConfig,
    formats: Formats,
    sums: Vec<u64>,
    rows: Vec<u64>,
    heads: Vec<u64>,
    inputs: [Vec<Input>; 5],
    outputs: [Vec<Output>; 3],
    coverage: Coverage,
}

impl Script {
    /// Begins by clearing everything: memories hold anything after reset.
    fn new(config: &ArchConfig) -> Self {
        let mut script = Self {
            config: config.clone(),
            formats: Formats::new(config),
            sums: vec![0; config.keys_on_chip],
            rows: vec![0; config.keys_on_chip],
            heads: vec![0; MAX_HEADS],
            inputs: Default::default(),
            outputs: Default::default(),
            coverage: Coverage::default(),
        };
        script.clear(config.keys_on_chip);
        script.clear_heads(MAX_HEADS);
        script
    }

    fn command(&mut self, command: Command, saturations: [u64; 2]) {
        let bits = count_bits(&self.config);
        self.inputs[0].push(Input::Command(command, bits));
        self.outputs[2].push(Output::Done(saturations, ROW_BITS + self.config.keys_on_chip.ilog2()));
    }

    /// Tokens of the words that hold `count`.
    fn whole(&self, count: usize) -> usize {
        count.next_multiple_of(self.config.softmax_lanes)
    }

    fn clear(&mut self, count: usize) {
        let whole = self.whole(count);
        self.sums[..whole].fill(0);
        self.rows[..whole].fill(0);
        self.coverage.add("clear of nothing", u64::from(count == 0));
        self.command(Command::Clear { heads: false, count: count as u32 }, [0; 2]);
    }

    fn clear_heads(&mut self, count: usize) {
        self.heads[..count].fill(0);
        self.command(Command::Clear { heads: true, count: count as u32 }, [0; 2]);
    }

    fn accumulate(&mut self, rows: &[(Vec<u32>, Vec<u32>)], head_rows: &[HeadRow], weighted: bool) {
        let lanes = self.config.softmax_lanes;
        let mut saturations = [0; 2];
        let mut before = usize::MAX;
        for (increments, norms) in rows {
            for (j, &increment) in increments.iter().enumerate() {
                let increment = if weighted { golden::weighted(increment, norms[j]) } else { u64::from(increment) };
                let (sum, cut) = golden::fixed(self.sums[j], increment, &self.formats.token_importance);
                self.sums[j] = sum;
                self.rows[j] = (self.rows[j] + 1).min((1 << ROW_BITS) - 1);
                saturations[0] += u64::from(cut);
            }
            let beats = words(increments.len(), lanes);
            let mut when = |condition, name| self.coverage.add(name, u64::from(condition));
            when(increments.is_empty(), "empty row");
            when(before == 1 && beats == 1, "one word after itself");
            when(before == 2, "the first word two beats after itself");
            when(increments.len() == self.config.keys_on_chip, "all keys");
            when(increments.len() == 1, "one key");
            when(increments.contains(&(1 << 16)), "probability of 1");
            before = beats;
            let row = Arc::new(Scores { probability: vec![0; increments.len()], increment: increments.clone() });
            let norms: Arc<[u32]> = norms.as_slice().into();
            let beat = |word| Input::Scores(TokenBeat { row: row.clone(), norms: norms.clone(), word }, lanes);
            self.inputs[1].extend((0..beats).map(beat));
        }
        for pair in head_rows.windows(2) {
            let name = if pair[0].head == pair[1].head { "head after itself" } else { "head after another" };
            self.coverage.hit(name);
        }
        for row in head_rows {
            let increment = row.factor.apply(row.magnitude.into()) as u64;
            let (sum, cut) = golden::fixed(self.heads[row.head], increment, &self.formats.head_importance);
            self.heads[row.head] = sum;
            saturations[1] += u64::from(cut);
            self.inputs[2].push(Input::Head(*row));
        }
        self.coverage.add("saturation of a token", saturations[0]);
        self.coverage.add("saturation of a head", saturations[1]);
        let (rows, head_rows) = (rows.len() as u32, head_rows.len() as u32);
        self.command(Command::Accumulate { rows, head_rows, weighted }, saturations);
    }

    fn decay(&mut self, gamma: u32, count: usize) {
        let whole = self.whole(count);
        self.sums[..whole].iter_mut().for_each(|sum| *sum = golden::decay(*sum, gamma));
        self.coverage.add("decay of 1", u64::from(gamma == 1 << 16));
        self.coverage.hit("decay");
        self.command(Command::Decay { gamma, count: count as u32 }, [0; 2]);
    }

    fn read(&mut self, mean: bool, count: usize) {
        let lanes = self.config.softmax_lanes;
        for word in 0..words(count, lanes) {
            let range = word * lanes..(word + 1) * lanes;
            let rows = self.rows[range.clone()].to_vec();
            let mut importance = self.sums[range].to_vec();
            if mean {
                for (sum, &rows) in importance.iter_mut().zip(&rows) {
                    let (value, cut) = golden::mean(*sum, rows, &self.formats.token_mean);
                    *sum = value;
                    self.coverage.add("mean of no rows", u64::from(rows == 0));
                    self.coverage.add("mean that saturates", u64::from(cut));
                    self.coverage.add("mean of a power of two of rows", u64::from(rows.is_power_of_two()));
                    self.coverage.add("mean of many rows", u64::from(rows > 1 << 18));
                }
            }
            self.outputs[0].push(Output::Read {
                word: Word { importance, rows },
                count: (count - (word * lanes).min(count)).min(lanes),
                last: word + 1 == words(count, lanes),
            });
        }
        self.coverage.add("read of nothing", u64::from(count == 0));
        self.command(Command::Read { heads: false, mean, count: count as u32 }, [0; 2]);
    }

    fn read_heads(&mut self, count: usize) {
        self.outputs[1].extend((0..count).map(|h| Output::HeadRead(self.heads[h], h + 1 == count)));
        self.command(Command::Read { heads: true, mean: false, count: count as u32 }, [0; 2]);
    }

    fn load(&mut self, count: usize, rng: &mut Rng) {
        let lanes = self.config.softmax_lanes;
        for word in 0..words(count, lanes) {
            let importance: Vec<u64> =
                (0..lanes).map(|_| [rng.below(1 << 36), (1 << 36) - 1 - rng.below(9)][rng.below(2) as usize]).collect();
            let rows: Vec<u64> = (0..lanes)
                .map(|_| [rng.below(1 << 24), rng.below(40), 1 << rng.below(24), (1 << 24) - 1][rng.below(4) as usize])
                .collect();
            if count > 0 {
                self.sums[word * lanes..][..lanes].copy_from_slice(&importance);
                self.rows[word * lanes..][..lanes].copy_from_slice(&rows);
            }
            self.inputs[3].push(Input::Load(Word { importance, rows }));
        }
        self.coverage.hit("load");
        self.command(Command::Load { heads: false, count: count as u32 }, [0; 2]);
    }

    fn load_heads(&mut self, count: usize, rng: &mut Rng) {
        for head in 0..count {
            self.heads[head] = [rng.below(1 << 48), (1 << 48) - 1 - rng.below(1 << 20)][rng.below(2) as usize];
            self.inputs[4].push(Input::HeadLoad(self.heads[head]));
        }
        self.command(Command::Load { heads: true, count: count as u32 }, [0; 2]);
    }

    fn bench(&self, verilog: Verilog) -> (BlockBench<ImportanceAccumulator>, usize) {
        let total = self.outputs.iter().map(Vec::len).sum();
        let model = ImportanceAccumulator::new(&self.config);
        let mut bench = BlockBench::new(verilog, "importance_accumulator", &self.config.name, seed(0x1a), model);
        for (name, beats) in ["command", "in", "head", "load", "head_load"].into_iter().zip(&self.inputs) {
            bench = bench.input(name, beats.clone());
        }
        for (name, beats) in ["read", "head_read", "done"].into_iter().zip(&self.outputs) {
            bench = bench.output(name, beats.clone());
        }
        (bench.again("cargo test --test importance_accumulator"), total)
    }
}

fn random_rows(count: usize, longest: usize, rng: &mut Rng) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut row = |_| {
        let n = rng.below(longest as u64 + 1) as usize;
        let increments = (0..n).map(|_| if rng.below(9) == 0 { 1 << 16 } else { rng.below(1 << 16) as u32 }).collect();
        let norms = (0..n).map(|_| if rng.below(9) == 0 { (1 << 18) - 1 } else { rng.below(1 << 18) as u32 }).collect();
        (increments, norms)
    };
    (0..count).map(&mut row).collect()
}

fn random_head_rows(count: usize, rng: &mut Rng) -> Vec<HeadRow> {
    let mut head = 0;
    let mut row = |_| {
        if rng.below(3) == 0 {
            head = rng.below(MAX_HEADS as u64) as usize;
        }
        let shift = [0, 5, 17, 20, 33, 41, 42, 63][rng.below(8) as usize] + rng.below(2) as u32;
        HeadRow {
            head,
            magnitude: [rng.below(1 << 24) as u32, (1 << 24) - 1][usize::from(rng.below(5) == 0)],
            factor: ScaleFactor { mantissa: rng.below(1 << 18) as u32, shift: shift.min(63) },
        }
    };
    (0..count).map(&mut row).collect()
}

/// Random work of at least `beats` beats of rows.
fn random_script(config: &ArchConfig, beats: usize, rng: &mut Rng) -> Script {
    let (n, lanes) = (config.keys_on_chip, config.softmax_lanes);
    let mut s = Script::new(config);
    s.read(false, n);
    s.read(true, n);
    s.read_heads(MAX_HEADS);
    let short: Vec<_> =
        [1, 1, 2, 3, 1, 0, 0, 1].map(|beats: usize| (vec![9; (beats * lanes).saturating_sub(1).min(n)], vec![])).into();
    s.accumulate(&short, &[], false);
    s.accumulate(&[(vec![1 << 16; n], vec![]), (vec![7], vec![])], &[], false);
    s.accumulate(&[], &[], false);
    while s.inputs[1].len() < beats {
        let longest = [lanes, 3 * lanes, n / 4, n][rng.below(4) as usize].min(n);
        let count = 1 + rng.below(6) as usize;
        let weighted = rng.below(2) == 0;
        s.accumulate(&random_rows(count, longest, rng), &random_head_rows(rng.below(40) as usize, rng), weighted);
        let some = rng.below(n as u64 + 1) as usize;
        let some = if rng.below(4) == 0 { some } else { some.min(4 * lanes + 1) };
        match rng.below(9) {
            0 => s.decay([1 << 16, 0, 60_000, rng.below(1 << 16) as u32][rng.below(4) as usize], some),
            1 | 2 => s.read(false, some),
            3 | 4 => s.read(true, some),
            5 => s.load(some, rng),
            6 => s.load_heads(1 + rng.below(MAX_HEADS as u64) as usize, rng),
            7 => s.read_heads(1 + rng.below(MAX_HEADS as u64) as usize),
            _ if rng.below(3) == 0 => s.clear(some),
            _ => {}
        }
    }
    s.clear(0);
    s.decay(0, 0);
    s.load(0, rng);
    s.read(true, 0);
    s.read(false, n);
    s.read(true, n);
    s.read_heads(MAX_HEADS);
    s
}

#[test]
fn equals_golden_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("importance_accumulator");
    for config in configurations() {
        let script = random_script(&config, 10_000, &mut Rng::new(seed(1)));
        let mut coverage = script.coverage.clone();
        let (bench, total) = script.bench(verilog(&design("importance_accumulator", &config)));
        run_all(&bench, total, &mut coverage);
        coverage.require(&[
            "clear of nothing",
            "empty row",
            "one word after itself",
            "the first word two beats after itself",
            "all keys",
            "one key",
            "probability of 1",
            "head after itself",
            "head after another",
            "saturation of a token",
            "saturation of a head",
            "decay",
            "decay of 1",
            "load",
            "mean of no rows",
            "mean that saturates",
            "mean of a power of two of rows",
            "mean of many rows",
            "read of nothing",
            "bubble",
            "back-pressure",
            "stall",
        ]);
        checks.that(script.inputs[1].len() >= 10_000 && total > 3_000, || format!("{total} beats"));
    }
    checks.finish_any();
}

#[test]
fn other_sizes_are_right_too() {
    for text in ["keys_on_chip = 16\nsoftmax_lanes = 1", "keys_on_chip = 16\nsoftmax_lanes = 16\nmultipliers = 256"] {
        let config = ArchConfig::from_toml(text, "own.toml").unwrap();
        let script = random_script(&config, 1_000, &mut Rng::new(2));
        let (bench, total) = script.bench(verilog(&design("importance_accumulator", &config)));
        run_all(&bench, total, &mut Coverage::default());
    }
}

#[test]
fn cycles_are_as_documented() {
    let mut checks = Checks::new("importance_accumulator_cycles");
    let span = |script: &Script| {
        let (bench, total) = script.bench(verilog(&design("importance_accumulator", &script.config)));
        let report = bench.run(Stalls::None).unwrap_or_else(|e| panic!("{e}"));
        report.finish(total);
        report.span()
    };
    for config in configurations() {
        let (n, lanes) = (config.keys_on_chip, config.softmax_lanes);
        let base = span(&Script::new(&config));
        checks.eq(base, (n / lanes + 18 + MAX_HEADS + 18) as u64, || "two clears".into());
        for beats in [1, 2, 3, 4, 7] {
            let mut script = Script::new(&config);
            script.accumulate(&vec![(vec![5; beats * lanes], vec![]); 100], &[], false);
            // The last row waits for nobody.
            let cycles = 99 * beats.max(3) + beats;
            checks.eq(span(&script) - base, cycles as u64 + 19, || format!("rows of {beats} beats"));
        }
        let mut script = Script::new(&config);
        script.accumulate(&[], &random_head_rows(300, &mut Rng::new(5)), false);
        checks.eq(span(&script) - base, 300 + 19, || "a row of outputs per cycle".into());
        for (count, is_read) in [(n, true), (n, false), (1, true)] {
            let mut script = Script::new(&config);
            if is_read {
                script.read(true, count)
            } else {
                script.decay(50_000, count)
            };
            checks.eq(span(&script) - base, (words(count, lanes) + 18) as u64, || format!("sweep of {count}"));
        }
    }
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("importance_accumulator", &config);
    let script = random_script(&config, 300, &mut Rng::new(6));
    same_in_icarus(&script.bench(verilog(&design)).0, &design, "importance_accumulator");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("importance_accumulator", &config);
    let script = random_script(&config, 300, &mut Rng::new(7));
    for (stream, field) in [("read", "importance"), ("head_read", "importance"), ("done", "token_saturations")] {
        faults_at_the_port_are_caught(&design, stream, field, |verilog| script.bench(verilog).0);
    }
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&script.bench(broken(&design, module, from, to)).0, what);
    };
    check("importance_accumulator", "pause_next = 2'd2;", "pause_next = 2'd1;", "in_ready differs");
    check("head_importance", "(write & (write_head == read_head))", "(write & 1'd0)", "head_read_importance differs");
    check("rescale", "(exact_1)", "(exact_1 & 1'd0)", "read_importance differs");
}
