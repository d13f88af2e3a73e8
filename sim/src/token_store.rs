//! What a sequence has of each token, in time. Siblings: `hw`, `tests/token_store.rs`.

use crate::cosim::{Beat, Field, bits_for};
use crate::cycle::{CreditPipe, CycleModel};
use spatten_arch::ArchConfig;
use spatten_arch::format::Formats;
use spatten_arch::layout::{ADDRESS_BITS, TOKEN_BITS};
use spatten_arch::token_store::{FLAG_BITS, OP_BITS, Op, QUERIES_REAL_BIT, ROW_BITS, flag, scan_bit};

/// Cycles from a token's number to its place in the queue, and places there.
const LATENCY: usize = 4;
const PLACES: usize = 8;

/// A command; see `arch::token_store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// What is done.
    pub op: Op,
    /// With places of the list.
    pub listed: bool,
    /// The first.
    pub from: usize,
    /// The one behind the last.
    pub to: usize,
    /// See `Op`.
    pub x: u64,
    /// See `Op`.
    pub y: u64,
}

/// Widths that beats are described with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    lanes: usize,
    channels: usize,
    per_word: usize,
    keys: usize,
    sum: u32,
}

impl Widths {
    /// In a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        Self {
            lanes: config.softmax_lanes,
            channels: config.channels,
            per_word: config.channel_bytes / 8,
            keys: config.keys_on_chip,
            sum: Formats::new(config).token_importance.width(),
        }
    }
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On stream 0, `command`.
    Command(Command, Widths),
    /// On stream 1, `read`: importances with their rows, and whether they are the last ones.
    Read(Vec<(u64, u64)>, bool, Widths),
    /// On stream 2, `kept`: tokens, and whether they are the last ones.
    Kept(Vec<u16>, bool, Widths),
}

/// Values of lanes; lanes without one hold 0.
fn lanes(values: impl Iterator<Item = u64>, lanes: usize) -> Vec<u64> {
    let mut all: Vec<u64> = values.collect();
    all.resize(lanes, 0);
    all
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Command(c, w) => vec![
                Field::value("op", c.op as u64, OP_BITS as u32),
                Field::flag("listed", c.listed),
                Field::value("from", c.from as u64, bits_for(w.keys)),
                Field::value("to", c.to as u64, bits_for(w.keys)),
                Field::value("x", c.x, 64),
                Field::value("y", c.y, 64),
            ],
            Self::Read(values, last, w) => vec![
                Field::lanes("importance", &lanes(values.iter().map(|v| v.0), w.lanes), w.sum),
                Field::lanes("rows", &lanes(values.iter().map(|v| v.1), w.lanes), ROW_BITS as u32),
                Field::value("count", values.len() as u64, bits_for(w.lanes)),
                Field::flag("last", *last),
            ],
            Self::Kept(tokens, last, w) => vec![
                Field::lanes("index", &lanes(tokens.iter().map(|&t| t.into()), w.lanes), TOKEN_BITS as u32),
                Field::value("count", tokens.len() as u64, bits_for(w.lanes)),
                Field::flag("last", *last),
            ],
        }
    }
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// On stream 0, `done`.
    Done(usize, Widths),
    /// On stream 1, `key_list`, and stream 2, `query_list`: whether they are the last ones.
    List(Vec<u16>, bool, Widths),
    /// On stream 3, `list`: tokens, and whether they are pinned.
    Candidates(Vec<(u16, bool)>, bool, Widths),
    /// On stream 4, `load`: importances with their rows.
    Load(Vec<(u64, u64)>, Widths),
    /// On stream 5, `word`: channel, word of it, and what a token has.
    Word(usize, u32, Vec<u64>, Widths),
}

impl Output {
    /// The word with its bytes that are written, and its channel.
    pub fn word(&self) -> Option<(usize, u32, Box<[u8]>, u128)> {
        let Self::Word(channel, address, states, w) = self else { return None };
        let bytes = lanes(states.iter().copied(), w.per_word).iter().flat_map(|s| s.to_le_bytes()).collect();
        Some((*channel, *address, bytes, (1 << (8 * states.len())) - 1))
    }
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Done(count, w) => vec![Field::value("count", *count as u64, bits_for(w.keys))],
            Self::List(tokens, last, w) => vec![
                Field::lanes("index", &lanes(tokens.iter().map(|&t| t.into()), w.channels), TOKEN_BITS as u32),
                Field::value("count", tokens.len() as u64, bits_for(w.channels)),
                Field::flag("last", *last),
            ],
            Self::Candidates(tokens, last, w) => vec![
                Field::lanes("index", &lanes(tokens.iter().map(|t| t.0.into()), w.lanes), TOKEN_BITS as u32),
                Field::lanes("pinned", &lanes(tokens.iter().map(|t| t.1.into()), w.lanes), 1),
                Field::value("count", tokens.len() as u64, bits_for(w.lanes)),
                Field::flag("last", *last),
            ],
            Self::Load(values, w) => vec![
                Field::lanes("importance", &lanes(values.iter().map(|v| v.0), w.lanes), w.sum),
                Field::lanes("rows", &lanes(values.iter().map(|v| v.1), w.lanes), ROW_BITS as u32),
            ],
            Self::Word(channel, address, states, w) => vec![
                Field::value("channel", *channel as u64, bits_for(w.channels - 1)),
                Field::value("address", (*address).into(), ADDRESS_BITS as u32),
                Field::lanes("data", &lanes(states.iter().copied(), w.per_word), 64),
                Field::lanes("strobe", &lanes(states.iter().map(|_| 255), w.per_word), 8),
            ],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Walk,
    Last,
    Done,
}

/// A token on its way, and what it had when it was read.
#[derive(Debug, Clone, Copy)]
struct Token {
    number: u16,
    value: u64,
    flags: u64,
}

/// What comes in, one after the other.
#[derive(Debug, Clone, Default)]
struct Incoming {
    full: bool,
    values: Vec<u64>,
    last: bool,
    at: usize,
    ended: bool,
}

impl Incoming {
    fn there(&self) -> Option<u64> {
        self.values.get(self.at).copied().filter(|_| self.full)
    }
}

/// The block; see `hw::token_store` for the streams.
#[derive(Debug, Clone)]
pub struct TokenStore {
    widths: Widths,
    values: Vec<u64>,
    flags: Vec<u64>,
    list: Vec<u16>,
    state: State,
    command: Command,
    next: usize,
    left: usize,
    pipe: CreditPipe<Token>,
    rank: usize,
    count: usize,
    incoming: Incoming,
    beat: Vec<u64>,
    channel: usize,
    address: u32,
    out: [Option<Output>; 6],
}

/// What becomes of the token at hand.
struct Becomes {
    flags: u64,
    real: bool,
    alive: bool,
}

impl TokenStore {
    /// As after reset, all tokens 0.
    pub fn new(config: &ArchConfig) -> Self {
        let widths = Widths::of(config);
        Self {
            widths,
            values: vec![0; widths.keys],
            flags: vec![0; widths.keys],
            list: vec![0; widths.keys],
            state: State::Idle,
            command: Command { op: Op::Init, listed: false, from: 0, to: 0, x: 0, y: 0 },
            next: 0,
            left: 0,
            pipe: CreditPipe::new(LATENCY, PLACES),
            rank: 0,
            count: 0,
            incoming: Incoming::default(),
            beat: vec![],
            channel: 0,
            address: 0,
            out: Default::default(),
        }
    }

    fn value_bits(&self) -> u32 {
        self.widths.sum + ROW_BITS as u32
    }

    /// Tokens of a beat, where the command gives beats, and their stream.
    fn packs(&self) -> Option<(usize, usize)> {
        let w = &self.widths;
        match self.command.op {
            Op::Keys => Some((w.channels, 1)),
            Op::Queries => Some((w.channels, 2)),
            Op::Candidates => Some((w.lanes, 3)),
            Op::Load => Some((w.lanes, 4)),
            Op::Dump => Some((w.per_word, 5)),
            _ => None,
        }
    }

    fn passes(&self, token: &Token) -> bool {
        let x = self.command.x;
        let real = x >> QUERIES_REAL_BIT & 1 == 0 || token.flags & flag::REAL != 0;
        self.command.op != Op::Queries || (u64::from(token.number) >= x & 0xffff && real)
    }

    fn becomes(&self, token: &Token) -> Becomes {
        let (x, was) = (self.command.x, token.flags);
        let bit = |n: u32| x >> n & 1 == 1;
        let number = u64::from(token.number);
        let joins = number == x >> 32 & 0xffff && bit(scan_bit::JOINS);
        let real = was & flag::REAL != 0 || joins;
        let mut is = Becomes { flags: was, real, alive: was & flag::ALIVE != 0 };
        match self.command.op {
            Op::Init => {
                let at = (token.number as usize).wrapping_sub(self.command.from) as u32 & 63;
                is.flags = (x >> at & 1) | (self.command.y >> at & 1) << 1;
            }
            Op::Scan if bit(scan_bit::SETS) => {
                let rank = self.rank as u64;
                let current = number == x >> 32 & 0xffff && bit(scan_bit::PIN_CURRENT);
                let ranked = rank < x & 0xffff || rank >= x >> 16 & 0xffff;
                let pinned = real && (was & flag::PIN_MAP != 0 || ranked || current);
                is.alive = if bit(scan_bit::RESELECT) { real } else { was & flag::ALIVE != 0 || joins };
                is.flags = (was & flag::PIN_MAP)
                    | (u64::from(real) * flag::REAL)
                    | (u64::from(pinned) * flag::PINNED)
                    | (u64::from(is.alive) * flag::ALIVE);
            }
            Op::Take => {
                is.alive = self.incoming.there() == Some(number);
                is.flags = (was & !flag::ALIVE) | (u64::from(is.alive) * flag::ALIVE);
            }
            Op::Put => is.flags = x >> self.value_bits(),
            _ => {}
        }
        is
    }

    fn item(&self, token: &Token) -> u64 {
        let number = u64::from(token.number);
        match self.command.op {
            Op::Queries => number.wrapping_sub(self.command.x >> 16) & 0xffff,
            Op::Keys | Op::Candidates => number | u64::from(token.flags & flag::PINNED != 0) << 16,
            _ => token.value | token.flags << self.value_bits(),
        }
    }

    /// The beat as its stream gives it.
    fn offer(&self, last: bool) -> Output {
        let w = self.widths;
        let mask = (1 << w.sum) - 1;
        match self.command.op {
            Op::Candidates => {
                let tokens = self.beat.iter().map(|&item| (item as u16, item >> 16 & 1 == 1));
                Output::Candidates(tokens.collect(), last, w)
            }
            Op::Load => {
                let rows = (1 << ROW_BITS) - 1;
                Output::Load(self.beat.iter().map(|&item| (item & mask, item >> w.sum & rows)).collect(), w)
            }
            Op::Dump => Output::Word(self.channel, self.address, self.beat.clone(), w),
            _ => Output::List(self.beat.iter().map(|&item| item as u16).collect(), last, w),
        }
    }
}

impl CycleModel for TokenStore {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        let open = self.state == State::Walk && !self.incoming.full && !self.incoming.ended;
        match port {
            0 => self.state == State::Idle,
            1 => open && self.command.op == Op::Save,
            _ => open && self.command.op == Op::Take,
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.out[port].as_ref()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let op = self.command.op;
        let packs = self.packs();
        let beat_taken = taken[1..].iter().any(|&t| t);

        // The token at hand.
        let goes = self.pipe.front().copied().filter(|token| match (packs, op) {
            (Some((limit, _)), _) => !self.passes(token) || self.beat.len() < limit || beat_taken,
            (None, Op::Save) => self.incoming.there().is_some(),
            (None, Op::Take) => self.incoming.there().is_some() || self.incoming.ended,
            _ => true,
        });
        let issues = self.state == State::Walk && self.next < self.command.to && self.pipe.ready();
        let issued = issues.then(|| {
            let number = if self.command.listed { self.list[self.next] } else { self.next as u16 };
            let at = usize::from(number) % self.widths.keys;
            Token { number, value: self.values[at], flags: self.flags[at] }
        });
        let ends = self.left == 0 && (op != Op::Take || self.incoming.ended);
        let mut used = false;
        if let Some(token) = goes {
            let is = self.becomes(&token);
            let at = usize::from(token.number) % self.widths.keys;
            let (arrived, passes) = (self.incoming.there(), self.passes(&token));
            used = op == Op::Save || (op == Op::Take && is.alive);
            let value_mask = (1 << self.value_bits()) - 1;
            match op {
                Op::Init => self.values[at] = 0,
                Op::Save => self.values[at] = arrived.expect("waited for") & value_mask,
                Op::Put => self.values[at] = self.command.x & value_mask,
                _ => {}
            }
            if matches!(op, Op::Init | Op::Scan | Op::Take | Op::Put) {
                self.flags[at] = is.flags & ((1 << FLAG_BITS) - 1);
            }
            if matches!(op, Op::Scan | Op::Take) && is.alive {
                self.list[self.count % self.widths.keys] = token.number;
            }
            self.count += usize::from(match op {
                Op::Init => is.flags & flag::REAL != 0,
                Op::Scan | Op::Take => is.alive,
                _ => passes,
            });
            self.rank += usize::from(is.real);
            self.left -= 1;
            if let Some((limit, _)) = packs.filter(|_| passes) {
                if self.beat.len() == limit {
                    self.beat.clear();
                }
                let item = self.item(&token);
                self.beat.push(item);
            }
        }
        self.pipe.clock(issued, goes.is_some());
        self.next += usize::from(issues);
        if beat_taken {
            self.channel += 1;
            if self.channel == self.widths.channels {
                self.channel = 0;
                self.address = self.address.wrapping_add(1);
            }
        }

        // What comes in.
        let arrives = accepted[1].take().or_else(|| accepted[2].take());
        if self.incoming.full {
            self.incoming.at += usize::from(used);
            if self.incoming.at == self.incoming.values.len() {
                self.incoming.full = false;
                self.incoming.ended = self.incoming.last;
            }
        }
        if let Some(input) = arrives {
            let (values, last) = match input {
                Input::Read(values, last, w) => (values.iter().map(|v| v.0 | v.1 << w.sum).collect(), last),
                Input::Kept(tokens, last, _) => (tokens.iter().map(|&t| t.into()).collect(), last),
                Input::Command(..) => panic!("a command on a stream of values"),
            };
            self.incoming = Incoming { full: true, values, last, at: 0, ended: false };
        }

        match self.state {
            State::Idle => match accepted[0].take() {
                Some(Input::Command(command, _)) => {
                    self.state = State::Walk;
                    self.command = command;
                    self.next = command.from;
                    self.left = command.to.saturating_sub(command.from);
                    (self.rank, self.count) = (0, 0);
                    self.beat.clear();
                    self.incoming = Incoming::default();
                    self.channel = command.y as usize & (self.widths.channels - 1);
                    self.address = command.x as u32;
                }
                Some(other) => panic!("{other:?} on `command`"),
                None => {}
            },
            State::Walk if ends => self.state = if packs.is_some() { State::Last } else { State::Done },
            State::Last if beat_taken => self.state = State::Done,
            State::Done if taken[0] => self.state = State::Idle,
            _ => {}
        }

        self.out = Default::default();
        if self.state == State::Done {
            self.out[0] = Some(Output::Done(self.count, self.widths));
        }
        if let Some((limit, port)) = self.packs() {
            let full = self.beat.len() == limit && self.pipe.front().is_some_and(|token| self.passes(token));
            if self.state == State::Last || (self.state == State::Walk && full) {
                self.out[port] = Some(self.offer(self.state == State::Last));
            }
        }
    }
}
