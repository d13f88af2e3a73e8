//! Which rows were computed again, as bits in memory, in time. Siblings: `hw`, `tests/verdict_map.rs`.

use crate::cosim::{Beat, Bits, Field, bits_for};
use crate::cycle::CycleModel;
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::layout::ADDRESS_BITS;

/// Widths that beats are described with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    channels: usize,
    bytes: usize,
    keys: usize,
}

impl Widths {
    /// In a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        Self { channels: config.channels, bytes: config.channel_bytes, keys: config.keys_on_chip }
    }
}

/// A layer's map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Words are written.
    pub write: bool,
    /// Word at which the map of head 0 begins.
    pub base: u32,
    /// Words to that of the next head.
    pub stride: u32,
    /// Rows of a head.
    pub rows: usize,
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On stream 0, `job`.
    Job(Job, Widths),
    /// On stream 1, `verdict`: row, head, whether it is computed again, whether it is the layer's last one.
    Verdict(usize, usize, bool, bool, Widths),
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Job(job, w) => vec![
                Field::flag("write", job.write),
                Field::value("base", job.base.into(), ADDRESS_BITS as u32),
                Field::value("stride", job.stride.into(), ADDRESS_BITS as u32),
                Field::value("rows", job.rows as u64, bits_for(w.keys)),
            ],
            Self::Verdict(index, head, flat, last, w) => vec![
                Field::value("index", *index as u64, bits_for(w.keys - 1)),
                Field::value("head", *head as u64, bits_for(MAX_HEADS - 1)),
                Field::flag("flat", *flat),
                Field::flag("last", *last),
            ],
        }
    }
}

/// What comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// On stream 0, `word`: channel, word of it, bits.
    Word(usize, u32, Box<[u8]>, Widths),
    /// On stream 1, `done`.
    Done,
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Word(channel, address, data, w) => vec![
                Field::value("channel", *channel as u64, bits_for(w.channels - 1)),
                Field::value("address", (*address).into(), ADDRESS_BITS as u32),
                Field::bits("data", Bits::from_bytes(data)),
            ],
            Self::Done => vec![],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Run,
    Word,
    Done,
}

/// The block; see `hw::verdict_map` for the streams.
#[derive(Debug, Clone)]
pub struct VerdictMap {
    widths: Widths,
    state: State,
    job: Job,
    at: usize,
    place: u32,
    held: Option<(usize, usize, bool, bool)>,
    /// Row of the verdict before, and whether it was the last.
    before: (usize, bool),
    bits: Box<[u8]>,
    out: [Option<Output>; 2],
}

impl VerdictMap {
    /// As after reset.
    pub fn new(config: &ArchConfig) -> Self {
        Self {
            widths: Widths::of(config),
            state: State::Idle,
            job: Job { write: false, base: 0, stride: 0, rows: 0 },
            at: 0,
            place: 0,
            held: None,
            before: (0, false),
            bits: vec![0; config.channel_bytes].into(),
            out: [None, None],
        }
    }
}

impl CycleModel for VerdictMap {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 => self.state == State::Idle,
            _ => self.state == State::Run && self.held.is_none(),
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.out[port].as_ref()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let word = 8 * self.widths.bytes;
        match self.state {
            State::Idle => {
                if let Some(Input::Job(job, _)) = accepted[0].take() {
                    self.job = job;
                    (self.at, self.place, self.held) = (0, job.base, None);
                    self.bits.fill(0);
                    self.state = State::Run;
                }
            }
            State::Run => match self.held {
                None => {
                    if let Some(Input::Verdict(index, head, flat, last, _)) = accepted[1].take() {
                        self.held = Some((index, head, flat, last));
                    }
                }
                Some((_, head, ..)) if head != self.at => {
                    self.at = (self.at + 1) % MAX_HEADS;
                    self.place = self.place.wrapping_add(self.job.stride);
                }
                Some((index, _, flat, last)) => {
                    (self.held, self.before) = (None, (index, last));
                    self.bits[index % word / 8] |= u8::from(flat) << (index % 8);
                    let completes = (index + 1).is_multiple_of(word) || index + 1 == self.job.rows;
                    self.state = match (completes && self.job.write, last) {
                        (true, _) => State::Word,
                        (false, true) => State::Done,
                        (false, false) => State::Run,
                    };
                }
            },
            State::Word => {
                if taken[0] {
                    self.bits.fill(0);
                    self.state = if self.before.1 { State::Done } else { State::Run };
                }
            }
            State::Done => {
                if taken[1] {
                    self.state = State::Idle;
                }
            }
        }
        self.out = [None, None];
        match self.state {
            State::Word => {
                let number = self.before.0 / word;
                let address = self.place.wrapping_add((number / self.widths.channels) as u32);
                let channel = number % self.widths.channels;
                self.out[0] = Some(Output::Word(channel, address, self.bits.clone(), self.widths));
            }
            State::Done => self.out[1] = Some(Output::Done),
            _ => {}
        }
    }
}
