//! A memory channel as an AXI4 master, in time. Siblings: `hw`, `tests/axi_master.rs`.

use crate::cosim::{Beat, Bits, Field};
use crate::cycle::{CycleModel, Fifo};
use crate::matrix_fetcher::id_bits;
use spatten_arch::ArchConfig;
use spatten_arch::layout::ADDRESS_BITS;

const BEATS: usize = 2;

/// Widths that beats are described with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Bytes of a word.
    pub bytes: u32,
    /// Bits of a request's id.
    pub id: u32,
    /// Bits of a word's number.
    pub address: u32,
}

impl Widths {
    /// In a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        Self { bytes: config.channel_bytes as u32, id: id_bits(config) + 1, address: ADDRESS_BITS as u32 }
    }

    /// Of the host's memory.
    pub fn host(config: &ArchConfig) -> Self {
        let bytes = config.channel_bytes as u32;
        Self { bytes, id: 1, address: 64 - bytes.ilog2() }
    }

    fn size(&self) -> u32 {
        self.bytes.ilog2()
    }
}

/// What goes in.
#[derive(Debug, Clone)]
pub enum Input {
    /// On stream 0, `request`: word of the channel, and id.
    Request(u64, u32, Widths),
    /// On stream 1, `r`: id, word, response.
    Read(u32, Bits, u8, Widths),
    /// On stream 2, `write`: word of the channel, word, strobe.
    Write(u64, Bits, u128, Widths),
    /// On stream 3, `b`: response.
    Written(u8),
}

fn strobe(strobe: u128, bytes: u32) -> Field {
    let lanes: Vec<u64> = (0..bytes).map(|i| (strobe >> i) as u64 & 1).collect();
    Field::lanes("strobe", &lanes, 1)
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Request(address, id, w) => {
                vec![Field::value("address", *address, w.address), Field::value("id", (*id).into(), w.id)]
            }
            Self::Read(id, data, response, w) => vec![
                Field::value("id", (*id).into(), w.id),
                Field::bits("data", data.clone()),
                Field::value("response", (*response).into(), 2),
            ],
            Self::Write(address, data, bytes, w) => vec![
                Field::value("address", *address, w.address),
                Field::bits("data", data.clone()),
                strobe(*bytes, w.bytes),
            ],
            Self::Written(response) => vec![Field::value("response", (*response).into(), 2)],
        }
    }
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// On stream 0, `ar`: word, and id.
    ReadAddress(u64, u32, Widths),
    /// On stream 1, `response`: id, and word.
    Response(u32, Bits, Widths),
    /// On stream 2, `aw`: word.
    WriteAddress(u64, Widths),
    /// On stream 3, `w`: word, and strobe.
    WriteData(Bits, u128, Widths),
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        let address = |word: u64, w: &Widths| {
            vec![
                Field::value("address", word << w.size(), w.address + w.size()),
                Field::value("length", 0, 8),
                Field::value("size", w.size().into(), 3),
                Field::value("burst", 1, 2),
            ]
        };
        match self {
            Self::ReadAddress(word, id, w) => {
                let mut fields = address(*word, w);
                fields.push(Field::value("id", (*id).into(), w.id));
                fields
            }
            Self::Response(id, data, w) => {
                vec![Field::value("id", (*id).into(), w.id), Field::bits("data", data.clone())]
            }
            Self::WriteAddress(word, w) => address(*word, w),
            Self::WriteData(data, bytes, w) => {
                vec![Field::bits("data", data.clone()), strobe(*bytes, w.bytes), Field::flag("last", true)]
            }
        }
    }
}

/// The block; see `hw::axi_master` for the streams.
///
/// # Timing   each beat is there in the cycle after it was accepted
#[derive(Debug, Clone)]
pub struct AxiMaster {
    /// By output stream.
    queues: [Fifo<Output>; 4],
    failed: bool,
    clear: bool,
    /// The write of the cycle before, and whether it failed.
    answered: Option<bool>,
}

impl AxiMaster {
    /// As after reset.
    pub fn new() -> Self {
        Self { queues: std::array::from_fn(|_| Fifo::new(BEATS)), failed: false, clear: false, answered: None }
    }

    /// A read has failed since it was asked to forget that.
    pub fn read_failed(&self) -> bool {
        self.failed
    }

    /// The oldest write is in memory, or has failed.
    pub fn acknowledge(&self) -> Option<bool> {
        self.answered
    }

    /// Level of `clear` from now on.
    pub fn clear(&mut self, clear: bool) {
        self.clear = clear;
    }
}

impl Default for AxiMaster {
    fn default() -> Self {
        Self::new()
    }
}

impl CycleModel for AxiMaster {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 | 1 => self.queues[port].ready(),
            2 => self.queues[2].ready() && self.queues[3].ready(),
            _ => true,
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.queues[port].front()
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        let mut pushed: [Option<Output>; 4] = Default::default();
        self.answered = None;
        self.failed &= !self.clear;
        for input in accepted.iter_mut().filter_map(Option::take) {
            match input {
                Input::Request(word, id, w) => pushed[0] = Some(Output::ReadAddress(word, id, w)),
                Input::Read(id, data, response, w) => {
                    self.failed |= response & 2 != 0;
                    pushed[1] = Some(Output::Response(id, data, w));
                }
                Input::Write(word, data, bytes, w) => {
                    pushed[2] = Some(Output::WriteAddress(word, w));
                    pushed[3] = Some(Output::WriteData(data, bytes, w));
                }
                Input::Written(response) => self.answered = Some(response & 2 != 0),
            }
        }
        for ((queue, beat), &taken) in self.queues.iter_mut().zip(pushed).zip(taken) {
            queue.clock(beat, taken);
        }
    }
}
