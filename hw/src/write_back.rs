//! Outputs, survivors and completions to memory. Siblings: `sim`, `tests/write_back.rs`.
//! Paper: SpAtten section IV-A.
//! Why: a row takes its words to the channels at once and each channel queues its own, so one that is busy stops the others
//! only when its queue is full. A flush closes the intake for as long as a row and a word need to reach the queues, not until
//! memory has answered: from then on it counts down what was under way, and new writes go on beside it.
//! Differs from the paper: it does not say when a result is in memory; completions need to know.

use crate::fifo::Fifo;
use crate::hdl::*;
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::format::OUTPUT_BITS;
use spatten_arch::layout::{ADDRESS_BITS, OUTPUT_ROW_BITS, OutputLayout};

/// Words that wait for a channel: a LUT RAM is not smaller with fewer.
pub const QUEUE: usize = 16;
/// Jobs that wait for their rows.
pub const JOBS: usize = 2;

/// Outputs of a row, the unused upper ones included.
const ROW: usize = HEAD_DIMS[HEAD_DIMS.len() - 1];
/// Bytes of a strobe's parts that are written together: the shortest row.
const PART: usize = HEAD_DIMS[0] * OUTPUT_BITS as usize / 8;

/// How far a flush is.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// There is none.
    Idle,
    /// What was accepted before it goes to the queues.
    Close,
    /// Its writes are acknowledged one after the other.
    Wait,
    /// All of them were.
    Done,
}

/// Writes rows of outputs and single words to the channels.
///
/// A job names the plane (`base`: word at which it begins on every channel, `dim`: log2(D) - 4); its rows follow, in any order,
/// the job's last one with `last`. A row goes where `arch::layout::OutputLayout` puts its `number`. A `word` goes where it says:
/// to `channel` (one that exists), word `address` of it. Writes of a channel leave in the order of rows among themselves and
/// of words among themselves; where a row and a word want the same channel, they take turns.
///
/// A channel acknowledges its writes in their order (AXI does within an id), each at least a cycle after it was taken.
/// `done` is offered when all writes that were accepted before the flush, or in its cycle, have been acknowledged. `done_error`
/// bit i: channel i acknowledged one of those with an error, counted since the flush before.
/// Up to `words_in_flight + 16` writes of a channel are queued or on their way to be acknowledged; then it waits.
///
/// # Shapes   `row_outputs [128]`, of which D count -> max(1, 2D / channel_bytes) words
/// # Formats  `output`, two bytes each, lowest first
/// # Timing   a row every max(1, words / channels) cycles, jobs without a gap; a word per cycle beside. A row's first words are
/// there 2 cycles after it is accepted. `done` comes 2 cycles after the last acknowledgement, and 3 after the flush at the
/// earliest; a flush keeps rows and words out for at least 1 cycle.
#[derive(LogicBlock)]
pub struct WriteBack {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, forgets jobs and writes; no acknowledgement may come for a write from before.
    pub reset: Signal<In, Bit>,
    /// A job is offered.
    pub job_valid: Signal<In, Bit>,
    /// It would be taken.
    pub job_ready: Signal<Out, Bit>,
    /// Word at which its plane begins, on every channel.
    pub job_base: Wire<In>,
    /// log2(head dimension) - 4.
    pub job_dim: Wire<In>,
    /// A row is offered.
    pub row_valid: Signal<In, Bit>,
    /// It would be taken.
    pub row_ready: Signal<Out, Bit>,
    /// Its number in the plane.
    pub row_number: Wire<In>,
    /// Its outputs.
    pub row_outputs: Vec<Wire<In>>,
    /// The job's last row.
    pub row_last: Signal<In, Bit>,
    /// A word is offered.
    pub word_valid: Signal<In, Bit>,
    /// It would be taken.
    pub word_ready: Signal<Out, Bit>,
    /// Its channel.
    pub word_channel: Wire<In>,
    /// Word of the channel.
    pub word_address: Wire<In>,
    /// The word.
    pub word_data: Wire<In>,
    /// Bytes of it that are written.
    pub word_strobe: Wire<In>,
    /// A flush is offered.
    pub flush_valid: Signal<In, Bit>,
    /// It would be taken.
    pub flush_ready: Signal<Out, Bit>,
    /// A flush is done.
    pub done_valid: Signal<Out, Bit>,
    /// That is taken.
    pub done_ready: Signal<In, Bit>,
    /// Channels on which a write failed.
    pub done_error: Vec<Signal<Out, Bit>>,
    /// Words are there, per channel.
    pub write_valid: Vec<Signal<Out, Bit>>,
    /// They are taken.
    pub write_ready: Vec<Signal<In, Bit>>,
    /// Word of the channel.
    pub write_address: Vec<Wire<Out>>,
    /// The words.
    pub write_data: Vec<Wire<Out>>,
    /// Bytes of them that are written.
    pub write_strobe: Vec<Wire<Out>>,
    /// The oldest write is in memory, per channel.
    pub acknowledge_valid: Vec<Signal<In, Bit>>,
    /// Or not.
    pub acknowledge_error: Vec<Signal<In, Bit>>,

    channels: Param,
    word_bits: Param,
    word_bytes: Param,
    /// Words that the registers of a row are read as, and outputs of one.
    words: Param,
    elements: Param,
    output_bits: Param,
    /// Outputs that all channels take in a step.
    step_outputs: Param,
    parts: Param,
    part_bytes: Param,
    part_ones: Param,
    limit: Param,
    // By `dim`: the address of a row within its plane, the channels of its first step, and the steps after that.
    up: Vec<Param>,
    down: Vec<Param>,
    groups: Vec<Param>,
    group_level: Vec<Param>,
    more: Vec<Param>,

    jobs: Fifo,
    base: Wire<Local>,
    dim: Wire<Local>,
    // The row, and channels whose word of this step has not gone.
    held: Dff<Bit>,
    outputs: Vec<Reg>,
    address: Reg,
    strobe: Reg,
    left: Reg,
    pending: Vec<Dff<Bit>>,
    number_address: Wire<Local>,
    ones: Wire<Local>,
    strobes: Vec<Wire<Local>>,
    parts_of: Vec<Wire<Local>>,
    waits: Vec<Signal<Local, Bit>>,
    step_done: Signal<Local, Bit>,
    row_done: Signal<Local, Bit>,
    accept_row: Signal<Local, Bit>,
    advance: Signal<Local, Bit>,
    // The word.
    word_held: Dff<Bit>,
    channel: Reg,
    word_at: Reg,
    data: Reg,
    bytes: Reg,
    word_goes: Vec<Signal<Local, Bit>>,
    word_done: Signal<Local, Bit>,
    accept_word: Signal<Local, Bit>,
    // The channels.
    room: Vec<Signal<Local, Bit>>,
    row_wants: Vec<Signal<Local, Bit>>,
    word_wants: Vec<Signal<Local, Bit>>,
    /// Whose turn it is where both want it.
    word_first: Vec<Dff<Bit>>,
    row_takes: Vec<Signal<Local, Bit>>,
    word_takes: Vec<Signal<Local, Bit>>,
    queues: Vec<Fifo>,
    outstanding: Vec<Reg>,
    // The flush.
    state: Dff<State>,
    open: Signal<Local, Bit>,
    waiting: Vec<Reg>,
    any_waiting: Vec<Signal<Local, Bit>>,
    failed: Vec<Dff<Bit>>,
    /// Failed, and accepted after the flush.
    later: Vec<Dff<Bit>>,
}

impl WriteBack {
    /// For a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let (channels, word_bytes) = (config.channels, config.channel_bytes);
        let word_bits = 8 * word_bytes;
        let elements = word_bits / OUTPUT_BITS as usize;
        let words = channels.min((ROW / elements).max(1));
        let row_words = HEAD_DIMS.map(|dim| OutputLayout::new(config, dim).words());
        let by_dim = |f: &dyn Fn(usize) -> usize| row_words.iter().map(|&w| Param::new(f(w))).collect::<Vec<_>>();
        let level = |n: usize| n.ilog2() as usize;
        let limit = config.words_in_flight + QUEUE;
        let most_steps = (row_words[HEAD_DIMS.len() - 1] / channels).max(1);
        Self {
            name: ModuleName::new("write_back"),
            clock: Default::default(),
            reset: Default::default(),
            job_valid: Default::default(),
            job_ready: Default::default(),
            job_base: Wire::unsigned(ADDRESS_BITS),
            job_dim: Wire::unsigned(2),
            row_valid: Default::default(),
            row_ready: Default::default(),
            row_number: Wire::unsigned(OUTPUT_ROW_BITS),
            row_outputs: vec_of(ROW, || Wire::unsigned(OUTPUT_BITS as usize)),
            row_last: Default::default(),
            word_valid: Default::default(),
            word_ready: Default::default(),
            word_channel: Wire::unsigned(bits_for(channels - 1)),
            word_address: Wire::unsigned(ADDRESS_BITS),
            word_data: Wire::unsigned(word_bits),
            word_strobe: Wire::unsigned(word_bytes),
            flush_valid: Default::default(),
            flush_ready: Default::default(),
            done_valid: Default::default(),
            done_ready: Default::default(),
            done_error: vec_of(channels, Default::default),
            write_valid: vec_of(channels, Default::default),
            write_ready: vec_of(channels, Default::default),
            write_address: vec_of(channels, || Wire::unsigned(ADDRESS_BITS)),
            write_data: vec_of(channels, || Wire::unsigned(word_bits)),
            write_strobe: vec_of(channels, || Wire::unsigned(word_bytes)),
            acknowledge_valid: vec_of(channels, Default::default),
            acknowledge_error: vec_of(channels, Default::default),
            channels: Param::new(channels),
            word_bits: Param::new(word_bits),
            word_bytes: Param::new(word_bytes),
            words: Param::new(words),
            elements: Param::new(elements),
            output_bits: Param::new(OUTPUT_BITS as usize),
            step_outputs: Param::new(channels * elements),
            parts: Param::new(word_bytes.div_ceil(PART)),
            part_bytes: Param::new(PART),
            part_ones: Param::new((1 << PART.min(word_bytes)) - 1),
            limit: Param::new(limit),
            up: by_dim(&|w| level(w).saturating_sub(level(channels))),
            down: by_dim(&|w| level(channels).saturating_sub(level(w))),
            groups: by_dim(&|w| (channels / w).max(1) - 1),
            group_level: by_dim(&|w| level(w.min(channels))),
            more: by_dim(&|w| (w / channels).max(1) - 1),
            jobs: Fifo::new(ADDRESS_BITS + 2, JOBS),
            base: Wire::unsigned(ADDRESS_BITS),
            dim: Wire::unsigned(2),
            held: Default::default(),
            outputs: vec_of(ROW, || Reg::unsigned(OUTPUT_BITS as usize)),
            address: Reg::unsigned(ADDRESS_BITS),
            strobe: Reg::unsigned(word_bytes),
            left: Reg::unsigned(bits_for(most_steps - 1)),
            pending: vec_of(channels, Default::default),
            number_address: Wire::unsigned(ADDRESS_BITS),
            ones: Wire::unsigned(PART.min(word_bytes)),
            strobes: vec_of(word_bytes.div_ceil(PART), || Wire::unsigned(word_bytes)),
            parts_of: vec_of(words * elements, || Wire::unsigned(word_bits)),
            waits: vec_of(channels, Default::default),
            step_done: Default::default(),
            row_done: Default::default(),
            accept_row: Default::default(),
            advance: Default::default(),
            word_held: Default::default(),
            channel: Reg::unsigned(bits_for(channels - 1)),
            word_at: Reg::unsigned(ADDRESS_BITS),
            data: Reg::unsigned(word_bits),
            bytes: Reg::unsigned(word_bytes),
            word_goes: vec_of(channels, Default::default),
            word_done: Default::default(),
            accept_word: Default::default(),
            room: vec_of(channels, Default::default),
            row_wants: vec_of(channels, Default::default),
            word_wants: vec_of(channels, Default::default),
            word_first: vec_of(channels, Default::default),
            row_takes: vec_of(channels, Default::default),
            word_takes: vec_of(channels, Default::default),
            queues: vec_of(channels, || Fifo::new(word_bits + word_bytes + ADDRESS_BITS, QUEUE)),
            outstanding: vec_of(channels, || Reg::unsigned(bits_for(limit))),
            state: Default::default(),
            open: Default::default(),
            waiting: vec_of(channels, || Reg::unsigned(bits_for(limit))),
            any_waiting: vec_of(channels, Default::default),
            failed: vec_of(channels, Default::default),
            later: vec_of(channels, Default::default),
        }
    }
}

impl Logic for WriteBack {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held, address, strobe, left, word_held, channel, word_at, data, bytes, state);
        self.jobs.clock.next = self.clock.val();
        self.jobs.reset.next = self.reset.val();
        self.jobs.in_valid.next = self.job_valid.val();
        self.job_ready.next = self.jobs.in_ready.val();
        self.jobs.in_data.next = (self.job_base.val() << 2) | self.job_dim.val();
        self.base.next = self.jobs.out_data.val() >> 2;
        self.dim.next = self.jobs.out_data.val();
        self.jobs.out_ready.next = self.accept_row.val() & self.row_last.val();

        // Who goes to which channel. A step of a row is done when all its words have gone.
        for i in 0..self.channels.val() {
            self.room[i].next = self.queues[i].in_ready.val() & (self.outstanding[i].q.val() < self.limit.val());
            self.row_wants[i].next = self.held.q.val() & self.pending[i].q.val();
            self.word_wants[i].next = self.word_held.q.val() & (self.channel.q.val() == i);
            self.row_takes[i].next =
                self.room[i].val() & self.row_wants[i].val() & !(self.word_wants[i].val() & self.word_first[i].q.val());
            self.word_takes[i].next = self.room[i].val()
                & self.word_wants[i].val()
                & !(self.row_wants[i].val() & !self.word_first[i].q.val());
            self.word_first[i].clock.next = self.clock.val();
            self.word_first[i].d.next = self.word_first[i].q.val();
            if self.room[i].val() & self.row_wants[i].val() & self.word_wants[i].val() {
                self.word_first[i].d.next = !self.word_first[i].q.val();
            }
            if self.reset.val() {
                self.word_first[i].d.next = false;
            }
            if i == 0 {
                self.waits[0].next = self.row_wants[0].val() & !self.row_takes[0].val();
                self.word_goes[0].next = self.word_takes[0].val();
            } else {
                self.waits[i].next = self.waits[i - 1].val() | (self.row_wants[i].val() & !self.row_takes[i].val());
                self.word_goes[i].next = self.word_goes[i - 1].val() | self.word_takes[i].val();
            }
        }
        self.step_done.next = self.held.q.val() & !self.waits[self.channels.val() - 1].val();
        self.row_done.next = self.step_done.val() & !self.left.q.val().any();
        self.advance.next = self.step_done.val() & self.left.q.val().any();
        self.word_done.next = self.word_goes[self.channels.val() - 1].val();

        self.open.next = self.state.q.val() != State::Close;
        self.row_ready.next = self.open.val() & self.jobs.out_valid.val() & (!self.held.q.val() | self.row_done.val());
        self.accept_row.next = self.row_valid.val()
            & self.open.val()
            & self.jobs.out_valid.val()
            & (!self.held.q.val() | self.row_done.val());
        self.word_ready.next = self.open.val() & (!self.word_held.q.val() | self.word_done.val());
        self.accept_word.next =
            self.word_valid.val() & self.open.val() & (!self.word_held.q.val() | self.word_done.val());

        // The row: registers that move up by one step's words.
        self.number_address.next = (self.row_number.val() << self.up[3].val()) >> self.down[3].val();
        for d in 0..3 {
            if self.dim.val() == d {
                self.number_address.next = (self.row_number.val() << self.up[d].val()) >> self.down[d].val();
            }
        }
        self.ones.next = self.part_ones.val().into();
        for p in 0..self.parts.val() {
            if p == 0 {
                self.strobes[0].next = self.ones.val();
            } else {
                self.strobes[p].next = self.strobes[p - 1].val();
                if (self.dim.val() > 1) | ((self.dim.val() == 1) & (p == 1)) {
                    self.strobes[p].next = self.strobes[p - 1].val() | (self.ones.val() << (p * self.part_bytes.val()));
                }
            }
        }
        if self.row_done.val() {
            self.held.d.next = false;
        }
        if self.advance.val() {
            self.address.d.next = self.address.q.val() + 1;
            self.left.d.next = self.left.q.val() - 1;
        }
        if self.accept_row.val() {
            self.held.d.next = true;
            self.address.d.next = self.base.val() + self.number_address.val();
            self.strobe.d.next = self.strobes[self.parts.val() - 1].val();
            self.left.d.next = self.more[3].val().into();
            for d in 0..3 {
                if self.dim.val() == d {
                    self.left.d.next = self.more[d].val().into();
                }
            }
        }
        for i in 0..self.channels.val() {
            self.pending[i].clock.next = self.clock.val();
            self.pending[i].d.next = self.pending[i].q.val() & !self.row_takes[i].val();
            if self.advance.val() {
                self.pending[i].d.next = true;
            }
            if self.accept_row.val() {
                self.pending[i].d.next =
                    (self.row_number.val() & self.groups[3].val()) == (i >> self.group_level[3].val());
                for d in 0..3 {
                    if self.dim.val() == d {
                        self.pending[i].d.next =
                            (self.row_number.val() & self.groups[d].val()) == (i >> self.group_level[d].val());
                    }
                }
            }
        }
        for j in 0..128 {
            self.outputs[j].clock.next = self.clock.val();
            self.outputs[j].d.next = self.outputs[j].q.val();
            if (j + self.step_outputs.val() < 128) & self.advance.val() {
                self.outputs[j].d.next = self.outputs[j + self.step_outputs.val()].q.val();
            }
            if self.accept_row.val() {
                self.outputs[j].d.next = self.row_outputs[j].val();
                // A short row is there several times, so that every channel finds its word at one place.
                for d in 0..3 {
                    if (j >= (16 << d)) & (j < self.words.val() * self.elements.val()) & (self.dim.val() == d) {
                        self.outputs[j].d.next = self.row_outputs[j % (16 << d)].val();
                    }
                }
            }
        }
        for w in 0..self.words.val() {
            for e in 0..self.elements.val() {
                if e == 0 {
                    self.parts_of[w * self.elements.val()].next = self.outputs[w * self.elements.val()].q.val();
                } else {
                    self.parts_of[w * self.elements.val() + e].next = self.parts_of[w * self.elements.val() + e - 1]
                        .val()
                        | (self.outputs[w * self.elements.val() + e].q.val() << (e * self.output_bits.val()));
                }
            }
        }

        // The word.
        if self.word_done.val() {
            self.word_held.d.next = false;
        }
        if self.accept_word.val() {
            self.word_held.d.next = true;
            self.channel.d.next = self.word_channel.val();
            self.word_at.d.next = self.word_address.val();
            self.data.d.next = self.word_data.val();
            self.bytes.d.next = self.word_strobe.val();
        }

        // The flush: acknowledgements that come while it waits are its own until it has all of them.
        self.flush_ready.next = self.state.q.val() == State::Idle;
        self.done_valid.next = self.state.q.val() == State::Done;
        match self.state.q.val() {
            State::Idle => {
                if self.flush_valid.val() {
                    self.state.d.next = State::Close;
                }
            }
            State::Close => {
                if !self.held.q.val() & !self.word_held.q.val() {
                    self.state.d.next = State::Wait;
                }
            }
            State::Wait => {
                if !self.any_waiting[self.channels.val() - 1].val() {
                    self.state.d.next = State::Done;
                }
            }
            State::Done => {
                if self.done_ready.val() {
                    self.state.d.next = State::Idle;
                }
            }
        }

        for i in 0..self.channels.val() {
            self.queues[i].clock.next = self.clock.val();
            self.queues[i].reset.next = self.reset.val();
            self.queues[i].in_valid.next = self.row_takes[i].val() | self.word_takes[i].val();
            self.queues[i].in_data.next = self.parts_of[(i % self.words.val() + 1) * self.elements.val() - 1].val()
                | (self.strobe.q.val() << self.word_bits.val())
                | (self.address.q.val() << (self.word_bits.val() + self.word_bytes.val()));
            if self.word_takes[i].val() {
                self.queues[i].in_data.next = self.data.q.val()
                    | (self.bytes.q.val() << self.word_bits.val())
                    | (self.word_at.q.val() << (self.word_bits.val() + self.word_bytes.val()));
            }
            self.write_valid[i].next = self.queues[i].out_valid.val();
            self.queues[i].out_ready.next = self.write_ready[i].val();
            self.write_data[i].next = self.queues[i].out_data.val();
            self.write_strobe[i].next = self.queues[i].out_data.val() >> self.word_bits.val();
            self.write_address[i].next =
                self.queues[i].out_data.val() >> (self.word_bits.val() + self.word_bytes.val());

            self.outstanding[i].clock.next = self.clock.val();
            self.outstanding[i].d.next =
                self.outstanding[i].q.val() + self.row_takes[i].val() + self.word_takes[i].val()
                    - self.acknowledge_valid[i].val();
            self.waiting[i].clock.next = self.clock.val();
            self.waiting[i].d.next = self.waiting[i].q.val();
            if i == 0 {
                self.any_waiting[0].next = self.waiting[0].q.val().any();
            } else {
                self.any_waiting[i].next = self.any_waiting[i - 1].val() | self.waiting[i].q.val().any();
            }
            self.failed[i].clock.next = self.clock.val();
            self.later[i].clock.next = self.clock.val();
            self.failed[i].d.next = self.failed[i].q.val();
            self.later[i].d.next = self.later[i].q.val();
            self.done_error[i].next = self.failed[i].q.val();
            if self.state.q.val() == State::Close {
                self.waiting[i].d.next = self.outstanding[i].q.val() - self.acknowledge_valid[i].val();
            }
            if self.acknowledge_valid[i].val() {
                if (self.state.q.val() == State::Idle) | (self.state.q.val() == State::Close) {
                    self.failed[i].d.next = self.failed[i].q.val() | self.acknowledge_error[i].val();
                } else if self.waiting[i].q.val().any() {
                    self.waiting[i].d.next = self.waiting[i].q.val() - 1;
                    self.failed[i].d.next = self.failed[i].q.val() | self.acknowledge_error[i].val();
                } else {
                    self.later[i].d.next = self.later[i].q.val() | self.acknowledge_error[i].val();
                }
            }
            if (self.state.q.val() == State::Done) & self.done_ready.val() {
                self.failed[i].d.next =
                    self.later[i].q.val() | (self.acknowledge_valid[i].val() & self.acknowledge_error[i].val());
                self.later[i].d.next = false;
            }
            if self.reset.val() {
                self.outstanding[i].d.next = 0.into();
                self.failed[i].d.next = false;
                self.later[i].d.next = false;
            }
        }
        if self.reset.val() {
            self.held.d.next = false;
            self.word_held.d.next = false;
            self.state.d.next = State::Idle;
        }
    }
}
