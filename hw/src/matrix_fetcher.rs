//! Token lists to operands' words. Siblings: `sim`, `tests/matrix_fetcher.rs`.
//! Paper: SpAtten section IV-D (requests to N channels, crossbars of addresses and of data, FIFOs that restore order).
//! Why: pruned tokens leave gaps, so the chunks that stand side by side on chip come from any channel. Each lane asks for its
//! own chunks, in order, and holds a place for each word that it asked for: memory may answer in any order, and no answer
//! ever waits for another, so the crossbars cannot lock each other.
//! Differs from the paper: as many lanes as channels (16 instead of 32 at the same bandwidth).

mod addresses;
mod lane;

pub(crate) use addresses::ChunkBits;
pub use addresses::TAG_BITS;
pub use lane::{PLACES, WORDS_READY};

use addresses::Addresses;
use lane::Lane;

use crate::crossbar::Crossbar;
use crate::hdl::*;
use spatten_arch::ArchConfig;
use spatten_arch::layout::{ADDRESS_BITS, TOKEN_BITS};

/// Fetches the rows of listed tokens out of one plane per job (`arch::layout`).
///
/// A job names the plane (`base`: word at which it begins on every channel, `bits` of an element, `split`: log2 of the chunks
/// of a row, 0 to 2) and a `tag` that comes along; its tokens follow, `lanes` per beat (fewer only in the `last`), in any order.
/// Chunk x of the job goes to lane x mod lanes. Lanes give two streams each. `chunk`: one beat for each of the job's
/// ceil(chunks / lanes) steps, `live` where the lane has a chunk in it; the chunk begins `skip` granules into the lane's next
/// word that is not used yet, or, where it is not `fresh`, right behind the chunk before; `words` of its words
/// were not asked for before. `word`: those words, in that order. A job without tokens (one beat of `count` 0) has one step
/// without chunks.
///
/// Memory: `request` per channel with an `id`; `response` per channel, each with the id of its request, in any order, on the channel
/// of the request or any other.
///
/// # Formats  id: lane, then slot, then (lowest part's top bit) the round of the slot
/// # Timing   a step per cycle, and one cycle more for each job; a word per lane, channel and cycle. The first request of a beat of
/// tokens is there 11 cycles after it is accepted, a word 5 cycles after its response: memory that answers within
/// `words_in_flight` - 6 cycles costs no throughput. Where lanes want the same channel, or channels
/// answer the same lane, they wait for each other (see [`Crossbar`]): at 16 lanes and random tokens, 0.55 to 0.6 words per lane
/// and cycle. No request in the first `words_in_flight` cycles after reset.
///
/// A job of dense rows, from any `first` row on and as many as there are, at G granules per word and memory that answers after m
/// cycles, takes from its acceptance on the most that any lane l takes, with c of the job's s steps for its chunks:
///
/// ```text
/// z = floor(((first << split) + l) / lanes) * bits mod G    granules of its first word before its first chunk
/// o = ceil((z + bits) / G)                                  words of its first chunk
/// w = ceil((z + c * bits) / G)                              words of all
/// a = floor(((w - 1) * G - z) / bits) + 1                   chunks up to the one that begins the last word; 1 where w = o
/// max(w, a + o - 1) + m + 17                                cycles to its last word
/// max(w + s - c, s + o - 1) + 11                            cycles to its last chunk; s + 11 where c = 0
/// ```
#[derive(LogicBlock)]
pub struct MatrixFetcher {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous, forgets jobs and words; no response may come for a request from before.
    pub reset: Signal<In, Bit>,
    /// A job is offered.
    pub job_valid: Signal<In, Bit>,
    /// It would be taken.
    pub job_ready: Signal<Out, Bit>,
    /// Word at which the plane begins, on every channel.
    pub job_base: Wire<In>,
    /// Bits of an element.
    pub job_bits: Wire<In>,
    /// log2(chunks of a row).
    pub job_split: Wire<In>,
    /// Comes back with its chunks.
    pub job_tag: Wire<In>,
    /// Tokens are offered.
    pub token_valid: Signal<In, Bit>,
    /// They would be taken.
    pub token_ready: Signal<Out, Bit>,
    /// The tokens.
    pub token_index: Vec<Wire<In>>,
    /// How many.
    pub token_count: Wire<In>,
    /// The job's last ones.
    pub token_last: Signal<In, Bit>,
    /// Words are asked for, per channel.
    pub request_valid: Vec<Signal<Out, Bit>>,
    /// They are taken.
    pub request_ready: Vec<Signal<In, Bit>>,
    /// Word of the channel.
    pub request_address: Vec<Wire<Out>>,
    /// Comes back with the word.
    pub request_id: Vec<Wire<Out>>,
    /// Words come.
    pub response_valid: Vec<Signal<In, Bit>>,
    /// They would be taken.
    pub response_ready: Vec<Signal<Out, Bit>>,
    /// Of the request.
    pub response_id: Vec<Wire<In>>,
    /// The words.
    pub response_data: Vec<Wire<In>>,
    /// A chunk is described, per lane.
    pub chunk_valid: Vec<Signal<Out, Bit>>,
    /// It is taken.
    pub chunk_ready: Vec<Signal<In, Bit>>,
    /// There is one.
    pub chunk_live: Vec<Signal<Out, Bit>>,
    /// It begins in a new word.
    pub chunk_fresh: Vec<Signal<Out, Bit>>,
    /// Granules of the new word before it.
    pub chunk_skip: Vec<Wire<Out>>,
    /// New words of it.
    pub chunk_words: Vec<Wire<Out>>,
    /// Of the job.
    pub chunk_tag: Vec<Wire<Out>>,
    /// The job's last step.
    pub chunk_last: Vec<Signal<Out, Bit>>,
    /// A word is there, per lane.
    pub word_valid: Vec<Signal<Out, Bit>>,
    /// It is taken.
    pub word_ready: Vec<Signal<In, Bit>>,
    /// The word.
    pub word_data: Vec<Wire<Out>>,
    lanes: Param,
    slot_bits: Param,
    id_bits: Param,
    word_bits: Param,
    addresses: Addresses,
    lane: Vec<Lane>,
    requests: Crossbar,
    responses: Crossbar,
}

/// Bits of a place and its round.
fn slot_bits(config: &ArchConfig) -> usize {
    bits_for(config.words_in_flight - 1) + 1
}

/// Bits of a request's id: the lane, the place and its round.
pub fn id_bits(config: &ArchConfig) -> usize {
    bits_for(config.channels - 1) + slot_bits(config)
}

impl MatrixFetcher {
    /// For a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let lanes = config.channels;
        let width = ChunkBits::of(config);
        let word_bits = 8 * config.channel_bytes;
        let (slot_bits, id_bits) = (slot_bits(config), id_bits(config));
        Self {
            name: ModuleName::new("matrix_fetcher"),
            clock: Default::default(),
            reset: Default::default(),
            job_valid: Default::default(),
            job_ready: Default::default(),
            job_base: Wire::unsigned(ADDRESS_BITS),
            job_bits: Wire::unsigned(width.bits),
            job_split: Wire::unsigned(2),
            job_tag: Wire::unsigned(TAG_BITS),
            token_valid: Default::default(),
            token_ready: Default::default(),
            token_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            token_count: Wire::unsigned(bits_for(lanes)),
            token_last: Default::default(),
            request_valid: vec_of(lanes, Default::default),
            request_ready: vec_of(lanes, Default::default),
            request_address: vec_of(lanes, || Wire::unsigned(ADDRESS_BITS)),
            request_id: vec_of(lanes, || Wire::unsigned(id_bits)),
            response_valid: vec_of(lanes, Default::default),
            response_ready: vec_of(lanes, Default::default),
            response_id: vec_of(lanes, || Wire::unsigned(id_bits)),
            response_data: vec_of(lanes, || Wire::unsigned(word_bits)),
            chunk_valid: vec_of(lanes, Default::default),
            chunk_ready: vec_of(lanes, Default::default),
            chunk_live: vec_of(lanes, Default::default),
            chunk_fresh: vec_of(lanes, Default::default),
            chunk_skip: vec_of(lanes, || Wire::unsigned(width.skip)),
            chunk_words: vec_of(lanes, || Wire::unsigned(width.words)),
            chunk_tag: vec_of(lanes, || Wire::unsigned(TAG_BITS)),
            chunk_last: vec_of(lanes, Default::default),
            word_valid: vec_of(lanes, Default::default),
            word_ready: vec_of(lanes, Default::default),
            word_data: vec_of(lanes, || Wire::unsigned(word_bits)),
            lanes: Param::new(lanes),
            slot_bits: Param::new(slot_bits),
            id_bits: Param::new(id_bits),
            word_bits: Param::new(word_bits),
            addresses: Addresses::new(config),
            lane: vec_of(lanes, || Lane::new(config)),
            requests: Crossbar::new(lanes, ADDRESS_BITS + id_bits),
            responses: Crossbar::new(lanes, word_bits + slot_bits),
        }
    }
}

impl Logic for MatrixFetcher {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, addresses, requests, responses);
        self.addresses.reset.next = self.reset.val();
        self.requests.reset.next = self.reset.val();
        self.responses.reset.next = self.reset.val();
        self.addresses.job_valid.next = self.job_valid.val();
        self.job_ready.next = self.addresses.job_ready.val();
        self.addresses.job_base.next = self.job_base.val();
        self.addresses.job_bits.next = self.job_bits.val();
        self.addresses.job_split.next = self.job_split.val();
        self.addresses.job_tag.next = self.job_tag.val();
        self.addresses.token_valid.next = self.token_valid.val();
        self.token_ready.next = self.addresses.token_ready.val();
        self.addresses.token_count.next = self.token_count.val();
        self.addresses.token_last.next = self.token_last.val();
        for i in 0..self.lanes.val() {
            self.addresses.token[i].next = self.token_index[i].val();
            self.addresses.room[i].next = self.lane[i].room.val();
            self.lane[i].clock.next = self.clock.val();
            self.lane[i].reset.next = self.reset.val();
            self.lane[i].step.next = self.addresses.step.val();
            self.lane[i].push.next = self.addresses.push.val();
            self.lane[i].live.next = self.addresses.live[i].val().into();
            self.lane[i].fresh.next = self.addresses.fresh[i].val().into();
            self.lane[i].last.next = self.addresses.last.val().into();
            self.lane[i].tag.next = self.addresses.tag.val();
            self.lane[i].skip.next = self.addresses.skip[i].val();
            self.lane[i].words.next = self.addresses.words[i].val();
            self.lane[i].channel.next = self.addresses.channel[i].val();
            self.lane[i].address.next = self.addresses.address[i].val();

            // An id is the lane above the slot, which comes last in the word.
            self.requests.in_valid[i].next = self.lane[i].request_valid.val();
            self.lane[i].request_ready.next = self.requests.in_ready[i].val();
            self.requests.in_to[i].next = self.lane[i].request_channel.val();
            self.requests.in_data[i].next = (self.lane[i].request_address.val() << self.id_bits.val())
                | (i << self.slot_bits.val())
                | self.lane[i].request_slot.val();
            self.request_valid[i].next = self.requests.out_valid[i].val();
            self.requests.out_ready[i].next = self.request_ready[i].val();
            self.request_id[i].next = self.requests.out_data[i].val();
            self.request_address[i].next = self.requests.out_data[i].val() >> self.id_bits.val();

            self.responses.in_valid[i].next = self.response_valid[i].val();
            self.response_ready[i].next = self.responses.in_ready[i].val();
            self.responses.in_to[i].next = self.response_id[i].val() >> self.slot_bits.val();
            self.responses.in_data[i].next = self.response_data[i].val()
                | ((self.response_id[i].val() & ((1 << self.slot_bits.val()) - 1)) << self.word_bits.val());
            self.lane[i].answer_valid.next = self.responses.out_valid[i].val();
            self.responses.out_ready[i].next = true;
            self.lane[i].answer_data.next = self.responses.out_data[i].val();
            self.lane[i].answer_slot.next = self.responses.out_data[i].val() >> self.word_bits.val();

            self.chunk_valid[i].next = self.lane[i].chunk_valid.val();
            self.lane[i].chunk_ready.next = self.chunk_ready[i].val();
            self.chunk_live[i].next = self.lane[i].chunk_live.val();
            self.chunk_fresh[i].next = self.lane[i].chunk_fresh.val();
            self.chunk_skip[i].next = self.lane[i].chunk_skip.val();
            self.chunk_words[i].next = self.lane[i].chunk_words.val();
            self.chunk_tag[i].next = self.lane[i].chunk_tag.val();
            self.chunk_last[i].next = self.lane[i].chunk_last.val();
            self.word_valid[i].next = self.lane[i].word_valid.val();
            self.lane[i].word_ready.next = self.word_ready[i].val();
            self.word_data[i].next = self.lane[i].word_data.val();
        }
    }
}
