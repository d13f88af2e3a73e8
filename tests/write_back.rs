//! `write_back`: RTL against its cycle model in every cycle, and every write, acknowledgement and flush against an account
//! that is kept from `arch::layout` alone.
//!
//! ```text
//!  jobs, rows, words, flushes --> RTL and model --> writes per channel --> memory: acknowledges in order, some late, some
//!              |                     ^    |                                  |       with an error
//!              v                     |    +--> done                          |
//!           account <----------------+-------------------------------------- +
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/streams.rs"]
#[allow(dead_code)]
mod streams;

use block::{broken, configurations, design, note, port_faults, verilog};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::layout::{OUTPUT_ROW_BITS, OutputLayout};
use spatten_hw::emit::emit;
use spatten_hw::write_back as rtl;
use spatten_sim::cosim::{Coverage, Stalls, Verilog, bits_for, seed};
use spatten_sim::cycle::CycleModel;
use spatten_sim::write_back::{Input, Output, Write, WriteBack};
use spatten_testkit::{Checks, Rng};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use streams::{Queues, Seen, Streams, run};

/// A write that was accepted: where it goes, the bytes of it that count, and the flush that it is before.
#[derive(Debug, Clone)]
struct Expected {
    address: u32,
    bytes: Vec<Option<u8>>,
    flush: usize,
}

impl Expected {
    fn is(&self, write: &Write) -> bool {
        let byte = |i: usize| (write.strobe >> i & 1 == 1).then_some(write.data[i]);
        self.address == write.address
            && self.bytes.len() == write.data.len()
            && (0..self.bytes.len()).all(|i| self.bytes[i] == byte(i))
    }
}

/// Writes before one flush.
#[derive(Debug, Clone, Default)]
struct Window {
    open: usize,
    errors: u64,
}

/// What must happen, kept from what is accepted and what memory says.
struct Account {
    config: ArchConfig,
    jobs: VecDeque<(u32, usize)>,
    /// Per channel: words of rows, and single words, that have not been seen; and what was, not yet acknowledged.
    rows: Vec<VecDeque<Expected>>,
    words: Vec<VecDeque<Expected>>,
    sent: Vec<VecDeque<Expected>>,
    windows: Vec<Window>,
    done: usize,
    coverage: Coverage,
    wrong: Option<String>,
    writes: u64,
}

impl Account {
    fn new(config: &ArchConfig) -> Self {
        let queues = || vec![VecDeque::new(); config.channels];
        Self {
            config: config.clone(),
            jobs: VecDeque::new(),
            rows: queues(),
            words: queues(),
            sent: queues(),
            windows: vec![Window::default()],
            done: 0,
            coverage: Coverage::default(),
            wrong: None,
            writes: 0,
        }
    }

    fn expect(&mut self, channel: usize, row: bool, address: u32, bytes: Vec<Option<u8>>) {
        let flush = self.windows.len() - 1;
        self.windows[flush].open += 1;
        let queue = if row { &mut self.rows } else { &mut self.words };
        queue[channel].push_back(Expected { address, bytes, flush });
    }

    fn accepted(&mut self, input: &Input) {
        match input {
            Input::Job { base, dim } => self.jobs.push_back((*base, HEAD_DIMS[*dim as usize])),
            Input::Row { number, outputs, last } => {
                let (base, dim) = self.jobs[0];
                let layout = OutputLayout::new(&self.config, dim);
                let bytes: Vec<u8> = outputs[..dim].iter().flat_map(|x| x.to_le_bytes()).collect();
                let word_bytes = self.config.channel_bytes;
                for word in 0..layout.words() {
                    let (channel, address) = layout.place(*number as usize, word);
                    let part = &bytes[word * word_bytes..word * word_bytes + layout.bytes_in(word)];
                    let mut part: Vec<Option<u8>> = part.iter().map(|&b| Some(b)).collect();
                    self.coverage.add("short row", (part.len() < word_bytes).into());
                    part.resize(word_bytes, None);
                    self.expect(channel, true, base.wrapping_add(address as u32), part);
                }
                self.coverage.add("several steps", (layout.words() > self.config.channels).into());
                self.coverage.add("some channels", (layout.words() < self.config.channels).into());
                if *last {
                    self.jobs.pop_front();
                    self.coverage.add("the next job waits", (!self.jobs.is_empty()).into());
                }
            }
            Input::Word { channel, write, .. } => {
                let byte = |i: usize| (write.strobe >> i & 1 == 1).then_some(write.data[i]);
                self.coverage.add("no byte", (write.strobe == 0).into());
                self.expect(*channel, false, write.address, (0..write.data.len()).map(byte).collect());
            }
            Input::Flush | Input::Acknowledge { .. } => {}
        }
    }

    fn written(&mut self, channel: usize, write: &Write) {
        self.writes += 1;
        let from = |queue: &mut VecDeque<Expected>| {
            if queue.front().is_some_and(|e| e.is(write)) { queue.pop_front() } else { None }
        };
        match from(&mut self.rows[channel]).or_else(|| from(&mut self.words[channel])) {
            Some(expected) => self.sent[channel].push_back(expected),
            None => {
                let (row, word) = (self.rows[channel].front(), self.words[channel].front());
                let text = format!("channel {channel} gets {write:?}, expected {row:?} or {word:?}");
                self.wrong.get_or_insert(text);
            }
        }
    }

    fn acknowledged(&mut self, channel: usize, error: bool) {
        let expected = self.sent[channel].pop_front().expect("what was sent is acknowledged");
        self.windows[expected.flush].open -= 1;
        self.windows[expected.flush].errors |= u64::from(error) << channel;
        let late = expected.flush > self.done && self.windows.len() > self.done + 1;
        self.coverage.add("an error that belongs to the next flush", (error && late).into());
        self.coverage.add("an error", error.into());
    }
}

/// The model, with the account kept beside it.
struct Watched {
    model: WriteBack,
    account: Rc<RefCell<Account>>,
}

impl CycleModel for Watched {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        self.model.ready(port)
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.model.output(port)
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let mut account = self.account.borrow_mut();
        let channels = account.config.channels;
        if let Some(Output::Done { errors, .. }) = self.model.output(0) {
            let window = account.windows[account.done].clone();
            if window.open > 0 || *errors != window.errors {
                account.wrong.get_or_insert(format!("done with errors {errors:b} of {window:?}"));
            }
            account.done += usize::from(taken[0]);
        }
        let mut full = 0;
        let mut moves = 0;
        for channel in 0..channels {
            if let (Some(Output::Write(write)), true) = (self.model.output(1 + channel), taken[1 + channel]) {
                account.written(channel, write);
                moves += 1;
            }
            let outstanding = self.model.outstanding(channel);
            full += usize::from(outstanding == self.model.limit());
        }
        account.coverage.add("limit", (full > 0).into());
        account.coverage.add("one channel is shut, others move", (full == 1 && moves > 0).into());
        // What is accepted in the cycle of a flush is before it.
        for input in accepted.iter().flatten() {
            account.accepted(input);
        }
        if accepted[3].is_some() {
            let nothing = account.windows.last().is_some_and(|w| w.open == 0);
            account.coverage.add("flush of nothing", nothing.into());
            account.coverage.add("flush beside a row", accepted[1].is_some().into());
            account.coverage.add("flush while a row is held", self.model.holds_row().into());
            account.windows.push(Window::default());
        }
        for channel in 0..channels {
            if let Some(Input::Acknowledge { error }) = accepted[4 + channel] {
                account.acknowledged(channel, error);
            }
        }
        drop(account);
        self.model.clock(accepted, taken);
    }
}

/// When a write is acknowledged, after it was taken, and with an error.
type Memory<'a> = &'a dyn Fn(usize, &mut Rng) -> (u64, bool);

struct Stimulus {
    config: ArchConfig,
    jobs: Vec<Input>,
    rows: Vec<Input>,
    words: Vec<(u64, Input)>,
    flushes: Vec<u64>,
}

impl Stimulus {
    fn new(config: &ArchConfig) -> Self {
        Self { config: config.clone(), jobs: vec![], rows: vec![], words: vec![], flushes: vec![] }
    }

    /// Rows of one plane.
    fn job(&mut self, dim: usize, base: u32, numbers: &[u32], rng: &mut Rng) {
        self.jobs.push(Input::Job { base, dim: dim as u32 });
        for (i, &number) in numbers.iter().enumerate() {
            let outputs = (0..HEAD_DIMS[3]).map(|_| rng.bits() as u16).collect();
            self.rows.push(Input::Row { number, outputs, last: i + 1 == numbers.len() });
        }
    }

    fn word(&mut self, from: u64, channel: usize, rng: &mut Rng) {
        let bytes = self.config.channel_bytes;
        let strobe = match rng.below(8) {
            0 => 0,
            1 => u128::MAX,
            _ => u128::from(rng.bits()) << 64 | u128::from(rng.bits()),
        };
        let write = Write {
            address: rng.bits() as u32,
            data: (0..bytes).map(|_| rng.bits() as u8).collect(),
            strobe: strobe & (u128::MAX >> (128 - bytes)),
        };
        let channel_bits = bits_for(self.config.channels - 1);
        self.words.push((from, Input::Word { channel, channel_bits, write }));
    }

    /// Everything at random: about `writes` writes.
    fn random(config: &ArchConfig, writes: usize, rng: &mut Rng) -> Self {
        let mut stimulus = Self::new(config);
        let mut count = 0;
        while count < writes {
            let dim = rng.below(4) as usize;
            let most = [1, 4, 30][rng.below(3) as usize];
            let n = 1 + rng.below(most) as usize;
            // Rows in order, one far away, or any.
            let start = rng.below(1 << OUTPUT_ROW_BITS) as u32;
            let order = rng.below(3);
            let number = |i: usize, rng: &mut Rng| match order {
                0 => start.wrapping_add(i as u32),
                1 => start,
                _ => rng.bits() as u32,
            };
            let numbers: Vec<u32> = (0..n).map(|i| number(i, rng) & ((1 << OUTPUT_ROW_BITS) - 1)).collect();
            stimulus.job(dim, rng.bits() as u32, &numbers, rng);
            count += n * OutputLayout::new(config, HEAD_DIMS[dim]).words();
        }
        let mut at = 0;
        for _ in 0..writes / 3 {
            at += rng.below(8);
            let burst = if rng.below(10) == 0 { 40 } else { 1 };
            let channel = rng.below(config.channels as u64) as usize;
            (0..burst).for_each(|_| stimulus.word(at, channel, rng));
        }
        stimulus.flushes = (0..writes / 40).map(|i| i as u64 * rng.below(60)).collect();
        stimulus.flushes.sort_unstable();
        stimulus
    }

    fn check(
        &self,
        verilog: &Verilog,
        stalls: Stalls,
        memory: Memory<'_>,
        coverage: &mut Coverage,
    ) -> Result<Seen, String> {
        let channels = self.config.channels;
        let account = Rc::new(RefCell::new(Account::new(&self.config)));
        let model = Watched { model: WriteBack::new(&self.config), account: account.clone() };
        let now = |beats: &[Input]| beats.iter().map(|beat| (0, beat.clone())).collect::<VecDeque<_>>();
        let mut queues: Queues<Input> = vec![
            now(&self.jobs),
            now(&self.rows),
            self.words.iter().cloned().collect(),
            self.flushes.iter().map(|&from| (from, Input::Flush)).collect(),
        ];
        queues.resize_with(4 + channels, VecDeque::new);
        let one = |name| Streams { name, lanes: 1 };
        let many = |name| Streams { name, lanes: channels };
        let inputs = [one("job"), one("row"), one("word"), one("flush"), many("acknowledge")];
        let outputs = [one("done"), many("write")];
        let mut rng = Rng::new(seed(0xac));
        let answer = |cycle: u64, port: usize, _: &Output, queues: &mut Queues<Input>| {
            if port > 0 {
                let (latency, error) = memory(port - 1, &mut rng);
                queues[3 + port].push_back((cycle + 1 + latency, Input::Acknowledge { error }));
            }
        };
        let report = run(verilog, model, &inputs, &outputs, queues, stalls, seed(0x3b), answer)?;
        let mut account = account.borrow_mut();
        if let Some(wrong) = account.wrong.take() {
            return Err(wrong);
        }
        assert_eq!(account.done, self.flushes.len(), "every flush is answered");
        let left = |queues: &[VecDeque<Expected>]| queues.iter().map(VecDeque::len).sum::<usize>();
        assert_eq!((left(&account.rows), left(&account.words), left(&account.sent)), (0, 0, 0), "every write arrives");
        assert_eq!(account.writes, report.taken[1..].iter().sum::<u64>());
        report.cover(coverage);
        for name in CASES {
            coverage.add(name, account.coverage.count(name));
        }
        Ok(report)
    }
}

/// Rare cases that the account sees.
const CASES: [&str; 12] = [
    "short row",
    "several steps",
    "some channels",
    "the next job waits",
    "no byte",
    "an error",
    "an error that belongs to the next flush",
    "limit",
    "one channel is shut, others move",
    "flush of nothing",
    "flush beside a row",
    "flush while a row is held",
];

/// Answers mostly soon, sometimes late, rarely with an error.
fn usual(_: usize, rng: &mut Rng) -> (u64, bool) {
    let latency = if rng.below(50) == 0 { rng.below(400) } else { rng.below(12) };
    (latency, rng.below(40) == 0)
}

fn own(text: &str) -> ArchConfig {
    ArchConfig::from_toml(&format!("base = \"tiny\"\n{text}"), "own.toml").unwrap()
}

#[test]
fn every_write_goes_where_its_row_lies_under_every_stall() {
    let mut checks = Checks::new("write_back");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("write_back", &config));
        let mut beats = 0;
        for stalls in Stalls::EVERY {
            let stimulus = Stimulus::random(&config, 2_000, &mut Rng::new(seed(config.channels as u64)));
            let report = stimulus.check(&verilog, stalls, &usual, &mut coverage).unwrap_or_else(|e| panic!("{e}"));
            note("write_back", &config.name, report.taken.iter().sum(), report.values, report.cycles);
            beats += report.taken.iter().sum::<u64>();
        }
        checks.that(beats >= 10_000, || format!("{}: {beats} beats", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall", "several steps", "some channels", "the next job waits"]);
    coverage.require(&["no byte", "an error", "an error that belongs to the next flush", "limit"]);
    coverage.require(&["flush of nothing", "flush beside a row", "flush while a row is held"]);
    checks.finish_any();
}

#[test]
fn words_longer_and_shorter_than_rows_are_written() {
    let mut coverage = Coverage::default();
    for config in [own("channels = 4\nchannel_bytes = 128"), own("channels = 2\nchannel_bytes = 4")] {
        let verilog = verilog(&emit(rtl::WriteBack::new(&config)).unwrap());
        let stimulus = Stimulus::random(&config, 1_000, &mut Rng::new(seed(7)));
        for stalls in [Stalls::None, Stalls::Bursts] {
            stimulus.check(&verilog, stalls, &usual, &mut coverage).unwrap_or_else(|e| panic!("{e}"));
        }
    }
    coverage.require(&["short row", "several steps", "some channels", "limit"]);
}

#[test]
fn rows_are_written_as_fast_as_the_channels_take_them() {
    let mut checks = Checks::new("write_back_cycles");
    for name in ArchConfig::NAMES {
        let config = ArchConfig::named(name).unwrap();
        let verilog = verilog(&design("write_back", &config));
        for (dim, &size) in HEAD_DIMS.iter().enumerate() {
            let (rows, mut rng) = (64, Rng::new(5));
            let mut stimulus = Stimulus::new(&config);
            // Four jobs: no gap between them.
            for job in 0..4 {
                let numbers: Vec<u32> = (job * rows / 4..(job + 1) * rows / 4).collect();
                stimulus.job(dim, 1000, &numbers, &mut rng);
            }
            let report = stimulus.check(&verilog, Stalls::None, &|_, _| (6, false), &mut Coverage::default()).unwrap();
            let period = (OutputLayout::new(&config, size).words() / config.channels).max(1);
            // The job is there a cycle before its rows, and the first words 2 cycles after their row.
            checks.eq(report.span(), rows as u64 * period as u64 + 3, || format!("{name} D = {size}"));
        }
    }
    checks.finish(12);
}

#[test]
fn a_channel_that_does_not_answer_stops_the_others_only_when_its_queue_is_full() {
    let config = ArchConfig::eighth();
    let verilog = verilog(&design("write_back", &config));
    let mut coverage = Coverage::default();
    let mut stimulus = Stimulus::new(&config);
    let mut rng = Rng::new(9);
    // Single words for channel 1 go on while channel 0 keeps a row waiting.
    stimulus.job(2, 0, &(0..200).collect::<Vec<_>>(), &mut rng);
    (0..400).for_each(|_| stimulus.word(0, 1, &mut rng));
    stimulus.flushes = vec![0, 100, 101];
    let memory = |channel: usize, rng: &mut Rng| match channel {
        0 => (if rng.below(60) == 0 { 900 } else { 3 }, false),
        _ => (3, rng.below(3) == 0),
    };
    stimulus.check(&verilog, Stalls::None, &memory, &mut coverage).unwrap_or_else(|e| panic!("{e}"));
    coverage.require(&["limit", "one channel is shut, others move"]);
}

#[test]
fn done_comes_two_cycles_after_the_last_acknowledgement() {
    let config = ArchConfig::tiny();
    let verilog = verilog(&design("write_back", &config));
    let mut checks = Checks::new("write_back_done");
    for latency in [0, 1, 50] {
        let mut stimulus = Stimulus::new(&config);
        stimulus.job(0, 0, &[3], &mut Rng::new(1));
        stimulus.flushes = vec![1];
        let report = stimulus.check(&verilog, Stalls::None, &|_, _| (latency, true), &mut Coverage::default()).unwrap();
        // The row and the flush are accepted in cycle 1, its write is taken in 3 and acknowledged in 4 + latency.
        checks.eq(report.last_taken, 6 + latency, || format!("latency {latency}"));
    }
    let mut stimulus = Stimulus::new(&config);
    stimulus.flushes = vec![0];
    let report = stimulus.check(&verilog, Stalls::None, &usual, &mut Coverage::default()).unwrap();
    checks.eq(report.last_taken, 3, || "nothing to wait for".into());
    checks.finish(4);
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::eighth();
    let design = design("write_back", &config);
    let find = |verilog: &Verilog, what: &str| {
        let stimulus = Stimulus::random(&config, 1_000, &mut Rng::new(3));
        let found = Stalls::EVERY
            .into_iter()
            .find_map(|stalls| stimulus.check(verilog, stalls, &usual, &mut Coverage::default()).err());
        let found = found.unwrap_or_else(|| panic!("the fault was not found (expected {what:?})"));
        assert!(found.contains(what), "expected {what:?} in {found}");
    };
    for (verilog, what) in port_faults(&design, "write", "data") {
        find(&verilog, &what);
    }
    let fault = |module: &str, from: &str, to: &str, what: &str| find(&broken(&design, module, from, to), what);
    // A row does not wait for its last channel.
    fault(
        "write_back",
        "assign waits_1 = (waits_0 | (row_wants_1 & (~row_takes_1)));",
        "assign waits_1 = waits_0;",
        "row",
    );
    // The row always goes before the word.
    fault("write_back", "word_first_0_next = (~word_first_0);", "word_first_0_next = word_first_0;", "differs");
    // A write too many is under way.
    fault("write_back", "(outstanding_0 < 7'd80)", "(outstanding_0 < 7'd81)", "differs");
    // A flush does not wait for the row that is held, or counts the acknowledgement of its own cycle again.
    fault("write_back", "if (((~held) & (~word_held))) begin", "if ((~word_held)) begin", "differs");
    fault(
        "write_back",
        "waiting_1_next = (outstanding_1 - {6'd0, acknowledge_valid[1]});",
        "waiting_1_next = outstanding_1;",
        "done_valid of port 0 differs",
    );
    // An error after the flush is lost, or counted before it.
    fault("write_back", "later_1_next = (later_1 | acknowledge_error[1]);", "later_1_next = later_1;", "done_error");
    fault("write_back", "(later_0 | (acknowledge_valid[0] & acknowledge_error[0]));", "1'd0;", "done_error");
    // An address without its carry.
    fault(
        "write_back",
        "address_next = (base + number_address);",
        "address_next = (base | number_address);",
        "write_address",
    );
}

#[test]
fn the_account_refuses_what_is_wrong() {
    let config = ArchConfig::eighth();
    let outputs: Box<[u16]> = (0..128).collect();
    let begin = || {
        let mut account = Account::new(&config);
        account.accepted(&Input::Job { base: 100, dim: 0 });
        account.accepted(&Input::Row { number: 5, outputs: outputs.clone(), last: true });
        account
    };
    let bytes: Box<[u8]> = (0..16u16).flat_map(u16::to_le_bytes).collect();
    let right = Write { address: 102, data: bytes.clone(), strobe: 0xffff_ffff };
    let (mut wrong_byte, wrong_address, wrong_strobe) =
        (right.clone(), Write { address: 103, ..right.clone() }, Write { strobe: 0x7fff_ffff, ..right.clone() });
    wrong_byte.data[31] ^= 1;
    for (channel, write, good) in [
        (1, &right, true),
        (0, &right, false),
        (1, &wrong_byte, false),
        (1, &wrong_address, false),
        (1, &wrong_strobe, false),
    ] {
        let mut account = begin();
        account.written(channel, write);
        assert_eq!(account.wrong.is_none(), good, "{channel} {write:?}");
    }
}
