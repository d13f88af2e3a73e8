//! `token_store`: RTL against lists of tokens that are kept plainly here, and its cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_arch::token_store::{Op, Queries, Scan};
use spatten_sim::cosim::{BlockBench, Coverage, Verilog, beats, seed};
use spatten_sim::token_store::{Command, Input, Output, TokenStore, Widths};
use spatten_testkit::{Checks, Rng};

/// What is known of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Token {
    sum: u64,
    rows: u64,
    real: bool,
    mapped: bool,
    pinned: bool,
    alive: bool,
}

impl Token {
    fn state(&self) -> u64 {
        let flags = [self.real, self.mapped, self.pinned, self.alive];
        flags.iter().enumerate().fold(self.sum | self.rows << 36, |all, (i, &flag)| all | u64::from(flag) << (60 + i))
    }

    fn from_state(state: u64) -> Self {
        let flag = |bit: u32| state >> bit & 1 == 1;
        let (sum, rows) = (state & ((1 << 36) - 1), state >> 36 & 0xff_ffff);
        Self { sum, rows, real: flag(60), mapped: flag(61), pinned: flag(62), alive: flag(63) }
    }
}

#[derive(Default)]
struct Work {
    commands: Vec<Input>,
    read: Vec<Input>,
    kept: Vec<Input>,
    outputs: [Vec<Output>; 6],
}

struct Store {
    widths: Widths,
    config: ArchConfig,
    tokens: Vec<Token>,
    list: Vec<u16>,
    work: Work,
}

impl Store {
    #[allow(clippy::too_many_arguments)] // a command's own fields
    fn command(&mut self, op: Op, listed: bool, from: usize, to: usize, x: u64, y: u64, count: usize) {
        self.work.commands.push(Input::Command(Command { op, listed, from, to, x, y }, self.widths));
        self.work.outputs[0].push(Output::Done(count, self.widths));
    }

    fn init(&mut self, rng: &mut Rng) {
        let tokens = self.config.keys_on_chip;
        for from in (0..tokens).step_by(64) {
            let to = tokens.min(from + 64);
            let (real, mapped) = (rng.bits() | rng.bits(), rng.bits() & rng.bits() & rng.bits());
            let mut count = 0;
            for (bit, token) in self.tokens[from..to].iter_mut().enumerate() {
                *token = Token { real: real >> bit & 1 == 1, mapped: mapped >> bit & 1 == 1, ..Token::default() };
                count += usize::from(token.real);
            }
            self.command(Op::Init, false, from, to, real, mapped, count);
        }
    }

    fn scan(&mut self, tokens: usize, scan: Scan, coverage: &mut Coverage) {
        let mut rank = 0;
        self.list.clear();
        for (number, token) in self.tokens[..tokens].iter_mut().enumerate() {
            let current = number == usize::from(scan.current);
            if scan.sets {
                let joins = current && scan.joins;
                coverage.add("joins", u64::from(joins && !token.real));
                token.real |= joins;
                let ranked = rank < usize::from(scan.pin_first) || rank >= usize::from(scan.pin_from);
                token.pinned = token.real && (token.mapped || ranked || current && scan.pin_current);
                coverage.add("pinned by rank", u64::from(token.real && ranked));
                token.alive = if scan.reselect { token.real } else { token.alive || joins };
                rank += usize::from(token.real);
            }
            if token.alive {
                self.list.push(number as u16);
            }
        }
        let count = self.list.len();
        self.command(Op::Scan, false, 0, tokens, scan.pack(), 0, count);
    }

    fn queries(&mut self, listed: bool, to: usize, queries: Queries) {
        let all: Vec<u16> = if listed { self.list.clone() } else { (0..to as u16).collect() };
        let passes = |&&token: &&u16| token >= queries.bound && (!queries.real || self.tokens[usize::from(token)].real);
        let rows: Vec<u16> = all.iter().filter(passes).map(|t| t.wrapping_sub(queries.first_row)).collect();
        for (beat, last) in beats(&rows, self.config.channels) {
            self.work.outputs[2].push(Output::List(beat, last, self.widths));
        }
        self.command(Op::Queries, listed, 0, all.len(), queries.pack(), 0, rows.len());
    }

    fn walk(&mut self, op: Op, rng: &mut Rng) {
        let (n, list, w) = (self.list.len(), self.list.clone(), self.widths);
        let at = |i: &u16| self.tokens[usize::from(*i)];
        match op {
            Op::Keys => {
                for (beat, last) in beats(&list, self.config.channels) {
                    self.work.outputs[1].push(Output::List(beat, last, w));
                }
                self.command(op, true, 0, n, 0, 0, n);
            }
            Op::Candidates => {
                let tokens: Vec<_> = list.iter().map(|t| (*t, at(t).pinned)).collect();
                for (beat, last) in beats(&tokens, self.config.softmax_lanes) {
                    self.work.outputs[3].push(Output::Candidates(beat, last, w));
                }
                self.command(op, true, 0, n, 0, 0, n);
            }
            Op::Load => {
                let values: Vec<_> = list.iter().map(|t| (at(t).sum, at(t).rows)).collect();
                for (beat, _) in beats(&values, self.config.softmax_lanes) {
                    self.work.outputs[4].push(Output::Load(beat, w));
                }
                self.command(op, true, 0, n, 0, 0, n);
            }
            Op::Save => {
                let values: Vec<_> = list.iter().map(|_| (rng.bits() >> 28, rng.bits() >> 40)).collect();
                for (&token, &(sum, rows)) in list.iter().zip(&values) {
                    let token = &mut self.tokens[usize::from(token)];
                    (token.sum, token.rows) = (sum, rows);
                }
                for (beat, last) in beats(&values, self.config.softmax_lanes) {
                    self.work.read.push(Input::Read(beat, last, w));
                }
                self.command(op, true, 0, n, 0, 0, n);
            }
            Op::Dump => {
                let (from, to) = (0, 1 + rng.below(self.tokens.len() as u64) as usize);
                let base = rng.bits() as u32;
                let first = rng.below(self.config.channels as u64) as usize;
                let states: Vec<u64> = self.tokens[from..to].iter().map(Token::state).collect();
                for (i, part) in states.chunks(self.config.channel_bytes / 8).enumerate() {
                    let number = first + i;
                    let (channel, behind) = (number % self.config.channels, number / self.config.channels);
                    let address = base.wrapping_add(behind as u32);
                    self.work.outputs[5].push(Output::Word(channel, address, part.to_vec(), w));
                }
                self.command(op, false, from, to, base.into(), first as u64, to - from);
            }
            _ => unreachable!("{op:?} is no walk of this test"),
        }
    }

    fn take(&mut self, tokens: usize, kept: Vec<u16>) {
        for (number, token) in self.tokens[..tokens].iter_mut().enumerate() {
            token.alive = kept.binary_search(&(number as u16)).is_ok();
        }
        for (beat, last) in beats(&kept, self.config.softmax_lanes) {
            self.work.kept.push(Input::Kept(beat, last, self.widths));
        }
        self.list = kept;
        let count = self.list.len();
        self.command(Op::Take, false, 0, tokens, 0, 0, count);
    }
}

fn work(config: &ArchConfig, least: usize, seed: u64, coverage: &mut Coverage) -> Work {
    let (mut rng, keys) = (Rng::new(seed), config.keys_on_chip);
    let mut store = Store {
        widths: Widths::of(config),
        config: config.clone(),
        tokens: vec![Token::default(); keys],
        list: vec![],
        work: Work::default(),
    };
    store.init(&mut rng);
    while store.work.outputs.iter().map(Vec::len).sum::<usize>() < least {
        if rng.below(30) == 0 {
            store.init(&mut rng);
        }
        let tokens = if rng.below(4) == 0 { keys } else { 1 + rng.below(keys.min(100) as u64) as usize };
        let current = rng.below(tokens as u64) as u16;
        let flag = |rng: &mut Rng| rng.below(2) == 1;
        let scan = Scan {
            pin_first: rng.below(3) as u16,
            pin_from: [0xffff, rng.below(tokens as u64) as u16][rng.below(2) as usize],
            current,
            joins: flag(&mut rng),
            pin_current: flag(&mut rng),
            sets: rng.below(4) > 0,
            reselect: flag(&mut rng),
        };
        coverage.add("scanned without a change", u64::from(!scan.sets));
        store.scan(tokens, scan, coverage);
        for _ in 0..3 {
            let op = [Op::Keys, Op::Candidates, Op::Load, Op::Dump, Op::Save][rng.below(5) as usize];
            // Nothing is read of no token.
            if !(op == Op::Save && store.list.is_empty()) {
                store.walk(op, &mut rng);
            }
        }
        coverage.add("no token is left", u64::from(store.list.is_empty()));
        let queries = Queries {
            bound: [0, rng.below(tokens as u64) as u16][rng.below(2) as usize],
            first_row: rng.below(3) as u16,
            real: flag(&mut rng),
        };
        let listed = flag(&mut rng);
        store.queries(listed, tokens, queries);
        if rng.below(2) == 0 {
            let one_in = 1 + rng.below(4);
            let kept: Vec<u16> = store.list.iter().copied().filter(|_| rng.below(one_in) == 0).collect();
            coverage.add("some survive", u64::from(!kept.is_empty() && kept.len() < store.list.len()));
            coverage.add("none survives", u64::from(kept.is_empty() && !store.list.is_empty()));
            store.take(tokens, kept);
            store.walk(Op::Keys, &mut rng);
        }
        if rng.below(4) == 0 {
            let number = rng.below(keys as u64) as usize;
            let state = rng.bits();
            store.tokens[number] = Token::from_state(state);
            store.command(Op::Put, false, number, number + 1, state, 0, 1);
            coverage.add("put", 1);
        }
    }
    store.work
}

fn bench(work: &Work, verilog: Verilog, config: &ArchConfig) -> BlockBench<TokenStore> {
    let mut bench = BlockBench::new(verilog, "token_store", &config.name, seed(0x75), TokenStore::new(config))
        .input("command", work.commands.clone())
        .input("read", work.read.clone())
        .input("kept", work.kept.clone());
    for (name, beats) in ["done", "key_list", "query_list", "list", "load", "word"].into_iter().zip(&work.outputs) {
        bench = bench.output(name, beats.clone());
    }
    bench.again("cargo test --test token_store").patience(5_000)
}

#[test]
fn equals_plain_lists_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("token_store");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("token_store", &config));
        let work = work(&config, 4_000, seed(1), &mut coverage);
        let total = work.outputs.iter().map(Vec::len).sum();
        let reports = run_all(&bench(&work, verilog, &config), total, &mut coverage);
        let beats: u64 = reports.iter().flat_map(|r| &r.checked).map(|(_, n)| n).sum();
        checks.that(beats >= 10_000, || format!("{}: {beats} beats", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall", "joins", "pinned by rank", "put"]);
    coverage.require(&["scanned without a change", "no token is left", "some survive", "none survives"]);
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("token_store", &config);
    let work = work(&config, 150, seed(2), &mut Coverage::default());
    same_in_icarus(&bench(&work, verilog(&design), &config), &design, "token_store");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("token_store", &config);
    let work = work(&config, 400, seed(3), &mut Coverage::default());
    faults_at_the_port_are_caught(&design, "list", "index", |verilog| bench(&work, verilog, &config));
    faults_at_the_port_are_caught(&design, "word", "data", |verilog| bench(&work, verilog, &config));
    let check = |from: &str, to: &str, what: &str| {
        caught(&bench(&work, broken(&design, "token_store", from, to), &config), what);
    };
    // The list has a token twice; a rank counts those that are not real.
    check(".write_address(count[5:0])", ".write_address(rank[5:0])", "differs");
    check("rank_next = (rank + {6'd0, is_real});", "rank_next = (rank + 7'd1);", "differs");
}
