//! `key_buffer`: RTL against a plain array of heads, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::format::TOKEN_SCALE_FRACTION;
use spatten_hw::{emit::emit, key_buffer as rtl};
use spatten_sim::cosim::{Bits, BlockBench, Coverage, Field, Stalls, Verilog, seed};
use spatten_sim::key_buffer::{Input, KeyBuffer, Size, Word};
use spatten_testkit::{Checks, Rng};

struct Stimulus {
    size: Size,
    dim: u32,
    scaled: bool,
    writes: Vec<Input>,
    scales: Vec<Input>,
    reads: Vec<Input>,
    adds: Vec<Input>,
    out: Vec<Word>,
}

impl Stimulus {
    fn new(size: Size, dim: u32, scaled: bool) -> Self {
        Self { size, dim, scaled, writes: vec![], scales: vec![], reads: vec![], adds: vec![], out: vec![] }
    }

    /// A head of `keys` keys, of which words are requested.
    fn head(&mut self, keys: usize, requests: &[usize], rng: &mut Rng) {
        self.head_in_parts(keys, &[requests], &[], rng);
    }

    /// The same, where between `parts` of the requests as many keys as `added` says are added to the first ones.
    fn head_in_parts(&mut self, keys: usize, parts: &[&[usize]], added: &[usize], rng: &mut Rng) {
        let Size { bits, word, beat, lanes, .. } = self.size;
        let dimension = 16usize << self.dim;
        // Beats are whole: what lies behind the last key is written too.
        let length = (keys * dimension).next_multiple_of(beat).next_multiple_of(word);
        let mut operands: Vec<u16> = (0..length).map(|_| rng.below(1 << bits) as u16).collect();
        let beats = length / beat;
        for (i, chunk) in operands.chunks(beat).enumerate() {
            self.writes.push(Input::Write { lanes: chunk.into(), bits, last: i + 1 == beats });
        }
        let mut key_scales: Vec<u32> = (0..keys).map(|_| rng.below((1 << TOKEN_SCALE_FRACTION) + 1) as u32).collect();
        if self.scaled {
            key_scales.resize(keys.next_multiple_of(lanes), 3);
            let rows = key_scales.len() / lanes;
            for (i, row) in key_scales.chunks(lanes).enumerate() {
                self.scales.push(Input::Scale { lanes: row.into(), last: i + 1 == rows });
            }
        }
        for (number, requests) in parts.iter().enumerate() {
            let ends = number + 1 == parts.len();
            // The last request says what becomes of the head, or a marker behind it.
            let marks = requests.is_empty() || (parts.len() > 1 && rng.below(2) == 0);
            for (i, &address) in requests.iter().enumerate() {
                let (count, last) = (rng.below(lanes as u64 + 1) as usize, rng.below(2) == 0);
                let says = !marks && i + 1 == requests.len();
                let mut read = Input::read(&self.size, address, count, last, says && ends);
                if let Input::Read { again, .. } = &mut read {
                    *again = says && !ends;
                }
                self.reads.push(read);
                let scale = |lane: usize| {
                    if !self.scaled {
                        return 1 << TOKEN_SCALE_FRACTION;
                    }
                    // From the first key of the word to the end of its row of scales; nothing behind that.
                    let key = address * word / dimension + lane;
                    let same_row = key / lanes == address * word / dimension / lanes;
                    if same_row { key_scales.get(key).copied().unwrap_or(3) } else { 0 }
                };
                self.out.push(Word {
                    lanes: operands[address * word..(address + 1) * word].into(),
                    bits,
                    scales: (0..lanes).map(scale).collect(),
                    count: count as u32,
                    last,
                });
            }
            if marks {
                self.reads.push(Input::marker(&self.size, !ends));
            }
            if ends {
                return;
            }
            let length = (added[number] * dimension).next_multiple_of(beat);
            let lsbs: Vec<u16> = (0..length).map(|_| rng.below(1 << bits) as u16).collect();
            for (i, chunk) in lsbs.chunks(beat).enumerate() {
                self.adds.push(Input::Add { lanes: chunk.into(), bits, last: i + 1 == length / beat });
            }
            for (operand, lsb) in operands.iter_mut().zip(lsbs) {
                *operand = (u32::from(*operand) + u32::from(lsb)) as u16 & (u16::MAX >> (16 - bits));
            }
        }
    }

    fn random(size: Size, dim: u32, scaled: bool, beats: usize, coverage: &mut Coverage) -> Self {
        let mut stimulus = Self::new(size, dim, scaled);
        let mut rng = Rng::new(seed(u64::from(dim) * 2 + u64::from(scaled)));
        let most = (size.head(dim) >> (dim + 4)).min(size.keys);
        let mut heads = 0;
        while stimulus.out.len() < beats {
            let keys = match (heads, rng.below(4)) {
                (0, _) | (_, 0) => most,
                (_, 1) => 1,
                _ => 1 + rng.below(most as u64) as usize,
            };
            coverage.add("all keys", (keys == most).into());
            coverage.add("one key", (keys == 1).into());
            let words = (keys << (dim + 4)).div_ceil(size.word);
            let count = if heads == 1 { 1 } else { 1 + rng.below(2 * beats as u64 / 8) as usize };
            coverage.add("one request", (count == 1).into());
            let requests: Vec<usize> = (0..count).map(|_| rng.below(words as u64) as usize).collect();
            let ends = requests.contains(&0) && requests.contains(&(words - 1));
            coverage.add("first and last word", ends.into());
            // None, some or all keys are added to, once or twice.
            let (head, tail) = requests.split_at(rng.below(count as u64 + 1) as usize);
            let (middle, tail) = tail.split_at(rng.below(tail.len() as u64 + 1) as usize);
            let some = 1 + rng.below(keys as u64) as usize;
            match rng.below(4) {
                0 => stimulus.head_in_parts(keys, &[&requests[..count - 1], &requests[count - 1..]], &[keys], &mut rng),
                1 => stimulus.head_in_parts(keys, &[head, middle, tail], &[some, keys], &mut rng),
                _ => stimulus.head(keys, &requests, &mut rng),
            }
            heads += 1;
        }
        let lasts = stimulus.adds.iter().filter(|add| matches!(add, Input::Add { last: true, .. })).count();
        coverage.add("added", lasts as u64);
        coverage.add("one beat added", u64::from(stimulus.adds.len() < 2 * lasts));
        coverage.add("both halves in turn", (heads > 3).into());
        stimulus
    }

    fn bench(&self, verilog: Verilog, config: &str) -> BlockBench<KeyBuffer> {
        BlockBench::new(verilog, "key_buffer", config, seed(0xbf), KeyBuffer::new(self.size, self.dim, self.scaled))
            .input("write", self.writes.clone())
            .input("scale", self.scales.clone())
            .input("read", self.reads.clone())
            .input("add", self.adds.clone())
            .output("out", self.out.clone())
            .pin("dim", Bits::new(self.dim.into(), 2))
            .pin("scaled", Bits::new(self.scaled.into(), 1))
            .status(|model| vec![Field::value("full", model.full(), 2)])
            .again("cargo test --test key_buffer")
    }
}

fn size(config: &ArchConfig) -> Size {
    Size::of(config, config.key_buffer_bytes)
}

#[test]
fn every_request_is_answered_from_its_head_under_every_stall() {
    let mut checks = Checks::new("key_buffer");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("key_buffer", &config));
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
    coverage.require(&["bubble", "back-pressure", "stall", "all keys", "one key", "one request"]);
    coverage.require(&["first and last word", "both halves in turn", "added"]);
    checks.finish_any();
}

#[test]
fn heads_stream_in_while_others_are_read() {
    let config = ArchConfig::eighth();
    let mut checks = Checks::new("key_buffer_cycles");
    let verilog = verilog(&design("key_buffer", &config));
    let size = size(&config);
    // D = 64: as many beats as words, so that filling and reading take the same time.
    for (dim, heads, overlap) in [(2, 6, true), (3, 3, false)] {
        let mut stimulus = Stimulus::new(size, dim, false);
        let keys = 256;
        let words = (keys << (dim + 4)) / size.word;
        for _ in 0..heads {
            stimulus.head(keys, &(0..words).collect::<Vec<_>>(), &mut Rng::new(5));
        }
        let report = stimulus.bench(verilog.clone(), "eighth").run(Stalls::None).unwrap();
        report.finish(heads * words);
        let expected = if overlap { (heads + 1) * words } else { 2 * heads * words } + 3;
        checks.eq(report.span(), expected as u64, || format!("dim {dim}"));
    }
    checks.finish(2);
}

#[test]
fn beats_narrower_and_wider_than_words_work() {
    let mut coverage = Coverage::default();
    for (multipliers, channels) in [(128, 1), (16, 4)] {
        let text = format!("base = \"tiny\"\nmultipliers = {multipliers}\nchannels = {channels}");
        let config = ArchConfig::from_toml(&text, "own.toml").unwrap();
        let design = emit(rtl::KeyBuffer::of(&config)).unwrap();
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
    let design = design("key_buffer", &config);
    let stimulus = Stimulus::random(size(&config), 1, true, 200, &mut Coverage::default());
    same_in_icarus(&stimulus.bench(verilog(&design), &config.name), &design, "key_buffer");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("key_buffer", &config);
    let stimulus = Stimulus::random(size(&config), 2, true, 600, &mut Coverage::default());
    faults_at_the_port_are_caught(&design, "out", "data", |verilog| stimulus.bench(verilog, "tiny"));
    let check = |module: &str, from: &str, to: &str, what: &str| {
        caught(&stimulus.bench(broken(&design, module, from, to), "tiny"), what);
    };
    check("key_buffer", "valid_b_next = valid_a;", "valid_b_next = valid_a & (tag_a != 2'd3);", "a beat lost");
    check("halves", "assign fill = ((data_done | data_ends)", "assign fill = ((data_ends)", "differs");
    check("halves", "writing_next = (writing + 1'd1);", "writing_next = writing;", "differs");
    // Written beside a sum; read while it is added to; added where the beat before belongs.
    check("halves", "lacks_next = 1'd1;", "lacks_next = 1'd0;", "differs");
    check("key_buffer", "sum_row_next = add_row;", "sum_row_next = read_row + 1'd1;", "differs");
    check(
        "key_buffer",
        "assign word_0_next = found_1;",
        "assign word_0_next = {found_1[191:1], found_1[0] & found_1[7]};",
        "out_data differs",
    );
}
