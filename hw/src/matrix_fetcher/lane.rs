//! One lane of `matrix_fetcher`: asks for the words of its chunks and hands them on in the order in which it asked.

use super::addresses::{ChunkBits, TAG_BITS};
use crate::credits::Credits;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::ReadPort;
use crate::ram::Ram;
use spatten_arch::ArchConfig;
use spatten_arch::layout::ADDRESS_BITS;

/// Chunks that wait for their words to be asked for, with those on their way from the addresses.
pub const PLACES: usize = 16;
/// Words that wait for the converter.
pub const WORDS_READY: usize = 4;

/// Requests of one lane, and the place where its words wait for those that were asked for before.
///
/// Every request has a place of its own (`slot`), taken in order and given back when its word moves on, so an answer never
/// waits. Whether the word of a place has arrived is a bit that every round writes with the other value: nothing has to be
/// cleared, except once after reset.
///
/// # Timing   one word per cycle is asked for, and one handed on. A chunk pushed in cycle `t` is asked for from `t + 1`; a
/// word that arrives in `t` is there in `t + 3`. No request in the first `places` cycles after reset.
#[derive(LogicBlock)]
pub(super) struct Lane {
    name: ModuleName,
    pub(super) clock: Signal<In, Clock>,
    pub(super) reset: Signal<In, Bit>,
    /// A place was taken for a chunk on its way.
    pub(super) step: Signal<In, Bit>,
    /// There is one.
    pub(super) room: Signal<Out, Bit>,
    pub(super) push: Signal<In, Bit>,
    pub(super) live: Wire<In>,
    pub(super) fresh: Wire<In>,
    pub(super) last: Wire<In>,
    pub(super) tag: Wire<In>,
    pub(super) skip: Wire<In>,
    pub(super) words: Wire<In>,
    pub(super) channel: Wire<In>,
    pub(super) address: Wire<In>,
    pub(super) request_valid: Signal<Out, Bit>,
    pub(super) request_ready: Signal<In, Bit>,
    pub(super) request_channel: Wire<Out>,
    pub(super) request_address: Wire<Out>,
    pub(super) request_slot: Wire<Out>,
    pub(super) answer_valid: Signal<In, Bit>,
    pub(super) answer_slot: Wire<In>,
    pub(super) answer_data: Wire<In>,
    pub(super) chunk_valid: Signal<Out, Bit>,
    pub(super) chunk_ready: Signal<In, Bit>,
    pub(super) chunk_live: Signal<Out, Bit>,
    pub(super) chunk_fresh: Signal<Out, Bit>,
    pub(super) chunk_last: Signal<Out, Bit>,
    pub(super) chunk_tag: Wire<Out>,
    pub(super) chunk_skip: Wire<Out>,
    pub(super) chunk_words: Wire<Out>,
    pub(super) word_valid: Signal<Out, Bit>,
    pub(super) word_ready: Signal<In, Bit>,
    pub(super) word_data: Wire<Out>,
    slot_level: Param,
    slots: Param,
    // Fields of a chunk on its way, and of one that is described.
    fresh_at: Param,
    last_at: Param,
    tag_at: Param,
    skip_at: Param,
    words_at: Param,
    channel_at: Param,
    address_at: Param,
    places: Credits,
    waiting: Fifo,
    front: Wire<Local>,
    needed: Wire<Local>,
    from: Wire<Local>,
    asked: Reg,
    final_word: Signal<Local, Bit>,
    describes: Signal<Local, Bit>,
    asks: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    done: Signal<Local, Bit>,
    described: Fifo,
    // Places of words.
    free: Credits,
    clearing: Reg,
    cleared: Signal<Local, Bit>,
    next_slot: Reg,
    arrived: Ram,
    store: Ram,
    head: Reg,
    here: Signal<Local, Bit>,
    take: Signal<Local, Bit>,
    reading: Dff<Bit>,
    out: Credits,
    ready: Fifo,
    leaves: Signal<Local, Bit>,
}

impl Lane {
    /// For a configuration.
    pub(super) fn new(config: &ArchConfig) -> Self {
        let width = ChunkBits::of(config);
        let word_bits = 8 * config.channel_bytes;
        let slots = config.words_in_flight;
        let slot = bits_for(slots - 1);
        let mut at = 0;
        let mut field = |bits: usize| {
            at += bits;
            at - bits
        };
        let (_, fresh_at, last_at, tag_at) = (field(1), field(1), field(1), field(TAG_BITS));
        let (skip_at, words_at) = (field(width.skip), field(width.words));
        let (channel_at, address_at) = (field(width.channel), field(ADDRESS_BITS));
        Self {
            name: ModuleName::new("matrix_fetcher_lane"),
            clock: Default::default(),
            reset: Default::default(),
            step: Default::default(),
            room: Default::default(),
            push: Default::default(),
            live: Wire::unsigned(1),
            fresh: Wire::unsigned(1),
            last: Wire::unsigned(1),
            tag: Wire::unsigned(TAG_BITS),
            skip: Wire::unsigned(width.skip),
            words: Wire::unsigned(width.words),
            channel: Wire::unsigned(width.channel),
            address: Wire::unsigned(ADDRESS_BITS),
            request_valid: Default::default(),
            request_ready: Default::default(),
            request_channel: Wire::unsigned(width.channel),
            request_address: Wire::unsigned(ADDRESS_BITS),
            request_slot: Wire::unsigned(slot + 1),
            answer_valid: Default::default(),
            answer_slot: Wire::unsigned(slot + 1),
            answer_data: Wire::unsigned(word_bits),
            chunk_valid: Default::default(),
            chunk_ready: Default::default(),
            chunk_live: Default::default(),
            chunk_fresh: Default::default(),
            chunk_last: Default::default(),
            chunk_tag: Wire::unsigned(TAG_BITS),
            chunk_skip: Wire::unsigned(width.skip),
            chunk_words: Wire::unsigned(width.words),
            word_valid: Default::default(),
            word_ready: Default::default(),
            word_data: Wire::unsigned(word_bits),
            slot_level: Param::new(slot),
            slots: Param::new(slots),
            fresh_at: Param::new(fresh_at),
            last_at: Param::new(last_at),
            tag_at: Param::new(tag_at),
            skip_at: Param::new(skip_at),
            words_at: Param::new(words_at),
            channel_at: Param::new(channel_at),
            address_at: Param::new(address_at),
            places: Credits::new(PLACES),
            waiting: Fifo::new(at, PLACES),
            front: Wire::unsigned(at),
            needed: Wire::unsigned(width.words),
            from: Wire::unsigned(ADDRESS_BITS),
            asked: Reg::unsigned(width.words),
            final_word: Default::default(),
            describes: Default::default(),
            asks: Default::default(),
            moves: Default::default(),
            done: Default::default(),
            described: Fifo::new(channel_at, slots),
            free: Credits::new(slots),
            clearing: Reg::unsigned(slot + 1),
            cleared: Default::default(),
            next_slot: Reg::unsigned(slot + 1),
            arrived: Ram::new(1, slots, ReadPort::Direct),
            store: Ram::new(word_bits, slots, ReadPort::Registered),
            head: Reg::unsigned(slot + 1),
            here: Default::default(),
            take: Default::default(),
            reading: Default::default(),
            out: Credits::new(WORDS_READY),
            ready: Fifo::new(word_bits, WORDS_READY),
            leaves: Default::default(),
        }
    }
}

impl Logic for Lane {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, asked, clearing, next_slot, head, reading);
        clock!(self, clock, places, waiting, described, free, arrived, store, out, ready);
        self.places.reset.next = self.reset.val();
        self.waiting.reset.next = self.reset.val();
        self.described.reset.next = self.reset.val();
        self.free.reset.next = self.reset.val();
        self.out.reset.next = self.reset.val();
        self.ready.reset.next = self.reset.val();

        self.room.next = self.places.available.val();
        self.places.take.next = self.step.val();
        self.places.give.next = self.done.val();
        self.waiting.in_valid.next = self.push.val();
        self.waiting.in_data.next = (self.address.val() << self.address_at.val())
            | (self.channel.val() << self.channel_at.val())
            | (self.words.val() << self.words_at.val())
            | (self.skip.val() << self.skip_at.val())
            | (self.tag.val() << self.tag_at.val())
            | (self.last.val() << self.last_at.val())
            | (self.fresh.val() << self.fresh_at.val())
            | self.live.val();

        // The oldest chunk: its words are asked for one by one; with the last of them, or where there is none, it is
        // described.
        self.front.next = self.waiting.out_data.val();
        self.needed.next = self.front.val() >> self.words_at.val();
        self.from.next = self.front.val() >> self.address_at.val();
        self.final_word.next = self.asked.q.val() + 1 >= self.needed.val();
        self.describes.next = !self.final_word.val() | self.described.in_ready.val();
        self.asks.next = self.waiting.out_valid.val()
            & self.needed.val().any()
            & self.describes.val()
            & self.free.available.val()
            & self.cleared.val();
        self.moves.next = self.asks.val() & self.request_ready.val();
        self.done.next = self.final_word.val()
            & (self.moves.val()
                | (self.waiting.out_valid.val() & !self.needed.val().any() & self.described.in_ready.val()));
        self.waiting.out_ready.next = self.done.val();
        if self.moves.val() {
            self.asked.d.next = self.asked.q.val() + 1;
            self.next_slot.d.next = self.next_slot.q.val() + 1;
        }
        if self.done.val() {
            self.asked.d.next = 0.into();
        }
        self.request_valid.next = self.asks.val();
        self.request_channel.next = self.front.val() >> self.channel_at.val();
        self.request_address.next = self.from.val() + self.asked.q.val();
        self.request_slot.next = self.next_slot.q.val();
        self.described.in_valid.next = self.done.val();
        self.described.in_data.next = self.front.val();
        self.described.out_ready.next = self.chunk_ready.val();
        self.chunk_valid.next = self.described.out_valid.val();
        self.chunk_live.next = self.described.out_data.val().get_bit(0);
        self.chunk_fresh.next = self.described.out_data.val().get_bit(self.fresh_at.val());
        self.chunk_last.next = self.described.out_data.val().get_bit(self.last_at.val());
        self.chunk_tag.next = self.described.out_data.val() >> self.tag_at.val();
        self.chunk_skip.next = self.described.out_data.val() >> self.skip_at.val();
        self.chunk_words.next = self.described.out_data.val() >> self.words_at.val();

        // The top bit of a slot's number is what its round writes; the first round writes 1.
        self.cleared.next = self.clearing.q.val().get_bit(self.slot_level.val());
        self.free.take.next = self.moves.val();
        self.free.give.next = self.take.val();
        self.arrived.write_enable.next = self.answer_valid.val();
        self.arrived.write_address.next = self.answer_slot.val();
        self.arrived.write_data.next = self.answer_slot.val() >> self.slot_level.val();
        if !self.cleared.val() {
            self.clearing.d.next = self.clearing.q.val() + 1;
            self.arrived.write_enable.next = true;
            self.arrived.write_address.next = self.clearing.q.val();
            self.arrived.write_data.next = 0.into();
        }
        self.store.write_enable.next = self.answer_valid.val();
        self.store.write_address.next = self.answer_slot.val();
        self.store.write_data.next = self.answer_data.val();

        // The oldest word, as soon as it is there.
        self.arrived.read_address.next = self.head.q.val();
        self.store.read_address.next = self.head.q.val();
        self.here.next =
            self.cleared.val() & (self.arrived.read_data.val() == (self.head.q.val() >> self.slot_level.val()));
        self.take.next = self.here.val() & self.out.available.val();
        if self.take.val() {
            self.head.d.next = self.head.q.val() + 1;
        }
        self.reading.d.next = self.take.val();
        self.out.take.next = self.take.val();
        self.leaves.next = self.ready.out_valid.val() & self.word_ready.val();
        self.out.give.next = self.leaves.val();
        self.ready.in_valid.next = self.reading.q.val();
        self.ready.in_data.next = self.store.read_data.val();
        self.ready.out_ready.next = self.word_ready.val();
        self.word_valid.next = self.ready.out_valid.val();
        self.word_data.next = self.ready.out_data.val();
        if self.reset.val() {
            self.asked.d.next = 0.into();
            self.clearing.d.next = 0.into();
            self.next_slot.d.next = self.slots.val().into();
            self.head.d.next = self.slots.val().into();
            self.reading.d.next = false;
        }
    }
}
