//! Heads of attention as beats of `attention_core`, and what golden says comes out.

use spatten_arch::ArchConfig;
use spatten_arch::config::{HEAD_DIMS, MAX_HEADS};
use spatten_arch::format::{Formats, TOKEN_SCALE_FRACTION, VALUE_NORM_BITS};
use spatten_golden::dot_product::{self, ScaleFactor};
use spatten_golden::{importance_accumulator, multiply_value, radix_select, requant_decision, softmax, top_k};
use spatten_sim::attention_core::{Input, Lsbs, Name, Output, Outputs, Pins, Row};
use spatten_sim::cosim::{Coverage, bits_for};
use spatten_sim::importance_accumulator::{self as importance, Command, ROW_BITS, Word};
use spatten_sim::key_buffer::{self, Size};
use spatten_sim::{dot_product as dots, value_buffer};
use spatten_testkit::Rng;

/// What stays the same during a job.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub dim: u32,
    pub scaled_keys: bool,
    pub scaled_values: bool,
    pub weighted: bool,
    pub progressive: bool,
    /// Values are split too.
    pub split_values: bool,
}

/// Many rows of few keys, or few rows of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Short,
    Long,
}

/// Beats of all streams.
pub struct Job {
    pub pins: Pins,
    /// In the order of [`Job::INPUTS`].
    pub inputs: Vec<Vec<Input>>,
    pub outputs: Vec<Vec<Output>>,
    /// Logits that do not fit, in all passes.
    pub saturations: u64,
    config: ArchConfig,
    formats: Formats,
    progressive: bool,
    split_values: bool,
    /// Importance of tokens and rows that saw them, of heads, and saturations since the last command.
    tokens: Vec<(u64, u64)>,
    heads: Vec<u64>,
    cut: [u64; 2],
    kept: u32,
}

/// Rows whose outputs wait inside while only their scores are accumulated.
const FEW: u32 = 12;

/// One head of keys and values.
#[derive(Clone)]
pub struct Head {
    pub keys: usize,
    pub full: Vec<i16>,
    /// What the MSBs alone say.
    pub first: Vec<i16>,
    pub key_scales: Vec<u32>,
    pub values: Vec<i16>,
    /// What the MSBs alone say.
    pub first_values: Vec<i16>,
    pub value_scales: Vec<u32>,
    pub norms: Vec<u32>,
}

/// A row of queries.
#[derive(Clone)]
pub struct Query {
    pub operands: Vec<i16>,
    /// What the MSBs alone say, where they are split.
    pub first: Option<Vec<i16>>,
    pub factor: ScaleFactor,
    pub visible: usize,
    pub keep: usize,
    pub name: Name,
}

impl Job {
    pub const INPUTS: [&'static str; 12] = [
        "row",
        "query",
        "keys",
        "key_scales",
        "values",
        "value_scales",
        "norms",
        "command",
        "load",
        "head_load",
        "key_lsbs",
        "value_lsbs",
    ];
    pub const OUTPUTS: [&'static str; 5] = ["verdict", "out", "read", "head_read", "done"];

    /// Nothing yet, with all importances 0.
    pub fn new(config: &ArchConfig, kind: Kind) -> Self {
        let formats = Formats::new(config);
        let never = formats.threshold_inverse.max_raw() as u64;
        let threshold = requant_decision::threshold_inverse(0.25, &formats.threshold_inverse);
        let pins = Pins {
            dim: kind.dim,
            scaled_keys: kind.scaled_keys,
            scaled_values: kind.scaled_values,
            weighted: kind.weighted,
            threshold_inverse: if kind.progressive { threshold } else { never },
        };
        Self {
            pins,
            inputs: vec![vec![]; Self::INPUTS.len()],
            outputs: vec![vec![]; Self::OUTPUTS.len()],
            saturations: 0,
            config: config.clone(),
            formats,
            progressive: kind.progressive,
            split_values: kind.progressive && kind.split_values,
            tokens: vec![(0, 0); config.keys_on_chip],
            heads: vec![0; MAX_HEADS],
            cut: [0; 2],
            kept: 0,
        }
    }

    /// Output beats that are checked.
    pub fn beats(&self) -> usize {
        self.outputs.iter().map(Vec::len).sum()
    }

    /// Importance of tokens and how many rows saw them, and importance of heads.
    pub fn importance(&self) -> (&[(u64, u64)], &[u64]) {
        (&self.tokens, &self.heads)
    }

    /// What did not fit of importances of tokens and heads, since this was asked before.
    pub fn saturations(&mut self) -> [u64; 2] {
        std::mem::take(&mut self.cut)
    }

    /// Sums are of another kind from here on; a threshold, where there is one.
    pub fn turn(&mut self, kind: Kind, threshold_inverse: u64) {
        self.pins = Self::new(&self.config, kind).pins;
        self.progressive = kind.progressive;
        self.split_values = kind.progressive && kind.split_values;
        if kind.progressive {
            self.pins.threshold_inverse = threshold_inverse;
        }
    }

    fn dimension(&self) -> usize {
        HEAD_DIMS[self.pins.dim as usize]
    }

    fn command(&mut self, command: Command) {
        let bits = importance::count_bits(&self.config);
        self.inputs[7].push(Input::Importance(importance::Input::Command(command, bits)));
        let cut = std::mem::take(&mut self.cut);
        let bits = ROW_BITS + self.config.keys_on_chip.ilog2();
        self.outputs[4].push(Output::Importance(importance::Output::Done(cut, bits)));
    }

    /// Commands that make importance known, before any row.
    fn begin(&mut self, load: bool, rng: &mut Rng) {
        let (keys, lanes) = (self.config.keys_on_chip, self.config.softmax_lanes);
        self.command(Command::Clear { heads: true, count: MAX_HEADS as u32 });
        if load {
            let cap = self.formats.token_importance.max_raw() as u64;
            self.tokens = (0..keys).map(|_| (cap - rng.below(1 << 17), rng.below(50))).collect();
            for word in self.tokens.chunks(lanes) {
                let word =
                    Word { importance: word.iter().map(|t| t.0).collect(), rows: word.iter().map(|t| t.1).collect() };
                self.inputs[8].push(Input::Importance(importance::Input::Load(word)));
            }
            self.command(Command::Load { heads: false, count: keys as u32 });
            self.heads[3] = self.formats.head_importance.max_raw() as u64 - rng.below(1 << 20);
            let loaded: Vec<_> =
                self.heads.iter().map(|&h| Input::Importance(importance::Input::HeadLoad(h))).collect();
            self.inputs[9].extend(loaded);
            self.command(Command::Load { heads: true, count: MAX_HEADS as u32 });
        } else {
            self.command(Command::Clear { heads: false, count: keys as u32 });
        }
    }

    /// The rows since the last such command belong to this one, and are read.
    fn accumulate(&mut self, mean: bool) {
        let rows = std::mem::take(&mut self.kept);
        let (weighted, apart, cut) = (self.pins.weighted, rows <= FEW, self.cut);
        self.cut[1] *= u64::from(!apart);
        self.command(Command::Accumulate { rows, head_rows: if apart { 0 } else { rows }, weighted });
        let (keys, lanes) = (self.config.keys_on_chip, self.config.softmax_lanes);
        let value = |&(sum, rows): &(u64, u64)| {
            if mean { importance_accumulator::mean(sum, rows, &self.formats.token_mean).0 } else { sum }
        };
        let words: Vec<_> = self
            .tokens
            .chunks(lanes)
            .enumerate()
            .map(|(i, word)| {
                let word =
                    Word { importance: word.iter().map(value).collect(), rows: word.iter().map(|t| t.1).collect() };
                Output::Importance(importance::Output::Read { word, count: lanes, last: (i + 1) * lanes == keys })
            })
            .collect();
        self.outputs[2].extend(words);
        self.command(Command::Read { heads: false, mean, count: keys as u32 });
        if apart {
            // Outputs have waited meanwhile.
            self.cut[1] = cut[1];
            self.command(Command::Accumulate { rows: 0, head_rows: rows, weighted });
        }
        let heads: Vec<_> = self
            .heads
            .iter()
            .enumerate()
            .map(|(i, &h)| Output::Importance(importance::Output::HeadRead(h, i + 1 == MAX_HEADS)))
            .collect();
        self.outputs[3].extend(heads);
        self.command(Command::Read { heads: true, mean: false, count: MAX_HEADS as u32 });
    }

    fn write_keys(&mut self, operands: &[i16], scales: &[u32], rng: &mut Rng) {
        let Size { bits, word, beat, lanes, .. } = Size::of(&self.config, self.config.key_buffer_bytes);
        for (lanes, last) in padded(operands, bits, word, beat, rng) {
            self.inputs[2].push(Input::Keys(key_buffer::Input::Write { lanes, bits, last }));
        }
        if self.pins.scaled_keys {
            let beats = scales.len().div_ceil(lanes).max(1);
            for i in 0..beats {
                let row = (0..lanes).map(|l| scales.get(i * lanes + l).copied().unwrap_or(7)).collect();
                self.inputs[3].push(Input::Keys(key_buffer::Input::Scale { lanes: row, last: i + 1 == beats }));
            }
        }
    }

    fn write_values(&mut self, head: &Head, rng: &mut Rng) {
        let Size { bits, word, beat, lanes, .. } = Size::of(&self.config, self.config.value_buffer_bytes);
        let values = if self.split_values { &head.first_values } else { &head.values };
        for (lanes, last) in padded(values, bits, word, beat, rng) {
            self.inputs[4].push(Input::Values(value_buffer::Input::Write { lanes, bits, last }));
        }
        if self.pins.scaled_values {
            let rows = (word / self.dimension()).max(1);
            let beats = head.keys.div_ceil(rows).max(1);
            for i in 0..beats {
                let scale = |l: usize| head.value_scales.get(i * rows + l).copied().filter(|_| l < rows).unwrap_or(9);
                let row = (0..lanes).map(scale).collect();
                self.inputs[5].push(Input::Values(value_buffer::Input::Scale { lanes: row, last: i + 1 == beats }));
            }
        }
        if self.pins.weighted {
            let lanes = self.config.softmax_lanes;
            let beats = head.keys.div_ceil(lanes).max(1);
            for i in 0..beats {
                let row = (0..lanes).map(|l| head.norms.get(i * lanes + l).copied().unwrap_or(11)).collect();
                self.inputs[6].push(Input::Norms(row, i + 1 == beats));
            }
        }
    }

    /// What is added to the first rows of a head.
    fn add(&mut self, values: bool, head: &Head, count: usize) {
        let size = if values { self.config.value_buffer_bytes } else { self.config.key_buffer_bytes };
        let Size { bits, beat, .. } = Size::of(&self.config, size);
        let (full, first) = if values { (&head.values, &head.first_values) } else { (&head.full, &head.first) };
        let mut lsbs: Vec<u16> = full.iter().zip(first).take(count * self.dimension()).map(lsb(bits)).collect();
        lsbs.resize(lsbs.len().next_multiple_of(beat), 0);
        let beats = lsbs.len() / beat;
        self.inputs[10 + usize::from(values)].extend(
            lsbs.chunks(beat)
                .enumerate()
                .map(|(i, lanes)| Input::Lsbs(Lsbs { lanes: lanes.into(), bits, last: i + 1 == beats })),
        );
    }

    /// One pass: its beats, and what `softmax` makes of it.
    fn pass(&mut self, head: &Head, query: &Query, last_pass: bool, release_keys: bool) -> (softmax::Row, u64) {
        let dim = self.dimension();
        let keys = if last_pass { &head.full } else { &head.first };
        let operands = query.first.as_ref().filter(|_| !last_pass).unwrap_or(&query.operands);
        let one = 1 << TOKEN_SCALE_FRACTION;
        let mut saturations = 0;
        let mut logits = vec![];
        for (j, key) in keys.chunks_exact(dim).take(query.visible).enumerate() {
            let dot = dot_product::integer(&operands[..dim], key);
            let relative = if self.pins.scaled_keys { head.key_scales[j] } else { one };
            let (logit, cut) = dot_product::scale(dot, relative, query.factor, &self.formats);
            saturations += u64::from(cut);
            logits.push(logit as i32);
        }
        self.saturations += saturations;
        self.inputs[0].push(Input::Row(Row {
            visible: query.visible,
            keep: query.keep,
            name: query.name,
            factor: head_factor(query.name.head),
            last_pass,
            release_keys,
            release_values: false,
            again_keys: false,
            again_values: false,
            keys: self.config.keys_on_chip,
        }));
        self.inputs[1].push(Input::Query(dots::Query {
            operand_bits: self.config.datapath_bits,
            operands: operands.clone(),
            factor: query.factor,
        }));
        let mut row = softmax::Row::default();
        row.load(&logits);
        (row, saturations)
    }

    /// What a kept row adds.
    fn keep(&mut self, head: &Head, query: &Query, row: &softmax::Row, again: bool, coverage: &mut Coverage) {
        let dim = self.dimension();
        let values = if self.split_values && !again { &head.first_values } else { &head.values };
        let mut probabilities = vec![];
        if let Some(divisor) = row.divisor() {
            for (j, &e) in row.exponentials.iter().enumerate() {
                probabilities.push(u64::from(divisor.probability(e)));
                let increment = divisor.increment(e);
                let increment = if self.pins.weighted {
                    importance_accumulator::weighted(increment, head.norms[j])
                } else {
                    u64::from(increment)
                };
                let (sum, rows) = self.tokens[j];
                let (sum, cut) = importance_accumulator::fixed(sum, increment, &self.formats.token_importance);
                self.tokens[j] = (sum, (rows + 1).min((1 << ROW_BITS) - 1));
                self.cut[0] += u64::from(cut);
                coverage.add("token saturation", cut.into());
            }
        }
        let mut sums = vec![0; dim];
        let add = |j: usize| {
            let mut p = probabilities[j] as i32;
            if self.pins.scaled_values {
                p = multiply_value::weight(p as u32, head.value_scales[j]);
            }
            multiply_value::fixed(p, &values[j * dim..(j + 1) * dim], &mut sums);
        };
        if query.keep < query.visible {
            let width = self.formats.probability.width();
            let threshold = radix_select::fixed(&probabilities, query.keep, width, |_| ());
            let equal = threshold.map(|t| probabilities.iter().filter(|&&p| p == t.score).count() > t.equal);
            coverage.add("tie at the cut", u64::from(equal == Some(true)));
            coverage.add("no value kept", u64::from(query.keep == 0));
            coverage.add("some values kept", u64::from(query.keep > 0));
            top_k::filter(&probabilities, threshold, add);
        } else {
            coverage.add("all values kept", u64::from(query.visible > 0));
            (0..query.visible).for_each(add);
        }
        let mut outputs = vec![0; HEAD_DIMS[3]];
        let mut saturated = 0;
        for (out, &sum) in outputs.iter_mut().zip(&sums) {
            let (value, cut) = multiply_value::round(sum, &self.formats.output);
            *out = value;
            saturated += u32::from(cut);
        }
        let increment = importance_accumulator::head_increment(&outputs, head_factor(query.name.head));
        let sum = self.heads[query.name.head];
        let (sum, cut) = importance_accumulator::fixed(sum, increment, &self.formats.head_importance);
        self.heads[query.name.head] = sum;
        self.cut[1] += u64::from(cut);
        self.kept += 1;
        let magnitude = outputs.iter().map(|o| o.unsigned_abs()).sum();
        let index_bits = bits_for(self.config.keys_on_chip - 1);
        let row = Outputs { name: query.name, index_bits, outputs: outputs.into(), saturated, magnitude };
        self.outputs[1].push(Output::Outputs(row));
    }

    /// All rows of all heads of queries that share a head of keys and values.
    pub fn head(&mut self, head: &Head, queries: &[Query], rng: &mut Rng, coverage: &mut Coverage) {
        let index_bits = bits_for(self.config.keys_on_chip - 1);
        self.write_values(head, rng);
        let keys = if self.progressive { &head.first } else { &head.full };
        self.write_keys(keys, &head.key_scales, rng);
        let marker = |again: bool, values: bool, keys: bool, rng: &mut Rng| {
            Input::Row(Row {
                visible: rng.below(5) as usize,
                keep: 1,
                name: Name { index: 1, head: 1 },
                factor: head_factor(1),
                last_pass: rng.below(2) == 0,
                release_keys: if again { rng.below(2) == 0 } else { keys },
                release_values: !again,
                again_keys: again && keys,
                again_values: again && values,
                keys: self.config.keys_on_chip,
            })
        };
        // Keys are released by the last row, if it is known to be that, or by a marker.
        let by_row = rng.below(2) == 0;
        let [release, again_keys, again_values] = [
            marker(false, true, self.progressive && !by_row, rng),
            marker(true, false, true, rng),
            marker(true, true, false, rng),
        ];
        let both = marker(true, true, true, rng);
        let release_all = marker(false, true, true, rng);
        let mut again = vec![];
        for (i, query) in queries.iter().enumerate() {
            let last = i + 1 == queries.len();
            let (row, saturations) = self.pass(head, query, !self.progressive, last && !self.progressive);
            coverage.add("empty row", u64::from(query.visible == 0));
            coverage.add("logit saturation", saturations);
            let flat = requant_decision::fixed(row.sum, self.pins.threshold_inverse) && self.progressive;
            if self.progressive {
                self.outputs[0].push(Output::Verdict(query.name, flat, index_bits));
            }
            if flat {
                coverage.hit("refetch");
                coverage.add("logit saturation in a dropped pass", saturations);
                again.push(query.clone());
            } else {
                coverage.add("kept in the first pass", u64::from(self.progressive));
                self.keep(head, query, &row, false, coverage);
            }
        }
        if again.is_empty() {
            self.inputs[0].push(if self.progressive { release_all } else { release });
            return;
        }
        coverage.add("some rows again, some not", u64::from(again.len() < queries.len()));
        let seen = again.iter().map(|query| query.visible).max().unwrap_or(0);
        coverage.add("some keys added to", u64::from(seen < head.keys));
        self.add(false, head, seen);
        if self.split_values {
            self.add(true, head, seen);
            coverage.hit("values added to");
            match again.len() % 2 {
                0 => self.inputs[0].push(both),
                _ => self.inputs[0].extend([again_keys, again_values]),
            }
        } else {
            self.inputs[0].push(again_keys);
        }
        for (i, query) in again.iter().enumerate() {
            let (row, _) = self.pass(head, query, true, by_row && i + 1 == again.len());
            self.keep(head, query, &row, true, coverage);
        }
        self.inputs[0].push(release);
    }

    /// Heads of every length and rows of every kind.
    pub fn random(config: &ArchConfig, kind: Kind, shape: Shape, seed: u64, coverage: &mut Coverage) -> Self {
        let mut rng = Rng::new(seed ^ u64::from(shape == Shape::Long) << 20);
        let mut job = Self::new(config, kind);
        let dim = job.dimension();
        job.begin(kind.dim == 1, &mut rng);
        let words_of = |keys: usize| (keys * dim).div_ceil(config.multipliers).max(1);
        // Cycles that a job may take, and rows.
        let (mut budget, mut rows) = if shape == Shape::Short { (4_000i64, 260i64) } else { (7_000, 120) };
        let most = if shape == Shape::Short { 24 } else { config.keys_on_chip };
        let mut count = 0;
        while budget > 0 && rows > 0 {
            let keys = match (count, rng.below(6)) {
                (0, _) => most,
                (1, _) => 6,
                (_, 0) => 1,
                (_, 1) if shape == Shape::Short => 0,
                _ => 1 + rng.below(most as u64 / 2) as usize,
            };
            coverage.add("head without keys", u64::from(keys == 0));
            let per_pass = words_of(keys) as i64;
            let fitting = (budget / (2 * per_pass)).clamp(1, 40) as u64;
            let per_head = if count == 1 {
                8
            } else if shape == Shape::Short {
                1 + rng.below(fitting)
            } else {
                1 + rng.below(fitting.min(8))
            };
            let shared = 1 + rng.below(3) as usize * usize::from(count != 1 && rng.below(3) == 0);
            coverage.add("heads that share keys", u64::from(shared > 1));
            // Six keys of the largest values and equal scores: the largest sums, six probabilities that were rounded up.
            let extreme = keys == 6;
            let head = random_head(config, keys, dim, extreme, &mut rng);
            let mut queries = vec![];
            for group in 0..shared {
                let causal = rng.below(2) == 0;
                for i in 0..per_head as usize {
                    let visible = match (causal, rng.below(8)) {
                        (_, 0) => 0,
                        (true, _) => keys.min(i + 1 + keys / 2),
                        (false, _) => keys,
                    };
                    let keep = match rng.below(6) {
                        0 => config.keys_on_chip,
                        1 => visible,
                        2 => rng.below(2) as usize,
                        _ => rng.below(visible as u64 + 1) as usize,
                    };
                    let name = Name {
                        index: i % config.keys_on_chip,
                        head: (count * 5 + group + 3 * usize::from(count == 0)) % MAX_HEADS,
                    };
                    let spread = if extreme { 4 } else { rng.below(5) };
                    queries.push(random_query(config, dim, spread, visible, keep, name, &mut rng));
                }
            }
            let passes = queries.len() as i64 * if kind.progressive { 2 } else { 1 };
            budget -= passes * per_pass;
            rows -= queries.len() as i64;
            job.head(&head, &queries, &mut rng, coverage);
            count += 1;
            if count < 3 || count % 7 == 3 {
                job.accumulate(count % 2 == 0);
            }
        }
        job.accumulate(true);
        job
    }

    /// `heads` heads of `rows` rows that all see `keys` keys and keep `keep` values.
    pub fn regular(config: &ArchConfig, dim: u32, heads: usize, rows: usize, keys: usize, keep: usize) -> Self {
        let kind = Kind {
            dim,
            scaled_keys: false,
            scaled_values: false,
            weighted: false,
            progressive: false,
            split_values: false,
        };
        let mut rng = Rng::new(heads as u64);
        let mut job = Self::new(config, kind);
        let dimension = job.dimension();
        for h in 0..heads {
            let head = random_head(config, keys, dimension, false, &mut rng);
            let queries: Vec<_> = (0..rows)
                .map(|i| random_query(config, dimension, 2, keys, keep, Name { index: i, head: h }, &mut rng))
                .collect();
            job.head(&head, &queries, &mut rng, &mut Coverage::default());
        }
        let rows = std::mem::take(&mut job.kept);
        job.command(Command::Accumulate { rows, head_rows: rows, weighted: false });
        job
    }
}

pub fn head_factor(head: usize) -> ScaleFactor {
    ScaleFactor::new(0.75 + head as f64 / 16.0)
}

/// Operands in beats; what lies behind the last one is written too.
fn padded(operands: &[i16], bits: u32, word: usize, beat: usize, rng: &mut Rng) -> Vec<(Box<[u16]>, bool)> {
    let length = operands.len().max(1).next_multiple_of(beat).next_multiple_of(word.min(beat));
    let mask = (1u32 << bits) as u16 as u32;
    let mask = if mask == 0 { u16::MAX } else { (mask - 1) as u16 };
    let mut all: Vec<u16> = operands.iter().map(|&x| x as u16 & mask).collect();
    all.resize_with(length, || rng.bits() as u16 & mask);
    let beats = length / beat;
    all.chunks(beat).enumerate().map(|(i, lanes)| (lanes.into(), i + 1 == beats)).collect()
}

pub fn random_head(config: &ArchConfig, keys: usize, dim: usize, extreme: bool, rng: &mut Rng) -> Head {
    let top = 1i64 << (config.datapath_bits - 1);
    let mut operand = |spread: f64| ((rng.normal() * spread) as i64).clamp(-top, top - 1) as i16;
    let full: Vec<i16> = (0..keys * dim).map(|_| operand(top as f64 / 3.0)).collect();
    let values: Vec<i16> =
        (0..keys * dim).map(|_| if extreme { (top - 1) as i16 } else { operand(top as f64 / 2.0) }).collect();
    // Of a floor split, the upper bits alone.
    let first = full.iter().map(|x| x >> 6 << 6).collect();
    let one = 1u64 << TOKEN_SCALE_FRACTION;
    let first_values = random_first(&values, rng);
    let key_scales = (0..keys).map(|_| (one / 2 + rng.below(one / 2 + 1)) as u32).collect();
    let value_scales = (0..keys).map(|_| if extreme { one as u32 } else { rng.below(one + 1) as u32 }).collect();
    let norms = (0..keys).map(|_| rng.below(1 << VALUE_NORM_BITS) as u32).collect();
    Head { keys, full, first, key_scales, values, first_values, value_scales, norms }
}

/// Anything that differs by less than what 6 LSBs are worth.
fn random_first(values: &[i16], rng: &mut Rng) -> Vec<i16> {
    let mut near = |&x: &i16| if x > 0 { x - rng.below(64).min(x as u64) as i16 } else { x + rng.below(64) as i16 };
    values.iter().map(&mut near).collect()
}

/// What is added to an operand that is first read as another.
fn lsb(bits: u32) -> impl Fn((&i16, &i16)) -> u16 {
    move |(full, first)| (full.wrapping_sub(*first) as u16) & (u16::MAX >> (16 - bits))
}

pub fn random_query(
    config: &ArchConfig,
    dim: usize,
    spread: u64,
    visible: usize,
    keep: usize,
    name: Name,
    rng: &mut Rng,
) -> Query {
    let top = 1i64 << (config.datapath_bits - 1);
    // What lies behind the low D must not matter.
    let operands: Vec<i16> =
        (0..HEAD_DIMS[3]).map(|_| ((rng.normal() * top as f64 / 3.0) as i64).clamp(-top, top - 1) as i16).collect();
    let unit = 1.0 / (dim as f64).sqrt() / (top as f64 / 3.0).powi(2);
    // Peaked, middling, flat, beyond the format, all equal.
    let of_spread = [3.0, 1.5, 0.6, 400.0, 0.0][spread as usize];
    Query { operands, first: None, factor: ScaleFactor::for_logits(unit * of_spread), visible, keep, name }
}
