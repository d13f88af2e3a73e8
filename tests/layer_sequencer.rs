//! `layer_sequencer`: RTL against its cycle model in every cycle, and against the layer as it is read here.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

#[path = "common/tokens.rs"]
mod tokens;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::content::Content;
use spatten_arch::element::Element;
use spatten_arch::plan::Split;
use spatten_golden::dot_product::ScaleFactor;
use spatten_sim::attention_core::{Name, Row};
use spatten_sim::cosim::{BlockBench, Coverage, Verilog, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::fetch_path;
use spatten_sim::layer_sequencer::{BASES, Factors, Input, Layer, LayerSequencer, Output, Plane, Verdict, Widths};
use spatten_sim::matrix_fetcher::Tokens;
use spatten_sim::operand_router::QueryJob;
use spatten_testkit::{Checks, Rng};
use tokens::ascending;

const INPUTS: [&str; 5] = ["key_list", "query_list", "layer", "factor", "verdict"];
const OUTPUTS: [&str; 7] = ["fetch", "token", "query_job", "row", "plane", "accumulate", "refetched"];
/// Query rows that are fetched behind the next head's keys are whole steps of so many.
const STEP: usize = 16;

/// Layers as beats of all streams.
struct Work {
    config: ArchConfig,
    inputs: Vec<Vec<Input>>,
    outputs: Vec<Vec<Output>>,
    keys: Vec<u16>,
    queries: Vec<u16>,
    rng: Rng,
}

impl Work {
    fn new(config: &ArchConfig) -> Self {
        let (inputs, outputs) = (vec![vec![]; INPUTS.len()], (0..OUTPUTS.len()).map(|_| vec![]).collect());
        Self { config: config.clone(), inputs, outputs, keys: vec![], queries: vec![], rng: Rng::new(8) }
    }

    fn beats(&self) -> usize {
        self.outputs.iter().map(Vec::len).sum()
    }

    fn job(&mut self, layer: &Layer, content: Content, number: usize, list: &[u16]) {
        let widths = Widths::of(&self.config);
        let (at, lanes) = (content as usize, self.config.channels);
        let msb = |i: usize| Element::msb(layer.bits[i], layer.lsb_bits[i], layer.split);
        let lsb = |i: usize| Element::lsb(layer.bits[i], layer.lsb_bits[i], layer.split);
        let element = match content {
            Content::Keys => msb(0),
            Content::Values => msb(1),
            Content::Queries => msb(2),
            Content::KeyLsbs => lsb(0),
            Content::ValueLsbs => lsb(1),
            Content::QueryLsbs => lsb(2),
            _ => Element::whole(1),
        };
        let job = fetch_path::Job {
            base: layer.base[at].wrapping_add(layer.stride[at].wrapping_mul(number as u32)),
            dim: if content.granules() { 1 } else { layer.dim },
            element,
            tag: at as u8,
        };
        self.outputs[0].push(Output::Fetch(job, widths));
        self.outputs[1].extend(Tokens::beats(list, lanes).into_iter().map(|tokens| Output::Tokens(tokens, widths)));
    }

    fn keys_and_values(&mut self, layer: &Layer, number: usize) {
        self.contents(layer, number, &[Content::Keys, Content::KeyScales]);
        self.contents(layer, number, &[Content::Values, Content::ValueScales, Content::Norms]);
    }

    fn contents(&mut self, layer: &Layer, number: usize, contents: &[Content]) {
        let keys = self.keys.clone();
        for &content in contents {
            let needed = match content {
                Content::KeyScales | Content::ValueScales => layer.scaled,
                Content::Norms => layer.weighted,
                _ => true,
            };
            if needed {
                self.job(layer, content, number, &keys);
            }
        }
    }

    fn query_job(&mut self, factor: ScaleFactor, rows: usize) {
        let keys = self.config.keys_on_chip;
        let job = QueryJob { rows, factor, lsbs: false, keep: false, again: false, drop: false, keys };
        self.outputs[2].push(Output::QueryJob(job));
    }

    /// The last thing that was said of a query.
    fn said(&mut self) -> &mut QueryJob {
        match self.outputs[2].last_mut() {
            Some(Output::QueryJob(job)) => job,
            other => panic!("{other:?} on `query_job`"),
        }
    }

    fn query_rows(&mut self, layer: &Layer, head: usize, factor: ScaleFactor, rows: std::ops::Range<usize>) {
        if rows.is_empty() {
            return;
        }
        let list = self.queries[rows].to_vec();
        if layer.scaled {
            self.job(layer, Content::QueryScales, head, &list);
        }
        self.job(layer, Content::Queries, head, &list);
        self.query_job(factor, list.len());
    }

    /// What is fetched for flat rows of heads that share keys.
    fn again(&mut self, layer: &Layer, number: usize, flat: &[(usize, usize)], factors: &[Factors], kept: bool) {
        let Some(seen) = flat.iter().map(|&(_, index)| self.visible(layer, index)).max() else { return };
        let keys = self.keys[..seen].to_vec();
        for (content, bits) in [(Content::KeyLsbs, layer.lsb_bits[0]), (Content::ValueLsbs, layer.lsb_bits[1])] {
            if bits > 0 {
                self.job(layer, content, number, &keys);
            }
        }
        for &(head, index) in flat {
            if kept {
                self.query_job(factors[head].logit, 1);
                self.said().again = true;
                continue;
            }
            let list = [self.queries[index]];
            if layer.scaled {
                self.job(layer, Content::QueryScales, head, &list);
            }
            let kinds = [(Content::QueryLsbs, layer.lsb_bits[2] > 0), (Content::Queries, true)];
            for (content, _) in kinds.into_iter().filter(|(_, needed)| *needed) {
                self.job(layer, content, head, &list);
                let lsbs = content == Content::QueryLsbs;
                self.query_job(factors[head].logit, 1);
                self.said().lsbs = lsbs;
            }
        }
    }

    fn visible(&self, layer: &Layer, index: usize) -> usize {
        let token = usize::from(self.queries[index]) + usize::from(layer.first_row);
        match layer.causal {
            true => self.keys.iter().filter(|&&key| usize::from(key) <= token).count(),
            false => self.keys.len(),
        }
    }

    /// A beat of `row`: a pass of a head's row, or none.
    fn row(&self, layer: &Layer, factors: &[Factors], (head, index): (usize, usize), pass: bool) -> Row {
        let visible = if pass { self.visible(layer, index) } else { 0 };
        let keep = (u64::from(layer.share) * visible as u64).div_ceil(1 << 31) as usize;
        Row {
            visible,
            keep,
            name: Name { index, head },
            factor: factors[head].importance,
            last_pass: true,
            release_keys: false,
            release_values: false,
            again_keys: false,
            again_values: false,
            keys: self.config.keys_on_chip,
        }
    }

    /// Adds a layer, and what must come of it.
    #[allow(clippy::too_many_lines)]
    fn layer(&mut self, layer: Layer, lists: [Option<Vec<u16>>; 2], factors: &[Factors], coverage: &mut Coverage) {
        let widths = Widths::of(&self.config);
        let lanes = self.config.channels;
        for (i, list) in lists.into_iter().enumerate() {
            let Some(list) = list else { continue };
            coverage.add("partial beat of a list", u64::from(list.len() % lanes != 0));
            self.inputs[i].extend(Tokens::beats(&list, lanes).into_iter().map(|tokens| Input::List(tokens, widths)));
            *(if i == 0 { &mut self.keys } else { &mut self.queries }) = list;
        }
        self.inputs[2].push(Input::Layer(Box::new(layer.clone()), widths));
        let alive: Vec<usize> = (0..layer.heads).filter(|h| layer.mask >> h & 1 == 1).collect();
        let rows = self.queries.len();
        self.outputs[5].push(Output::Accumulate((alive.len() * rows) as u32));
        coverage.add("list kept", u64::from(!layer.new_keys));
        coverage.add("no head", u64::from(alive.is_empty()));
        coverage.add("no query", u64::from(rows == 0));
        coverage.add("no key", u64::from(self.keys.is_empty()));
        if alive.is_empty() || rows == 0 {
            return;
        }
        coverage.add("a head that is not computed", u64::from(alive.len() < layer.heads));
        coverage.add("causal", u64::from(layer.causal));
        coverage.add("scaled", u64::from(layer.scaled));
        coverage.add("weighted", u64::from(layer.weighted));
        let groups: Vec<usize> = alive.iter().map(|h| h / layer.group).collect();
        coverage.add("heads that share keys", u64::from(groups.windows(2).any(|pair| pair[0] == pair[1])));
        coverage.add("keys that nobody needs", u64::from(groups.windows(2).any(|pair| pair[0] + 1 < pair[1])));
        self.inputs[3].extend(factors[..layer.heads].iter().map(|&factors| Input::Factors(factors)));

        // What is fetched.
        let step = STEP.max(lanes);
        // At D = 128 there is no other half for the next head's keys.
        let split = if rows > 2 * step && layer.dim != 3 { ((rows - 1) / step - 1) * step } else { rows };
        coverage.add("queries behind the next head's keys", u64::from(split < rows && groups.len() > 1));
        // Which rows turn out to be flat.
        let kind = if layer.progressive { self.rng.below(4) } else { 0 };
        let mut draw = |_: usize| match kind {
            0 => false,
            1 => true,
            2 => self.rng.below(2) == 0,
            _ => self.rng.below(12) == 0,
        };
        let flat: Vec<Vec<bool>> = alive.iter().map(|_| (0..rows).map(&mut draw).collect()).collect();
        let flat_of = |group: usize| -> Vec<(usize, usize)> {
            let of_group = (0..alive.len()).filter(|&i| groups[i] == group);
            of_group
                .flat_map(|i| (0..rows).filter(|&r| flat[i][r]).map(|r| (alive[i], r)).collect::<Vec<_>>())
                .collect()
        };
        coverage.add("a single query", u64::from(rows == 1));
        let (mut ahead, mut query_ahead) = (false, false);
        for (i, &head) in alive.iter().enumerate() {
            let first = i == 0 || groups[i] != groups[i - 1];
            let next = groups.get(i + 1).copied();
            let ends = next != Some(groups[i]);
            let goes_on = next.filter(|_| ends && !(layer.progressive && layer.dim == 3));
            let logit = factors[head].logit;
            let (of_keys, of_values) =
                ([Content::Keys, Content::KeyScales], [Content::Values, Content::ValueScales, Content::Norms]);
            let own = first && !std::mem::take(&mut ahead);
            if own {
                self.contents(&layer, groups[i], &of_keys);
                if rows > 1 {
                    self.contents(&layer, groups[i], &of_values);
                }
            }
            if std::mem::take(&mut query_ahead) {
                self.query_job(logit, 1);
            } else {
                self.query_rows(&layer, head, logit, 0..split);
            }
            let keeps = rows == 1 && layer.progressive && first && ends && goes_on.is_some() && layer.lsb_bits[2] == 0;
            if rows == 1 {
                self.said().keep = keeps;
                if own {
                    self.contents(&layer, groups[i], &of_values);
                }
                if let Some(next) = goes_on.filter(|_| layer.progressive) {
                    if keeps {
                        coverage.hit("a query that is kept");
                        let said = self.outputs[2].len();
                        self.query_rows(&layer, alive[i + 1], logit, 0..1);
                        self.outputs[2].truncate(said);
                        query_ahead = true;
                    }
                    self.keys_and_values(&layer, next);
                    ahead = true;
                }
            } else {
                if let Some(next) = goes_on {
                    self.keys_and_values(&layer, next);
                    ahead = true;
                }
                self.query_rows(&layer, head, logit, split..rows);
            }
            if ends && layer.progressive {
                let again = flat_of(groups[i]);
                self.again(&layer, groups[i], &again, factors, keeps);
                if keeps && again.is_empty() {
                    self.query_job(logit, 1);
                    self.said().drop = true;
                }
            }
        }

        // What is computed.
        for (i, &head) in alive.iter().enumerate() {
            let stride = layer.stride[BASES - 1].wrapping_mul(head as u32);
            let base = layer.base[BASES - 1].wrapping_add(stride);
            self.outputs[4].push(Output::Plane(Plane { base, head }));
            let ends = groups.get(i + 1) != Some(&groups[i]);
            for index in 0..rows {
                let row = self.row(&layer, factors, (head, index), true);
                let release_keys = ends && index + 1 == rows && !layer.progressive;
                self.outputs[3].push(Output::Row(Row { last_pass: !layer.progressive, release_keys, ..row }));
                if layer.progressive {
                    let (name, flat) = (Name { index, head }, flat[i][index]);
                    let last = i + 1 == alive.len() && index + 1 == rows;
                    self.inputs[4].push(Input::Verdict(name, flat, widths));
                    self.outputs[6].push(Output::Refetched(Verdict { name, flat, last }, widths));
                }
            }
            if !ends {
                continue;
            }
            let again = flat_of(groups[i]);
            let none = layer.progressive && again.is_empty();
            coverage.add("no row again", u64::from(none));
            let mut at = (head, rows % self.config.keys_on_chip);
            if let Some(most) = again.iter().map(|(_, index)| *index).max() {
                coverage.hit("rows again");
                let lsbs = [0, 1].map(|i| layer.lsb_bits[i] > 0);
                coverage.add("rows again without LSBs", u64::from(lsbs == [false; 2]));
                coverage.add("values added to", u64::from(lsbs[1]));
                coverage.add("queries added to", u64::from(layer.lsb_bits[2] > 0));
                coverage.add("rows again of several heads", u64::from(again.iter().any(|(h, _)| *h != again[0].0)));
                coverage.add("some keys added to", u64::from(self.visible(&layer, most) < self.keys.len()));
                if lsbs.contains(&true) {
                    let row = self.row(&layer, factors, (head, most), false);
                    self.outputs[3].push(Output::Row(Row { again_keys: lsbs[0], again_values: lsbs[1], ..row }));
                }
                for (i, &name) in again.iter().enumerate() {
                    let row = self.row(&layer, factors, name, true);
                    self.outputs[3].push(Output::Row(Row { release_keys: i + 1 == again.len(), ..row }));
                    at = name;
                }
            }
            let row = self.row(&layer, factors, at, false);
            let last_pass = !none;
            self.outputs[3].push(Output::Row(Row { last_pass, release_keys: none, release_values: true, ..row }));
        }
    }

    fn random(config: &ArchConfig, least: usize, seed: u64, coverage: &mut Coverage) -> Self {
        let mut rng = Rng::new(seed);
        let mut work = Self::new(config);
        let factor = |rng: &mut Rng| ScaleFactor { mantissa: rng.below(1 << 18) as u32, shift: rng.below(64) as u32 };
        for number in 0.. {
            if work.beats() >= least {
                break;
            }
            let group = 1 + rng.below(4) as usize * usize::from(rng.below(2) == 0);
            let heads = group * (1 + rng.below(5) as usize);
            // Dense, with gaps, nearly none, none; all 128 now and then.
            let (heads, group) = if number == 5 { (128, 8) } else { (heads, group) };
            let random = u128::from(rng.bits()) << 64 | u128::from(rng.bits());
            let all = u128::MAX >> (128 - heads);
            let mask = match rng.below(6) {
                0 => all & random & u128::from(rng.bits()) << 3,
                1 | 2 => all & random,
                3 if rng.below(3) == 0 => 0,
                _ => all,
            };
            let most = if number % 7 == 3 { config.keys_on_chip } else { 70.min(config.keys_on_chip) };
            let tokens = 1 + rng.below(most as u64) as usize;
            let first_row = rng.below(tokens as u64 / 2 + 1) as usize;
            let count = |rng: &mut Rng, most: usize| match rng.below(8) {
                0 => 0,
                1 => 1.min(most),
                2 | 3 => most,
                _ => rng.below(most as u64 + 1) as usize,
            };
            let (keys, rows) = (count(&mut rng, tokens), count(&mut rng, tokens - first_row));
            let keys = ascending(keys, tokens, &mut rng);
            let queries = ascending(rows, tokens - first_row, &mut rng);
            let new = [number == 0 || rng.below(4) > 0, number == 0 || rng.below(4) > 0];
            let layer = Layer {
                new_keys: new[0],
                new_queries: new[1],
                dim: rng.below(4) as u32,
                heads,
                group,
                mask,
                causal: rng.below(3) == 0,
                first_row: first_row as u16,
                scaled: rng.below(3) == 0,
                weighted: rng.below(3) == 0,
                share: [1 << 31, 0, 1, rng.below(1 << 31) as u32][rng.below(4) as usize],
                progressive: rng.below(2) == 0,
                threshold_inverse: rng.below(1 << 20),
                split: [Split::Floor, Split::Mid, Split::Balanced][rng.below(3) as usize],
                bits: [0; 3].map(|_| 1 + rng.below(u64::from(config.datapath_bits)) as u32),
                lsb_bits: [0; 3].map(|_| rng.below(3) as u32 * rng.below(4) as u32),
                base: [0; BASES].map(|_| rng.bits() as u32),
                stride: [0; BASES].map(|_| rng.bits() as u32),
            };
            let factors: Vec<Factors> =
                (0..heads).map(|_| Factors { logit: factor(&mut rng), importance: factor(&mut rng) }).collect();
            let lists = [new[0].then_some(keys), new[1].then_some(queries)];
            work.layer(layer, lists, &factors, coverage);
        }
        work
    }
}

fn bench(work: &Work, verilog: Verilog, config: &ArchConfig) -> BlockBench<LayerSequencer> {
    let model = LayerSequencer::new(config);
    let mut bench = BlockBench::new(verilog, "layer_sequencer", &config.name, seed(0x15), model);
    for (name, beats) in INPUTS.into_iter().zip(&work.inputs) {
        bench = bench.input(name, beats.clone());
    }
    for (name, beats) in OUTPUTS.into_iter().zip(&work.outputs) {
        bench = bench.output(name, beats.clone());
    }
    let widths = Widths::of(config);
    bench.status(move |model| model.status(&widths)).again("cargo test --test layer_sequencer")
}

#[test]
fn equals_the_layer_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("layer_sequencer");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("layer_sequencer", &config));
        let work = Work::random(&config, 30_000, seed(1), &mut coverage);
        let reports = run_all(&bench(&work, verilog, &config), work.beats(), &mut coverage);
        let beats: u64 = reports.iter().flat_map(|r| &r.checked).map(|(_, n)| n).sum();
        checks.that(beats >= 10_000, || format!("{}: {beats} beats", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    coverage.require(&[
        "list kept",
        "no head",
        "no query",
        "no key",
        "a single query",
        "a head that is not computed",
        "causal",
        "scaled",
        "weighted",
        "heads that share keys",
        "keys that nobody needs",
        "queries behind the next head's keys",
        "partial beat of a list",
        "a query that is kept",
        "no row again",
        "rows again",
        "rows again without LSBs",
        "values added to",
        "queries added to",
        "rows again of several heads",
        "some keys added to",
    ]);
    checks.finish_any();
}

/// The model alone, everything offered and taken at once: cycles of the layer and of each beat of an output.
fn cycles(work: &Work, config: &ArchConfig, output: usize) -> (u64, Vec<u64>) {
    let mut model = LayerSequencer::new(config);
    let mut next = vec![0; work.inputs.len()];
    let (mut layer, mut beats) = (0, vec![]);
    for cycle in 0..10_000 {
        let mut accepted: Vec<Option<Input>> = (0..next.len())
            .map(|port| {
                let beat = work.inputs[port].get(next[port]).filter(|_| model.ready(port)).cloned();
                next[port] += usize::from(beat.is_some());
                beat
            })
            .collect();
        if accepted[2].is_some() {
            layer = cycle;
        }
        let taken: Vec<bool> = (0..OUTPUTS.len()).map(|port| model.output(port).is_some()).collect();
        if taken[output] {
            beats.push(cycle);
        }
        model.clock(&mut accepted, &taken);
    }
    (layer, beats)
}

#[test]
fn jobs_and_rows_come_when_they_are_documented_to() {
    let mut checks = Checks::new("layer_sequencer_times");
    let config = ArchConfig::eighth();
    let factor = ScaleFactor { mantissa: 1, shift: 0 };
    let mut work = Work::new(&config);
    let layer = |new| Layer {
        new_keys: new,
        new_queries: new,
        dim: 2,
        heads: 2,
        group: 1,
        mask: 3,
        causal: false,
        first_row: 0,
        scaled: false,
        weighted: false,
        share: 1 << 31,
        progressive: false,
        threshold_inverse: 0,
        split: Split::Floor,
        bits: [12; 3],
        lsb_bits: [0; 3],
        base: [0; BASES],
        stride: [1; BASES],
    };
    let tokens: Vec<u16> = (0..20).collect();
    let factors = [Factors { logit: factor, importance: factor }; 2];
    // The second layer has the lists of the first.
    work.layer(layer(true), [Some(tokens.clone()), Some(tokens)], &factors, &mut Coverage::default());
    work.layer(layer(false), [None, None], &factors, &mut Coverage::default());
    let (begins, jobs) = cycles(&work, &config, 0);
    checks.eq(jobs.iter().find(|cycle| **cycle > begins).copied(), Some(begins + 6), || "the first job".into());
    let (begins, rows) = cycles(&work, &config, 3);
    let rows: Vec<u64> = rows.into_iter().filter(|cycle| *cycle > begins).take(20).collect();
    let steady = rows.windows(2).all(|pair| pair[1] == pair[0] + 2);
    checks.that(rows.len() == 20 && steady, || format!("rows of a head: {rows:?}"));
    checks.finish(2);
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("layer_sequencer", &config);
    let work = Work::random(&config, 600, seed(2), &mut Coverage::default());
    same_in_icarus(&bench(&work, verilog(&design), &config), &design, "layer_sequencer");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("layer_sequencer", &config);
    let work = Work::random(&config, 3_000, seed(3), &mut Coverage::default());
    for (stream, field) in [("fetch", "base"), ("token", "index"), ("row", "visible"), ("plane", "base")] {
        faults_at_the_port_are_caught(&design, stream, field, |verilog| bench(&work, verilog, &config).patience(2_000));
    }
    let check = |module: &str, from: &str, to: &str, what: &str| {
        println!("fault: {from} -> {to}");
        caught(&bench(&work, broken(&design, module, from, to), &config).patience(2_000), what);
    };
    // A row that sees its own token only if it comes first; keys that are fetched again; heads that share keys given back early.
    check("visible", "(key <= query)", "(key < query)", "differs");
    check("layer_fetches", "ahead_next = head_first;", "ahead_next = 1'd0;", "differs");
    check("layer_heads", "seen_next = 1'd1;", "seen_next = 1'd0;", "differs");
    // Keys that are never given back; fewer LSBs than a row needs; a head that is left out.
    check("layer_rows", "none_next = 1'd1;", "none_next = 1'd0;", "differs");
    check("layer_again", "highest_next = verdict_index;", "highest_next = highest;", "differs");
    check("layer_again", "head_next = (head + 7'd1);", "head_next = (head + 7'd2);", "differs");
}
