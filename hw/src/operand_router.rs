//! Fetched operands to the streams of `attention_core`. Siblings: `sim`, `tests/operand_router.rs`.
//! Paper: SpAtten section IV-A, Fig. 8 (from the fetcher to the K, V and Q buffers).
//! Why: one fetcher serves all contents, so its one stream has to be told apart, and granules and rows have other widths than
//! beats. Only what is narrow is packed: keys and values, the bulk, go by without a register of their own.
//! Differs from the paper: scales and norms, which the paper does not have, come through the same path.
//!
//! ```text
//!  in -> queue -+--------------------------------> keys, values, key_lsbs, value_lsbs
//!               +-> bits -+-> [packer] ----------> key_scales, value_scales, norms
//!               |         +-> [scale_store] -> [packer] -+
//!               +-> [packer] ----------------------------+-> query
//!  query_job -> queue -----------------------------------+
//! ```

mod packer;
mod queries;
mod scale_store;

use crate::bitwidth_converter::ELEMENTS;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::Join;
use packer::Packer;
use queries::Queries;
use spatten_arch::ArchConfig;
use spatten_arch::config::HEAD_DIMS;
use spatten_arch::content::{Content, TAG_BITS};
use spatten_arch::format::{QUERY_SCALE_BITS, SCALE_MANTISSA_BITS, TOKEN_SCALE_BITS, VALUE_NORM_BITS};

/// Beats of the queue: as many as full throughput takes.
const BEATS: usize = 2;

/// Beats of any content on their way to where it goes, in order.
///
/// `in` is `out` of [`FetchPath`](crate::fetch_path::FetchPath), its tag an `arch::content::Content`; no other tag may come. A
/// beat whose stream does not take it stops those behind it, so jobs are to be fetched in an order in which each can be taken
/// without a later one. `query_job` says, for each job of queries and in their order, how many rows (at least 1) it has and
/// the score scale of all of them; with `scaled_queries` each row has its own instead, from a job of query scales that is
/// fetched before the queries, one for each job of queries, of as many rows. Up to `keys_on_chip / channels` beats of query
/// scales may be ahead of their queries.
///
/// A job of query LSBs, which `query_job` announces with `lsbs`, is of one row: it does not come out, but is added to the row
/// behind it. Its scale is that row's. A row that may be needed again is announced with `keep`; when it has come out, the next
/// `query_job` is of the same row, which comes `again` with its own scale if there are any, or is to `drop`.
///
/// `dim` is log2(D) - 4; it and `scaled_queries` change only while nothing is inside, at the latest with the next beat.
///
/// # Shapes   with C = `channels`, W = 32 * C operands per beat and M = `multipliers`:
///
/// | content | output stream | its beats |
/// | --- | --- | --- |
/// | `Keys`, `Values`, `KeyLsbs`, `ValueLsbs` | `keys`, `values`, `key_lsbs`, `value_lsbs` | as they are |
/// | `KeyScales` | `key_scales` | M / 16 granules |
/// | `ValueScales` | `value_scales` | R = max(1, M / D) granules in the low lanes, the others 0 |
/// | `Norms` | `norms` | `softmax_lanes` granules |
/// | `Queries`, after `QueryLsbs` or not | `query` | a row; operands from D on are 0 |
///
/// A beat of granules has C of them. Those behind a job's last row, which fill its last beat, are passed on like others, and
/// zeros fill the last beat that goes out; `last` stands with that one alone. So a head of all keys fits its buffers where
/// C <= `keys_on_chip`. Queries and query scales behind a job's last row are dropped.
/// # Formats  top bits of 32 operands -> a granule, whose low bits are `token_scale`, `value_norm`, or `scale_mantissa` and its
/// shift above it (`arch::descriptor::HeadFactors::pack`)
/// # Timing   keys and values: a beat per cycle, offered 1 cycle after it came. Granules, N to an output beat: offered 2 cycles
/// after the beat that completes them, and C / N parts one after the other; a beat in per cycle where N >= C, a beat out per
/// cycle where N <= C. A row of queries: 2 cycles after the beat that completes it, if its job came a cycle and its scale's
/// beat 5 cycles before; a row per cycle where D <= W, a beat in per cycle where D >= W, and no gap between beats or jobs. A
/// beat of keys, values or their LSBs that is not taken stops all behind it; any other stops only its own content, until another beat of
/// that is at the head
#[derive(LogicBlock)]
pub struct OperandRouter {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets everything.
    pub reset: Signal<In, Bit>,
    /// log2(head dimension) - 4.
    pub dim: Wire<In>,
    /// Query rows have their own scales.
    pub scaled_queries: Signal<In, Bit>,
    /// Operands are offered.
    pub in_valid: Signal<In, Bit>,
    /// They would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// The operands.
    pub in_data: Wire<In>,
    /// What they are.
    pub in_tag: Wire<In>,
    /// The job's last beat.
    pub in_last: Signal<In, Bit>,
    /// A job of queries is announced.
    pub query_job_valid: Signal<In, Bit>,
    /// It would be taken.
    pub query_job_ready: Signal<Out, Bit>,
    /// Its rows.
    pub query_job_rows: Wire<In>,
    /// Mantissa of their score scale.
    pub query_job_mantissa: Wire<In>,
    /// Shift of their score scale.
    pub query_job_shift: Wire<In>,
    /// It is of LSBs.
    pub query_job_lsbs: Signal<In, Bit>,
    /// Its only row is kept.
    pub query_job_keep: Signal<In, Bit>,
    /// The row that was kept comes again.
    pub query_job_again: Signal<In, Bit>,
    /// It does not.
    pub query_job_drop: Signal<In, Bit>,
    /// Keys are there.
    pub keys_valid: Signal<Out, Bit>,
    /// They are taken.
    pub keys_ready: Signal<In, Bit>,
    /// The keys.
    pub keys_data: Wire<Out>,
    /// The job's last beat.
    pub keys_last: Signal<Out, Bit>,
    /// LSBs of keys are there.
    pub key_lsbs_valid: Signal<Out, Bit>,
    /// They are taken.
    pub key_lsbs_ready: Signal<In, Bit>,
    /// The LSBs.
    pub key_lsbs_data: Wire<Out>,
    /// The job's last beat.
    pub key_lsbs_last: Signal<Out, Bit>,
    /// LSBs of values are there.
    pub value_lsbs_valid: Signal<Out, Bit>,
    /// They are taken.
    pub value_lsbs_ready: Signal<In, Bit>,
    /// The LSBs.
    pub value_lsbs_data: Wire<Out>,
    /// The job's last beat.
    pub value_lsbs_last: Signal<Out, Bit>,
    /// Scales of keys are there.
    pub key_scales_valid: Signal<Out, Bit>,
    /// They are taken.
    pub key_scales_ready: Signal<In, Bit>,
    /// The scales.
    pub key_scales_data: Wire<Out>,
    /// The job's last ones.
    pub key_scales_last: Signal<Out, Bit>,
    /// Values are there.
    pub values_valid: Signal<Out, Bit>,
    /// They are taken.
    pub values_ready: Signal<In, Bit>,
    /// The values.
    pub values_data: Wire<Out>,
    /// The job's last beat.
    pub values_last: Signal<Out, Bit>,
    /// Scales of values are there.
    pub value_scales_valid: Signal<Out, Bit>,
    /// They are taken.
    pub value_scales_ready: Signal<In, Bit>,
    /// The scales of a word's rows.
    pub value_scales_data: Vec<Wire<Out>>,
    /// The job's last ones.
    pub value_scales_last: Signal<Out, Bit>,
    /// Norms are there.
    pub norms_valid: Signal<Out, Bit>,
    /// They are taken.
    pub norms_ready: Signal<In, Bit>,
    /// The norms.
    pub norms_data: Vec<Wire<Out>>,
    /// The job's last ones.
    pub norms_last: Signal<Out, Bit>,
    /// A query is there.
    pub query_valid: Signal<Out, Bit>,
    /// It is taken.
    pub query_ready: Signal<In, Bit>,
    /// The row.
    pub query_operands: Vec<Wire<Out>>,
    /// Mantissa of its score scale.
    pub query_mantissa: Wire<Out>,
    /// Shift of its score scale.
    pub query_shift: Wire<Out>,
    lanes: Param,
    score_lanes: Param,
    row_operands: Param,
    element: Param,
    operand_bits: Param,
    top_bit: Param,
    data_bits: Param,
    granule_bits: Param,
    channels: Param,
    contents: Param,
    // Contents' tags.
    keys: Param,
    key_scales: Param,
    values: Param,
    value_scales: Param,
    norms: Param,
    queries: Param,
    query_scales: Param,
    key_lsbs: Param,
    value_lsbs: Param,
    query_lsbs: Param,
    size: Reg,
    is_scaled: Dff<Bit>,
    queue: Fifo,
    tag: Wire<Local>,
    /// The head of the queue is of this content.
    is: Vec<Signal<Local, Bit>>,
    last: Signal<Local, Bit>,
    pop: Signal<Local, Bit>,
    granules: Join,
    key_scale_packer: Packer,
    key_scale_lanes: Join,
    value_scale_packer: Packer,
    norm_packer: Packer,
    query_rows: Queries,
}

impl OperandRouter {
    /// For a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let (bits, channels) = (config.datapath_bits as usize, config.channels);
        let (multipliers, scores) = (config.multipliers, config.softmax_lanes);
        let (lanes, beat) = (multipliers / HEAD_DIMS[0], channels * ELEMENTS);
        let (scale, norm) = (TOKEN_SCALE_BITS as usize, VALUE_NORM_BITS as usize);
        let (granule, mantissa) = (QUERY_SCALE_BITS as usize, SCALE_MANTISSA_BITS as usize);
        let tag = |content: Content| Param::new(content.tag().into());
        Self {
            name: ModuleName::new("operand_router"),
            clock: Default::default(),
            reset: Default::default(),
            dim: Wire::unsigned(2),
            scaled_queries: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: Wire::unsigned(beat * bits),
            in_tag: Wire::unsigned(TAG_BITS),
            in_last: Default::default(),
            query_job_valid: Default::default(),
            query_job_ready: Default::default(),
            query_job_rows: Wire::unsigned(bits_for(config.keys_on_chip)),
            query_job_mantissa: Wire::unsigned(mantissa),
            query_job_shift: Wire::unsigned(granule - mantissa),
            query_job_lsbs: Default::default(),
            query_job_keep: Default::default(),
            query_job_again: Default::default(),
            query_job_drop: Default::default(),
            keys_valid: Default::default(),
            keys_ready: Default::default(),
            keys_data: Wire::unsigned(beat * bits),
            keys_last: Default::default(),
            key_lsbs_valid: Default::default(),
            key_lsbs_ready: Default::default(),
            key_lsbs_data: Wire::unsigned(beat * bits),
            key_lsbs_last: Default::default(),
            value_lsbs_valid: Default::default(),
            value_lsbs_ready: Default::default(),
            value_lsbs_data: Wire::unsigned(beat * bits),
            value_lsbs_last: Default::default(),
            key_scales_valid: Default::default(),
            key_scales_ready: Default::default(),
            key_scales_data: Wire::unsigned(lanes * scale),
            key_scales_last: Default::default(),
            values_valid: Default::default(),
            values_ready: Default::default(),
            values_data: Wire::unsigned(beat * bits),
            values_last: Default::default(),
            value_scales_valid: Default::default(),
            value_scales_ready: Default::default(),
            value_scales_data: vec_of(lanes, || Wire::unsigned(scale)),
            value_scales_last: Default::default(),
            norms_valid: Default::default(),
            norms_ready: Default::default(),
            norms_data: vec_of(scores, || Wire::unsigned(norm)),
            norms_last: Default::default(),
            query_valid: Default::default(),
            query_ready: Default::default(),
            query_operands: vec_of(HEAD_DIMS[3], || Wire::signed(bits)),
            query_mantissa: Wire::unsigned(mantissa),
            query_shift: Wire::unsigned(granule - mantissa),
            lanes: Param::new(lanes),
            score_lanes: Param::new(scores),
            row_operands: Param::new(HEAD_DIMS[3]),
            element: Param::new(ELEMENTS),
            operand_bits: Param::new(bits),
            top_bit: Param::new(bits - 1),
            data_bits: Param::new(beat * bits),
            granule_bits: Param::new(granule),
            channels: Param::new(channels),
            contents: Param::new(Content::ALL.len()),
            keys: tag(Content::Keys),
            key_scales: tag(Content::KeyScales),
            values: tag(Content::Values),
            value_scales: tag(Content::ValueScales),
            norms: tag(Content::Norms),
            queries: tag(Content::Queries),
            query_scales: tag(Content::QueryScales),
            key_lsbs: tag(Content::KeyLsbs),
            value_lsbs: tag(Content::ValueLsbs),
            query_lsbs: tag(Content::QueryLsbs),
            size: Reg::unsigned(2),
            is_scaled: Default::default(),
            queue: Fifo::new(beat * bits + TAG_BITS + 1, BEATS),
            tag: Wire::unsigned(TAG_BITS),
            is: vec_of(Content::ALL.len(), Default::default),
            last: Default::default(),
            pop: Default::default(),
            granules: Join::new(channels * granule, 1),
            key_scale_packer: Packer::new(scale, channels, [lanes; 4]),
            key_scale_lanes: Join::new(lanes, scale),
            value_scale_packer: Packer::new(scale, channels, HEAD_DIMS.map(|dim| (multipliers / dim).max(1))),
            norm_packer: Packer::new(norm, channels, [scores; 4]),
            query_rows: Queries::new(config),
        }
    }
}

impl Logic for OperandRouter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, size, is_scaled);
        clock!(self, clock, queue, key_scale_packer, value_scale_packer, norm_packer, query_rows);
        self.queue.reset.next = self.reset.val();
        self.key_scale_packer.reset.next = self.reset.val();
        self.value_scale_packer.reset.next = self.reset.val();
        self.norm_packer.reset.next = self.reset.val();
        self.query_rows.reset.next = self.reset.val();
        self.size.d.next = self.dim.val();
        self.is_scaled.d.next = self.scaled_queries.val();

        // The oldest beat, and what it is.
        self.queue.in_valid.next = self.in_valid.val();
        self.in_ready.next = self.queue.in_ready.val();
        self.queue.in_data.next =
            (((self.in_tag.val() << 1) | self.in_last.val()) << self.data_bits.val()) | self.in_data.val();
        self.tag.next = self.queue.out_data.val() >> (self.data_bits.val() + 1);
        self.last.next = self.queue.out_data.val().get_bit(self.data_bits.val());
        for i in 0..self.contents.val() {
            self.is[i].next = self.queue.out_valid.val() & (self.tag.val() == i);
        }
        self.pop.next = (self.is[self.keys.val()].val() & self.keys_ready.val())
            | (self.is[self.key_scales.val()].val() & self.key_scale_packer.in_ready.val())
            | (self.is[self.values.val()].val() & self.values_ready.val())
            | (self.is[self.value_scales.val()].val() & self.value_scale_packer.in_ready.val())
            | (self.is[self.norms.val()].val() & self.norm_packer.in_ready.val())
            | (self.is[self.key_lsbs.val()].val() & self.key_lsbs_ready.val())
            | (self.is[self.value_lsbs.val()].val() & self.value_lsbs_ready.val())
            | (self.is[self.queries.val()].val() & self.query_rows.in_ready.val())
            | (self.is[self.query_lsbs.val()].val() & self.query_rows.in_ready.val())
            | (self.is[self.query_scales.val()].val() & self.query_rows.scales_ready.val());
        self.queue.out_ready.next = self.pop.val();
        for i in 0..self.channels.val() {
            for j in 0..self.granule_bits.val() {
                self.granules.lane[i * self.granule_bits.val() + j].next = self.queue.out_data.val()
                    >> ((i * self.element.val() + j) * self.operand_bits.val() + self.top_bit.val());
            }
        }

        // What leaves as it came.
        self.keys_valid.next = self.is[self.keys.val()].val();
        self.keys_data.next = self.queue.out_data.val();
        self.keys_last.next = self.last.val();
        self.values_valid.next = self.is[self.values.val()].val();
        self.values_data.next = self.queue.out_data.val();
        self.values_last.next = self.last.val();
        self.key_lsbs_valid.next = self.is[self.key_lsbs.val()].val();
        self.key_lsbs_data.next = self.queue.out_data.val();
        self.key_lsbs_last.next = self.last.val();
        self.value_lsbs_valid.next = self.is[self.value_lsbs.val()].val();
        self.value_lsbs_data.next = self.queue.out_data.val();
        self.value_lsbs_last.next = self.last.val();

        // Granules.
        self.key_scale_packer.dim.next = self.size.q.val();
        self.key_scale_packer.cut.next = false;
        self.key_scale_packer.in_valid.next = self.is[self.key_scales.val()].val();
        self.key_scale_packer.in_last.next = self.last.val();
        self.key_scales_valid.next = self.key_scale_packer.out_valid.val();
        self.key_scale_packer.out_ready.next = self.key_scales_ready.val();
        self.key_scales_data.next = self.key_scale_lanes.word.val();
        self.key_scales_last.next = self.key_scale_packer.out_last.val();
        self.value_scale_packer.dim.next = self.size.q.val();
        self.value_scale_packer.cut.next = false;
        self.value_scale_packer.in_valid.next = self.is[self.value_scales.val()].val();
        self.value_scale_packer.in_last.next = self.last.val();
        self.value_scales_valid.next = self.value_scale_packer.out_valid.val();
        self.value_scale_packer.out_ready.next = self.value_scales_ready.val();
        self.value_scales_last.next = self.value_scale_packer.out_last.val();
        for i in 0..self.lanes.val() {
            self.key_scale_lanes.lane[i].next = self.key_scale_packer.out_data[i].val();
            self.value_scales_data[i].next = self.value_scale_packer.out_data[i].val();
        }
        self.norm_packer.dim.next = self.size.q.val();
        self.norm_packer.cut.next = false;
        self.norm_packer.in_valid.next = self.is[self.norms.val()].val();
        self.norm_packer.in_last.next = self.last.val();
        self.norms_valid.next = self.norm_packer.out_valid.val();
        self.norm_packer.out_ready.next = self.norms_ready.val();
        self.norms_last.next = self.norm_packer.out_last.val();
        for i in 0..self.score_lanes.val() {
            self.norms_data[i].next = self.norm_packer.out_data[i].val();
        }
        for i in 0..self.channels.val() {
            self.key_scale_packer.in_data[i].next = self.granules.word.val() >> (i * self.granule_bits.val());
            self.value_scale_packer.in_data[i].next = self.granules.word.val() >> (i * self.granule_bits.val());
            self.norm_packer.in_data[i].next = self.granules.word.val() >> (i * self.granule_bits.val());
        }

        // Queries.
        self.query_rows.dim.next = self.size.q.val();
        self.query_rows.scaled.next = self.is_scaled.q.val();
        self.query_rows.job_valid.next = self.query_job_valid.val();
        self.query_job_ready.next = self.query_rows.job_ready.val();
        self.query_rows.job_rows.next = self.query_job_rows.val();
        self.query_rows.job_mantissa.next = self.query_job_mantissa.val();
        self.query_rows.job_shift.next = self.query_job_shift.val();
        self.query_rows.job_lsbs.next = self.query_job_lsbs.val();
        self.query_rows.job_keep.next = self.query_job_keep.val();
        self.query_rows.job_again.next = self.query_job_again.val();
        self.query_rows.job_drop.next = self.query_job_drop.val();
        self.query_rows.in_valid.next = self.is[self.queries.val()].val() | self.is[self.query_lsbs.val()].val();
        self.query_rows.in_data.next = self.queue.out_data.val();
        self.query_rows.scales_valid.next = self.is[self.query_scales.val()].val();
        self.query_rows.scales_data.next = self.granules.word.val();
        self.query_valid.next = self.query_rows.out_valid.val();
        self.query_rows.out_ready.next = self.query_ready.val();
        for i in 0..self.row_operands.val() {
            self.query_operands[i].next = self.query_rows.out_operands[i].val();
        }
        self.query_mantissa.next = self.query_rows.out_mantissa.val();
        self.query_shift.next = self.query_rows.out_shift.val();
    }
}
