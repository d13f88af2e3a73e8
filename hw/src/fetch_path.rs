//! Token lists to operands. Siblings: `sim`, `tests/fetch_path.rs`.
//! Paper: SpAtten section IV-D, Fig. 8 (from the fetcher to the SRAMs).
//! Why: lanes run ahead of each other as far as their queues go, so that a word that is late stops its own lane; only where
//! operands enter a buffer do all lanes have to be there.
//! Differs from the paper: see `matrix_fetcher` and `bitwidth_converter`.
//!
//! ```text
//!  job ---------> element ------------+
//!     \-> [matrix_fetcher] -> chunk --+-> [bitwidth_converter] of each lane --> [joiner] -> out
//!  token -/     ^     \ \---> word ---+
//!        response      request
//! ```

mod joiner;

use crate::bitwidth_converter::{BitwidthConverter, ELEMENTS};
use crate::hdl::*;
use crate::matrix_fetcher::{ChunkBits, MatrixFetcher, TAG_BITS};
use joiner::Joiner;
use spatten_arch::ArchConfig;
use spatten_arch::element::READING_BITS;
use spatten_arch::layout::{ADDRESS_BITS, TOKEN_BITS};

/// Operands of the rows of listed tokens, as a buffer is written.
///
/// A job is one of [`MatrixFetcher`] with the head dimension (`dim`: log2(D) - 4) instead of `split`, and what the bits of an
/// element are worth (`arch::element`: `bits`, `above`, `reading`). `token`, `request` and `response` are those of
/// `MatrixFetcher`.
///
/// # Shapes   n rows of D operands -> ceil(n * D / W) beats of W = 32 * `channels` operands, rows back to back, zeros behind the
/// last one; `out_last` with the last beat. A job without rows gives one beat of zeros
/// # Formats  planes where `arch::layout` says -> `arch::format::Formats::operand`
/// # Timing   a beat per cycle (at D = 16 every second cycle), a word per lane and cycle, and a cycle more per job; less where
/// lanes ask the same channel (see `MatrixFetcher`). The first beat is there 23 cycles after its job, the cycles that memory
/// takes, and one for each word of its longest chunk; at D = 16 one more. Memory that answers within `words_in_flight` - 8
/// cycles costs no throughput. At most 16 jobs are inside
#[derive(LogicBlock)]
pub struct FetchPath {
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
    /// log2(head dimension) - 4.
    pub job_dim: Wire<In>,
    /// Bits of an element.
    pub job_bits: Wire<In>,
    /// Bits of the number above them.
    pub job_above: Wire<In>,
    /// `arch::element::Reading`.
    pub job_reading: Wire<In>,
    /// Comes back with the operands.
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
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Operands, the first in the lowest bits.
    pub out_data: Wire<Out>,
    /// Of the job.
    pub out_tag: Wire<Out>,
    /// The job's last beat.
    pub out_last: Signal<Out, Bit>,
    lanes: Param,
    elements: Param,
    fetcher: MatrixFetcher,
    converter: Vec<BitwidthConverter>,
    joiner: Joiner,
    known: Vec<Signal<Local, Bit>>,
    open: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
}

impl FetchPath {
    /// For a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let (lanes, bits) = (config.channels, config.datapath_bits as usize);
        let width = ChunkBits::of(config);
        let fetcher = MatrixFetcher::new(config);
        let id_bits = fetcher.request_id[0].width();
        let word_bits = 8 * config.channel_bytes;
        Self {
            name: ModuleName::new("fetch_path"),
            clock: Default::default(),
            reset: Default::default(),
            job_valid: Default::default(),
            job_ready: Default::default(),
            job_base: Wire::unsigned(ADDRESS_BITS),
            job_dim: Wire::unsigned(2),
            job_bits: Wire::unsigned(width.bits),
            job_above: Wire::unsigned(width.bits),
            job_reading: Wire::unsigned(READING_BITS),
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
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: Wire::unsigned(lanes * ELEMENTS * bits),
            out_tag: Wire::unsigned(TAG_BITS),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            elements: Param::new(ELEMENTS),
            fetcher,
            converter: vec_of(lanes, || BitwidthConverter::of(config)),
            joiner: Joiner::new(lanes, bits),
            known: vec_of(lanes, Default::default),
            open: Default::default(),
            accept: Default::default(),
        }
    }
}

impl Logic for FetchPath {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, fetcher, joiner);
        self.fetcher.reset.next = self.reset.val();
        self.joiner.reset.next = self.reset.val();

        // A job goes to all parts at once.
        for i in 0..self.lanes.val() {
            if i == 0 {
                self.known[0].next = self.converter[0].element_ready.val() & self.joiner.job_ready.val();
            } else {
                self.known[i].next = self.known[i - 1].val() & self.converter[i].element_ready.val();
            }
        }
        self.open.next = self.known[self.lanes.val() - 1].val() & self.fetcher.job_ready.val();
        self.job_ready.next = self.open.val();
        self.accept.next = self.job_valid.val() & self.open.val();
        self.fetcher.job_valid.next = self.accept.val();
        self.fetcher.job_base.next = self.job_base.val();
        self.fetcher.job_bits.next = self.job_bits.val();
        self.fetcher.job_tag.next = self.job_tag.val();
        self.fetcher.job_split.next = 0.into();
        self.joiner.job_half.next = 0.into();
        if self.job_dim.val() == 0 {
            self.joiner.job_half.next = 1.into();
        }
        if self.job_dim.val() == 2 {
            self.fetcher.job_split.next = 1.into();
        }
        if self.job_dim.val() == 3 {
            self.fetcher.job_split.next = 2.into();
        }
        self.joiner.job_valid.next = self.accept.val();

        self.fetcher.token_valid.next = self.token_valid.val();
        self.token_ready.next = self.fetcher.token_ready.val();
        self.fetcher.token_count.next = self.token_count.val();
        self.fetcher.token_last.next = self.token_last.val();
        for i in 0..self.lanes.val() {
            self.fetcher.token_index[i].next = self.token_index[i].val();
            self.request_valid[i].next = self.fetcher.request_valid[i].val();
            self.fetcher.request_ready[i].next = self.request_ready[i].val();
            self.request_address[i].next = self.fetcher.request_address[i].val();
            self.request_id[i].next = self.fetcher.request_id[i].val();
            self.fetcher.response_valid[i].next = self.response_valid[i].val();
            self.response_ready[i].next = self.fetcher.response_ready[i].val();
            self.fetcher.response_id[i].next = self.response_id[i].val();
            self.fetcher.response_data[i].next = self.response_data[i].val();

            self.converter[i].clock.next = self.clock.val();
            self.converter[i].reset.next = self.reset.val();
            self.converter[i].element_valid.next = self.accept.val();
            self.converter[i].element_bits.next = self.job_bits.val();
            self.converter[i].element_above.next = self.job_above.val();
            self.converter[i].element_reading.next = self.job_reading.val();
            self.converter[i].chunk_valid.next = self.fetcher.chunk_valid[i].val();
            self.fetcher.chunk_ready[i].next = self.converter[i].chunk_ready.val();
            self.converter[i].chunk_live.next = self.fetcher.chunk_live[i].val();
            self.converter[i].chunk_fresh.next = self.fetcher.chunk_fresh[i].val();
            self.converter[i].chunk_skip.next = self.fetcher.chunk_skip[i].val();
            self.converter[i].chunk_words.next = self.fetcher.chunk_words[i].val();
            self.converter[i].chunk_tag.next = self.fetcher.chunk_tag[i].val();
            self.converter[i].chunk_last.next = self.fetcher.chunk_last[i].val();
            self.converter[i].word_valid.next = self.fetcher.word_valid[i].val();
            self.fetcher.word_ready[i].next = self.converter[i].word_ready.val();
            self.converter[i].word_data.next = self.fetcher.word_data[i].val();

            self.joiner.in_valid[i].next = self.converter[i].out_valid.val();
            self.converter[i].out_ready.next = self.joiner.in_ready.val();
            for j in 0..self.elements.val() {
                self.joiner.in_data[i * self.elements.val() + j].next = self.converter[i].out_data[j].val();
            }
        }
        // All lanes give the same.
        self.joiner.in_tag.next = self.converter[0].out_tag.val();
        self.joiner.in_last.next = self.converter[0].out_last.val();
        self.out_valid.next = self.joiner.out_valid.val();
        self.joiner.out_ready.next = self.out_ready.val();
        self.out_data.next = self.joiner.out_data.val();
        self.out_tag.next = self.joiner.out_tag.val();
        self.out_last.next = self.joiner.out_last.val();
    }
}
