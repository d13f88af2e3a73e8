//! A chip in its sockets: memory behind its channels, a host behind its host port, a driver at its registers. The chip is a cycle
//! model or the Verilated RTL; what is around it is the same.
//!
//! Memory is ideal: a word per channel and cycle, each `latency` cycles after it was asked for. A job ends when its completion is in
//! host memory.

use super::{CardDevice, CardMemory, Counters, DeviceError};
use spatten_arch::ArchConfig;
use spatten_arch::descriptor::{
    COMPLETION_BYTES, CONTEXTS, Completion, Entry, JOB_BYTES, Job, LayerParameters, PARAMETER_BYTES,
};
use spatten_arch::registers::{self, Counter, Register};
use spatten_sim::axi_master as axi;
use spatten_sim::chip::{INPUTS, Input, OUTPUTS, Output};
use spatten_sim::cosim::Bits;
use spatten_sim::csr;
use spatten_sim::cycle::CycleModel;
use std::collections::VecDeque;

/// Cycles from a word's address to the word, where nobody says otherwise.
pub const LATENCY_CYCLES: u64 = 40;
/// Cycles in which nothing moves on any port, after which nothing more is expected to.
const PATIENCE_CYCLES: u64 = 100_000;
/// log2 of the entries of both rings.
const LEVEL: u32 = 4;
/// Where the host has its rings.
const SUBMISSION: u64 = 0x1000;
const COMPLETION: u64 = 0x2000;
/// Bytes of host memory.
const HOST_BYTES: usize = 0x3000;

/// What the chip counts, and bytes, which are counted here at its memory.
const COUNTED: &[Counter] = &[
    Counter::Cycles,
    Counter::Busy,
    Counter::Dot,
    Counter::Jobs,
    Counter::ReadQ,
    Counter::ReadKMsb,
    Counter::ReadKLsb,
    Counter::ReadV,
    Counter::ReadOther,
    Counter::Write,
];
/// Of those, what is counted here.
const BYTES: &[Counter] =
    &[Counter::ReadQ, Counter::ReadKMsb, Counter::ReadKLsb, Counter::ReadV, Counter::ReadOther, Counter::Write];

/// One AXI port's memory side.
#[derive(Debug, Default)]
struct Port {
    /// Words that were asked for, each with the cycle in which it comes.
    reads: VecDeque<(u64, axi::Input)>,
    addresses: VecDeque<u64>,
    words: VecDeque<(Bits, u128)>,
    answers: VecDeque<(u64, axi::Input)>,
}

/// A card with chip `M`.
pub struct Board<M> {
    config: ArchConfig,
    chip: M,
    memory: CardMemory,
    host: Vec<u8>,
    latency: u64,
    cycle: u64,
    moved: u64,
    /// Of the host, then of each channel.
    ports: Vec<Port>,
    registers: [VecDeque<csr::Input>; 3],
    answers: [VecDeque<csr::Output>; 2],
    jobs: u32,
    counters: Counters,
    /// Bytes that memory gave and took, by kind, and what lies where while a layer runs: first word, the one behind, kind.
    bytes: Counters,
    kinds: Vec<(u32, u32, Counter)>,
    /// Query heads, and those of keys and values, by context.
    heads: [[u16; 2]; CONTEXTS],
    accepted: Vec<Option<Input>>,
    taken: Vec<bool>,
}

fn bytes_of(word: &Bits) -> Vec<u8> {
    word.words().iter().flat_map(|w| w.to_le_bytes()).take(word.width() as usize / 8).collect()
}

impl<M: CycleModel<Input = Input, Output = Output>> Board<M> {
    /// A chip as after reset, enabled.
    ///
    /// # Errors
    /// Where its registers do not answer.
    pub fn new(config: &ArchConfig, chip: M) -> Result<Self, DeviceError> {
        let channels = config.channels;
        let mut this = Self {
            config: config.clone(),
            chip,
            memory: CardMemory::new(config),
            host: vec![0; HOST_BYTES],
            latency: LATENCY_CYCLES,
            cycle: 0,
            moved: 0,
            ports: (0..=channels).map(|_| Port::default()).collect(),
            registers: Default::default(),
            answers: Default::default(),
            jobs: 0,
            counters: Counters::default().only(COUNTED),
            bytes: Counters::default(),
            kinds: vec![],
            heads: [[0; 2]; CONTEXTS],
            accepted: vec![None; INPUTS + 2 * channels],
            taken: vec![false; OUTPUTS + 3 * channels],
        };
        for (register, value) in [
            (registers::SUBMISSION_BASE_LOW, SUBMISSION as u32),
            (registers::SUBMISSION_SIZE, LEVEL),
            (registers::COMPLETION_BASE_LOW, COMPLETION as u32),
            (registers::COMPLETION_SIZE, LEVEL),
            (registers::CONTROL, 1),
        ] {
            this.write_register(register, value)?;
        }
        Ok(this)
    }

    /// The chip.
    pub fn chip(&self) -> &M {
        &self.chip
    }

    /// Cycles since reset.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The host's or a channel's stream of a kind: `ar`, `aw`, `w`.
    fn output_port(&self, port: usize, kind: usize) -> usize {
        if port == 0 { 2 + kind } else { OUTPUTS + kind * self.config.channels + port - 1 }
    }

    /// Of a kind: `r`, `b`.
    fn input_port(&self, port: usize, kind: usize) -> usize {
        if port == 0 { 3 + kind } else { INPUTS + kind * self.config.channels + port - 1 }
    }

    fn read(&self, port: usize, word: u64) -> Option<Vec<u8>> {
        if port > 0 {
            return self.memory.word(port - 1, word as u32).map(<[u8]>::to_vec);
        }
        let size = self.config.channel_bytes;
        let from = usize::try_from(word).ok()?.checked_mul(size)?;
        self.host.get(from..from.checked_add(size)?).map(<[u8]>::to_vec)
    }

    fn write(&mut self, port: usize, word: u64, data: &[u8], strobe: u128) -> bool {
        if port > 0 {
            return self.memory.write(port - 1, word as u32, data, strobe);
        }
        let from = word as usize * data.len();
        let Some(there) = self.host.get_mut(from..from + data.len()) else { return false };
        for (i, (byte, &new)) in there.iter_mut().zip(data).enumerate() {
            if strobe >> i & 1 == 1 {
                *byte = new;
            }
        }
        true
    }

    /// What a word of card memory is.
    fn kind(&self, word: u32) -> Counter {
        let found = self.kinds.iter().find(|(from, to, _)| (*from..*to).contains(&word));
        found.map_or(Counter::ReadOther, |&(_, _, kind)| kind)
    }

    /// What lies where, as the parameters of a layer's job say.
    fn look_up(&mut self, entry: &Entry) {
        self.kinds.clear();
        let Job::Layer(layer) = entry.job else { return };
        let bytes = self.memory.read_block(layer.parameters, 0, PARAMETER_BYTES);
        let bytes = bytes.try_into().expect("as many as were asked for");
        let Ok(p) = LayerParameters::decode(&bytes, &self.config) else { return };
        let [heads, kv_heads] = self.heads[usize::from(layer.context) % CONTEXTS];
        for (base, stride, kind) in [
            (p.q_msb_base, p.q_msb_stride, Counter::ReadQ),
            (p.q_lsb_base, p.q_lsb_stride, Counter::ReadQ),
            (p.q_scale_base, p.q_scale_stride, Counter::ReadQ),
            (p.k_msb_base, p.k_msb_stride, Counter::ReadKMsb),
            (p.k_scale_base, p.k_scale_stride, Counter::ReadKMsb),
            (p.k_lsb_base, p.k_lsb_stride, Counter::ReadKLsb),
            (p.v_msb_base, p.v_msb_stride, Counter::ReadV),
            (p.v_lsb_base, p.v_lsb_stride, Counter::ReadV),
            (p.v_scale_base, p.v_scale_stride, Counter::ReadV),
            (p.norm_base, p.norm_stride, Counter::ReadV),
        ] {
            let heads = if kind == Counter::ReadQ { heads } else { kv_heads };
            let to = base.saturating_add(stride.saturating_mul(heads.into()));
            self.kinds.push((base, to, kind));
        }
    }

    /// One cycle.
    fn step(&mut self) {
        let cycle = self.cycle;
        // What memory answers, and what the driver asks of the registers.
        for port in 0..self.ports.len() {
            for kind in 0..2 {
                let at = self.input_port(port, kind);
                let queue = if kind == 0 { &mut self.ports[port].reads } else { &mut self.ports[port].answers };
                let due = queue.front().is_some_and(|(due, _)| *due <= cycle) && self.chip.ready(at);
                self.accepted[at] = if due { queue.pop_front().map(|(_, beat)| Input::Axi(beat)) } else { None };
                if due {
                    self.moved = cycle;
                }
            }
        }
        for (at, queue) in self.registers.iter_mut().enumerate() {
            let goes = !queue.is_empty() && self.chip.ready(at);
            self.accepted[at] = if goes { queue.pop_front().map(Input::Csr) } else { None };
        }
        // What the chip says is taken at once.
        for port in 0..2 {
            self.taken[port] = false;
            if let Some(Output::Csr(answer)) = self.chip.output(port) {
                self.answers[port].push_back(*answer);
                self.taken[port] = true;
            }
        }
        for port in 0..self.ports.len() {
            let due = cycle + self.latency;
            let widths = if port == 0 { axi::Widths::host(&self.config) } else { axi::Widths::of(&self.config) };
            for kind in 0..3 {
                let at = self.output_port(port, kind);
                self.taken[at] = false;
                let Some(Output::Axi(beat)) = self.chip.output(at) else { continue };
                (self.taken[at], self.moved) = (true, cycle);
                match beat {
                    axi::Output::ReadAddress(word, id, _) => {
                        let (word, id) = (*word, *id);
                        if port > 0 {
                            let kind = self.kind(word as u32);
                            self.bytes[kind] += self.config.channel_bytes as u64;
                        }
                        let data = self.read(port, word);
                        // AXI: SLVERR where there is no memory.
                        let response = if data.is_some() { 0 } else { 2 };
                        let data = data.unwrap_or_else(|| vec![0; self.config.channel_bytes]);
                        let answer = axi::Input::Read(id, Bits::from_bytes(&data), response, widths);
                        self.ports[port].reads.push_back((due, answer));
                    }
                    axi::Output::WriteAddress(word, _) => {
                        let word = *word;
                        self.ports[port].addresses.push_back(word);
                    }
                    axi::Output::WriteData(data, strobe, _) => {
                        let beat = (data.clone(), *strobe);
                        self.ports[port].words.push_back(beat);
                    }
                    axi::Output::Response(..) => unreachable!("inside the chip"),
                }
            }
            let side = &mut self.ports[port];
            if !side.addresses.is_empty() && !side.words.is_empty() {
                let (word, (data, strobe)) =
                    (side.addresses.pop_front().expect("seen"), side.words.pop_front().expect("seen"));
                if port > 0 {
                    self.bytes[Counter::Write] += u64::from(strobe.count_ones());
                }
                let done = self.write(port, word, &bytes_of(&data), strobe);
                let response = if done { 0 } else { 2 };
                self.ports[port].answers.push_back((due, axi::Input::Written(response)));
            }
        }
        let mut accepted = std::mem::take(&mut self.accepted);
        self.chip.clock(&mut accepted, &self.taken);
        self.accepted = accepted;
        self.cycle += 1;
    }

    fn write_register(&mut self, register: Register, value: u32) -> Result<(), DeviceError> {
        self.registers[0].push_back(csr::Input::Address(register.address()));
        self.registers[1].push_back(csr::Input::Data { data: value, strobe: 0xf });
        self.answer(0, register).map(|_| ())
    }

    fn read_register(&mut self, register: Register) -> Result<u32, DeviceError> {
        self.registers[2].push_back(csr::Input::Address(register.address()));
        match self.answer(1, register)? {
            csr::Output::Read { data, .. } => Ok(data),
            csr::Output::Written { .. } => unreachable!("another stream"),
        }
    }

    /// The answer of an access. AXI-Lite answers within a few cycles, whatever the chip does.
    fn answer(&mut self, stream: usize, register: Register) -> Result<csr::Output, DeviceError> {
        for _ in 0..100 {
            self.step();
            if let Some(answer) = self.answers[stream].pop_front() {
                return Ok(answer);
            }
        }
        Err(DeviceError::Impossible {
            what: "the answer of a register",
            found: format!("nothing after 100 cycles from {}", register.name),
            expected: "a word".into(),
        })
    }

    fn count(&mut self) -> Result<(), DeviceError> {
        for &counter in Counter::ALL {
            let [low, high] = counter.registers();
            let low = self.read_register(low)?;
            let high = self.read_register(high)?;
            self.counters[counter] = u64::from(high) << 32 | u64::from(low);
        }
        for &counter in BYTES {
            self.counters[counter] = self.bytes[counter];
        }
        Ok(())
    }
}

impl<M: CycleModel<Input = Input, Output = Output>> CardDevice for Board<M> {
    fn memory(&mut self) -> &mut CardMemory {
        &mut self.memory
    }

    fn run(&mut self, entry: &Entry) -> Result<Completion, DeviceError> {
        let place = u64::from(self.jobs % (1 << LEVEL));
        let at = (SUBMISSION + place * JOB_BYTES as u64) as usize;
        self.host[at..at + JOB_BYTES].copy_from_slice(&entry.encode());
        let phase = self.jobs >> LEVEL & 1 == 0;
        self.jobs = self.jobs.wrapping_add(1);
        let (begun, jobs) = (self.cycle, self.jobs);
        if let Job::Begin(begin) = entry.job {
            self.heads[usize::from(begin.context) % CONTEXTS] = [begin.heads, begin.kv_heads];
        }
        self.look_up(entry);
        self.moved = self.cycle;
        self.write_register(registers::SUBMISSION_TAIL, jobs)?;
        let at = (COMPLETION + place * COMPLETION_BYTES as u64) as usize;
        let completion = loop {
            let bytes = self.host[at..at + COMPLETION_BYTES].try_into().expect("as many");
            if let Some(completion) = Completion::decode(bytes).filter(|c| c.phase == phase) {
                break completion;
            }
            if self.cycle - self.moved > PATIENCE_CYCLES {
                let cycles = self.cycle - begun;
                return Err(DeviceError::Deadline { opcode: entry.job.opcode(), cycles });
            }
            self.step();
        };
        self.write_register(registers::COMPLETION_HEAD, jobs)?;
        self.count()?;
        Ok(completion)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}
