//! A layer to fetch jobs, passes of rows and places of outputs. Siblings: `sim`, `tests/layer_sequencer.rs`.
//! Paper: SpAtten section IV-A, Fig. 8 (control).
//! Why: what is fetched, what is computed and where it goes are three streams that are only bound by the blocks between them:
//! each runs ahead as far as those have room, and so the next head's keys are under way while this one's rows are computed.
//! Differs from the paper: nothing that it says.
//!
//! ```text
//!  key_list, query_list --> [list] x 2 --> [token_lists] ------> token
//!                              \               ^ command
//!  layer ---> [heads] --> [fetches] ---------------------------> fetch, query_job
//!  factor -/      \-----> [rows] ------------------------------> row, plane
//!     \-----> [visible] --known-^ \----------------------------> accumulate
//!  verdict ---> [again] --> flat rows, to fetches and rows ------> refetched
//! ```

mod again;
mod fetches;
mod heads;
mod list;
mod rows;
mod token_lists;
mod visible;

use crate::hdl::*;
use again::Again;
use fetches::Fetches;
use heads::Heads;
use list::List;
use rows::Rows;
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::content::Content;
use spatten_arch::element::READING_BITS;
use spatten_arch::format::{Formats, SCALE_MANTISSA_BITS};
use spatten_arch::layout::{ADDRESS_BITS, TOKEN_BITS};
use token_lists::TokenLists;
use visible::Visible;

/// Addresses of a layer: one per content, and that of outputs.
pub const BASES: usize = Content::ALL.len() + 1;
/// Bits of a factor: mantissa, then shift.
const FACTOR_BITS: usize = SCALE_MANTISSA_BITS as usize + 6;
/// Bits of a head's number.
const HEAD_BITS: usize = (MAX_HEADS - 1).ilog2() as usize + 1;
/// Bits of a share of values.
const SHARE_BITS: usize = 32;
/// Bits of a count of rows, as in `importance_accumulator`.
const ROW_BITS: usize = 24;

/// Runs layers.
///
/// A layer is taken while none is being run, and then the lists that it brings (`new_keys`, `new_queries`): `key_list` has the
/// tokens that are keys, `query_list` the numbers of query rows in their plane, both ascending. A list stays for further layers
/// until one brings another. A layer names its heads (`mask`; `group` of them share keys
/// and values) and where head 0 of each `arch::content`, then its outputs, begins (`base`, `stride` to the next). Then come the
/// factors of all its heads, computed or not; none where nothing is computed.
///
/// A layer that is `progressive` computes all rows of the heads that share keys with MSBs alone. Those of which the `verdict` is that
/// they are flat are computed again, when `lsb_bits` more of K, V and Q have been fetched and added. Where `lsb_bits` are 0, the
/// tensor is not split. Every verdict goes on as `refetched`, `last` with the layer's last one; `flat_rows` counts those that
/// are flat.
///
/// | stream | goes to |
/// | --- | --- |
/// | `fetch`, `token` | the job and its tokens of `fetch_path`; the tag is the content |
/// | `query_job` | how many query rows come with the next job of queries, and their factor; or what becomes of the row that was kept |
/// | `row` | `row` of `attention_core` |
/// | `plane` | where outputs of a head go, row i at place i; before its rows |
/// | `accumulate` | the layer's rows, for the command to `importance_accumulator` |
///
/// `dim`, `scaled`, `weighted`, `threshold_inverse` (its largest number where it is not progressive): those of the layer, from the
/// cycle after it is taken.
///
/// # Timing   see its parts: fetch jobs are there from 6 cycles after the layer on, rows 2 cycles each
#[derive(LogicBlock)]
pub struct LayerSequencer {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets layer and lists.
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
    /// A job is there.
    pub fetch_valid: Signal<Out, Bit>,
    /// It is taken.
    pub fetch_ready: Signal<In, Bit>,
    /// Word at which the plane begins.
    pub fetch_base: Wire<Out>,
    /// log2(elements of a row) - 4.
    pub fetch_dim: Wire<Out>,
    /// Bits of an element.
    pub fetch_bits: Wire<Out>,
    /// Bits of the number above them.
    pub fetch_above: Wire<Out>,
    /// `arch::element::Reading`.
    pub fetch_reading: Wire<Out>,
    /// `arch::content`.
    pub fetch_tag: Wire<Out>,
    /// Its tokens are there.
    pub token_valid: Signal<Out, Bit>,
    /// They are taken.
    pub token_ready: Signal<In, Bit>,
    /// The tokens.
    pub token_index: Vec<Wire<Out>>,
    /// How many.
    pub token_count: Wire<Out>,
    /// The job's last ones.
    pub token_last: Signal<Out, Bit>,
    /// Query rows will come.
    pub query_job_valid: Signal<Out, Bit>,
    /// That is taken.
    pub query_job_ready: Signal<In, Bit>,
    /// How many.
    pub query_job_rows: Wire<Out>,
    /// Mantissa of their score scale.
    pub query_job_mantissa: Wire<Out>,
    /// Shift of it.
    pub query_job_shift: Wire<Out>,
    /// They are LSBs.
    pub query_job_lsbs: Signal<Out, Bit>,
    /// The row is kept.
    pub query_job_keep: Signal<Out, Bit>,
    /// The row that was kept comes again.
    pub query_job_again: Signal<Out, Bit>,
    /// It is dropped.
    pub query_job_drop: Signal<Out, Bit>,
    /// A pass is there.
    pub row_valid: Signal<Out, Bit>,
    /// It is taken.
    pub row_ready: Signal<In, Bit>,
    /// Keys that it sees.
    pub row_visible: Wire<Out>,
    /// Values that it keeps.
    pub row_keep: Wire<Out>,
    /// Its row.
    pub row_index: Wire<Out>,
    /// Its head.
    pub row_head: Wire<Out>,
    /// Factor of its magnitude.
    pub row_mantissa: Wire<Out>,
    /// Right shift after it.
    pub row_shift: Wire<Out>,
    /// It is kept whatever its scores.
    pub row_final: Signal<Out, Bit>,
    /// The last pass over these keys.
    pub row_release_keys: Signal<Out, Bit>,
    /// No pass: the values are done with.
    pub row_release_values: Signal<Out, Bit>,
    /// No pass: the keys are added to.
    pub row_again_keys: Signal<Out, Bit>,
    /// No pass: the values are.
    pub row_again_values: Signal<Out, Bit>,
    /// A first pass is decided.
    pub verdict_valid: Signal<In, Bit>,
    /// That would be taken.
    pub verdict_ready: Signal<Out, Bit>,
    /// Its row.
    pub verdict_index: Wire<In>,
    /// Its head.
    pub verdict_head: Wire<In>,
    /// The row is flat.
    pub verdict_flat: Signal<In, Bit>,
    /// A verdict is there.
    pub refetched_valid: Signal<Out, Bit>,
    /// It is taken.
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
    /// Outputs of a head will come.
    pub plane_valid: Signal<Out, Bit>,
    /// That is taken.
    pub plane_ready: Signal<In, Bit>,
    /// Where they go.
    pub plane_base: Wire<Out>,
    /// The head.
    pub plane_head: Wire<Out>,
    /// The layer's rows are known.
    pub accumulate_valid: Signal<Out, Bit>,
    /// That is taken.
    pub accumulate_ready: Signal<In, Bit>,
    /// Over all heads.
    pub accumulate_rows: Wire<Out>,
    /// log2(head dimension) - 4.
    pub dim: Wire<Out>,
    /// Queries, keys and values have scales.
    pub scaled: Signal<Out, Bit>,
    /// Values have norms.
    pub weighted: Signal<Out, Bit>,
    /// Rows whose sum exceeds this are flat.
    pub threshold_inverse: Wire<Out>,

    lanes: Param,
    bases: Param,
    contents: Param,
    mantissa_bits: Param,
    never: Param,
    idle: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    key_open: Signal<Local, Bit>,
    query_open: Signal<Local, Bit>,
    key_writes: Signal<Local, Bit>,
    query_writes: Signal<Local, Bit>,
    /// A layer is there, and has not begun.
    held: Dff<Bit>,
    begins: Signal<Local, Bit>,
    needs_keys: Dff<Bit>,
    needs_queries: Dff<Bit>,
    /// The list that the layer waits for is there.
    fresh_keys: Dff<Bit>,
    fresh_queries: Dff<Bit>,
    something: Signal<Local, Bit>,
    now_dim: Reg,
    now_heads: Reg,
    now_group: Reg,
    now_mask: Reg,
    now_causal: Dff<Bit>,
    now_first_row: Reg,
    now_scaled: Dff<Bit>,
    now_weighted: Dff<Bit>,
    now_share: Reg,
    now_progressive: Dff<Bit>,
    now_inverse: Reg,
    now_split: Reg,
    now_bits: Vec<Reg>,
    now_lsb_bits: Vec<Reg>,
    now_base: Vec<Reg>,
    now_stride: Vec<Reg>,
    list_of_keys: List,
    list_of_queries: List,
    token_lists: TokenLists,
    visible: Visible,
    heads: Heads,
    fetches: Fetches,
    rows: Rows,
    again: Again,
}

impl LayerSequencer {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let (lanes, keys) = (config.channels, config.keys_on_chip);
        let bits = bits_for(config.datapath_bits as usize);
        let number = bits_for(MAX_HEADS);
        let mantissa = SCALE_MANTISSA_BITS as usize;
        let threshold = Formats::new(config).threshold_inverse;
        let inverse = threshold.width() as usize;
        Self {
            name: ModuleName::new("layer_sequencer"),
            clock: Default::default(),
            reset: Default::default(),
            key_list_valid: Default::default(),
            key_list_ready: Default::default(),
            key_list_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            key_list_count: Wire::unsigned(bits_for(lanes)),
            key_list_last: Default::default(),
            query_list_valid: Default::default(),
            query_list_ready: Default::default(),
            query_list_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            query_list_count: Wire::unsigned(bits_for(lanes)),
            query_list_last: Default::default(),
            layer_valid: Default::default(),
            layer_ready: Default::default(),
            layer_new_keys: Default::default(),
            layer_new_queries: Default::default(),
            layer_dim: Wire::unsigned(2),
            layer_heads: Wire::unsigned(number),
            layer_group: Wire::unsigned(number),
            layer_mask: Wire::unsigned(MAX_HEADS),
            layer_causal: Default::default(),
            layer_first_row: Wire::unsigned(TOKEN_BITS),
            layer_scaled: Default::default(),
            layer_weighted: Default::default(),
            layer_share: Wire::unsigned(SHARE_BITS),
            layer_progressive: Default::default(),
            layer_threshold_inverse: Wire::unsigned(inverse),
            layer_split: Wire::unsigned(2),
            layer_bits: vec_of(3, || Wire::unsigned(bits)),
            layer_lsb_bits: vec_of(3, || Wire::unsigned(bits)),
            layer_base: vec_of(BASES, || Wire::unsigned(ADDRESS_BITS)),
            layer_stride: vec_of(BASES, || Wire::unsigned(ADDRESS_BITS)),
            factor_valid: Default::default(),
            factor_ready: Default::default(),
            factor_logit: Wire::unsigned(FACTOR_BITS),
            factor_importance: Wire::unsigned(FACTOR_BITS),
            fetch_valid: Default::default(),
            fetch_ready: Default::default(),
            fetch_base: Wire::unsigned(ADDRESS_BITS),
            fetch_dim: Wire::unsigned(2),
            fetch_bits: Wire::unsigned(bits),
            fetch_above: Wire::unsigned(bits),
            fetch_reading: Wire::unsigned(READING_BITS),
            fetch_tag: Wire::unsigned(crate::matrix_fetcher::TAG_BITS),
            token_valid: Default::default(),
            token_ready: Default::default(),
            token_index: vec_of(lanes, || Wire::unsigned(TOKEN_BITS)),
            token_count: Wire::unsigned(bits_for(lanes)),
            token_last: Default::default(),
            query_job_valid: Default::default(),
            query_job_ready: Default::default(),
            query_job_rows: Wire::unsigned(bits_for(keys)),
            query_job_mantissa: Wire::unsigned(mantissa),
            query_job_shift: Wire::unsigned(FACTOR_BITS - mantissa),
            query_job_lsbs: Default::default(),
            query_job_keep: Default::default(),
            query_job_again: Default::default(),
            query_job_drop: Default::default(),
            row_valid: Default::default(),
            row_ready: Default::default(),
            row_visible: Wire::unsigned(bits_for(keys)),
            row_keep: Wire::unsigned(bits_for(keys)),
            row_index: Wire::unsigned(bits_for(keys - 1)),
            row_head: Wire::unsigned(HEAD_BITS),
            row_mantissa: Wire::unsigned(mantissa),
            row_shift: Wire::unsigned(FACTOR_BITS - mantissa),
            row_final: Default::default(),
            row_release_keys: Default::default(),
            row_release_values: Default::default(),
            row_again_keys: Default::default(),
            row_again_values: Default::default(),
            verdict_valid: Default::default(),
            verdict_ready: Default::default(),
            verdict_index: Wire::unsigned(bits_for(keys - 1)),
            verdict_head: Wire::unsigned(HEAD_BITS),
            verdict_flat: Default::default(),
            refetched_valid: Default::default(),
            refetched_ready: Default::default(),
            refetched_index: Wire::unsigned(bits_for(keys - 1)),
            refetched_head: Wire::unsigned(HEAD_BITS),
            refetched_flat: Default::default(),
            refetched_last: Default::default(),
            flat_rows: Wire::unsigned(ROW_BITS),
            plane_valid: Default::default(),
            plane_ready: Default::default(),
            plane_base: Wire::unsigned(ADDRESS_BITS),
            plane_head: Wire::unsigned(HEAD_BITS),
            accumulate_valid: Default::default(),
            accumulate_ready: Default::default(),
            accumulate_rows: Wire::unsigned(ROW_BITS),
            dim: Wire::unsigned(2),
            scaled: Default::default(),
            weighted: Default::default(),
            threshold_inverse: Wire::unsigned(inverse),
            lanes: Param::new(lanes),
            bases: Param::new(BASES),
            contents: Param::new(BASES - 1),
            mantissa_bits: Param::new(mantissa),
            never: Param::new(threshold.max_raw() as usize),
            idle: Default::default(),
            accept: Default::default(),
            key_open: Default::default(),
            query_open: Default::default(),
            key_writes: Default::default(),
            query_writes: Default::default(),
            held: Default::default(),
            begins: Default::default(),
            needs_keys: Default::default(),
            needs_queries: Default::default(),
            fresh_keys: Default::default(),
            fresh_queries: Default::default(),
            something: Default::default(),
            now_dim: Reg::unsigned(2),
            now_heads: Reg::unsigned(number),
            now_group: Reg::unsigned(number),
            now_mask: Reg::unsigned(MAX_HEADS),
            now_causal: Default::default(),
            now_first_row: Reg::unsigned(TOKEN_BITS),
            now_scaled: Default::default(),
            now_weighted: Default::default(),
            now_share: Reg::unsigned(SHARE_BITS),
            now_progressive: Default::default(),
            now_inverse: Reg::unsigned(inverse),
            now_split: Reg::unsigned(2),
            now_bits: vec_of(3, || Reg::unsigned(bits)),
            now_lsb_bits: vec_of(3, || Reg::unsigned(bits)),
            now_base: vec_of(BASES, || Reg::unsigned(ADDRESS_BITS)),
            now_stride: vec_of(BASES, || Reg::unsigned(ADDRESS_BITS)),
            list_of_keys: List::new(lanes, keys),
            list_of_queries: List::new(lanes, keys),
            token_lists: TokenLists::new(lanes, keys),
            visible: Visible::new(lanes, keys),
            heads: Heads::new(),
            fetches: Fetches::new(lanes, keys, bits),
            rows: Rows::new(keys),
            again: Again::new(keys),
        }
    }
}

impl Logic for LayerSequencer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            held,
            needs_keys,
            needs_queries,
            fresh_keys,
            fresh_queries,
            now_dim,
            now_heads,
            now_group,
            now_mask,
            now_causal,
            now_first_row,
            now_scaled,
            now_weighted,
            now_share,
            now_progressive,
            now_inverse,
            now_split
        );
        clock!(self, clock, list_of_keys, list_of_queries, token_lists, visible, heads, fetches, rows, again);
        self.list_of_keys.reset.next = self.reset.val();
        self.list_of_queries.reset.next = self.reset.val();
        self.token_lists.reset.next = self.reset.val();
        self.visible.reset.next = self.reset.val();
        self.heads.reset.next = self.reset.val();
        self.fetches.reset.next = self.reset.val();
        self.rows.reset.next = self.reset.val();
        self.again.reset.next = self.reset.val();

        // A layer.
        self.idle.next =
            self.token_lists.idle.val() & self.visible.idle.val() & self.fetches.idle.val() & self.rows.idle.val();
        self.layer_ready.next = self.idle.val() & !self.held.q.val();
        self.accept.next = self.layer_valid.val() & self.idle.val() & !self.held.q.val();
        self.begins.next = self.held.q.val()
            & (self.fresh_keys.q.val() | !self.needs_keys.q.val())
            & (self.fresh_queries.q.val() | !self.needs_queries.q.val());
        if self.begins.val() {
            self.held.d.next = false;
            self.fresh_keys.d.next = false;
            self.fresh_queries.d.next = false;
        }
        if self.accept.val() {
            self.held.d.next = true;
            self.needs_keys.d.next = self.layer_new_keys.val();
            self.needs_queries.d.next = self.layer_new_queries.val();
            self.now_dim.d.next = self.layer_dim.val();
            self.now_heads.d.next = self.layer_heads.val();
            self.now_group.d.next = self.layer_group.val();
            self.now_mask.d.next = self.layer_mask.val();
            self.now_causal.d.next = self.layer_causal.val();
            self.now_first_row.d.next = self.layer_first_row.val();
            self.now_scaled.d.next = self.layer_scaled.val();
            self.now_weighted.d.next = self.layer_weighted.val();
            self.now_share.d.next = self.layer_share.val();
            self.now_progressive.d.next = self.layer_progressive.val();
            self.now_split.d.next = self.layer_split.val();
            self.now_inverse.d.next = self.layer_threshold_inverse.val();
            if !self.layer_progressive.val() {
                self.now_inverse.d.next = self.never.val().into();
            }
        }
        for i in 0..3 {
            self.now_bits[i].clock.next = self.clock.val();
            self.now_bits[i].d.next = self.now_bits[i].q.val();
            self.fetches.bits[i].next = self.now_bits[i].q.val();
            self.now_lsb_bits[i].clock.next = self.clock.val();
            self.now_lsb_bits[i].d.next = self.now_lsb_bits[i].q.val();
            self.fetches.lsb_bits[i].next = self.now_lsb_bits[i].q.val();
            if self.accept.val() {
                self.now_bits[i].d.next = self.layer_bits[i].val();
                self.now_lsb_bits[i].d.next = self.layer_lsb_bits[i].val();
            }
        }
        for i in 0..self.bases.val() {
            self.now_base[i].clock.next = self.clock.val();
            self.now_stride[i].clock.next = self.clock.val();
            self.now_base[i].d.next = self.now_base[i].q.val();
            self.now_stride[i].d.next = self.now_stride[i].q.val();
            self.heads.base[i].next = self.now_base[i].q.val();
            self.heads.stride[i].next = self.now_stride[i].q.val();
            if self.accept.val() {
                self.now_base[i].d.next = self.layer_base[i].val();
                self.now_stride[i].d.next = self.layer_stride[i].val();
            }
        }
        self.dim.next = self.now_dim.q.val();
        self.scaled.next = self.now_scaled.q.val();
        self.weighted.next = self.now_weighted.q.val();
        self.threshold_inverse.next = self.now_inverse.q.val();

        // Lists. Only the layer that waits for one may change it.
        self.key_open.next = self.held.q.val() & self.needs_keys.q.val() & !self.fresh_keys.q.val();
        self.query_open.next = self.held.q.val() & self.needs_queries.q.val() & !self.fresh_queries.q.val();
        self.key_list_ready.next = self.key_open.val();
        self.query_list_ready.next = self.query_open.val();
        self.key_writes.next = self.key_list_valid.val() & self.key_open.val();
        self.query_writes.next = self.query_list_valid.val() & self.query_open.val();
        self.list_of_keys.write.next = self.key_writes.val();
        self.list_of_keys.count.next = self.key_list_count.val();
        self.list_of_keys.last.next = self.key_list_last.val();
        self.list_of_queries.write.next = self.query_writes.val();
        self.list_of_queries.count.next = self.query_list_count.val();
        self.list_of_queries.last.next = self.query_list_last.val();
        if self.key_writes.val() & self.key_list_last.val() {
            self.fresh_keys.d.next = true;
        }
        if self.query_writes.val() & self.query_list_last.val() {
            self.fresh_queries.d.next = true;
        }
        self.list_of_keys.job_address.next = self.token_lists.address.val();
        self.list_of_queries.job_address.next = self.token_lists.address.val();
        self.list_of_keys.walk_address.next = self.visible.key_address.val();
        self.list_of_queries.walk_address.next = self.visible.query_address.val();
        for i in 0..self.lanes.val() {
            self.list_of_keys.index[i].next = self.key_list_index[i].val();
            self.list_of_queries.index[i].next = self.query_list_index[i].val();
            self.token_lists.keys[i].next = self.list_of_keys.job_index[i].val();
            self.token_lists.query_rows[i].next = self.list_of_queries.job_index[i].val();
            self.visible.keys[i].next = self.list_of_keys.walk_index[i].val();
            self.visible.queries[i].next = self.list_of_queries.walk_index[i].val();
            self.token_index[i].next = self.token_lists.out_index[i].val();
        }
        self.visible.counts[0].next = self.list_of_keys.total.val();
        self.visible.counts[1].next = self.list_of_queries.total.val();
        self.fetches.counts[0].next = self.list_of_keys.total.val();
        self.fetches.counts[1].next = self.list_of_queries.total.val();
        self.token_valid.next = self.token_lists.out_valid.val();
        self.token_lists.out_ready.next = self.token_ready.val();
        self.token_count.next = self.token_lists.out_count.val();
        self.token_last.next = self.token_lists.out_last.val();

        // What each row sees.
        self.something.next = self.begins.val() & self.now_mask.q.val().any() & self.list_of_queries.total.val().any();
        self.visible.start.next = self.begins.val();
        self.visible.causal.next = self.now_causal.q.val();
        self.visible.first_row.next = self.now_first_row.q.val();
        self.visible.share.next = self.now_share.q.val();
        self.visible.heads.next = self.now_heads.q.val();
        self.visible.mask.next = self.now_mask.q.val();
        self.accumulate_valid.next = self.visible.total_valid.val();
        self.visible.total_ready.next = self.accumulate_ready.val();
        self.accumulate_rows.next = self.visible.total_rows.val();

        // Heads.
        self.heads.start.next = self.something.val();
        self.heads.heads.next = self.now_heads.q.val();
        self.heads.group.next = self.now_group.q.val();
        self.heads.mask.next = self.now_mask.q.val();
        self.heads.factor_valid.next = self.factor_valid.val();
        self.factor_ready.next = self.heads.factor_ready.val();
        self.heads.factor_logit.next = self.factor_logit.val();
        self.heads.factor_importance.next = self.factor_importance.val();

        // Fetches.
        self.fetches.start.next = self.something.val();
        self.fetches.dim.next = self.now_dim.q.val();
        self.fetches.scaled.next = self.now_scaled.q.val();
        self.fetches.weighted.next = self.now_weighted.q.val();
        self.fetches.head_valid.next = self.heads.fetch_valid.val();
        self.heads.fetch_ready.next = self.fetches.head_ready.val();
        self.fetches.head_first.next = self.heads.fetch_first.val();
        self.fetches.progressive.next = self.now_progressive.q.val();
        self.fetches.split_kind.next = self.now_split.q.val();
        self.fetches.head_ends.next = self.heads.fetch_ends.val();
        self.fetches.head_closes.next = self.heads.fetch_closes.val();
        self.fetches.head_number.next = self.heads.fetch_head.val();
        self.fetches.head_logit.next = self.heads.fetch_logit.val();
        for i in 0..self.contents.val() {
            self.fetches.head_base[i].next = self.heads.fetch_base[i].val();
        }
        self.fetch_valid.next = self.fetches.fetch_valid.val();
        self.fetches.fetch_ready.next = self.fetch_ready.val();
        self.fetch_base.next = self.fetches.fetch_base.val();
        self.fetch_dim.next = self.fetches.fetch_dim.val();
        self.fetch_bits.next = self.fetches.fetch_bits.val();
        self.fetch_above.next = self.fetches.fetch_above.val();
        self.fetch_reading.next = self.fetches.fetch_reading.val();
        self.fetch_tag.next = self.fetches.fetch_tag.val();
        self.query_job_valid.next = self.fetches.query_valid.val();
        self.fetches.query_ready.next = self.query_job_ready.val();
        self.query_job_rows.next = self.fetches.query_rows.val();
        self.query_job_mantissa.next = self.fetches.query_factor.val();
        self.query_job_shift.next = self.fetches.query_factor.val() >> self.mantissa_bits.val();
        self.query_job_lsbs.next = self.fetches.query_lsbs.val();
        self.query_job_keep.next = self.fetches.query_keep.val();
        self.query_job_again.next = self.fetches.query_again.val();
        self.query_job_drop.next = self.fetches.query_drop.val();
        self.token_lists.command_valid.next = self.fetches.command_valid.val();
        self.fetches.command_ready.next = self.token_lists.command_ready.val();
        self.token_lists.command_queries.next = self.fetches.command_queries.val();
        self.token_lists.command_from.next = self.fetches.command_from.val();
        self.token_lists.command_to.next = self.fetches.command_to.val();
        self.token_lists.command_single.next = self.fetches.command_single.val();

        // Rows.
        self.rows.start.next = self.something.val();
        self.rows.progressive.next = self.now_progressive.q.val();
        self.rows.lsbs[0].next = self.now_lsb_bits[0].q.val().any();
        self.rows.lsbs[1].next = self.now_lsb_bits[1].q.val().any();
        self.rows.count.next = self.list_of_queries.total.val();
        self.rows.known.next = self.visible.known.val();
        self.visible.row.next = self.rows.row_index.val();
        self.rows.head_valid.next = self.heads.rows_valid.val();
        self.heads.rows_ready.next = self.rows.head_ready.val();
        self.rows.head_number.next = self.heads.rows_head.val();
        self.rows.head_importance.next = self.heads.rows_importance.val();
        self.rows.head_base.next = self.heads.rows_base.val();
        self.rows.head_ends.next = self.heads.rows_ends.val();
        self.rows.head_closes.next = self.heads.rows_closes.val();
        self.row_valid.next = self.rows.row_valid.val();
        self.rows.row_ready.next = self.row_ready.val();
        // What is read beside a beat that is no row changes under it.
        self.row_visible.next = self.visible.visible.val();
        self.row_keep.next = self.visible.keep.val();
        if self.rows.row_release_values.val() | self.rows.row_marks.val() {
            self.row_visible.next = 0.into();
            self.row_keep.next = 0.into();
        }
        self.row_index.next = self.rows.row_index.val();
        self.row_head.next = self.rows.row_head.val();
        self.row_mantissa.next = self.rows.row_mantissa.val();
        self.row_shift.next = self.rows.row_shift.val();
        self.row_final.next = self.rows.row_final.val();
        self.row_release_keys.next = self.rows.row_release_keys.val();
        self.row_release_values.next = self.rows.row_release_values.val();
        self.row_again_keys.next = self.rows.row_again_keys.val();
        self.row_again_values.next = self.rows.row_again_values.val();
        self.plane_valid.next = self.rows.plane_valid.val();
        self.rows.plane_ready.next = self.plane_ready.val();
        self.plane_base.next = self.rows.plane_base.val();
        self.plane_head.next = self.rows.plane_head.val();

        // Which of them come again.
        self.again.start.next = self.begins.val();
        self.again.count.next = self.list_of_queries.total.val();
        self.again.mask.next = self.now_mask.q.val();
        self.again.issued.next = self.rows.issued.val();
        self.again.closing.next = self.rows.closing.val();
        self.again.verdict_valid.next = self.verdict_valid.val();
        self.verdict_ready.next = self.again.verdict_ready.val();
        self.again.verdict_index.next = self.verdict_index.val();
        self.again.verdict_head.next = self.verdict_head.val();
        self.again.verdict_flat.next = self.verdict_flat.val();
        self.refetched_valid.next = self.again.refetched_valid.val();
        self.again.refetched_ready.next = self.refetched_ready.val();
        self.refetched_index.next = self.again.refetched_index.val();
        self.refetched_head.next = self.again.refetched_head.val();
        self.refetched_flat.next = self.again.refetched_flat.val();
        self.refetched_last.next = self.again.refetched_last.val();
        self.flat_rows.next = self.again.total.val();
        self.rows.settled.next = self.again.settled.val();
        self.rows.any.next = self.again.any.val();
        self.rows.most.next = self.again.most.val();
        self.again.go.next = self.rows.go.val();
        self.rows.again_valid.next = self.again.row_valid.val();
        self.again.row_ready.next = self.rows.again_ready.val();
        self.rows.again_index.next = self.again.row_index.val();
        self.rows.again_head.next = self.again.row_head.val();
        self.rows.again_last.next = self.again.row_last.val();
        self.fetches.again_valid.next = self.again.fetch_valid.val();
        self.again.fetch_ready.next = self.fetches.again_ready.val();
        self.fetches.again_index.next = self.again.fetch_index.val();
        self.fetches.again_head.next = self.again.fetch_head.val();
        self.fetches.again_last.next = self.again.fetch_last.val();
        self.rows.visible.next = self.visible.visible.val();
        self.fetches.tell_valid.next = self.rows.tell_valid.val();
        self.rows.tell_ready.next = self.fetches.tell_ready.val();
        self.fetches.tell_any.next = self.rows.tell_any.val();
        self.fetches.tell_visible.next = self.rows.tell_visible.val();
        if self.reset.val() {
            self.held.d.next = false;
            self.now_dim.d.next = 0.into();
            self.now_inverse.d.next = self.never.val().into();
            self.now_scaled.d.next = false;
            self.now_weighted.d.next = false;
            self.fresh_keys.d.next = false;
            self.fresh_queries.d.next = false;
        }
    }
}

/// Words of a list of up to `keys` tokens.
fn words(lanes: usize, keys: usize) -> usize {
    (keys / lanes).max(2)
}
