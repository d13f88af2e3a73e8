//! Layers from memory to memory: all that computes, behind one stream of layers. Siblings: `sim`, `tests/layer_engine.rs`.
//! Paper: SpAtten section IV-A, Fig. 8.
//! Why: the blocks stop each other only where one of them is full, so nobody has to know how long anything takes.
//! Differs from the paper: see the parts.
//!
//! ```text
//!                  +-- fetch, token --> [fetch_path] --> [operand_router] --+
//!  layer, lists -> [layer_sequencer] -- query_job ------------^             v
//!   refetched <----+-- row, accumulate ------------------------------> [attention_core] --> importance
//!                  +-- plane -> [planes] --------> [write_back] <--- out ---+   |
//!                  +<-- verdict ------------------------------------------------+
//! ```

use crate::attention_core::AttentionCore;
use crate::fetch_path::FetchPath;
use crate::hdl::*;
use crate::layer_sequencer::{BASES, LayerSequencer};
use crate::leaf::{Ram, ReadPort};
use crate::operand_router::OperandRouter;
use crate::write_back::WriteBack;
use spatten_arch::ArchConfig;
use spatten_arch::config::{HEAD_DIMS, MAX_HEADS};
use spatten_arch::layout::ADDRESS_BITS;

/// Runs layers: fetches queries, keys and values, attends, refetches, accumulates importance, writes outputs.
///
/// | stream | as in |
/// | --- | --- |
/// | `key_list`, `query_list`, `layer`, `factor`, `refetched` | `layer_sequencer`, and `flat_rows` |
/// | `request`, `response` | `fetch_path` |
/// | `command`, `load`, `head_load`, `read`, `head_read`, `done` | `importance_accumulator`; a layer's own command to accumulate goes first, and is among those that are `done` |
/// | `word`, `write`, `acknowledge` | `write_back` |
/// | `flush`, `written` | `flush` and `done` of `write_back` |
///
/// Row i of a head's outputs is that of the i-th query of the list; rows that are computed again come behind those of all heads
/// that share their keys, so each row's plane is looked up when it comes. A layer is taken when the one before is done: its command is,
/// and with it all its outputs are with `write_back`.
///
/// # Timing   that of its parts
#[derive(LogicBlock)]
pub struct LayerEngine {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; forgets everything but importance. No response or acknowledgement may come for a request from before.
    pub reset: Signal<In, Bit>,
    /// Keys are offered.
    pub key_list_valid: Signal<In, Bit>,
    /// They would be taken.
    pub key_list_ready: Signal<Out, Bit>,
    /// The tokens.
    pub key_list_index: Vec<Wire<In>>,
    /// How many; fewer than lanes only in the last beat.
    pub key_list_count: Wire<In>,
    /// The list ends.
    pub key_list_last: Signal<In, Bit>,
    /// Query rows are offered.
    pub query_list_valid: Signal<In, Bit>,
    /// They would be taken.
    pub query_list_ready: Signal<Out, Bit>,
    /// The tokens.
    pub query_list_index: Vec<Wire<In>>,
    /// How many; fewer than lanes only in the last beat.
    pub query_list_count: Wire<In>,
    /// The list ends.
    pub query_list_last: Signal<In, Bit>,
    /// A layer is offered.
    pub layer_valid: Signal<In, Bit>,
    /// It would be taken.
    pub layer_ready: Signal<Out, Bit>,
    /// A list of keys belongs to it.
    pub layer_new_keys: Signal<In, Bit>,
    /// A list of queries does.
    pub layer_new_queries: Signal<In, Bit>,
    /// log2(head dimension) - 4.
    pub layer_dim: Wire<In>,
    /// Query heads.
    pub layer_heads: Wire<In>,
    /// Query heads that share keys and values.
    pub layer_group: Wire<In>,
    /// Bit i: head i is computed.
    pub layer_mask: Wire<In>,
    /// A row sees the keys up to its own token.
    pub layer_causal: Signal<In, Bit>,
    /// Token of query row 0.
    pub layer_first_row: Wire<In>,
    /// Queries, keys and values have scales.
    pub layer_scaled: Signal<In, Bit>,
    /// Values have norms.
    pub layer_weighted: Signal<In, Bit>,
    /// Share of the visible keys whose values are kept.
    pub layer_share: Wire<In>,
    /// Flat rows are computed again.
    pub layer_progressive: Signal<In, Bit>,
    /// Rows whose sum exceeds this are flat.
    pub layer_threshold_inverse: Wire<In>,
    /// `arch::descriptor::Split`.
    pub layer_split: Wire<In>,
    /// Bits of an element of K, V and Q, or of its MSBs.
    pub layer_bits: Vec<Wire<In>>,
    /// Bits of its LSBs.
    pub layer_lsb_bits: Vec<Wire<In>>,
    /// Words at which head 0 begins.
    pub layer_base: Vec<Wire<In>>,
    /// Words to the next head.
    pub layer_stride: Vec<Wire<In>>,
    /// Factors of a head are offered.
    pub factor_valid: Signal<In, Bit>,
    /// They would be taken.
    pub factor_ready: Signal<Out, Bit>,
    /// From products to logits.
    pub factor_logit: Wire<In>,
    /// From outputs to head importance.
    pub factor_importance: Wire<In>,
    /// A first pass is decided.
    pub refetched_valid: Signal<Out, Bit>,
    /// That is taken.
    pub refetched_ready: Signal<In, Bit>,
    /// Its row: place in the list.
    pub refetched_index: Wire<Out>,
    /// Its head.
    pub refetched_head: Wire<Out>,
    /// The row is computed again.
    pub refetched_flat: Signal<Out, Bit>,
    /// The layer's last one.
    pub refetched_last: Signal<Out, Bit>,
    /// Rows of the layer that are computed again, so far.
    pub flat_rows: Wire<Out>,
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
    pub written_valid: Signal<Out, Bit>,
    /// That is taken.
    pub written_ready: Signal<In, Bit>,
    /// Channels on which a write failed.
    pub written_error: Vec<Signal<Out, Bit>>,
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
    /// Logits that did not fit, so far.
    pub logit_saturations: Wire<Out>,
    /// In the last cycle a word of keys entered the multipliers.
    pub busy: Signal<Out, Bit>,
    lanes: Param,
    score_lanes: Param,
    row_operands: Param,
    value_lanes: Param,
    bases: Param,
    sequencer: LayerSequencer,
    fetch_path: FetchPath,
    router: OperandRouter,
    core: AttentionCore,
    write_back: WriteBack,
    /// Where outputs of each head go, and that it is known of the row on offer.
    planes: Ram,
    plane_known: Dff<Bit>,
    plane_goes: Signal<Local, Bit>,
    row_goes: Signal<Local, Bit>,
    /// There is a layer; its command is with `importance_accumulator`.
    layer_there: Dff<Bit>,
    accumulating: Dff<Bit>,
    begins: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
}

impl LayerEngine {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let sequencer = LayerSequencer::new(config);
        let fetch_path = FetchPath::new(config);
        let core = AttentionCore::new(config);
        let write_back = WriteBack::new(config);
        Self {
            name: ModuleName::new("layer_engine"),
            unused: Waiver::new("UNUSEDSIGNAL", "What buffers hold is for who watches them."),
            clock: Default::default(),
            reset: Default::default(),
            key_list_valid: Default::default(),
            key_list_ready: Default::default(),
            key_list_index: vec_of(sequencer.key_list_index.len(), || {
                Wire::unsigned(sequencer.key_list_index[0].width())
            }),
            key_list_count: Wire::unsigned(sequencer.key_list_count.width()),
            key_list_last: Default::default(),
            query_list_valid: Default::default(),
            query_list_ready: Default::default(),
            query_list_index: vec_of(sequencer.query_list_index.len(), || {
                Wire::unsigned(sequencer.query_list_index[0].width())
            }),
            query_list_count: Wire::unsigned(sequencer.query_list_count.width()),
            query_list_last: Default::default(),
            layer_valid: Default::default(),
            layer_ready: Default::default(),
            layer_new_keys: Default::default(),
            layer_new_queries: Default::default(),
            layer_dim: Wire::unsigned(sequencer.layer_dim.width()),
            layer_heads: Wire::unsigned(sequencer.layer_heads.width()),
            layer_group: Wire::unsigned(sequencer.layer_group.width()),
            layer_mask: Wire::unsigned(sequencer.layer_mask.width()),
            layer_causal: Default::default(),
            layer_first_row: Wire::unsigned(sequencer.layer_first_row.width()),
            layer_scaled: Default::default(),
            layer_weighted: Default::default(),
            layer_share: Wire::unsigned(sequencer.layer_share.width()),
            layer_progressive: Default::default(),
            layer_threshold_inverse: Wire::unsigned(sequencer.layer_threshold_inverse.width()),
            layer_split: Wire::unsigned(sequencer.layer_split.width()),
            layer_bits: vec_of(sequencer.layer_bits.len(), || Wire::unsigned(sequencer.layer_bits[0].width())),
            layer_lsb_bits: vec_of(sequencer.layer_lsb_bits.len(), || {
                Wire::unsigned(sequencer.layer_lsb_bits[0].width())
            }),
            layer_base: vec_of(sequencer.layer_base.len(), || Wire::unsigned(sequencer.layer_base[0].width())),
            layer_stride: vec_of(sequencer.layer_stride.len(), || Wire::unsigned(sequencer.layer_stride[0].width())),
            factor_valid: Default::default(),
            factor_ready: Default::default(),
            factor_logit: Wire::unsigned(sequencer.factor_logit.width()),
            factor_importance: Wire::unsigned(sequencer.factor_importance.width()),
            refetched_valid: Default::default(),
            refetched_ready: Default::default(),
            refetched_index: Wire::unsigned(sequencer.refetched_index.width()),
            refetched_head: Wire::unsigned(sequencer.refetched_head.width()),
            refetched_flat: Default::default(),
            refetched_last: Default::default(),
            flat_rows: Wire::unsigned(sequencer.flat_rows.width()),
            request_valid: vec_of(fetch_path.request_valid.len(), Default::default),
            request_ready: vec_of(fetch_path.request_ready.len(), Default::default),
            request_address: vec_of(fetch_path.request_address.len(), || {
                Wire::unsigned(fetch_path.request_address[0].width())
            }),
            request_id: vec_of(fetch_path.request_id.len(), || Wire::unsigned(fetch_path.request_id[0].width())),
            response_valid: vec_of(fetch_path.response_valid.len(), Default::default),
            response_ready: vec_of(fetch_path.response_ready.len(), Default::default),
            response_id: vec_of(fetch_path.response_id.len(), || Wire::unsigned(fetch_path.response_id[0].width())),
            response_data: vec_of(fetch_path.response_data.len(), || {
                Wire::unsigned(fetch_path.response_data[0].width())
            }),
            command_valid: Default::default(),
            command_ready: Default::default(),
            command_op: Wire::unsigned(core.command_op.width()),
            command_heads: Default::default(),
            command_weighted: Default::default(),
            command_mean: Default::default(),
            command_count: Wire::unsigned(core.command_count.width()),
            command_rows: Wire::unsigned(core.command_rows.width()),
            command_head_rows: Wire::unsigned(core.command_head_rows.width()),
            command_gamma: Wire::unsigned(core.command_gamma.width()),
            load_valid: Default::default(),
            load_ready: Default::default(),
            load_importance: vec_of(core.load_importance.len(), || Wire::unsigned(core.load_importance[0].width())),
            load_rows: vec_of(core.load_rows.len(), || Wire::unsigned(core.load_rows[0].width())),
            head_load_valid: Default::default(),
            head_load_ready: Default::default(),
            head_load_importance: Wire::unsigned(core.head_load_importance.width()),
            read_valid: Default::default(),
            read_ready: Default::default(),
            read_importance: vec_of(core.read_importance.len(), || Wire::unsigned(core.read_importance[0].width())),
            read_rows: vec_of(core.read_rows.len(), || Wire::unsigned(core.read_rows[0].width())),
            read_count: Wire::unsigned(core.read_count.width()),
            read_last: Default::default(),
            head_read_valid: Default::default(),
            head_read_ready: Default::default(),
            head_read_importance: Wire::unsigned(core.head_read_importance.width()),
            head_read_last: Default::default(),
            done_valid: Default::default(),
            done_ready: Default::default(),
            done_token_saturations: Wire::unsigned(core.done_token_saturations.width()),
            done_head_saturations: Wire::unsigned(core.done_head_saturations.width()),
            word_valid: Default::default(),
            word_ready: Default::default(),
            word_channel: Wire::unsigned(write_back.word_channel.width()),
            word_address: Wire::unsigned(write_back.word_address.width()),
            word_data: Wire::unsigned(write_back.word_data.width()),
            word_strobe: Wire::unsigned(write_back.word_strobe.width()),
            flush_valid: Default::default(),
            flush_ready: Default::default(),
            written_valid: Default::default(),
            written_ready: Default::default(),
            written_error: vec_of(write_back.done_error.len(), Default::default),
            write_valid: vec_of(write_back.write_valid.len(), Default::default),
            write_ready: vec_of(write_back.write_ready.len(), Default::default),
            write_address: vec_of(write_back.write_address.len(), || {
                Wire::unsigned(write_back.write_address[0].width())
            }),
            write_data: vec_of(write_back.write_data.len(), || Wire::unsigned(write_back.write_data[0].width())),
            write_strobe: vec_of(write_back.write_strobe.len(), || Wire::unsigned(write_back.write_strobe[0].width())),
            acknowledge_valid: vec_of(write_back.acknowledge_valid.len(), Default::default),
            acknowledge_error: vec_of(write_back.acknowledge_error.len(), Default::default),
            logit_saturations: Wire::unsigned(core.logit_saturations.width()),
            busy: Default::default(),
            lanes: Param::new(config.channels),
            score_lanes: Param::new(config.softmax_lanes),
            row_operands: Param::new(HEAD_DIMS[HEAD_DIMS.len() - 1]),
            value_lanes: Param::new(config.multipliers / HEAD_DIMS[0]),
            bases: Param::new(BASES),
            sequencer,
            fetch_path,
            router: OperandRouter::new(config),
            core,
            write_back,
            planes: Ram::new(ADDRESS_BITS, MAX_HEADS, ReadPort::Direct),
            plane_known: Default::default(),
            plane_goes: Default::default(),
            row_goes: Default::default(),
            layer_there: Default::default(),
            accumulating: Default::default(),
            begins: Default::default(),
            ends: Default::default(),
        }
    }
}

impl Logic for LayerEngine {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, layer_there, accumulating, plane_known);
        clock!(self, clock, sequencer, fetch_path, router, core, write_back, planes);
        self.sequencer.reset.next = self.reset.val();
        self.fetch_path.reset.next = self.reset.val();
        self.router.reset.next = self.reset.val();
        self.core.reset.next = self.reset.val();
        self.write_back.reset.next = self.reset.val();

        // The outside.
        self.sequencer.key_list_valid.next = self.key_list_valid.val();
        self.key_list_ready.next = self.sequencer.key_list_ready.val();
        self.sequencer.key_list_count.next = self.key_list_count.val();
        self.sequencer.key_list_last.next = self.key_list_last.val();
        self.sequencer.query_list_valid.next = self.query_list_valid.val();
        self.query_list_ready.next = self.sequencer.query_list_ready.val();
        self.sequencer.query_list_count.next = self.query_list_count.val();
        self.sequencer.query_list_last.next = self.query_list_last.val();
        self.sequencer.layer_valid.next = self.layer_valid.val() & !self.layer_there.q.val();
        self.layer_ready.next = self.sequencer.layer_ready.val() & !self.layer_there.q.val();
        self.sequencer.layer_new_keys.next = self.layer_new_keys.val();
        self.sequencer.layer_new_queries.next = self.layer_new_queries.val();
        self.sequencer.layer_dim.next = self.layer_dim.val();
        self.sequencer.layer_heads.next = self.layer_heads.val();
        self.sequencer.layer_group.next = self.layer_group.val();
        self.sequencer.layer_mask.next = self.layer_mask.val();
        self.sequencer.layer_causal.next = self.layer_causal.val();
        self.sequencer.layer_first_row.next = self.layer_first_row.val();
        self.sequencer.layer_scaled.next = self.layer_scaled.val();
        self.sequencer.layer_weighted.next = self.layer_weighted.val();
        self.sequencer.layer_share.next = self.layer_share.val();
        self.sequencer.layer_progressive.next = self.layer_progressive.val();
        self.sequencer.layer_threshold_inverse.next = self.layer_threshold_inverse.val();
        self.sequencer.layer_split.next = self.layer_split.val();
        self.refetched_valid.next = self.sequencer.refetched_valid.val();
        self.sequencer.refetched_ready.next = self.refetched_ready.val();
        self.refetched_index.next = self.sequencer.refetched_index.val();
        self.refetched_head.next = self.sequencer.refetched_head.val();
        self.refetched_flat.next = self.sequencer.refetched_flat.val();
        self.refetched_last.next = self.sequencer.refetched_last.val();
        self.flat_rows.next = self.sequencer.flat_rows.val();
        self.sequencer.factor_valid.next = self.factor_valid.val();
        self.factor_ready.next = self.sequencer.factor_ready.val();
        self.sequencer.factor_logit.next = self.factor_logit.val();
        self.sequencer.factor_importance.next = self.factor_importance.val();
        self.core.load_valid.next = self.load_valid.val();
        self.load_ready.next = self.core.load_ready.val();
        self.core.head_load_valid.next = self.head_load_valid.val();
        self.head_load_ready.next = self.core.head_load_ready.val();
        self.core.head_load_importance.next = self.head_load_importance.val();
        self.head_read_valid.next = self.core.head_read_valid.val();
        self.core.head_read_ready.next = self.head_read_ready.val();
        self.head_read_importance.next = self.core.head_read_importance.val();
        self.head_read_last.next = self.core.head_read_last.val();
        self.read_valid.next = self.core.read_valid.val();
        self.core.read_ready.next = self.read_ready.val();
        self.read_count.next = self.core.read_count.val();
        self.read_last.next = self.core.read_last.val();
        self.done_valid.next = self.core.done_valid.val();
        self.core.done_ready.next = self.done_ready.val();
        self.done_token_saturations.next = self.core.done_token_saturations.val();
        self.done_head_saturations.next = self.core.done_head_saturations.val();
        self.write_back.word_valid.next = self.word_valid.val();
        self.word_ready.next = self.write_back.word_ready.val();
        self.write_back.word_channel.next = self.word_channel.val();
        self.write_back.word_address.next = self.word_address.val();
        self.write_back.word_data.next = self.word_data.val();
        self.write_back.word_strobe.next = self.word_strobe.val();
        self.write_back.flush_valid.next = self.flush_valid.val();
        self.flush_ready.next = self.write_back.flush_ready.val();
        self.written_valid.next = self.write_back.done_valid.val();
        self.write_back.done_ready.next = self.written_ready.val();
        for i in 0..self.lanes.val() {
            self.sequencer.key_list_index[i].next = self.key_list_index[i].val();
            self.sequencer.query_list_index[i].next = self.query_list_index[i].val();
            self.request_valid[i].next = self.fetch_path.request_valid[i].val();
            self.fetch_path.request_ready[i].next = self.request_ready[i].val();
            self.request_address[i].next = self.fetch_path.request_address[i].val();
            self.request_id[i].next = self.fetch_path.request_id[i].val();
            self.fetch_path.response_valid[i].next = self.response_valid[i].val();
            self.response_ready[i].next = self.fetch_path.response_ready[i].val();
            self.fetch_path.response_id[i].next = self.response_id[i].val();
            self.fetch_path.response_data[i].next = self.response_data[i].val();
            self.written_error[i].next = self.write_back.done_error[i].val();
            self.write_valid[i].next = self.write_back.write_valid[i].val();
            self.write_back.write_ready[i].next = self.write_ready[i].val();
            self.write_address[i].next = self.write_back.write_address[i].val();
            self.write_data[i].next = self.write_back.write_data[i].val();
            self.write_strobe[i].next = self.write_back.write_strobe[i].val();
            self.write_back.acknowledge_valid[i].next = self.acknowledge_valid[i].val();
            self.write_back.acknowledge_error[i].next = self.acknowledge_error[i].val();
            self.fetch_path.token_index[i].next = self.sequencer.token_index[i].val();
        }
        for i in 0..self.bases.val() {
            self.sequencer.layer_base[i].next = self.layer_base[i].val();
            self.sequencer.layer_stride[i].next = self.layer_stride[i].val();
        }
        for i in 0..3 {
            self.sequencer.layer_bits[i].next = self.layer_bits[i].val();
            self.sequencer.layer_lsb_bits[i].next = self.layer_lsb_bits[i].val();
        }
        for i in 0..self.score_lanes.val() {
            self.core.load_importance[i].next = self.load_importance[i].val();
            self.core.load_rows[i].next = self.load_rows[i].val();
            self.read_importance[i].next = self.core.read_importance[i].val();
            self.read_rows[i].next = self.core.read_rows[i].val();
            self.core.norms_data[i].next = self.router.norms_data[i].val();
        }

        // What is fetched.
        self.fetch_path.job_valid.next = self.sequencer.fetch_valid.val();
        self.sequencer.fetch_ready.next = self.fetch_path.job_ready.val();
        self.fetch_path.job_base.next = self.sequencer.fetch_base.val();
        self.fetch_path.job_dim.next = self.sequencer.fetch_dim.val();
        self.fetch_path.job_bits.next = self.sequencer.fetch_bits.val();
        self.fetch_path.job_above.next = self.sequencer.fetch_above.val();
        self.fetch_path.job_reading.next = self.sequencer.fetch_reading.val();
        self.fetch_path.job_tag.next = self.sequencer.fetch_tag.val();
        self.fetch_path.token_valid.next = self.sequencer.token_valid.val();
        self.sequencer.token_ready.next = self.fetch_path.token_ready.val();
        self.fetch_path.token_count.next = self.sequencer.token_count.val();
        self.fetch_path.token_last.next = self.sequencer.token_last.val();
        self.router.dim.next = self.sequencer.dim.val();
        self.router.scaled_queries.next = self.sequencer.scaled.val();
        self.router.in_valid.next = self.fetch_path.out_valid.val();
        self.fetch_path.out_ready.next = self.router.in_ready.val();
        self.router.in_data.next = self.fetch_path.out_data.val();
        self.router.in_tag.next = self.fetch_path.out_tag.val();
        self.router.in_last.next = self.fetch_path.out_last.val();
        self.router.query_job_valid.next = self.sequencer.query_job_valid.val();
        self.sequencer.query_job_ready.next = self.router.query_job_ready.val();
        self.router.query_job_lsbs.next = self.sequencer.query_job_lsbs.val();
        self.router.query_job_keep.next = self.sequencer.query_job_keep.val();
        self.router.query_job_again.next = self.sequencer.query_job_again.val();
        self.router.query_job_drop.next = self.sequencer.query_job_drop.val();
        self.router.query_job_rows.next = self.sequencer.query_job_rows.val();
        self.router.query_job_mantissa.next = self.sequencer.query_job_mantissa.val();
        self.router.query_job_shift.next = self.sequencer.query_job_shift.val();

        // What is computed.
        self.core.dim.next = self.sequencer.dim.val();
        self.core.scaled_keys.next = self.sequencer.scaled.val();
        self.core.scaled_values.next = self.sequencer.scaled.val();
        self.core.weighted.next = self.sequencer.weighted.val();
        self.core.threshold_inverse.next = self.sequencer.threshold_inverse.val();
        self.core.keys_valid.next = self.router.keys_valid.val();
        self.router.keys_ready.next = self.core.keys_ready.val();
        self.core.keys_data.next = self.router.keys_data.val();
        self.core.keys_last.next = self.router.keys_last.val();
        self.core.key_lsbs_valid.next = self.router.key_lsbs_valid.val();
        self.router.key_lsbs_ready.next = self.core.key_lsbs_ready.val();
        self.core.key_lsbs_data.next = self.router.key_lsbs_data.val();
        self.core.key_lsbs_last.next = self.router.key_lsbs_last.val();
        self.core.value_lsbs_valid.next = self.router.value_lsbs_valid.val();
        self.router.value_lsbs_ready.next = self.core.value_lsbs_ready.val();
        self.core.value_lsbs_data.next = self.router.value_lsbs_data.val();
        self.core.value_lsbs_last.next = self.router.value_lsbs_last.val();
        self.core.key_scales_valid.next = self.router.key_scales_valid.val();
        self.router.key_scales_ready.next = self.core.key_scales_ready.val();
        self.core.key_scales_data.next = self.router.key_scales_data.val();
        self.core.key_scales_last.next = self.router.key_scales_last.val();
        self.core.values_valid.next = self.router.values_valid.val();
        self.router.values_ready.next = self.core.values_ready.val();
        self.core.values_data.next = self.router.values_data.val();
        self.core.values_last.next = self.router.values_last.val();
        self.core.value_scales_valid.next = self.router.value_scales_valid.val();
        self.router.value_scales_ready.next = self.core.value_scales_ready.val();
        self.core.value_scales_last.next = self.router.value_scales_last.val();
        for i in 0..self.value_lanes.val() {
            self.core.value_scales_data[i].next = self.router.value_scales_data[i].val();
        }
        self.core.norms_valid.next = self.router.norms_valid.val();
        self.router.norms_ready.next = self.core.norms_ready.val();
        self.core.norms_last.next = self.router.norms_last.val();
        self.core.query_valid.next = self.router.query_valid.val();
        self.router.query_ready.next = self.core.query_ready.val();
        self.core.query_mantissa.next = self.router.query_mantissa.val();
        self.core.query_shift.next = self.router.query_shift.val();
        self.core.row_valid.next = self.sequencer.row_valid.val();
        self.sequencer.row_ready.next = self.core.row_ready.val();
        self.core.row_visible.next = self.sequencer.row_visible.val();
        self.core.row_keep.next = self.sequencer.row_keep.val();
        self.core.row_index.next = self.sequencer.row_index.val();
        self.core.row_head.next = self.sequencer.row_head.val();
        self.core.row_mantissa.next = self.sequencer.row_mantissa.val();
        self.core.row_shift.next = self.sequencer.row_shift.val();
        self.core.row_final.next = self.sequencer.row_final.val();
        self.core.row_release_keys.next = self.sequencer.row_release_keys.val();
        self.core.row_release_values.next = self.sequencer.row_release_values.val();
        self.core.row_again_keys.next = self.sequencer.row_again_keys.val();
        self.core.row_again_values.next = self.sequencer.row_again_values.val();
        self.sequencer.verdict_valid.next = self.core.verdict_valid.val();
        self.core.verdict_ready.next = self.sequencer.verdict_ready.val();
        self.sequencer.verdict_index.next = self.core.verdict_index.val();
        self.sequencer.verdict_head.next = self.core.verdict_head.val();
        self.sequencer.verdict_flat.next = self.core.verdict_flat.val();
        self.busy.next = self.core.busy.val();
        self.logit_saturations.next = self.core.logit_saturations.val();

        // Importance: a layer's rows need their command, so it comes before any other.
        self.core.command_valid.next = self.sequencer.accumulate_valid.val() | self.command_valid.val();
        self.sequencer.accumulate_ready.next = self.core.command_ready.val();
        self.command_ready.next = self.core.command_ready.val() & !self.sequencer.accumulate_valid.val();
        self.core.command_op.next = self.command_op.val();
        self.core.command_heads.next = self.command_heads.val();
        self.core.command_weighted.next = self.command_weighted.val();
        self.core.command_mean.next = self.command_mean.val();
        self.core.command_count.next = self.command_count.val();
        self.core.command_rows.next = self.command_rows.val();
        self.core.command_head_rows.next = self.command_head_rows.val();
        self.core.command_gamma.next = self.command_gamma.val();
        if self.sequencer.accumulate_valid.val() {
            self.core.command_op.next = 0.into();
            self.core.command_weighted.next = self.sequencer.weighted.val();
            self.core.command_rows.next = self.sequencer.accumulate_rows.val();
            self.core.command_head_rows.next = self.sequencer.accumulate_rows.val();
        }

        // Outputs. Where a row goes is told first, as a job of that row alone.
        self.sequencer.plane_ready.next = true;
        self.planes.write_enable.next = self.sequencer.plane_valid.val();
        self.planes.write_address.next = self.sequencer.plane_head.val();
        self.planes.write_data.next = self.sequencer.plane_base.val();
        self.planes.read_address.next = self.core.out_head.val();
        self.plane_goes.next = self.core.out_valid.val() & !self.plane_known.q.val();
        self.row_goes.next = self.core.out_valid.val() & self.plane_known.q.val();
        self.write_back.job_valid.next = self.plane_goes.val();
        self.write_back.job_base.next = self.planes.read_data.val();
        self.write_back.job_dim.next = self.sequencer.dim.val();
        self.write_back.row_valid.next = self.row_goes.val();
        self.core.out_ready.next = self.plane_known.q.val() & self.write_back.row_ready.val();
        self.write_back.row_number.next = self.core.out_index.val();
        self.write_back.row_last.next = true;
        if self.plane_goes.val() & self.write_back.job_ready.val() {
            self.plane_known.d.next = true;
        }
        if self.row_goes.val() & self.write_back.row_ready.val() {
            self.plane_known.d.next = false;
        }
        for i in 0..self.row_operands.val() {
            self.core.query_operands[i].next = self.router.query_operands[i].val();
            self.write_back.row_outputs[i].next = self.core.out_outputs[i].val();
        }
        // The next layer may be of another kind: it waits for everything.
        self.begins.next = self.layer_valid.val() & self.sequencer.layer_ready.val() & !self.layer_there.q.val();
        self.ends.next = self.accumulating.q.val() & self.core.done_valid.val() & self.done_ready.val();
        if self.ends.val() {
            self.layer_there.d.next = false;
            self.accumulating.d.next = false;
        }
        if self.sequencer.accumulate_valid.val() & self.core.command_ready.val() {
            self.accumulating.d.next = true;
        }
        if self.begins.val() {
            self.layer_there.d.next = true;
        }
        if self.reset.val() {
            self.plane_known.d.next = false;
            self.layer_there.d.next = false;
            self.accumulating.d.next = false;
        }
    }
}
