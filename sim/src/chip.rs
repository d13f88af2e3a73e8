//! The chip, in time. Siblings: `hw`, `tests/chip.rs`.
//!
//! The parts' own cycle models, moved by the same handshakes as in the RTL: all of them by the state before the edge.

use crate::axi_master::{self as axi, AxiMaster};
use crate::controller::Controller;
use crate::cosim::{Beat, Bits, Field as BeatField, bits_for};
use crate::csr::{self, Csr};
use crate::cycle::CycleModel;
use crate::importance_accumulator::{self as importance, Command};
use crate::layer_engine::{self as layer, LayerEngine};
use crate::layer_sequencer::{self as sequencer, BASES, Factors, Layer};
use crate::matrix_fetcher::{Tokens, id_bits};
use crate::survivor_select::{self, SurvivorSelect};
use crate::token_store::{self, TokenStore};
use crate::verdict_map::{self, VerdictMap};
use crate::write_back;
use spatten_arch::ArchConfig;
use spatten_arch::descriptor::{self, HeadFactors, Scalar};
use spatten_arch::firmware::{self, Field, Pop, Port, Push};
use spatten_arch::registers::Counter;
use spatten_arch::token_store::Op;
use spatten_golden::dot_product::ScaleFactor;

/// What goes in: on streams 0 to 2, `csr_aw`, `csr_w`, `csr_ar`; on 3 and 4, `host_r`, `host_b`; behind them `card_r` of each channel, then
/// `card_b`.
#[derive(Debug, Clone)]
pub enum Input {
    /// Of `csr`.
    Csr(csr::Input),
    /// Of an `axi_master`.
    Axi(axi::Input),
}

impl Beat for Input {
    fn fields(&self) -> Vec<BeatField> {
        match self {
            Self::Csr(beat) => beat.fields(),
            Self::Axi(beat) => beat.fields(),
        }
    }
}

/// What comes out: on streams 0 and 1, `csr_b`, `csr_r`; on 2 to 4, `host_ar`, `host_aw`, `host_w`; behind them `card_ar` of each channel, then
/// `card_aw`, then `card_w`.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Of `csr`.
    Csr(csr::Output),
    /// Of an `axi_master`.
    Axi(axi::Output),
}

impl Beat for Output {
    fn fields(&self) -> Vec<BeatField> {
        match self {
            Self::Csr(beat) => beat.fields(),
            Self::Axi(beat) => beat.fields(),
        }
    }
}

/// Streams before those of channels.
pub const INPUTS: usize = 5;
/// See [`INPUTS`].
pub const OUTPUTS: usize = 5;

/// The block; see `hw::chip` for the streams.
///
/// # Timing   that of its parts
#[derive(Debug, Clone)]
pub struct Chip {
    config: ArchConfig,
    csr: Csr,
    controller: Controller,
    store: TokenStore,
    select: SurvivorSelect,
    engine: LayerEngine,
    map: VerdictMap,
    cards: Vec<AxiMaster>,
    host: AxiMaster,
    host_there: bool,
    host_failed: bool,
    widths: Widths,
    out: Vec<Option<Output>>,
}

/// Widths that beats of the parts are described with.
#[derive(Debug, Clone, Copy)]
struct Widths {
    id: u32,
    count: u32,
    card: axi::Widths,
    host: axi::Widths,
    store: token_store::Widths,
    select: survivor_select::Widths,
    sequencer: sequencer::Widths,
    map: verdict_map::Widths,
    channel: u32,
}

/// What the program offers, with its fields; it has checked what they hold.
fn layer(fields: impl Fn(Field) -> u64, at: impl Fn(usize) -> u64) -> Layer {
    let bit = |field, bit: u32| fields(field) >> bit & 1 == 1;
    let number = |n: usize| fields([Field::Heads, Field::Group][n]) as usize & 0xff;
    Layer {
        new_keys: bit(Field::NewLists, 0),
        new_queries: bit(Field::NewLists, 1),
        dim: fields(Field::Dim) as u32 & 3,
        heads: number(0),
        group: number(1),
        mask: u128::from(fields(Field::MaskHigh)) << 64 | u128::from(fields(Field::MaskLow)),
        causal: bit(Field::Kind, 0),
        first_row: fields(Field::FirstRow) as u16,
        scaled: bit(Field::Kind, 1),
        weighted: bit(Field::Kind, 2),
        share: fields(Field::Share) as u32,
        progressive: bit(Field::Progressive, 0),
        threshold_inverse: fields(Field::Threshold),
        split: descriptor::Split::from_raw(fields(Field::Split)).expect("a split").into(),
        bits: [Field::BitsK, Field::BitsV, Field::BitsQ].map(|f| fields(f) as u32),
        lsb_bits: [Field::LsbsK, Field::LsbsV, Field::LsbsQ].map(|f| fields(f) as u32),
        base: std::array::from_fn::<_, BASES, _>(|i| at(Field::Base0.at() + i) as u32),
        stride: std::array::from_fn::<_, BASES, _>(|i| at(Field::Stride0.at() + i) as u32),
    }
}

fn factor(packed: u64) -> ScaleFactor {
    let (mantissa, shift) = HeadFactors::unpack(packed as u32 & 0xff_ffff);
    ScaleFactor { mantissa, shift }
}

/// The command whose number is `op`.
fn command(op: u64, flags: u64, count: u32, gamma: u32) -> Command {
    let (heads, mean) = (flags & 1 == 1, flags >> 1 & 1 == 1);
    match op & 7 {
        1 => Command::Clear { heads, count },
        2 => Command::Decay { gamma, count },
        3 => Command::Read { heads, mean, count },
        4 => Command::Load { heads, count },
        other => panic!("the program gives command {other}"),
    }
}

impl Chip {
    /// As after reset, with all memories 0.
    pub fn new(config: &ArchConfig) -> Self {
        let channels = config.channels;
        let widths = Widths {
            id: id_bits(config),
            count: importance::count_bits(config),
            card: axi::Widths::of(config),
            host: axi::Widths::host(config),
            store: token_store::Widths::of(config),
            select: survivor_select::Widths::of(config),
            sequencer: sequencer::Widths::of(config),
            map: verdict_map::Widths::of(config),
            channel: bits_for(channels - 1),
        };
        Self {
            config: config.clone(),
            csr: Csr::new(config),
            controller: Controller::new(&firmware::program(config), firmware::fields(config)),
            store: TokenStore::new(config),
            select: SurvivorSelect::new(config),
            engine: LayerEngine::new(config),
            map: VerdictMap::new(config),
            cards: vec![AxiMaster::new(); channels],
            host: AxiMaster::new(),
            host_there: false,
            host_failed: false,
            widths,
            out: vec![None; OUTPUTS + 3 * channels],
        }
    }

    /// Instruction that the program is at, for messages.
    pub fn program_counter(&self) -> usize {
        self.controller.counter()
    }

    /// In the last cycle a word of keys entered the multipliers.
    pub fn busy(&self) -> bool {
        self.engine.busy()
    }

    /// `interrupt_line` and `interrupt_message`.
    pub fn interrupt(&self) -> [bool; 2] {
        let csr = self.csr.outputs();
        [csr.interrupt, csr.message]
    }

    fn field(&self, field: Field) -> u64 {
        self.controller.field(field.at())
    }

    fn word_of_fields(&self) -> Box<[u8]> {
        let from = Field::ALL.len();
        let elements = from..from + firmware::elements(&self.config);
        elements.flat_map(|i| self.controller.field(i).to_le_bytes()).collect()
    }

    /// The program's word of card memory, and its channel.
    fn word(&self) -> Option<(usize, &Bits)> {
        // The last channel that has one; there is one at a time.
        (0..self.config.channels).rev().find_map(|i| match self.cards[i].output(1) {
            Some(axi::Output::Response(id, data, _)) if id >> self.widths.id & 1 == 1 => Some((i, data)),
            _ => None,
        })
    }

    /// Whether stream `pop` has a beat.
    fn there(&self, pop: Pop) -> bool {
        match pop {
            Pop::Done => self.engine.output(2).is_some(),
            Pop::StoreDone => self.store.output(0).is_some(),
            Pop::HeadRead => self.engine.output(1).is_some(),
            Pop::MapDone => self.map.output(1).is_some(),
            Pop::Word => self.word().is_some(),
            Pop::HostWord => self.host.output(1).is_some(),
            Pop::Written => self.engine.output(3).is_some(),
            Pop::HostWritten => self.host_there,
        }
    }

    fn port(&self, number: usize) -> u64 {
        let Some(&port) = Port::ALL.get(number) else {
            let element = number - Port::ALL.len();
            let word = match self.host.output(1) {
                Some(axi::Output::Response(_, data, _)) => Some(data),
                _ => self.word().map(|(_, data)| data),
            };
            // Without a word a port shows what no program may look at.
            return word.map_or(0, |word| word.lane(element, 64));
        };
        let csr = self.csr.outputs();
        let saturations = |i: usize| match self.engine.output(2) {
            Some(layer::Output::Importance(importance::Output::Done(counts, _))) => counts[i],
            _ => 0,
        };
        match port {
            Port::TokenSaturations => saturations(0),
            Port::HeadSaturations => saturations(1),
            Port::StoreCount => match self.store.output(0) {
                Some(token_store::Output::Done(count, _)) => *count as u64,
                _ => 0,
            },
            Port::HeadImportance => match self.engine.output(1) {
                Some(layer::Output::Importance(importance::Output::HeadRead(importance, _))) => *importance,
                _ => 0,
            },
            Port::FlatRows => self.engine.flat_rows().into(),
            Port::WriteErrors => match self.engine.output(3) {
                Some(layer::Output::WriteBack(write_back::Output::Done { errors, .. })) => *errors,
                _ => 0,
            },
            Port::HostErrors => u64::from(self.host.read_failed()) | u64::from(self.host_failed) << 1,
            Port::Enable => csr.enable.into(),
            Port::SubmissionBase => csr.submission_base,
            Port::SubmissionLevel => csr.submission_level.into(),
            Port::SubmissionTail => csr.submission_tail.into(),
            Port::CompletionBase => csr.completion_base,
            Port::CompletionLevel => csr.completion_level.into(),
            Port::CompletionHead => csr.completion_head.into(),
        }
    }

    /// Whether a beat of stream `push` would be taken.
    fn takes(&self, push: Push) -> bool {
        match push {
            Push::Layer => self.engine.ready(2),
            Push::Factor => self.engine.ready(3),
            Push::Command => self.engine.ready(4),
            Push::Map => self.map.ready(0),
            Push::HeadLoad => self.engine.ready(6),
            Push::Select => self.select.ready(1),
            Push::Store => self.store.ready(0),
            Push::Read => self.cards.get(self.field(Field::A) as usize).is_some_and(|card| card.ready(0)),
            Push::HostRead => self.host.ready(0),
            Push::Write => self.engine.ready(7) && self.store.output(5).is_none() && self.map.output(0).is_none(),
            Push::HostWrite => self.host.ready(2),
            Push::Flush => self.engine.ready(8),
            Push::Event | Push::Job => true,
        }
    }

    fn store_command(&self) -> token_store::Command {
        let count = |field| (self.field(field) & ((1 << bits_for(self.config.keys_on_chip)) - 1)) as usize;
        let op = self.field(Field::A) as usize & 0xf;
        token_store::Command {
            op: *Op::ALL.get(op).unwrap_or_else(|| panic!("the program gives token_store command {op}")),
            listed: self.field(Field::B) & 1 == 1,
            from: count(Field::C),
            to: count(Field::D),
            x: self.field(Field::E),
            y: self.field(Field::F),
        }
    }
}

fn wrong(what: &impl std::fmt::Debug, stream: &str) -> ! {
    panic!("{what:?} on `{stream}`")
}

impl CycleModel for Chip {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        let channels = self.config.channels;
        match port {
            0..=2 => self.csr.ready(port),
            3 => self.host.ready(1),
            4 => true,
            _ if port < INPUTS + channels => self.cards[port - INPUTS].ready(1),
            _ => true,
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.out[port].as_ref()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let (channels, w) = (self.config.channels, self.widths);

        // What the program sees, and what moves between the parts.
        let asked = self.controller.asks().is_some_and(|i| self.there(Pop::ALL[i]));
        let shown = self.controller.looks().map_or(0, |i| self.port(i));
        let pushed = self.controller.push().map(|i| Push::ALL[i]).filter(|&push| self.takes(push));
        let popped = self.controller.pop().map(|i| Pop::ALL[i]).filter(|&pop| self.there(pop));
        let [a, b, c, d] = [Field::A, Field::B, Field::C, Field::D].map(|f| self.field(f));
        let ranks = self.field(Field::ReadToSelect) & 1 == 1;
        let read = match self.engine.output(0) {
            Some(layer::Output::Importance(importance::Output::Read { word, count, last }))
                if if ranks { self.select.ready(2) } else { self.store.ready(1) } =>
            {
                Some((word.clone(), *count, *last))
            }
            _ => None,
        };
        let kept = self.select.output(0).filter(|_| self.store.ready(2)).cloned();
        let lists = [1, 2].map(|port| match self.store.output(port) {
            Some(token_store::Output::List(tokens, last, _)) if self.engine.ready(port - 1) => {
                Some(Tokens { index: tokens.clone(), last: *last })
            }
            _ => None,
        });
        let candidates = match self.store.output(3) {
            Some(token_store::Output::Candidates(tokens, last, _)) if self.select.ready(0) => {
                Some((tokens.clone(), *last))
            }
            _ => None,
        };
        let load = match self.store.output(4) {
            Some(token_store::Output::Load(values, _)) if self.engine.ready(5) => Some(values.clone()),
            _ => None,
        };
        let dumped = self.store.output(5).filter(|_| self.engine.ready(7)).and_then(token_store::Output::word);
        let dump_taken = dumped.is_some();
        let mapped = match self.map.output(0) {
            Some(verdict_map::Output::Word(channel, address, data, _))
                if self.engine.ready(7) && self.store.output(5).is_none() =>
            {
                Some((*channel, *address, data.clone(), u128::MAX >> (128 - self.config.channel_bytes)))
            }
            _ => None,
        };
        let verdict = match self.engine.output(4) {
            Some(layer::Output::Sequencer(verdict, _)) if self.map.ready(1) => Some(*verdict),
            _ => None,
        };
        let requests: Vec<bool> = (0..channels)
            .map(|i| {
                let asks = self.controller.push() == Some(Push::Read.at()) && a == i as u64;
                self.engine.output(5 + i).is_some() && self.cards[i].ready(0) && !asks
            })
            .collect();
        let word_at = (popped == Some(Pop::Word)).then(|| self.word().expect("it is there").0);
        // Every word of the program's, of whatever channel, is taken at once.
        let is_word =
            |card: &AxiMaster| matches!(card.output(1), Some(axi::Output::Response(id, ..)) if id >> w.id & 1 == 1);
        let words: Vec<bool> = self.cards.iter().map(is_word).collect();
        let responses: Vec<bool> = (0..channels)
            .map(|i| match words[i] {
                true => word_at.is_some(),
                false => self.cards[i].output(1).is_some() && self.engine.ready(9 + i),
            })
            .collect();
        let writes: Vec<bool> =
            (0..channels).map(|i| self.engine.output(5 + channels + i).is_some() && self.cards[i].ready(2)).collect();

        // Channels.
        let mut to_engine: Vec<Option<layer::Input>> = vec![None; 9 + 2 * channels];
        for i in 0..channels {
            if let Some(error) = self.cards[i].acknowledge() {
                to_engine[9 + channels + i] = Some(layer::Input::WriteBack(write_back::Input::Acknowledge { error }));
            }
            if responses[i] && !words[i] {
                let Some(axi::Output::Response(id, data, _)) = self.cards[i].output(1) else { unreachable!("there") };
                to_engine[9 + i] = Some(layer::Input::Response { id: *id, id_bits: w.id, data: data.clone() });
            }
        }
        for i in 0..channels {
            let mut inputs: [Option<axi::Input>; 4] = Default::default();
            if requests[i] {
                let Some(layer::Output::Request(request, _)) = self.engine.output(5 + i) else { unreachable!("there") };
                inputs[0] = Some(axi::Input::Request(request.address.into(), request.id, w.card));
            }
            if pushed == Some(Push::Read) && a == i as u64 {
                inputs[0] = Some(axi::Input::Request(b & 0xffff_ffff, 1 << w.id, w.card));
            }
            if writes[i] {
                let Some(layer::Output::WriteBack(write_back::Output::Write(write))) =
                    self.engine.output(5 + channels + i)
                else {
                    unreachable!("there")
                };
                inputs[2] =
                    Some(axi::Input::Write(write.address.into(), Bits::from_bytes(&write.data), write.strobe, w.card));
            }
            for (to, port) in [(1, INPUTS + i), (3, INPUTS + channels + i)] {
                inputs[to] = match accepted[port].take() {
                    Some(Input::Axi(input)) => Some(input),
                    Some(other) => wrong(&other, "card"),
                    None => None,
                };
            }
            let out = |kind: usize| taken[OUTPUTS + kind * channels + i];
            self.cards[i].clock(&mut inputs, &[out(0), responses[i], out(1), out(2)]);
        }

        // The host.
        let there = self.host.acknowledge();
        if popped == Some(Pop::HostWritten) {
            self.host_there = false;
        } else if let Some(failed) = there {
            (self.host_there, self.host_failed) = (true, failed);
        }
        let mut to_host: [Option<axi::Input>; 4] = Default::default();
        let level = self.config.channel_bytes.ilog2();
        if pushed == Some(Push::HostRead) {
            to_host[0] = Some(axi::Input::Request(b >> level, 0, w.host));
        }
        let strobe = u128::from(c) & (u128::MAX >> (128 - self.config.channel_bytes));
        if pushed == Some(Push::HostWrite) {
            to_host[2] = Some(axi::Input::Write(b >> level, Bits::from_bytes(&self.word_of_fields()), strobe, w.host));
        }
        for (to, port) in [(1, 3), (3, 4)] {
            to_host[to] = match accepted[port].take() {
                Some(Input::Axi(input)) => Some(input),
                Some(other) => wrong(&other, "host"),
                None => None,
            };
        }
        self.host.clock(&mut to_host, &[taken[2], popped == Some(Pop::HostWord), taken[3], taken[4]]);

        // Registers.
        let mut to_csr: [Option<csr::Input>; 3] = Default::default();
        for (to, from) in to_csr.iter_mut().zip(accepted.iter_mut()) {
            *to = match from.take() {
                Some(Input::Csr(input)) => Some(input),
                Some(other) => wrong(&other, "csr"),
                None => None,
            };
        }
        let field = |f: Field| self.controller.field(f.at());
        let status = field(Field::Status);
        let mut increment = [0; Counter::ALL.len()];
        increment[Counter::Cycles as usize] = self.csr.outputs().enable.into();
        increment[Counter::Busy as usize] = status as u32 >> 1 & 1;
        increment[Counter::Dot as usize] = self.engine.busy().into();
        increment[Counter::Jobs as usize] = (pushed == Some(Push::Job)).into();
        let status_bits = spatten_arch::registers::STATUS.mask();
        let event_bits = spatten_arch::registers::INTERRUPT_STATUS.mask();
        self.csr.inputs = csr::Inputs {
            status: status as u32 & status_bits,
            error: field(Field::Error) as u32,
            submission_head: field(Field::SubmissionHead) as u32,
            completion_tail: field(Field::CompletionTail) as u32,
            topk_longest: 0,
            event: if pushed == Some(Push::Event) { a as u32 & event_bits } else { 0 },
            increment,
        };
        self.csr.clock(&mut to_csr, &taken[..2]);

        // Layers.
        let count = (c & ((1 << w.count) - 1)) as u32;
        for (to, tokens) in lists.iter().enumerate() {
            if let Some(tokens) = tokens {
                to_engine[to] = Some(layer::Input::Sequencer(sequencer::Input::List(tokens.clone(), w.sequencer)));
            }
        }
        match pushed {
            Some(Push::Layer) => {
                let layer = layer(field, |i| self.controller.field(i));
                to_engine[2] = Some(layer::Input::Sequencer(sequencer::Input::Layer(Box::new(layer), w.sequencer)));
            }
            Some(Push::Factor) => {
                let factors = Factors { logit: factor(a), importance: factor(b) };
                to_engine[3] = Some(layer::Input::Sequencer(sequencer::Input::Factors(factors)));
            }
            Some(Push::Command) => {
                let command = command(a, b, count, d as u32 & 0x1_ffff);
                to_engine[4] = Some(layer::Input::Importance(importance::Input::Command(command, w.count)));
            }
            Some(Push::HeadLoad) => {
                to_engine[6] = Some(layer::Input::Importance(importance::Input::HeadLoad(a & ((1 << 48) - 1))));
            }
            Some(Push::Flush) => to_engine[8] = Some(layer::Input::WriteBack(write_back::Input::Flush)),
            Some(Push::Write) => {
                let write = write_back::Write { address: b as u32, data: self.word_of_fields(), strobe };
                let channel = a as usize & ((1 << w.channel) - 1);
                to_engine[7] =
                    Some(layer::Input::WriteBack(write_back::Input::Word { channel, channel_bits: w.channel, write }));
            }
            _ => {}
        }
        let map_taken = mapped.is_some();
        if let Some((channel, address, data, strobe)) = dumped.or(mapped) {
            let write = write_back::Write { address, data, strobe };
            to_engine[7] =
                Some(layer::Input::WriteBack(write_back::Input::Word { channel, channel_bits: w.channel, write }));
        }
        if let Some(values) = &load {
            let lanes = |pick: fn(&(u64, u64)) -> u64| {
                let mut all: Vec<u64> = values.iter().map(pick).collect();
                all.resize(self.config.softmax_lanes, 0);
                all
            };
            let word = importance::Word { importance: lanes(|v| v.0), rows: lanes(|v| v.1) };
            to_engine[5] = Some(layer::Input::Importance(importance::Input::Load(word)));
        }
        let store_command = (pushed == Some(Push::Store)).then(|| self.store_command());
        let mut engine_taken = vec![
            read.is_some(),
            popped == Some(Pop::HeadRead),
            popped == Some(Pop::Done),
            popped == Some(Pop::Written),
            verdict.is_some(),
        ];
        engine_taken.extend(&requests);
        engine_taken.extend(&writes);
        self.engine.clock(&mut to_engine, &engine_taken);

        // Which rows are computed again.
        let mut to_map: [Option<verdict_map::Input>; 2] = Default::default();
        if pushed == Some(Push::Map) {
            let rows = (d & ((1 << bits_for(self.config.keys_on_chip)) - 1)) as usize;
            let job = verdict_map::Job { write: a & 1 == 1, base: b as u32, stride: c as u32, rows };
            to_map[0] = Some(verdict_map::Input::Job(job, w.map));
        }
        to_map[1] = verdict.map(|v| verdict_map::Input::Verdict(v.name.index, v.name.head, v.flat, v.last, w.map));
        self.map.clock(&mut to_map, &[map_taken, popped == Some(Pop::MapDone)]);

        // Tokens.
        let mut to_store: [Option<token_store::Input>; 3] = Default::default();
        to_store[0] = store_command.map(|command| token_store::Input::Command(command, w.store));
        let mut to_select: [Option<survivor_select::Input>; 3] = Default::default();
        if let Some((word, count, last)) = read {
            if ranks {
                let importance = word.importance[..count].to_vec();
                to_select[2] = Some(survivor_select::Input::Importance(importance, last, w.select));
            } else {
                let values = word.importance.iter().copied().zip(word.rows.iter().copied()).take(count).collect();
                to_store[1] = Some(token_store::Input::Read(values, last, w.store));
            }
        }
        to_store[2] = kept
            .as_ref()
            .map(|kept| token_store::Input::Kept(kept.tokens.iter().map(|t| t.0).collect(), kept.last, w.store));
        let taken_by_others = [
            popped == Some(Pop::StoreDone),
            lists[0].is_some(),
            lists[1].is_some(),
            candidates.is_some(),
            load.is_some(),
            dump_taken,
        ];
        self.store.clock(&mut to_store, &taken_by_others);
        to_select[0] = candidates.map(|(tokens, last)| survivor_select::Input::List(tokens, last, w.select));
        if pushed == Some(Push::Select) {
            let keep = (a & ((1 << bits_for(self.config.keys_on_chip)) - 1)) as usize;
            to_select[1] = Some(survivor_select::Input::Select(keep, true, w.select));
        }
        self.select.clock(&mut to_select, &[kept.is_some()]);

        self.controller.clock(pushed.is_some(), asked, shown);

        for port in 0..2 {
            self.out[port] = self.csr.output(port).cloned().map(Output::Csr);
        }
        for (port, from) in [(2, 0), (3, 2), (4, 3)] {
            self.out[port] = self.host.output(from).cloned().map(Output::Axi);
        }
        for (kind, from) in [0, 2, 3].into_iter().enumerate() {
            for i in 0..channels {
                self.out[OUTPUTS + kind * channels + i] = self.cards[i].output(from).cloned().map(Output::Axi);
            }
        }
    }
}
