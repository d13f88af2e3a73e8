//! Registers, doorbells, performance counters, in time. Siblings: `hw`, `tests/csr.rs`; the map is `arch::registers`.

use crate::cosim::{Beat, Field};
use crate::cycle::CycleModel;
use spatten_arch::ArchConfig;
use spatten_arch::registers::{self, ADDRESS_BITS, Counter, Kind, Register};

/// A beat of `aw`, `w` or `ar`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Address of a write or of a read.
    Address(u32),
    /// Data of a write.
    Data {
        /// A word.
        data: u32,
        /// Bit i: byte i is written.
        strobe: u8,
    },
}

impl Beat for Input {
    fn fields(&self) -> Vec<Field> {
        match *self {
            Self::Address(address) => vec![Field::value("address", address.into(), ADDRESS_BITS as u32)],
            Self::Data { data, strobe } => {
                vec![Field::value("data", data.into(), 32), Field::value("strobe", strobe.into(), 4)]
            }
        }
    }
}

/// A beat of `b` or `r`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A write's answer.
    Written {
        /// It was refused.
        refused: bool,
    },
    /// A read's.
    Read {
        /// The word.
        data: u32,
        /// It was refused.
        refused: bool,
    },
}

impl Beat for Output {
    fn fields(&self) -> Vec<Field> {
        let response = |refused| Field::value("response", if refused { 2 } else { 0 }, 2);
        match *self {
            Self::Written { refused } => vec![response(refused)],
            Self::Read { data, refused } => vec![Field::value("data", data.into(), 32), response(refused)],
        }
    }
}

/// What the rest of the chip says in a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// Fields of `status`.
    pub status: u32,
    /// `error`
    pub error: u32,
    /// Jobs fetched.
    pub submission_head: u32,
    /// Completions written.
    pub completion_tail: u32,
    /// Cycles of the longest selection.
    pub topk_longest: u32,
    /// What happens.
    pub event: u32,
    /// What is added to each counter.
    pub increment: [u32; Counter::ALL.len()],
}

impl Default for Inputs {
    fn default() -> Self {
        Self {
            status: 0,
            error: 0,
            submission_head: 0,
            completion_tail: 0,
            topk_longest: 0,
            event: 0,
            increment: [0; Counter::ALL.len()],
        }
    }
}

/// What the rest of the chip sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outputs {
    /// `control.enable`
    pub enable: bool,
    /// `command.reset` was written in the cycle before.
    pub soft_reset: bool,
    /// `command.clear_counters` was.
    pub clear_counters: bool,
    /// Host address of the ring of jobs.
    pub submission_base: u64,
    /// log2 of its entries.
    pub submission_level: u32,
    /// Jobs written.
    pub submission_tail: u32,
    /// That was written.
    pub submission_rung: bool,
    /// Host address of the ring of completions.
    pub completion_base: u64,
    /// log2 of its entries.
    pub completion_level: u32,
    /// Completions read.
    pub completion_head: u32,
    /// That was written.
    pub completion_rung: bool,
    /// Something enabled has happened.
    pub interrupt: bool,
    /// Something enabled happened.
    pub message: bool,
}

/// Inputs 0 `aw`, 1 `w`, 2 `ar`; outputs 0 `b`, 1 `r`; [`Csr::inputs`] are those of the cycle that is clocked.
///
/// # Timing   an answer 2 cycles after its last part; as `hw`
#[derive(Debug, Clone)]
pub struct Csr {
    /// What the rest of the chip says in this cycle.
    pub inputs: Inputs,
    map: Vec<Register>,
    /// Place in the map by word of the address space.
    at: Vec<Option<u8>>,
    /// Constants and values by place in the map.
    value: Vec<u32>,
    aw: Option<u32>,
    w: Option<(u32, u32)>,
    b: Option<Output>,
    reading: Option<u32>,
    r: Option<Output>,
    happened: u32,
    message: bool,
    soft: bool,
    clear: bool,
    rung: [bool; 2],
    step: [u32; Counter::ALL.len()],
    count: [u64; Counter::ALL.len()],
    high: u32,
    enables: usize,
    outputs: [usize; 9],
}

impl Csr {
    /// As after reset.
    pub fn new(config: &ArchConfig) -> Self {
        let map = registers::all();
        let mut at = vec![None; 1 << (ADDRESS_BITS - 2)];
        for (place, register) in map.iter().enumerate() {
            at[register.address() as usize / 4] = Some(u8::try_from(place).expect("a few registers"));
        }
        let first = |r: &Register| match r.kind {
            Kind::Constant(value) => value(config),
            _ => r.reset,
        };
        let place = |wanted: Register| map.iter().position(|r| r.address() == wanted.address()).expect("in the map");
        let outputs = [
            registers::CONTROL,
            registers::SUBMISSION_BASE_LOW,
            registers::SUBMISSION_BASE_HIGH,
            registers::SUBMISSION_SIZE,
            registers::SUBMISSION_TAIL,
            registers::COMPLETION_BASE_LOW,
            registers::COMPLETION_BASE_HIGH,
            registers::COMPLETION_SIZE,
            registers::COMPLETION_HEAD,
        ]
        .map(place);
        Self {
            inputs: Inputs::default(),
            value: map.iter().map(first).collect(),
            enables: place(registers::INTERRUPT_ENABLE),
            at,
            aw: None,
            w: None,
            b: None,
            reading: None,
            r: None,
            happened: 0,
            message: false,
            soft: false,
            clear: false,
            rung: [false; 2],
            step: [0; Counter::ALL.len()],
            count: [0; Counter::ALL.len()],
            high: 0,
            outputs,
            map,
        }
    }

    /// What the rest of the chip sees in this cycle.
    pub fn outputs(&self) -> Outputs {
        let [control, sub_low, sub_high, sub_size, tail, com_low, com_high, com_size, head] =
            self.outputs.map(|place| self.value[place]);
        let wide = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        Outputs {
            enable: control & 1 == 1,
            soft_reset: self.soft,
            clear_counters: self.clear,
            submission_base: wide(sub_low, sub_high),
            submission_level: sub_size,
            submission_tail: tail,
            submission_rung: self.rung[0],
            completion_base: wide(com_low, com_high),
            completion_level: com_size,
            completion_head: head,
            completion_rung: self.rung[1],
            interrupt: self.happened & self.value[self.enables] != 0,
            message: self.message,
        }
    }

    fn place(&self, address: u32) -> Option<usize> {
        let found = self.at.get(address as usize / 4).copied().flatten();
        found.filter(|_| address.is_multiple_of(4)).map(usize::from)
    }

    /// The word of a register, and what `high` keeps.
    fn word(&self, place: usize) -> (u32, u32) {
        let register = &self.map[place];
        let word = match register.kind {
            Kind::Constant(_) | Kind::Value => self.value[place],
            Kind::Event => self.happened,
            Kind::Command => 0,
            Kind::CounterLow(counter) => {
                let count = self.count[counter as usize];
                return (count as u32, (count >> 32) as u32);
            }
            Kind::CounterHigh(_) => self.high,
            Kind::Input => match register.name {
                name if name == registers::STATUS.name => self.inputs.status,
                name if name == registers::ERROR.name => self.inputs.error,
                name if name == registers::SUBMISSION_HEAD.name => self.inputs.submission_head,
                name if name == registers::COMPLETION_TAIL.name => self.inputs.completion_tail,
                name if name == registers::TOPK_LONGEST.name => self.inputs.topk_longest,
                name => unreachable!("input {name}"),
            },
        };
        (word, self.high)
    }
}

impl CycleModel for Csr {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        match port {
            0 => self.aw.is_none() && self.b.is_none(),
            1 => self.w.is_none() && self.b.is_none(),
            _ => self.reading.is_none() && self.r.is_none(),
        }
    }

    fn output(&self, port: usize) -> Option<&Output> {
        if port == 0 { self.b.as_ref() } else { self.r.as_ref() }
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        // Read, from the state before this cycle's write.
        if taken[1] {
            self.r = None;
        }
        if let Some(address) = self.reading.take() {
            let place = self.place(address);
            let (data, high) = place.map_or((0, self.high), |place| self.word(place));
            self.high = high;
            self.r = Some(Output::Read { data, refused: place.is_none() });
        }
        if let Some(Input::Address(address)) = accepted[2].take() {
            self.reading = Some(address);
        }

        for ((count, step), increment) in self.count.iter_mut().zip(&mut self.step).zip(&self.inputs.increment) {
            *count = if self.soft || self.clear { 0 } else { count.wrapping_add((*step).into()) };
            *step = *increment;
        }

        if taken[0] {
            self.b = None;
        }
        let soft = std::mem::take(&mut self.soft);
        (self.clear, self.rung) = (false, [false; 2]);
        let enabled = self.value[self.enables];
        let (mut happens, mut cleared) = (self.inputs.event, 0);
        if let (Some(address), Some((data, mask))) = (self.aw, self.w) {
            (self.aw, self.w) = (None, None);
            let mut refused = false;
            match self.place(address).map(|place| (place, self.map[place])) {
                Some((place, register)) => match register.kind {
                    Kind::Value => {
                        let value = &mut self.value[place];
                        *value = (*value & !mask | data & mask) & register.mask();
                        self.rung[0] = mask != 0 && place == self.outputs[4];
                        self.rung[1] = mask != 0 && place == self.outputs[8];
                    }
                    Kind::Event => cleared = data & mask,
                    Kind::Command if register.name == registers::COMMAND.name => {
                        let bit = |name| data & mask & register.field(name).mask() != 0;
                        (self.soft, self.clear) = (bit("reset"), bit("clear_counters"));
                    }
                    Kind::Command => happens |= data & mask & register.mask(),
                    _ => refused = true,
                },
                None => refused = true,
            }
            self.b = Some(Output::Written { refused });
        }
        if let Some(Input::Address(address)) = accepted[0].take() {
            self.aw = Some(address);
        }
        if let Some(Input::Data { data, strobe }) = accepted[1].take() {
            let mask = (0..4).filter(|i| strobe >> i & 1 == 1).fold(0, |all, i| all | 0xff << (8 * i));
            self.w = Some((data, mask));
        }
        self.happened = self.happened & !cleared | happens;
        let now = self.value[self.enables];
        self.message = happens & now | self.happened & now & !enabled != 0;
        if soft {
            for (value, register) in self.value.iter_mut().zip(&self.map) {
                if matches!(register.kind, Kind::Value) && register.name != registers::SCRATCH.name {
                    *value = register.reset;
                }
            }
            (self.happened, self.message) = (0, false);
        }
    }
}
