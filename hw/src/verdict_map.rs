//! Which rows were computed again, as bits in memory. Siblings: `sim`, `tests/verdict_map.rs`.
//! Paper: SpAtten section III-D decides per row; what the host may know of it is not said.
//! Why: a bit per row and head is too much for the program to carry, and verdicts that nobody takes stop all rows.
//! Differs from the paper: not in the paper.

use crate::hdl::*;
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::layout::ADDRESS_BITS;

/// What the block is doing.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// Takes a job.
    Idle,
    /// Takes verdicts.
    Run,
    /// Gives a word.
    Word,
    /// All verdicts of the layer were taken.
    Done,
}

/// Takes the verdicts of a layer (`layer_sequencer`'s `refetched`): heads ascend, and rows of a head from 0 to `rows` - 1. Where the job says
/// `write`, gives a word per `8 channel_bytes` rows of a head, bit i for row i, and one for what is left of them: at the place of
/// that number in a block (`layout::Linear`) that begins `stride` words behind that of the head before, at `base` for head 0. A beat of
/// `done` follows the last verdict, and its word.
///
/// # Timing   a verdict takes 2 cycles, and 1 for each head between it and the one before; a word 1
#[derive(LogicBlock)]
pub struct VerdictMap {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the job.
    pub reset: Signal<In, Bit>,
    /// A job is offered.
    pub job_valid: Signal<In, Bit>,
    /// It would be taken.
    pub job_ready: Signal<Out, Bit>,
    /// Words are written.
    pub job_write: Signal<In, Bit>,
    /// Word at which the map of head 0 begins.
    pub job_base: Wire<In>,
    /// Words to that of the next head.
    pub job_stride: Wire<In>,
    /// Rows of a head; 1 or more.
    pub job_rows: Wire<In>,
    /// A verdict is offered.
    pub verdict_valid: Signal<In, Bit>,
    /// It would be taken.
    pub verdict_ready: Signal<Out, Bit>,
    /// Its row.
    pub verdict_index: Wire<In>,
    /// Its head.
    pub verdict_head: Wire<In>,
    /// The row is computed again.
    pub verdict_flat: Signal<In, Bit>,
    /// The layer's last one.
    pub verdict_last: Signal<In, Bit>,
    /// A word is there.
    pub word_valid: Signal<Out, Bit>,
    /// It is taken.
    pub word_ready: Signal<In, Bit>,
    /// Its channel.
    pub word_channel: Wire<Out>,
    /// Word of the channel.
    pub word_address: Wire<Out>,
    /// The bits.
    pub word_data: Wire<Out>,
    /// All verdicts were taken, and words.
    pub done_valid: Signal<Out, Bit>,
    /// That is taken.
    pub done_ready: Signal<In, Bit>,
    word_level: Param,
    channel_level: Param,
    state: Dff<State>,
    write: Dff<Bit>,
    stride: Reg,
    rows: Reg,
    /// The head at whose map `place` is.
    at: Reg,
    place: Reg,
    held: Dff<Bit>,
    index: Reg,
    head: Reg,
    flat: Dff<Bit>,
    last: Dff<Bit>,
    bits: Reg,
    at_bit: Wire<Local>,
    one: Wire<Local>,
    number: Wire<Local>,
    arrived: Signal<Local, Bit>,
    completes: Signal<Local, Bit>,
}

impl VerdictMap {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let (word, index) = (8 * config.channel_bytes, bits_for(config.keys_on_chip - 1));
        let head = bits_for(MAX_HEADS - 1);
        Self {
            name: ModuleName::new("verdict_map"),
            clock: Default::default(),
            reset: Default::default(),
            job_valid: Default::default(),
            job_ready: Default::default(),
            job_write: Default::default(),
            job_base: Wire::unsigned(ADDRESS_BITS),
            job_stride: Wire::unsigned(ADDRESS_BITS),
            job_rows: Wire::unsigned(bits_for(config.keys_on_chip)),
            verdict_valid: Default::default(),
            verdict_ready: Default::default(),
            verdict_index: Wire::unsigned(index),
            verdict_head: Wire::unsigned(head),
            verdict_flat: Default::default(),
            verdict_last: Default::default(),
            word_valid: Default::default(),
            word_ready: Default::default(),
            word_channel: Wire::unsigned(bits_for(config.channels - 1)),
            word_address: Wire::unsigned(ADDRESS_BITS),
            word_data: Wire::unsigned(word),
            done_valid: Default::default(),
            done_ready: Default::default(),
            word_level: Param::new(word.ilog2() as usize),
            channel_level: Param::new(config.channels.ilog2() as usize),
            state: Default::default(),
            write: Default::default(),
            stride: Reg::unsigned(ADDRESS_BITS),
            rows: Reg::unsigned(bits_for(config.keys_on_chip)),
            at: Reg::unsigned(head),
            place: Reg::unsigned(ADDRESS_BITS),
            held: Default::default(),
            index: Reg::unsigned(index),
            head: Reg::unsigned(head),
            flat: Default::default(),
            last: Default::default(),
            bits: Reg::unsigned(word),
            one: Wire::unsigned(word),
            at_bit: Wire::unsigned(word.ilog2() as usize),
            number: Wire::unsigned(index),
            arrived: Default::default(),
            completes: Default::default(),
        }
    }
}

impl Logic for VerdictMap {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, write, stride, rows, at, place, held, index, head, flat, last, bits);
        self.job_ready.next = self.state.q.val() == State::Idle;
        self.verdict_ready.next = (self.state.q.val() == State::Run) & !self.held.q.val();
        self.word_valid.next = self.state.q.val() == State::Word;
        self.done_valid.next = self.state.q.val() == State::Done;
        self.at_bit.next = self.index.q.val();
        self.number.next = self.index.q.val() >> self.word_level.val();
        self.word_channel.next = self.number.val() & ((1 << self.channel_level.val()) - 1);
        self.word_address.next = self.place.q.val() + (self.number.val() >> self.channel_level.val());
        self.word_data.next = self.bits.q.val();

        self.arrived.next = self.held.q.val() & (self.head.q.val() == self.at.q.val());
        // The last row of a word, or of the head.
        self.completes.next = (((self.index.q.val() + 1) & ((1 << self.word_level.val()) - 1)) == 0)
            | ((self.index.q.val() + 1) == self.rows.q.val());
        match self.state.q.val() {
            State::Idle => {
                if self.job_valid.val() {
                    self.state.d.next = State::Run;
                    self.write.d.next = self.job_write.val();
                    self.place.d.next = self.job_base.val();
                    self.stride.d.next = self.job_stride.val();
                    self.rows.d.next = self.job_rows.val();
                    self.at.d.next = 0.into();
                    self.bits.d.next = 0.into();
                    self.held.d.next = false;
                }
            }
            State::Run => {
                if !self.held.q.val() & self.verdict_valid.val() {
                    self.held.d.next = true;
                    self.index.d.next = self.verdict_index.val();
                    self.head.d.next = self.verdict_head.val();
                    self.flat.d.next = self.verdict_flat.val();
                    self.last.d.next = self.verdict_last.val();
                }
                if self.held.q.val() & (self.head.q.val() != self.at.q.val()) {
                    self.at.d.next = self.at.q.val() + 1;
                    self.place.d.next = self.place.q.val() + self.stride.q.val();
                }
                if self.arrived.val() {
                    self.held.d.next = false;
                    if self.flat.q.val() {
                        self.bits.d.next = self.bits.q.val() | (self.one.val() << self.at_bit.val());
                    }
                    if self.last.q.val() {
                        self.state.d.next = State::Done;
                    }
                    if self.completes.val() & self.write.q.val() {
                        self.state.d.next = State::Word;
                    }
                }
            }
            State::Word => {
                if self.word_ready.val() {
                    self.bits.d.next = 0.into();
                    self.state.d.next = State::Run;
                    if self.last.q.val() {
                        self.state.d.next = State::Done;
                    }
                }
            }
            State::Done => {
                if self.done_ready.val() {
                    self.state.d.next = State::Idle;
                }
            }
        }
        self.one.next = 1.into();
        if self.reset.val() {
            self.state.d.next = State::Idle;
        }
    }
}
