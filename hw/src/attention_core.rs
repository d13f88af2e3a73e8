//! Attention of one head after another: scores, softmax, decision, pruned sum of values, importance. Siblings: `sim`,
//! `tests/attention_core.rs`.
//! Paper: SpAtten section IV-A, Fig. 8 (everything behind the fetcher).
//! Why: nothing but queues between blocks that are proven by themselves. Rows go through in order and never turn back; a row that
//! needs its LSBs is dropped at the decision and comes again, so nothing waits for it.
//! Differs from the paper: LSBs are added to the keys that are there, so rows that need them come behind all others of the head.
//!
//! ```text
//!  row -> [row_issue] -> [key_buffer] -> [dot_product] -> [repack] -> [softmax] <------ decision --+
//!             \-> tags -----------------------------------------------> sum -> [requant_decision] -+-> verdict
//!                   \-> (kept) routes, marks, names                     |
//!                                                                       +-> [norms] -> [importance_accumulator]
//!                                                                       |                     ^
//!                    [repack] <- probabilities -------------------------+                     | magnitude
//!                        \-> [local_values: top_k] -> [value_requests] -> [value_buffer] -> [multiply_value] -> out
//! ```
//!
//! # What each queue must hold
//! Everything is in the order of `row`, so a queue that is full only ever waits for older rows, which wait for nothing younger.
//! - `tags`, `sum_tags`: rows between their first request and their decision. Full: no row is taken; the rows inside go on.
//! - `routes`, `marks`, `names`: kept rows between decision and the end of selection, of importance, of the sum. Full: decisions
//!   wait, and with them `softmax`; older rows have theirs.
//! - the fork behind `softmax` moves where both sides take: neither side ever waits for the other's row.
//! - `order` of `local_values`: a row's place is taken with its first beat, so its beats can leave while it arrives; the queue
//!   past the engines needs no room for a whole row.
//! - `head_rows`: outputs that `importance_accumulator` has not taken. Full: `out` offers nothing. It fills only where a command
//!   takes more rows of scores than of outputs.
//!
//! So the block stops only where one of its own streams does: `verdict`, `out` not taken; `importance_accumulator` without an
//! `accumulate` command for the row; keys, values or norms of a head not written, or LSBs not added.

mod local_values;
mod norms;
mod repack;
mod row_issue;
mod saturation_count;
mod value_requests;

use crate::dot_product::DotProduct;
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::importance_accumulator::ImportanceAccumulator;
use crate::key_buffer::{BufferSize, KeyBuffer};
use crate::multiply_value::MultiplyValue;
use crate::requant_decision::RequantDecision;
use crate::softmax::Softmax;
use crate::value_buffer::ValueBuffer;
use local_values::LocalValues;
use norms::Norms;
use repack::Repack;
use row_issue::RowIssue;
use saturation_count::SaturationCount;
use spatten_arch::ArchConfig;
use spatten_arch::config::{HEAD_DIMS, MAX_HEADS};
use spatten_arch::format::{Formats, SCALE_MANTISSA_BITS, TOKEN_SCALE_BITS, VALUE_NORM_BITS};
use value_requests::ValueRequests;

/// Rows between request and decision, and between decision and output: as many one-beat rows as either takes cycles.
const ROWS: usize = 64;
/// Decisions that nobody has taken.
const VERDICTS: usize = 4;
/// Outputs that head importance has not taken.
const HEAD_ROWS: usize = 4;
/// Bits of a count of rows, as in `importance_accumulator`.
const ROW_BITS: usize = 24;
const MAGNITUDE_BITS: usize = 23;

/// Rows of queries against heads of keys and values.
///
/// | stream | a beat is |
/// | --- | --- |
/// | `row` | one pass of one query row: how many keys it sees (the first ones), how many values it keeps, its name (`index`, `head`), the factor of its head importance. `final`: it is kept whatever its scores. `release_keys`: the last pass over the oldest head of keys. `release_values`: no row; the oldest head of values (and norms) is done with, and with `release_keys` that of keys. `again_keys`, `again_values`: no row; the oldest head of them is added to before it is used again |
/// | `query` | the operands and the score scale of each pass, in the same order |
/// | `keys`, `key_scales`, `values`, `value_scales` | as `write` and `scale` of the buffers; `norms`: a head's value norms in key order |
/// | `key_lsbs`, `value_lsbs` | as `add` of the buffers |
/// | `verdict` | of each pass that is not `final`, in their order: was it dropped (`flat`)? Then its row is to come again as a `final` one |
/// | `out` | the outputs of a kept row, in the order of `row` |
/// | `command`, `load`, `head_load`, `read`, `head_read`, `done` | those of `importance_accumulator` |
///
/// Every row of `row` that is not dropped, empty ones included, is one row of scores and one row of outputs for an `accumulate`
/// command, whose two counts are best equal: outputs that no command takes stop the rows behind them. Heads of keys, values and norms are used in the order in which they are written; passes of several heads of
/// queries may share them. A head without keys is written too: one beat of anything.
///
/// `dim` is log2(D) - 4; it, `scaled_keys`, `scaled_values`, `weighted` and `threshold_inverse` (its largest number: no row is
/// dropped) change only while nothing is inside, and then two cycles before the first beat.
///
/// # Shapes   `out_outputs [128]`, from D on 0. `logit_saturations` counts those of dropped passes too, and wraps
/// # Formats  `operand`, `scale_mantissa`, `token_scale`, `value_norm` -> `output`
/// # Timing   one word of keys per cycle through the multipliers (`busy`), rows and heads without a gap, as long as a row's words
/// (`ceil(n * D / multipliers)`) are not fewer than its beats in `softmax` (`ceil(n / softmax_lanes)`) and, where it is pruned,
/// than `TopK::period(n)` over [`engines`]: at `paper` and D = 64 from 96 keys on. Rows of values never take more cycles than
/// rows of keys, but for 7 between heads
#[derive(LogicBlock)]
pub struct AttentionCore {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; forgets everything but importance.
    pub reset: Signal<In, Bit>,
    /// log2(head dimension) - 4.
    pub dim: Wire<In>,
    /// There are scales of keys.
    pub scaled_keys: Signal<In, Bit>,
    /// There are scales of values.
    pub scaled_values: Signal<In, Bit>,
    /// Importance is weighted with norms.
    pub weighted: Signal<In, Bit>,
    /// Rows whose sum exceeds this are dropped, unless `final`.
    pub threshold_inverse: Wire<In>,
    /// A pass is offered.
    pub row_valid: Signal<In, Bit>,
    /// It would be taken.
    pub row_ready: Signal<Out, Bit>,
    /// Keys that it sees.
    pub row_visible: Wire<In>,
    /// Values that it keeps.
    pub row_keep: Wire<In>,
    /// Its row.
    pub row_index: Wire<In>,
    /// Its head.
    pub row_head: Wire<In>,
    /// Factor of its magnitude.
    pub row_mantissa: Wire<In>,
    /// Right shift after it.
    pub row_shift: Wire<In>,
    /// It is kept whatever its scores.
    pub row_final: Signal<In, Bit>,
    /// The last pass over these keys.
    pub row_release_keys: Signal<In, Bit>,
    /// No pass: the values are done with.
    pub row_release_values: Signal<In, Bit>,
    /// No pass: the keys are added to.
    pub row_again_keys: Signal<In, Bit>,
    /// No pass: the values are added to.
    pub row_again_values: Signal<In, Bit>,
    /// A query is offered.
    pub query_valid: Signal<In, Bit>,
    /// It would be taken.
    pub query_ready: Signal<Out, Bit>,
    /// The row.
    pub query_operands: Vec<Wire<In>>,
    /// Mantissa of its score scale.
    pub query_mantissa: Wire<In>,
    /// Shift of its score scale.
    pub query_shift: Wire<In>,
    /// Keys are offered.
    pub keys_valid: Signal<In, Bit>,
    /// They would be taken.
    pub keys_ready: Signal<Out, Bit>,
    /// The keys.
    pub keys_data: Wire<In>,
    /// The head's last beat.
    pub keys_last: Signal<In, Bit>,
    /// Scales are offered.
    pub key_scales_valid: Signal<In, Bit>,
    /// They would be taken.
    pub key_scales_ready: Signal<Out, Bit>,
    /// The scales.
    pub key_scales_data: Wire<In>,
    /// The head's last ones.
    pub key_scales_last: Signal<In, Bit>,
    /// Values are offered.
    pub values_valid: Signal<In, Bit>,
    /// They would be taken.
    pub values_ready: Signal<Out, Bit>,
    /// The values.
    pub values_data: Wire<In>,
    /// The head's last beat.
    pub values_last: Signal<In, Bit>,
    /// Scales are offered.
    pub value_scales_valid: Signal<In, Bit>,
    /// They would be taken.
    pub value_scales_ready: Signal<Out, Bit>,
    /// The scales of a word's rows.
    pub value_scales_data: Vec<Wire<In>>,
    /// The head's last ones.
    pub value_scales_last: Signal<In, Bit>,
    /// Norms are offered.
    pub norms_valid: Signal<In, Bit>,
    /// They would be taken.
    pub norms_ready: Signal<Out, Bit>,
    /// The norms.
    pub norms_data: Vec<Wire<In>>,
    /// The head's last ones.
    pub norms_last: Signal<In, Bit>,
    /// LSBs of keys are offered.
    pub key_lsbs_valid: Signal<In, Bit>,
    /// They would be taken.
    pub key_lsbs_ready: Signal<Out, Bit>,
    /// The LSBs.
    pub key_lsbs_data: Wire<In>,
    /// The head's last beat.
    pub key_lsbs_last: Signal<In, Bit>,
    /// LSBs of values are offered.
    pub value_lsbs_valid: Signal<In, Bit>,
    /// They would be taken.
    pub value_lsbs_ready: Signal<Out, Bit>,
    /// The LSBs.
    pub value_lsbs_data: Wire<In>,
    /// The head's last beat.
    pub value_lsbs_last: Signal<In, Bit>,
    /// A first pass is decided.
    pub verdict_valid: Signal<Out, Bit>,
    /// That is taken.
    pub verdict_ready: Signal<In, Bit>,
    /// Its row.
    pub verdict_index: Wire<Out>,
    /// Its head.
    pub verdict_head: Wire<Out>,
    /// It was dropped.
    pub verdict_flat: Signal<Out, Bit>,
    /// Outputs are there.
    pub out_valid: Signal<Out, Bit>,
    /// They are taken.
    pub out_ready: Signal<In, Bit>,
    /// Their row.
    pub out_index: Wire<Out>,
    /// Its head.
    pub out_head: Wire<Out>,
    /// The outputs.
    pub out_outputs: Vec<Wire<Out>>,
    /// How many did not fit.
    pub out_saturated: Wire<Out>,
    /// Sum of their magnitudes.
    pub out_magnitude: Wire<Out>,
    /// A command to `importance_accumulator`.
    pub command_valid: Signal<In, Bit>,
    /// It would be taken.
    pub command_ready: Signal<Out, Bit>,
    /// Which.
    pub command_op: Wire<In>,
    /// It is about heads.
    pub command_heads: Signal<In, Bit>,
    /// Increments are multiplied by norms.
    pub command_weighted: Signal<In, Bit>,
    /// Importances are divided by their rows.
    pub command_mean: Signal<In, Bit>,
    /// Tokens or heads.
    pub command_count: Wire<In>,
    /// Rows of scores.
    pub command_rows: Wire<In>,
    /// Rows of outputs.
    pub command_head_rows: Wire<In>,
    /// Decay factor.
    pub command_gamma: Wire<In>,
    /// A word to load.
    pub load_valid: Signal<In, Bit>,
    /// It would be taken.
    pub load_ready: Signal<Out, Bit>,
    /// Importances.
    pub load_importance: Vec<Wire<In>>,
    /// Rows that could see them.
    pub load_rows: Vec<Wire<In>>,
    /// A head to load.
    pub head_load_valid: Signal<In, Bit>,
    /// It would be taken.
    pub head_load_ready: Signal<Out, Bit>,
    /// Its importance.
    pub head_load_importance: Wire<In>,
    /// A word that was read.
    pub read_valid: Signal<Out, Bit>,
    /// It is taken.
    pub read_ready: Signal<In, Bit>,
    /// Importances, or means.
    pub read_importance: Vec<Wire<Out>>,
    /// Rows that could see them.
    pub read_rows: Vec<Wire<Out>>,
    /// How many of them.
    pub read_count: Wire<Out>,
    /// The last word.
    pub read_last: Signal<Out, Bit>,
    /// A head that was read.
    pub head_read_valid: Signal<Out, Bit>,
    /// It is taken.
    pub head_read_ready: Signal<In, Bit>,
    /// Its importance.
    pub head_read_importance: Wire<Out>,
    /// The last head.
    pub head_read_last: Signal<Out, Bit>,
    /// A command is done.
    pub done_valid: Signal<Out, Bit>,
    /// It is taken.
    pub done_ready: Signal<In, Bit>,
    /// Sums of tokens that were cut.
    pub done_token_saturations: Wire<Out>,
    /// The same of heads.
    pub done_head_saturations: Wire<Out>,
    /// Logits that did not fit, so far.
    pub logit_saturations: Wire<Out>,
    /// In the last cycle a word of keys entered the multipliers.
    pub busy: Signal<Out, Bit>,
    /// Halves of keys that may be read.
    pub full_keys: Wire<Out>,
    /// The same of values.
    pub full_values: Wire<Out>,
    /// The same of norms.
    pub full_norms: Wire<Out>,

    lanes: Param,
    key_parts: Param,
    operand_bits: Param,
    key_part: Param,
    score_lanes: Param,
    select_lanes: Param,
    row_operands: Param,
    groups: Vec<Param>,
    index_bits: Param,
    head_bits: Param,
    factor_bits: Param,
    shift_bits: Param,
    keep_bits: Param,

    row_issue: RowIssue,
    sum_tags: Fifo,
    tags: Fifo,
    key_buffer: KeyBuffer,
    dot_product: DotProduct,
    entered: Dff<Bit>,
    saturations: SaturationCount,
    logits: Repack,
    softmax: Softmax,
    requant: RequantDecision,
    name_in: Wire<Local>,
    factor_in: Wire<Local>,
    sum_tag: Wire<Local>,
    tag: Wire<Local>,
    tag_upper: Wire<Local>,
    tag_marker: Signal<Local, Bit>,
    tag_again: Signal<Local, Bit>,
    first: Wire<Local>,
    all: Signal<Local, Bit>,
    kept_open: Signal<Local, Bit>,
    no_row: Signal<Local, Bit>,
    verdicts: Fifo,
    unused_refetch: Signal<Local, Bit>,
    decides: Signal<Local, Bit>,
    marks: Signal<Local, Bit>,
    keeps: Signal<Local, Bit>,
    routes: Fifo,
    marker_routes: Fifo,
    names: Fifo,
    route: Wire<Local>,
    norms: Norms,
    scores: Repack,
    local_values: LocalValues,
    value_requests: ValueRequests,
    value_buffer: ValueBuffer,
    multiply_value: MultiplyValue,
    value_count: Wire<Local>,
    output_name: Wire<Local>,
    output_factor: Wire<Local>,
    head_rows: Fifo,
    head_row: Wire<Local>,
    accumulator: ImportanceAccumulator,
}

/// Selection engines: one takes two passes over its row, in which as many scores come as `softmax` or the multipliers give.
pub fn engines(config: &ArchConfig) -> usize {
    let rate = config.softmax_lanes.min(config.multipliers / HEAD_DIMS[0]);
    (4 * rate / config.topk_lanes).max(1)
}

impl AttentionCore {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let formats = Formats::new(config);
        let bits = config.datapath_bits as usize;
        let (keys, multipliers) = (config.keys_on_chip, config.multipliers);
        let (scores, select) = (config.softmax_lanes, config.topk_lanes);
        let [logit, probability, increment] =
            [&formats.logit, &formats.probability, &formats.importance_increment].map(|f| f.width() as usize);
        let [output, importance, head_importance] =
            [&formats.output, &formats.token_importance, &formats.head_importance].map(|f| f.width() as usize);
        let key_size = BufferSize::of(config, config.key_buffer_bytes);
        let value_size = BufferSize::of(config, config.value_buffer_bytes);
        let lanes = multipliers / HEAD_DIMS[0];
        let (index, head, count) = (bits_for(keys - 1), bits_for(MAX_HEADS - 1), bits_for(keys));
        let (mantissa, shift) = (SCALE_MANTISSA_BITS as usize, 6);
        let (scale, norm) = (TOKEN_SCALE_BITS as usize, VALUE_NORM_BITS as usize);
        let groups = HEAD_DIMS.map(|dim| (multipliers / dim).max(1));
        let accumulator = ImportanceAccumulator::new(config);
        let key_buffer = KeyBuffer::of(config);
        let key_part = key_buffer.out_data[0].width() / bits;
        let widths = |wire: &Wire<In>| Wire::unsigned(wire.width());
        let outs = |wire: &Wire<Out>| Wire::unsigned(wire.width());
        Self {
            name: ModuleName::new("attention_core"),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "Queues that move together need one `out_valid`; tags are there before what they belong to.",
            ),
            clock: Default::default(),
            reset: Default::default(),
            dim: Wire::unsigned(2),
            scaled_keys: Default::default(),
            scaled_values: Default::default(),
            weighted: Default::default(),
            threshold_inverse: Wire::unsigned(formats.threshold_inverse.width() as usize),
            row_valid: Default::default(),
            row_ready: Default::default(),
            row_visible: Wire::unsigned(count),
            row_keep: Wire::unsigned(count),
            row_index: Wire::unsigned(index),
            row_head: Wire::unsigned(head),
            row_mantissa: Wire::unsigned(mantissa),
            row_shift: Wire::unsigned(shift),
            row_final: Default::default(),
            row_release_keys: Default::default(),
            row_release_values: Default::default(),
            row_again_keys: Default::default(),
            row_again_values: Default::default(),
            query_valid: Default::default(),
            query_ready: Default::default(),
            query_operands: vec_of(HEAD_DIMS[3], || Wire::signed(bits)),
            query_mantissa: Wire::unsigned(mantissa),
            query_shift: Wire::unsigned(shift),
            keys_valid: Default::default(),
            keys_ready: Default::default(),
            keys_data: Wire::unsigned(key_size.beat * bits),
            keys_last: Default::default(),
            key_scales_valid: Default::default(),
            key_scales_ready: Default::default(),
            key_scales_data: Wire::unsigned(lanes * scale),
            key_scales_last: Default::default(),
            values_valid: Default::default(),
            values_ready: Default::default(),
            values_data: Wire::unsigned(value_size.beat * bits),
            values_last: Default::default(),
            value_scales_valid: Default::default(),
            value_scales_ready: Default::default(),
            value_scales_data: vec_of(lanes, || Wire::unsigned(scale)),
            value_scales_last: Default::default(),
            norms_valid: Default::default(),
            norms_ready: Default::default(),
            norms_data: vec_of(scores, || Wire::unsigned(norm)),
            norms_last: Default::default(),
            key_lsbs_valid: Default::default(),
            key_lsbs_ready: Default::default(),
            key_lsbs_data: Wire::unsigned(key_size.beat * bits),
            key_lsbs_last: Default::default(),
            value_lsbs_valid: Default::default(),
            value_lsbs_ready: Default::default(),
            value_lsbs_data: Wire::unsigned(value_size.beat * bits),
            value_lsbs_last: Default::default(),
            verdict_valid: Default::default(),
            verdict_ready: Default::default(),
            verdict_index: Wire::unsigned(index),
            verdict_head: Wire::unsigned(head),
            verdict_flat: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_index: Wire::unsigned(index),
            out_head: Wire::unsigned(head),
            out_outputs: vec_of(HEAD_DIMS[3], || Wire::signed(output)),
            out_saturated: Wire::unsigned(bits_for(HEAD_DIMS[3])),
            out_magnitude: Wire::unsigned(MAGNITUDE_BITS),
            command_valid: Default::default(),
            command_ready: Default::default(),
            command_op: widths(&accumulator.command_op),
            command_heads: Default::default(),
            command_weighted: Default::default(),
            command_mean: Default::default(),
            command_count: widths(&accumulator.command_count),
            command_rows: Wire::unsigned(ROW_BITS),
            command_head_rows: Wire::unsigned(ROW_BITS),
            command_gamma: widths(&accumulator.command_gamma),
            load_valid: Default::default(),
            load_ready: Default::default(),
            load_importance: vec_of(scores, || Wire::unsigned(importance)),
            load_rows: vec_of(scores, || Wire::unsigned(ROW_BITS)),
            head_load_valid: Default::default(),
            head_load_ready: Default::default(),
            head_load_importance: Wire::unsigned(head_importance),
            read_valid: Default::default(),
            read_ready: Default::default(),
            read_importance: vec_of(scores, || Wire::unsigned(importance)),
            read_rows: vec_of(scores, || Wire::unsigned(ROW_BITS)),
            read_count: outs(&accumulator.read_count),
            read_last: Default::default(),
            head_read_valid: Default::default(),
            head_read_ready: Default::default(),
            head_read_importance: Wire::unsigned(head_importance),
            head_read_last: Default::default(),
            done_valid: Default::default(),
            done_ready: Default::default(),
            done_token_saturations: outs(&accumulator.done_token_saturations),
            done_head_saturations: outs(&accumulator.done_head_saturations),
            logit_saturations: Wire::unsigned(saturation_count::BITS),
            busy: Default::default(),
            full_keys: Wire::unsigned(2),
            full_values: Wire::unsigned(2),
            full_norms: Wire::unsigned(2),

            lanes: Param::new(lanes),
            key_parts: Param::new(multipliers / key_part),
            operand_bits: Param::new(bits),
            key_part: Param::new(key_part),
            score_lanes: Param::new(scores),
            select_lanes: Param::new(select),
            row_operands: Param::new(HEAD_DIMS[3]),
            groups: groups.map(Param::new).into(),
            index_bits: Param::new(index),
            head_bits: Param::new(head),
            factor_bits: Param::new(mantissa + shift),
            shift_bits: Param::new(shift),
            keep_bits: Param::new(count),

            row_issue: RowIssue::new(keys, lanes, key_size.words()),
            sum_tags: Fifo::new(index + head + 1, ROWS),
            tags: Fifo::new(index + head + mantissa + shift + count + 3, ROWS),
            key_buffer,
            dot_product: DotProduct::new(config),
            entered: Default::default(),
            saturations: SaturationCount::new(lanes),
            logits: Repack::new(logit, lanes, scores, groups),
            softmax: Softmax::new(config),
            requant: RequantDecision::with_row_bits(config, index + head),
            name_in: Wire::unsigned(index + head),
            factor_in: Wire::unsigned(mantissa + shift),
            sum_tag: Wire::unsigned(index + head + 1),
            tag: Wire::unsigned(index + head + mantissa + shift + count + 3),
            tag_upper: Wire::unsigned(count + 3),
            tag_marker: Default::default(),
            tag_again: Default::default(),
            first: Wire::unsigned(1),
            all: Default::default(),
            kept_open: Default::default(),
            no_row: Default::default(),
            verdicts: Fifo::new(index + head + 1, VERDICTS),
            unused_refetch: Default::default(),
            decides: Default::default(),
            marks: Default::default(),
            keeps: Default::default(),
            routes: Fifo::new(count + 2, ROWS),
            marker_routes: Fifo::new(1, ROWS),
            names: Fifo::new(index + head + mantissa + shift, ROWS),
            route: Wire::unsigned(count + 2),
            norms: Norms::new(increment, scores, keys),
            scores: Repack::new(probability, scores, select, [scores; 4]),
            local_values: LocalValues::new(probability, select, keys, engines(config)),
            value_requests: ValueRequests::new(probability, select, lanes, keys),
            value_buffer: ValueBuffer::of(config),
            multiply_value: MultiplyValue::new(config),
            value_count: Wire::unsigned(bits_for(lanes)),
            output_name: Wire::unsigned(index + head),
            output_factor: Wire::unsigned(mantissa + shift),
            head_rows: Fifo::new(MAGNITUDE_BITS + mantissa + shift + head, HEAD_ROWS),
            head_row: Wire::unsigned(MAGNITUDE_BITS + mantissa + shift + head),
            accumulator,
        }
    }
}

impl Logic for AttentionCore {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, entered);
        clock!(self, clock, row_issue, sum_tags, tags, key_buffer, dot_product, saturations, logits, softmax);
        clock!(self, clock, verdicts, requant, routes, marker_routes, names, norms, scores, local_values);
        clock!(self, clock, value_requests, value_buffer, multiply_value, head_rows, accumulator);
        self.row_issue.reset.next = self.reset.val();
        self.sum_tags.reset.next = self.reset.val();
        self.tags.reset.next = self.reset.val();
        self.key_buffer.reset.next = self.reset.val();
        self.dot_product.reset.next = self.reset.val();
        self.saturations.reset.next = self.reset.val();
        self.logits.reset.next = self.reset.val();
        self.softmax.reset.next = self.reset.val();
        self.requant.reset.next = self.reset.val();
        self.verdicts.reset.next = self.reset.val();
        self.routes.reset.next = self.reset.val();
        self.marker_routes.reset.next = self.reset.val();
        self.names.reset.next = self.reset.val();
        self.norms.reset.next = self.reset.val();
        self.scores.reset.next = self.reset.val();
        self.local_values.reset.next = self.reset.val();
        self.value_requests.reset.next = self.reset.val();
        self.value_buffer.reset.next = self.reset.val();
        self.multiply_value.reset.next = self.reset.val();
        self.head_rows.reset.next = self.reset.val();
        self.accumulator.reset.next = self.reset.val();

        // A pass: requests for its keys, and tags that wait for its sum and for its decision.
        self.row_issue.dim.next = self.dim.val();
        self.row_issue.open.next = self.tags.in_ready.val() & self.sum_tags.in_ready.val();
        self.row_issue.row_valid.next = self.row_valid.val();
        self.row_ready.next = self.row_issue.row_ready.val();
        self.row_issue.row_visible.next = self.row_visible.val();
        self.row_issue.row_release_keys.next = self.row_release_keys.val();
        self.row_issue.row_release_values.next = self.row_release_values.val();
        self.row_issue.row_again_keys.next = self.row_again_keys.val();
        self.row_issue.row_again_values.next = self.row_again_values.val();
        self.no_row.next = self.row_release_values.val() | self.row_again_keys.val() | self.row_again_values.val();
        self.first.next = (!self.row_final.val()).into();
        self.name_in.next = (self.row_head.val() << self.index_bits.val()) | self.row_index.val();
        self.factor_in.next = (self.row_mantissa.val() << self.shift_bits.val()) | self.row_shift.val();
        self.sum_tags.in_valid.next = self.row_issue.taken.val() & !self.no_row.val();
        self.sum_tags.in_data.next = (self.name_in.val() << 1) | self.row_final.val();
        // What marks keys alone has no tag. A marker keeps everything if it is one of values that come again.
        self.tags.in_valid.next = self.row_issue.taken.val()
            & (!self.no_row.val() | self.row_release_values.val() | self.row_again_values.val());
        self.all.next = self.row_visible.val() < (self.row_keep.val() + 1);
        if self.no_row.val() {
            self.all.next = self.row_again_values.val();
        }
        self.tags.in_data.next =
            (((((((((self.first.val() << self.keep_bits.val()) | self.row_keep.val()) << 1) | self.all.val()) << 1)
                | self.no_row.val())
                << self.factor_bits.val())
                | self.factor_in.val())
                << (self.index_bits.val() + self.head_bits.val()))
                | self.name_in.val();

        // Keys.
        self.key_buffer.dim.next = self.dim.val();
        self.key_buffer.scaled.next = self.scaled_keys.val();
        self.key_buffer.write_valid.next = self.keys_valid.val();
        self.keys_ready.next = self.key_buffer.write_ready.val();
        self.key_buffer.write_data.next = self.keys_data.val();
        self.key_buffer.write_last.next = self.keys_last.val();
        self.key_buffer.scale_valid.next = self.key_scales_valid.val();
        self.key_scales_ready.next = self.key_buffer.scale_ready.val();
        self.key_buffer.scale_data.next = self.key_scales_data.val();
        self.key_buffer.scale_last.next = self.key_scales_last.val();
        self.full_keys.next = self.key_buffer.full.val();
        self.key_buffer.read_valid.next = self.row_issue.read_valid.val();
        self.row_issue.read_ready.next = self.key_buffer.read_ready.val();
        self.key_buffer.read_address.next = self.row_issue.read_address.val();
        self.key_buffer.read_count.next = self.row_issue.read_count.val();
        self.key_buffer.read_last.next = self.row_issue.read_last.val();
        self.key_buffer.read_release.next = self.row_issue.read_release.val();
        self.key_buffer.read_marker.next = self.row_issue.read_marker.val();
        self.key_buffer.read_again.next = self.row_issue.read_again.val();
        self.key_buffer.add_valid.next = self.key_lsbs_valid.val();
        self.key_lsbs_ready.next = self.key_buffer.add_ready.val();
        self.key_buffer.add_data.next = self.key_lsbs_data.val();
        self.key_buffer.add_last.next = self.key_lsbs_last.val();

        // Scores.
        self.dot_product.head_dim.next = self.dim.val();
        self.dot_product.query_valid.next = self.query_valid.val();
        self.query_ready.next = self.dot_product.query_ready.val();
        for i in 0..self.row_operands.val() {
            self.dot_product.query_operands[i].next = self.query_operands[i].val();
        }
        self.dot_product.query_mantissa.next = self.query_mantissa.val();
        self.dot_product.query_shift.next = self.query_shift.val();
        self.dot_product.key_valid.next = self.key_buffer.out_valid.val();
        self.key_buffer.out_ready.next = self.dot_product.key_ready.val();
        self.entered.d.next = self.key_buffer.out_valid.val() & self.dot_product.key_ready.val();
        self.busy.next = self.entered.q.val();
        for p in 0..self.key_parts.val() {
            for i in 0..self.key_part.val() {
                self.dot_product.key_operands[p * self.key_part.val() + i].next =
                    self.key_buffer.out_data[p].val() >> (i * self.operand_bits.val());
            }
        }
        for i in 0..self.lanes.val() {
            self.dot_product.key_token_scale[i].next = self.key_buffer.out_scale[i].val();
            self.logits.in_data[i].next = self.dot_product.out_logits[i].val();
            self.saturations.flags[i].next = self.dot_product.out_saturated[i].val();
        }
        self.dot_product.key_count.next = self.key_buffer.out_count.val();
        self.dot_product.key_last.next = self.key_buffer.out_last.val();
        self.logits.dim.next = self.dim.val();
        self.logits.in_valid.next = self.dot_product.out_valid.val();
        self.dot_product.out_ready.next = self.logits.in_ready.val();
        self.logits.in_count.next = self.dot_product.out_count.val();
        self.logits.in_last.next = self.dot_product.out_last.val();
        self.saturations.valid.next = self.dot_product.out_valid.val() & self.logits.in_ready.val();
        self.logit_saturations.next = self.saturations.total.val();
        self.softmax.in_valid.next = self.logits.out_valid.val();
        self.logits.out_ready.next = self.softmax.in_ready.val();
        for i in 0..self.score_lanes.val() {
            self.softmax.in_logits[i].next = self.logits.out_data[i].val();
        }
        self.softmax.in_count.next = self.logits.out_count.val();
        self.softmax.in_last.next = self.logits.out_last.val();

        // Decisions. The tag of a row is there before its sum.
        self.requant.threshold_inverse.next = self.threshold_inverse.val();
        self.sum_tag.next = self.sum_tags.out_data.val();
        self.requant.sum_valid.next = self.softmax.sum_valid.val();
        self.softmax.sum_ready.next = self.requant.sum_ready.val();
        self.requant.sum_sum.next = self.softmax.sum_sum.val();
        self.requant.sum_final.next = self.sum_tag.val().get_bit(0);
        self.requant.sum_row.next = self.sum_tag.val() >> 1;
        self.sum_tags.out_ready.next = self.softmax.sum_valid.val() & self.requant.sum_ready.val();
        // Each first pass has a verdict, in order with the others.
        self.requant.refetch_ready.next = true;
        self.unused_refetch.next = self.requant.refetch_valid.val() & self.requant.refetch_row.val().any();
        self.verdicts.in_valid.next = self.decides.val() & self.tag_upper.val().get_bit(self.keep_bits.val() + 2);
        self.verdicts.in_data.next = (self.tag.val() << 1) | !self.requant.decision_keep.val();
        self.verdict_valid.next = self.verdicts.out_valid.val();
        self.verdicts.out_ready.next = self.verdict_ready.val();
        self.verdict_flat.next = self.verdicts.out_data.val().get_bit(0);
        self.verdict_index.next = self.verdicts.out_data.val() >> 1;
        self.verdict_head.next = self.verdicts.out_data.val() >> (self.index_bits.val() + 1);
        self.tag.next = self.tags.out_data.val();
        self.tag_upper.next = self.tag.val() >> (self.index_bits.val() + self.head_bits.val() + self.factor_bits.val());
        self.tag_marker.next = self.tags.out_valid.val() & self.tag_upper.val().get_bit(0);
        self.kept_open.next = self.routes.in_ready.val()
            & self.marker_routes.in_ready.val()
            & self.names.in_ready.val()
            & self.verdicts.in_ready.val();
        self.tag_again.next = self.tag_marker.val() & self.tag_upper.val().get_bit(1);
        self.marks.next = self.tag_marker.val() & self.kept_open.val();
        self.softmax.decision_valid.next =
            self.requant.decision_valid.val() & !self.tag_marker.val() & self.kept_open.val();
        self.softmax.decision_keep.next = self.requant.decision_keep.val();
        self.requant.decision_ready.next =
            self.softmax.decision_ready.val() & !self.tag_marker.val() & self.kept_open.val();
        self.decides.next = self.requant.decision_valid.val()
            & self.softmax.decision_ready.val()
            & !self.tag_marker.val()
            & self.kept_open.val();
        self.keeps.next = self.decides.val() & self.requant.decision_keep.val();
        self.tags.out_ready.next = self.decides.val() | self.marks.val();
        self.routes.in_valid.next = self.keeps.val() | self.marks.val();
        self.routes.in_data.next = self.tag_upper.val();
        self.marker_routes.in_valid.next = self.keeps.val() | (self.marks.val() & !self.tag_again.val());
        self.marker_routes.in_data.next = self.tag_marker.val().into();
        self.names.in_valid.next = self.keeps.val();
        self.names.in_data.next = self.tag.val();

        // Scores go two ways.
        self.softmax.out_ready.next = self.norms.in_ready.val() & self.scores.in_ready.val();
        self.norms.in_valid.next = self.softmax.out_valid.val() & self.scores.in_ready.val();
        self.scores.in_valid.next = self.softmax.out_valid.val() & self.norms.in_ready.val();
        for i in 0..self.score_lanes.val() {
            self.norms.in_increment[i].next = self.softmax.out_increment[i].val();
            self.scores.in_data[i].next = self.softmax.out_probability[i].val();
        }
        self.norms.in_count.next = self.softmax.out_count.val();
        self.norms.in_last.next = self.softmax.out_last.val();
        self.scores.in_count.next = self.softmax.out_count.val();
        self.scores.in_last.next = self.softmax.out_last.val();
        self.scores.dim.next = 0.into();

        // To the importance of tokens.
        self.norms.weighted.next = self.weighted.val();
        self.norms.write_valid.next = self.norms_valid.val();
        self.norms_ready.next = self.norms.write_ready.val();
        self.norms.write_last.next = self.norms_last.val();
        self.full_norms.next = self.norms.full.val();
        self.norms.mark_valid.next = self.marker_routes.out_valid.val();
        self.norms.mark_head.next = self.marker_routes.out_data.val().any();
        self.marker_routes.out_ready.next = self.norms.mark_done.val();
        self.accumulator.in_valid.next = self.norms.out_valid.val();
        self.norms.out_ready.next = self.accumulator.in_ready.val();
        self.accumulator.in_count.next = self.norms.out_count.val();
        self.accumulator.in_last.next = self.norms.out_last.val();
        for i in 0..self.score_lanes.val() {
            self.norms.write_data[i].next = self.norms_data[i].val();
            self.accumulator.in_increment[i].next = self.norms.out_increment[i].val();
            self.accumulator.in_norm[i].next = self.norms.out_norm[i].val();
            self.accumulator.load_importance[i].next = self.load_importance[i].val();
            self.accumulator.load_rows[i].next = self.load_rows[i].val();
            self.read_importance[i].next = self.accumulator.read_importance[i].val();
            self.read_rows[i].next = self.accumulator.read_rows[i].val();
        }

        // To the values.
        self.route.next = self.routes.out_data.val();
        self.local_values.route_valid.next = self.routes.out_valid.val();
        self.routes.out_ready.next = self.local_values.route_done.val();
        self.local_values.route_marker.next = self.route.val().get_bit(0);
        self.local_values.route_all.next = self.route.val().get_bit(1);
        self.local_values.route_keep.next = self.route.val() >> 2;
        self.local_values.in_valid.next = self.scores.out_valid.val();
        self.scores.out_ready.next = self.local_values.in_ready.val();
        self.local_values.in_count.next = self.scores.out_count.val();
        self.local_values.in_last.next = self.scores.out_last.val();
        self.value_requests.dim.next = self.dim.val();
        self.value_requests.in_valid.next = self.local_values.out_valid.val();
        self.local_values.out_ready.next = self.value_requests.in_ready.val();
        self.value_requests.in_count.next = self.local_values.out_count.val();
        self.value_requests.in_last.next = self.local_values.out_last.val();
        self.value_requests.in_marker.next = self.local_values.out_marker.val();
        self.value_requests.in_again.next = self.local_values.out_again.val();
        for i in 0..self.select_lanes.val() {
            self.local_values.in_scores[i].next = self.scores.out_data[i].val();
            self.value_requests.in_index[i].next = self.local_values.out_index[i].val();
            self.value_requests.in_score[i].next = self.local_values.out_score[i].val();
        }
        self.value_buffer.dim.next = self.dim.val();
        self.value_buffer.scaled.next = self.scaled_values.val();
        self.value_buffer.write_valid.next = self.values_valid.val();
        self.values_ready.next = self.value_buffer.write_ready.val();
        self.value_buffer.write_data.next = self.values_data.val();
        self.value_buffer.write_last.next = self.values_last.val();
        self.value_buffer.scale_valid.next = self.value_scales_valid.val();
        self.value_scales_ready.next = self.value_buffer.scale_ready.val();
        self.value_buffer.scale_last.next = self.value_scales_last.val();
        self.full_values.next = self.value_buffer.full.val();
        self.value_buffer.read_valid.next = self.value_requests.read_valid.val();
        self.value_requests.read_ready.next = self.value_buffer.read_ready.val();
        self.value_buffer.read_count.next = self.value_requests.read_count.val();
        self.value_buffer.read_last.next = self.value_requests.read_last.val();
        self.value_buffer.read_release.next = self.value_requests.read_release.val();
        self.value_buffer.read_again.next = self.value_requests.read_again.val();
        self.value_buffer.add_valid.next = self.value_lsbs_valid.val();
        self.value_lsbs_ready.next = self.value_buffer.add_ready.val();
        self.value_buffer.add_data.next = self.value_lsbs_data.val();
        self.value_buffer.add_last.next = self.value_lsbs_last.val();
        // Places without a row have weight 0.
        self.value_count.next = 0.into();
        for d in 0..4 {
            if self.dim.val() == d {
                self.value_count.next = self.groups[d].val().into();
            }
        }
        self.multiply_value.head_dim.next = self.dim.val();
        self.multiply_value.in_valid.next = self.value_buffer.out_valid.val();
        self.value_buffer.out_ready.next = self.multiply_value.in_ready.val();
        self.multiply_value.in_count.next = self.value_count.val();
        self.multiply_value.in_last.next = self.value_buffer.out_last.val();
        for i in 0..self.lanes.val() {
            self.value_buffer.scale_data[i].next = self.value_scales_data[i].val();
            self.value_buffer.read_row[i].next = self.value_requests.read_row[i].val();
            self.value_buffer.read_weight[i].next = self.value_requests.read_weight[i].val();
            self.multiply_value.in_probability[i].next = self.value_buffer.out_weight[i].val();
            self.multiply_value.in_token_scale[i].next = self.value_buffer.out_scale[i].val();
            for j in 0..16 {
                self.multiply_value.in_values[16 * i + j].next =
                    self.value_buffer.out_data[i].val() >> (j * self.operand_bits.val());
            }
        }

        // Outputs, and their magnitudes to the importance of heads.
        self.output_name.next = self.names.out_data.val();
        self.output_factor.next = self.names.out_data.val() >> (self.index_bits.val() + self.head_bits.val());
        self.out_valid.next = self.multiply_value.out_valid.val() & self.head_rows.in_ready.val();
        self.multiply_value.out_ready.next = self.out_ready.val() & self.head_rows.in_ready.val();
        self.names.out_ready.next =
            self.multiply_value.out_valid.val() & self.out_ready.val() & self.head_rows.in_ready.val();
        self.head_rows.in_valid.next = self.multiply_value.out_valid.val() & self.out_ready.val();
        self.head_rows.in_data.next = (((self.output_factor.val() << self.head_bits.val())
            | (self.output_name.val() >> self.index_bits.val()))
            << 23)
            | self.multiply_value.out_magnitude.val();
        self.out_index.next = self.output_name.val();
        self.out_head.next = self.output_name.val() >> self.index_bits.val();
        for i in 0..self.row_operands.val() {
            self.out_outputs[i].next = self.multiply_value.out_outputs[i].val();
        }
        self.out_saturated.next = self.multiply_value.out_saturated.val();
        self.out_magnitude.next = self.multiply_value.out_magnitude.val();
        self.head_row.next = self.head_rows.out_data.val();
        self.accumulator.head_valid.next = self.head_rows.out_valid.val();
        self.head_rows.out_ready.next = self.accumulator.head_ready.val();
        self.accumulator.head_magnitude.next = self.head_row.val() & 0x7f_ffff;
        self.accumulator.head_head.next = self.head_row.val() >> 23;
        self.accumulator.head_shift.next = self.head_row.val() >> (self.head_bits.val() + 23);
        self.accumulator.head_mantissa.next =
            self.head_row.val() >> (self.head_bits.val() + self.shift_bits.val() + 23);

        // What is the accumulator's own.
        self.accumulator.command_valid.next = self.command_valid.val();
        self.command_ready.next = self.accumulator.command_ready.val();
        self.accumulator.command_op.next = self.command_op.val();
        self.accumulator.command_heads.next = self.command_heads.val();
        self.accumulator.command_weighted.next = self.command_weighted.val();
        self.accumulator.command_mean.next = self.command_mean.val();
        self.accumulator.command_count.next = self.command_count.val();
        self.accumulator.command_rows.next = self.command_rows.val();
        self.accumulator.command_head_rows.next = self.command_head_rows.val();
        self.accumulator.command_gamma.next = self.command_gamma.val();
        self.accumulator.load_valid.next = self.load_valid.val();
        self.load_ready.next = self.accumulator.load_ready.val();
        self.accumulator.head_load_valid.next = self.head_load_valid.val();
        self.head_load_ready.next = self.accumulator.head_load_ready.val();
        self.accumulator.head_load_importance.next = self.head_load_importance.val();
        self.read_valid.next = self.accumulator.read_valid.val();
        self.accumulator.read_ready.next = self.read_ready.val();
        self.read_count.next = self.accumulator.read_count.val();
        self.read_last.next = self.accumulator.read_last.val();
        self.head_read_valid.next = self.accumulator.head_read_valid.val();
        self.accumulator.head_read_ready.next = self.head_read_ready.val();
        self.head_read_importance.next = self.accumulator.head_read_importance.val();
        self.head_read_last.next = self.accumulator.head_read_last.val();
        self.done_valid.next = self.accumulator.done_valid.val();
        self.accumulator.done_ready.next = self.done_ready.val();
        self.done_token_saturations.next = self.accumulator.done_token_saturations.val();
        self.done_head_saturations.next = self.accumulator.done_head_saturations.val();
    }
}
