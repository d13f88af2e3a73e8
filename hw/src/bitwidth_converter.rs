//! Packed chunks to operands. Siblings: `golden`, `sim`, `tests/bitwidth_converter.rs`.
//! Paper: SpAtten section IV-D.
//! Why: a chunk of elements of n bits is n *granules* of 32 bits, whatever n is, so all shifting is by whole granules: words
//! go into memories of one granule per column, a window of granules is read from any position by giving each column its
//! own row, and one selection per element is left for the bits. A shifter of single bits would be 32 times as deep.
//! Differs from the paper: one plane at a time, LSBs as what they add to operands on chip; operands are aligned to the top
//! of the datapath (see `golden`). One converter per channel.

mod window;

use crate::credits::Credits;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::matrix_fetcher::{ChunkBits, TAG_BITS};
use spatten_arch::ArchConfig;
use spatten_arch::element::READING_BITS;
use spatten_arch::layout::CHUNK_ELEMENTS;
use window::Window;

/// Elements per output beat of one converter.
pub const ELEMENTS: usize = CHUNK_ELEMENTS;
/// Jobs whose elements are known before their chunks come.
pub const ELEMENTS_KNOWN: usize = 16;
/// Beats on their way and at the output.
const PLACES: usize = 8;
/// Cycles from taking a chunk to its operands' queue.
const STAGES: usize = 5;

/// Operands of one lane of `matrix_fetcher`.
///
/// `element` says, once per job and in the order of jobs, what the bits of its elements are worth (`arch::element`: `bits`
/// 1..=datapath_bits, `above` + `bits` at most that, `reading`); it holds until the chunk with `last`. `chunk` and `word` are the
/// lane's.
///
/// # Shapes   a chunk -> a beat of 32 operands; one that is not `live` gives zeros
/// # Formats  planes as `golden::bitwidth_converter::pack`, chunks where `arch::layout` says ->
/// `arch::format::Formats::operand`
/// # Timing   one chunk and one word per cycle; a beat is there 7 cycles after its chunk, the last of its words and its job's
/// element are accepted
#[derive(LogicBlock)]
pub struct BitwidthConverter {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, forgets everything.
    pub reset: Signal<In, Bit>,
    /// A job's element is offered.
    pub element_valid: Signal<In, Bit>,
    /// It would be taken.
    pub element_ready: Signal<Out, Bit>,
    /// Its bits.
    pub element_bits: Wire<In>,
    /// Bits of the number above them.
    pub element_above: Wire<In>,
    /// `arch::element::Reading`.
    pub element_reading: Wire<In>,
    /// A chunk is described.
    pub chunk_valid: Signal<In, Bit>,
    /// It would be taken.
    pub chunk_ready: Signal<Out, Bit>,
    /// There is one.
    pub chunk_live: Signal<In, Bit>,
    /// It begins in a new word.
    pub chunk_fresh: Signal<In, Bit>,
    /// Granules of the new word before it.
    pub chunk_skip: Wire<In>,
    /// New words of it.
    pub chunk_words: Wire<In>,
    /// Comes back with its operands.
    pub chunk_tag: Wire<In>,
    /// The job's last one.
    pub chunk_last: Signal<In, Bit>,
    /// A word is offered.
    pub word_valid: Signal<In, Bit>,
    /// It would be taken.
    pub word_ready: Signal<Out, Bit>,
    /// The word.
    pub word_data: Wire<In>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Operands.
    pub out_data: Vec<Wire<Out>>,
    /// They are of a chunk.
    pub out_live: Signal<Out, Bit>,
    /// From the chunk.
    pub out_tag: Wire<Out>,
    /// From the chunk.
    pub out_last: Signal<Out, Bit>,
    elements: Param,
    bits: Param,
    stages: Param,
    // Fields of the queues.
    above_at: Param,
    reading_at: Param,
    fresh_at: Param,
    last_at: Param,
    tag_at: Param,
    skip_at: Param,
    words_at: Param,
    tag_mask: Param,
    element: Fifo,
    chunk: Fifo,
    worth: Wire<Local>,
    next: Wire<Local>,
    /// As numbers.
    flags: Vec<Wire<Local>>,
    live: Wire<Local>,
    last: Wire<Local>,
    top: Wire<Local>,
    issue: Signal<Local, Bit>,
    window: Window,
    room: Credits,
    // What goes along with the fields.
    valid_s: Vec<Dff<Bit>>,
    tag_s: Vec<Reg>,
    reading_s: Vec<Reg>,
    above_s: Vec<Reg>,
    bits_s: Vec<Reg>,
    half: Reg,
    sign: Reg,
    fill: Reg,
    wide: Vec<Wire<Local>>,
    operand: Vec<Reg>,
    queue: LaneFifo,
}

impl BitwidthConverter {
    /// For one lane of a configuration.
    pub fn of(config: &ArchConfig) -> Self {
        let width = ChunkBits::of(config);
        let (word_bits, bits) = (8 * config.channel_bytes, config.datapath_bits as usize);
        let mut at = 0;
        let mut field = |bits: usize| {
            at += bits;
            at - bits
        };
        let (_, fresh_at, last_at, tag_at) = (field(1), field(1), field(1), field(TAG_BITS));
        let (skip_at, words_at) = (field(width.skip), field(width.words));
        let worth = 2 * width.bits + READING_BITS;
        Self {
            name: ModuleName::new("bitwidth_converter"),
            clock: Default::default(),
            reset: Default::default(),
            element_valid: Default::default(),
            element_ready: Default::default(),
            element_bits: Wire::unsigned(width.bits),
            element_above: Wire::unsigned(width.bits),
            element_reading: Wire::unsigned(READING_BITS),
            chunk_valid: Default::default(),
            chunk_ready: Default::default(),
            chunk_live: Default::default(),
            chunk_fresh: Default::default(),
            chunk_skip: Wire::unsigned(width.skip),
            chunk_words: Wire::unsigned(width.words),
            chunk_tag: Wire::unsigned(TAG_BITS),
            chunk_last: Default::default(),
            word_valid: Default::default(),
            word_ready: Default::default(),
            word_data: Wire::unsigned(word_bits),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(ELEMENTS, || Wire::unsigned(bits)),
            out_live: Default::default(),
            out_tag: Wire::unsigned(TAG_BITS),
            out_last: Default::default(),
            elements: Param::new(ELEMENTS),
            bits: Param::new(bits),
            stages: Param::new(STAGES),
            above_at: Param::new(width.bits),
            reading_at: Param::new(2 * width.bits),
            fresh_at: Param::new(fresh_at),
            last_at: Param::new(last_at),
            tag_at: Param::new(tag_at),
            skip_at: Param::new(skip_at),
            words_at: Param::new(words_at),
            tag_mask: Param::new((1 << TAG_BITS) - 1),
            element: Fifo::new(worth, ELEMENTS_KNOWN),
            chunk: Fifo::new(at, 2),
            worth: Wire::unsigned(worth),
            next: Wire::unsigned(at),
            flags: vec_of(3, || Wire::unsigned(1)),
            live: Wire::unsigned(1),
            last: Wire::unsigned(1),
            top: Wire::unsigned(bits),
            issue: Default::default(),
            window: Window::new(word_bits, ELEMENTS, bits),
            room: Credits::new(PLACES),
            valid_s: vec_of(STAGES, Default::default),
            // Tag, last, live.
            tag_s: vec_of(STAGES, || Reg::unsigned(TAG_BITS + 2)),
            reading_s: vec_of(STAGES - 2, || Reg::unsigned(READING_BITS)),
            above_s: vec_of(STAGES - 1, || Reg::unsigned(width.bits)),
            bits_s: vec_of(STAGES - 2, || Reg::unsigned(width.bits)),
            half: Reg::unsigned(bits),
            sign: Reg::unsigned(bits),
            fill: Reg::unsigned(1),
            wide: vec_of(ELEMENTS, || Wire::signed(bits + 1)),
            operand: vec_of(ELEMENTS, || Reg::unsigned(bits)),
            queue: LaneFifo::new(ELEMENTS, bits, TAG_BITS + 2, PLACES),
        }
    }
}

impl Logic for BitwidthConverter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, half, sign, fill);
        clock!(self, clock, element, chunk, window, room, queue);
        self.element.reset.next = self.reset.val();
        self.chunk.reset.next = self.reset.val();
        self.window.reset.next = self.reset.val();
        self.room.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();

        self.element_ready.next = self.element.in_ready.val();
        self.element.in_valid.next = self.element_valid.val();
        self.element.in_data.next = self.element_bits.val()
            | (self.element_above.val() << self.above_at.val())
            | (self.element_reading.val() << self.reading_at.val());
        self.chunk_ready.next = self.chunk.in_ready.val();
        self.chunk.in_valid.next = self.chunk_valid.val();
        self.flags[0].next = self.chunk_live.val().into();
        self.flags[1].next = self.chunk_fresh.val().into();
        self.flags[2].next = self.chunk_last.val().into();
        self.chunk.in_data.next = (self.chunk_words.val() << self.words_at.val())
            | (self.chunk_skip.val() << self.skip_at.val())
            | (self.chunk_tag.val() << self.tag_at.val())
            | (self.flags[2].val() << self.last_at.val())
            | (self.flags[1].val() << self.fresh_at.val())
            | self.flags[0].val();
        self.word_ready.next = self.window.in_ready.val();
        self.window.in_valid.next = self.word_valid.val();
        self.window.in_data.next = self.word_data.val();

        // A chunk goes where its element, its words and a place are there.
        self.worth.next = self.element.out_data.val();
        self.next.next = self.chunk.out_data.val();
        self.live.next = self.next.val();
        self.last.next = self.next.val() >> self.last_at.val();
        self.issue.next = self.chunk.out_valid.val()
            & self.element.out_valid.val()
            & self.window.enough.val()
            & self.room.available.val();
        self.chunk.out_ready.next = self.element.out_valid.val() & self.window.enough.val() & self.room.available.val();
        self.element.out_ready.next = self.issue.val() & self.last.val().any();
        self.window.fresh.next = self.next.val().get_bit(self.fresh_at.val());
        self.window.skip.next = self.next.val() >> self.skip_at.val();
        self.window.words.next = self.next.val() >> self.words_at.val();
        self.window.take.next = self.issue.val();
        self.window.bits.next = 0.into();
        self.reading_s[0].d.next = 0.into();
        if self.live.val().any() {
            self.window.bits.next = self.worth.val();
            self.reading_s[0].d.next = self.worth.val() >> self.reading_at.val();
        }
        self.bits_s[0].d.next = self.worth.val();
        self.above_s[0].d.next = self.worth.val() >> self.above_at.val();
        self.tag_s[0].d.next = (((self.next.val() >> self.tag_at.val()) & self.tag_mask.val()) << 2)
            | (self.last.val() << 1)
            | self.live.val();
        self.valid_s[0].d.next = self.issue.val();
        for s in 0..5 {
            self.valid_s[s].clock.next = self.clock.val();
            self.tag_s[s].clock.next = self.clock.val();
            if s > 0 {
                self.valid_s[s].d.next = self.valid_s[s - 1].q.val();
                self.tag_s[s].d.next = self.tag_s[s - 1].q.val();
            }
            if self.reset.val() {
                self.valid_s[s].d.next = false;
            }
        }
        for s in 0..4 {
            self.above_s[s].clock.next = self.clock.val();
            if s > 0 {
                self.above_s[s].d.next = self.above_s[s - 1].q.val();
            }
        }
        for s in 0..3 {
            self.reading_s[s].clock.next = self.clock.val();
            self.bits_s[s].clock.next = self.clock.val();
            if s > 0 {
                self.reading_s[s].d.next = self.reading_s[s - 1].q.val();
                self.bits_s[s].d.next = self.bits_s[s - 1].q.val();
            }
        }
        // Beside the fourth stage: what the fifth does to every element. Less half of the range is the top bit turned
        // into a sign; half of the lowest bit is a bit below it.
        self.top.next = (1 << (self.bits.val() - 1)).into();
        self.half.d.next = 0.into();
        self.sign.d.next = 0.into();
        self.fill.d.next = (self.reading_s[2].q.val() == 2).into();
        if self.reading_s[2].q.val() == 1 {
            self.half.d.next = self.top.val() >> self.bits_s[2].q.val();
        }
        if self.reading_s[2].q.val() == 3 {
            self.sign.d.next = self.top.val();
        }
        for i in 0..self.elements.val() {
            // One bit more at the top: what comes in from there.
            self.wide[i].next = self.window.fields[i].val() ^ self.sign.q.val();
            if !self.fill.q.val().any() & (self.window.fields[i].val() ^ self.sign.q.val()).get_bit(self.bits.val() - 1)
            {
                self.wide[i].next = (self.window.fields[i].val() ^ self.sign.q.val()) | (1 << self.bits.val());
            }
            self.operand[i].clock.next = self.clock.val();
            self.operand[i].d.next = (self.wide[i].val() >> self.above_s[3].q.val()) | self.half.q.val();
            self.queue.in_data[i].next = self.operand[i].q.val();
            self.out_data[i].next = self.queue.out_data[i].val();
        }
        self.room.take.next = self.issue.val();
        self.room.give.next = self.queue.popped.val();
        self.queue.push.next = self.valid_s[4].q.val();
        self.queue.in_tag.next = self.tag_s[4].q.val();
        self.queue.out_ready.next = self.out_ready.val();
        self.out_valid.next = self.queue.out_valid.val();
        self.out_live.next = self.queue.out_tag.val().get_bit(0);
        self.out_last.next = self.queue.out_tag.val().get_bit(1);
        self.out_tag.next = self.queue.out_tag.val() >> 2;
    }
}
