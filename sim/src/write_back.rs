//! Outputs, survivors and completions to memory, in time. Siblings: `hw`, `tests/write_back.rs`.

use crate::cosim::{Beat, Field};
use crate::cycle::{CycleModel, Fifo};
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::OUTPUT_BITS;
use spatten_arch::layout::{ADDRESS_BITS, OUTPUT_ROW_BITS, OutputLayout};

/// Words that wait for a channel.
pub const QUEUE: usize = 16;
const JOBS: usize = 2;
const ROW_BYTES: usize = HEAD_DIMS[HEAD_DIMS.len() - 1] * OUTPUT_BITS as usize / 8;

/// A word on its way to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Word of the channel.
    pub address: u32,
    /// The word.
    pub data: Box<[u8]>,
    /// Bit i: byte i is written.
    pub strobe: u128,
}

impl Write {
    fn described(&self) -> Vec<Field> {
        let bytes: Vec<u64> = self.data.iter().map(|&byte| byte.into()).collect();
        let strobe: Vec<u64> = (0..bytes.len()).map(|i| (self.strobe >> i) as u64 & 1).collect();
        vec![
            Field::value("address", self.address.into(), ADDRESS_BITS as u32),
            Field::lanes("data", &bytes, 8),
            Field::lanes("strobe", &strobe, 1),
        ]
    }
}

/// A beat of an input.
#[derive(Debug, Clone)]
pub enum Input {
    /// A plane of rows.
    Job {
        /// Word at which it begins on every channel.
        base: u32,
        /// log2(head dimension) - 4.
        dim: u32,
    },
    /// A row of it.
    Row {
        /// Its number in the plane.
        number: u32,
        /// Bits of 128 outputs.
        outputs: Box<[u16]>,
        /// The job's last row.
        last: bool,
    },
    /// A word.
    Word {
        /// Its channel.
        channel: usize,
        /// Bits of a channel's number.
        channel_bits: u32,
        /// What is written.
        write: Write,
    },
    /// Say when all of this is in memory.
    Flush,
    /// A channel's oldest write is.
    Acknowledge {
        /// Or is not.
        error: bool,
    },
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Job { base, dim } => {
                vec![Field::value("base", (*base).into(), ADDRESS_BITS as u32), Field::value("dim", (*dim).into(), 2)]
            }
            Self::Row { number, outputs, last } => {
                let lanes: Vec<u64> = outputs.iter().map(|&x| x.into()).collect();
                vec![
                    Field::value("number", (*number).into(), OUTPUT_ROW_BITS as u32),
                    Field::lanes("outputs", &lanes, OUTPUT_BITS),
                    Field::flag("last", *last),
                ]
            }
            Self::Word { channel, channel_bits, write } => {
                let mut fields = vec![Field::value("channel", *channel as u64, *channel_bits)];
                fields.extend(write.described());
                fields
            }
            Self::Flush => vec![],
            Self::Acknowledge { error } => vec![Field::flag("error", *error)],
        }
    }
}

/// A beat of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A flush is done.
    Done {
        /// Bit i: a write to channel i failed.
        errors: u64,
        /// Channels.
        channels: u32,
    },
    /// A word for a channel.
    Write(Write),
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Done { errors, channels } => vec![Field::value("error", *errors, *channels)],
            Self::Write(write) => write.described(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Close,
    Wait,
    Done,
}

/// A row whose words are on their way to the queues.
#[derive(Debug, Clone)]
struct Row {
    bytes: [u8; ROW_BYTES],
    layout: OutputLayout,
    /// log2(head dimension) - 4.
    dim: u32,
    /// Of the words of this step.
    address: u32,
    step: usize,
    /// Bit i: channel i has not taken its word of this step.
    pending: u64,
}

/// Who goes in a cycle.
#[derive(Debug, Clone, Copy, Default)]
struct Goes {
    /// Bit i: the row's word for channel i.
    row: u64,
    word: bool,
    /// Channel on which one of them waited for the other.
    clash: Option<usize>,
    row_done: bool,
}

/// Inputs 0 `job`, 1 `row`, 2 `word`, 3 `flush`, 4.. `acknowledge` of each channel; outputs 0 `done`, 1.. `write` of each.
///
/// # Timing   2 cycles from a row to its first words; as `hw`
#[derive(Debug, Clone)]
pub struct WriteBack {
    channels: usize,
    layouts: [OutputLayout; HEAD_DIMS.len()],
    word_bytes: usize,
    limit: usize,
    jobs: Fifo<(u32, u32)>,
    row: Option<Box<Row>>,
    word: Option<(usize, Write)>,
    /// Bit i: the word goes first where both want channel i.
    word_first: u64,
    queues: Vec<Fifo<Output>>,
    outstanding: Vec<usize>,
    state: State,
    waiting: Vec<usize>,
    failed: u64,
    later: u64,
    done: Output,
}

impl WriteBack {
    /// For a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let channels = config.channels;
        Self {
            channels,
            layouts: HEAD_DIMS.map(|dim| OutputLayout::new(config, dim)),
            word_bytes: config.channel_bytes,
            limit: config.words_in_flight + QUEUE,
            jobs: Fifo::new(JOBS),
            row: None,
            word: None,
            word_first: 0,
            queues: vec![Fifo::new(QUEUE); channels],
            outstanding: vec![0; channels],
            state: State::Idle,
            waiting: vec![0; channels],
            failed: 0,
            later: 0,
            done: Output::Done { errors: 0, channels: channels as u32 },
        }
    }

    /// Writes of a channel that are queued or not acknowledged.
    pub fn outstanding(&self, channel: usize) -> usize {
        self.outstanding[channel]
    }

    /// Most of them.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether a row waits for channels.
    pub fn holds_row(&self) -> bool {
        self.row.is_some()
    }

    fn room(&self, channel: usize) -> bool {
        self.queues[channel].ready() && self.outstanding[channel] < self.limit
    }

    fn steps(&self, layout: &OutputLayout) -> usize {
        (layout.words() / self.channels).max(1)
    }

    fn goes(&self) -> Goes {
        let pending = self.row.as_ref().map_or(0, |row| row.pending);
        let room = (0..self.channels).filter(|&c| self.room(c)).fold(0u64, |all, c| all | 1 << c);
        let mut goes = Goes { row: pending & room, ..Goes::default() };
        if let Some((channel, _)) = self.word
            && room >> channel & 1 == 1
        {
            goes.word = true;
            if goes.row >> channel & 1 == 1 {
                goes.clash = Some(channel);
                if self.word_first >> channel & 1 == 1 {
                    goes.row &= !(1 << channel);
                } else {
                    goes.word = false;
                }
            }
        }
        goes.row_done = self
            .row
            .as_ref()
            .is_some_and(|row| row.pending & !goes.row == 0 && row.step + 1 == self.steps(&row.layout));
        goes
    }

    fn row_word(&self, row: &Row, channel: usize) -> Write {
        let words = row.layout.words();
        let word = (row.step * self.channels + channel) % words;
        let row_bytes = ROW_BYTES >> (HEAD_DIMS.len() as u32 - 1 - row.dim);
        let byte = |i: usize| row.bytes[(word * self.word_bytes + i) % row_bytes];
        let written = row.layout.bytes_in(word);
        let strobe = u128::MAX >> (128 - written);
        Write { address: row.address, data: (0..self.word_bytes).map(byte).collect(), strobe }
    }

    fn begin(&self, (base, dim): (u32, u32), number: u32, outputs: &[u16]) -> Box<Row> {
        let layout = self.layouts[dim as usize];
        let mut bytes = [0; ROW_BYTES];
        for (bytes, output) in bytes.chunks_exact_mut(2).zip(outputs) {
            bytes.copy_from_slice(&output.to_le_bytes());
        }
        let (first, address) = layout.place(number as usize, 0);
        let taken = layout.words().min(self.channels);
        let pending = (u64::MAX >> (64 - taken)) << first;
        Box::new(Row { bytes, layout, dim, address: base.wrapping_add(address as u32), step: 0, pending })
    }
}

impl CycleModel for WriteBack {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        let open = self.state != State::Close;
        match port {
            0 => self.jobs.ready(),
            1 => open && self.jobs.front().is_some() && (self.row.is_none() || self.goes().row_done),
            2 => open && (self.word.is_none() || self.goes().word),
            3 => self.state == State::Idle,
            _ => true,
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        match port {
            0 => (self.state == State::Done).then_some(&self.done),
            _ => self.queues[port - 1].front(),
        }
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let goes = self.goes();
        let empty = self.row.is_none() && self.word.is_none();
        let waits = self.waiting.iter().any(|&n| n > 0);
        let word = if goes.word { self.word.take() } else { None };
        for channel in 0..self.channels {
            let from_row = goes.row >> channel & 1 == 1;
            let push = match (&word, &self.row) {
                (_, Some(row)) if from_row => Some(self.row_word(row, channel)),
                (Some((to, write)), _) if *to == channel => Some(write.clone()),
                _ => None,
            };
            let acknowledged = match accepted[4 + channel].take() {
                Some(Input::Acknowledge { error }) => Some(error),
                _ => None,
            };
            self.outstanding[channel] += usize::from(push.is_some());
            self.outstanding[channel] -= usize::from(acknowledged.is_some());
            self.queues[channel].clock(push.map(Output::Write), taken[1 + channel]);
            let error = u64::from(acknowledged == Some(true)) << channel;
            match self.state {
                State::Idle => self.failed |= error,
                State::Close => {
                    self.failed |= error;
                    self.waiting[channel] = self.outstanding[channel];
                }
                State::Wait | State::Done if self.waiting[channel] > 0 => {
                    self.waiting[channel] -= usize::from(acknowledged.is_some());
                    self.failed |= error;
                }
                State::Wait | State::Done => self.later |= error,
            }
        }
        if let Some(channel) = goes.clash {
            self.word_first ^= 1 << channel;
        }
        if let Some(row) = &mut self.row {
            row.pending &= !goes.row;
            if goes.row_done {
                self.row = None;
            } else if row.pending == 0 {
                (row.step, row.address) = (row.step + 1, row.address.wrapping_add(1));
                row.pending = u64::MAX >> (64 - self.channels);
            }
        }
        let mut job_ends = false;
        if let Some(Input::Row { number, outputs, last }) = accepted[1].take() {
            let job = *self.jobs.front().expect("a row is accepted within a job");
            self.row = Some(self.begin(job, number, &outputs));
            job_ends = last;
        }
        let job = match accepted[0].take() {
            Some(Input::Job { base, dim }) => Some((base, dim)),
            _ => None,
        };
        self.jobs.clock(job, job_ends);
        if let Some(Input::Word { channel, write, .. }) = accepted[2].take() {
            self.word = Some((channel, write));
        }
        self.state = match self.state {
            State::Idle if accepted[3].take().is_some() => State::Close,
            State::Close if empty => State::Wait,
            State::Wait if !waits => State::Done,
            State::Done if taken[0] => {
                (self.failed, self.later) = (self.later, 0);
                State::Idle
            }
            state => state,
        };
        self.done = Output::Done { errors: self.failed, channels: self.channels as u32 };
    }
}
