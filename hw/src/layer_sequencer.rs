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
//! ```

mod fetches;
mod heads;
mod list;
mod rows;
mod token_lists;
mod visible;

use crate::hdl::*;
use fetches::Fetches;
use heads::Heads;
use list::List;
use rows::Rows;
use spatten_arch::ArchConfig;
use spatten_arch::config::MAX_HEADS;
use spatten_arch::content::Content;
use spatten_arch::format::SCALE_MANTISSA_BITS;
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

/// Runs layers whose rows need one pass.
///
/// A layer is taken while none is being run, and then the lists that it brings (`new_keys`, `new_queries`): `key_list` has the
/// tokens that are keys, `query_list` the numbers of query rows in their plane, both ascending. A list stays for further layers
/// until one brings another. A layer names its heads (`mask`; `group` of them share keys
/// and values) and where head 0 of each `arch::content`, then its outputs, begins (`base`, `stride` to the next). Then come the
/// factors of all its heads, computed or not; none where nothing is computed.
///
/// | stream | goes to |
/// | --- | --- |
/// | `fetch`, `token` | the job and its tokens of `fetch_path`; the tag is the content |
/// | `query_job` | how many query rows come with the next job of queries, and their factor |
/// | `row` | `row` of `attention_core`, every row in its last pass |
/// | `plane` | the job of `write_back`: outputs of the next head, row i at place i |
/// | `accumulate` | the layer's rows, for the command to `importance_accumulator` |
///
/// `dim`, `scaled`, `weighted`: those of the layer, from the cycle after it is taken.
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
    /// Bits of an element of K, V and Q.
    pub layer_bits: Vec<Wire<In>>,
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
    /// Outputs of a head will come.
    pub plane_valid: Signal<Out, Bit>,
    /// That is taken.
    pub plane_ready: Signal<In, Bit>,
    /// Where they go.
    pub plane_base: Wire<Out>,
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
    /// Rows of a head.
    pub rows_of_head: Wire<Out>,

    lanes: Param,
    bases: Param,
    contents: Param,
    mantissa_bits: Param,
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
    now_bits: Vec<Reg>,
    now_base: Vec<Reg>,
    now_stride: Vec<Reg>,
    list_of_keys: List,
    list_of_queries: List,
    token_lists: TokenLists,
    visible: Visible,
    heads: Heads,
    fetches: Fetches,
    rows: Rows,
}

impl LayerSequencer {
    /// At the size of a configuration.
    pub fn new(config: &ArchConfig) -> Self {
        let (lanes, keys) = (config.channels, config.keys_on_chip);
        let bits = bits_for(config.datapath_bits as usize);
        let number = bits_for(MAX_HEADS);
        let mantissa = SCALE_MANTISSA_BITS as usize;
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
            layer_bits: vec_of(3, || Wire::unsigned(bits)),
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
            plane_valid: Default::default(),
            plane_ready: Default::default(),
            plane_base: Wire::unsigned(ADDRESS_BITS),
            accumulate_valid: Default::default(),
            accumulate_ready: Default::default(),
            accumulate_rows: Wire::unsigned(ROW_BITS),
            dim: Wire::unsigned(2),
            scaled: Default::default(),
            weighted: Default::default(),
            rows_of_head: Wire::unsigned(bits_for(keys)),
            lanes: Param::new(lanes),
            bases: Param::new(BASES),
            contents: Param::new(BASES - 1),
            mantissa_bits: Param::new(mantissa),
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
            now_bits: vec_of(3, || Reg::unsigned(bits)),
            now_base: vec_of(BASES, || Reg::unsigned(ADDRESS_BITS)),
            now_stride: vec_of(BASES, || Reg::unsigned(ADDRESS_BITS)),
            list_of_keys: List::new(lanes, keys),
            list_of_queries: List::new(lanes, keys),
            token_lists: TokenLists::new(lanes, keys),
            visible: Visible::new(lanes, keys),
            heads: Heads::new(),
            fetches: Fetches::new(lanes, keys, bits),
            rows: Rows::new(keys),
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
            now_share
        );
        clock!(self, clock, list_of_keys, list_of_queries, token_lists, visible, heads, fetches, rows);
        self.list_of_keys.reset.next = self.reset.val();
        self.list_of_queries.reset.next = self.reset.val();
        self.token_lists.reset.next = self.reset.val();
        self.visible.reset.next = self.reset.val();
        self.heads.reset.next = self.reset.val();
        self.fetches.reset.next = self.reset.val();
        self.rows.reset.next = self.reset.val();

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
        }
        for i in 0..3 {
            self.now_bits[i].clock.next = self.clock.val();
            self.now_bits[i].d.next = self.now_bits[i].q.val();
            self.fetches.bits[i].next = self.now_bits[i].q.val();
            if self.accept.val() {
                self.now_bits[i].d.next = self.layer_bits[i].val();
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
        self.rows_of_head.next = self.list_of_queries.total.val();

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
        self.fetches.head_closes.next = self.heads.fetch_closes.val();
        self.fetches.head_logit.next = self.heads.fetch_logit.val();
        for i in 0..self.contents.val() {
            self.fetches.head_base[i].next = self.heads.fetch_base[i].val();
        }
        self.fetch_valid.next = self.fetches.fetch_valid.val();
        self.fetches.fetch_ready.next = self.fetch_ready.val();
        self.fetch_base.next = self.fetches.fetch_base.val();
        self.fetch_dim.next = self.fetches.fetch_dim.val();
        self.fetch_bits.next = self.fetches.fetch_bits.val();
        self.fetch_tag.next = self.fetches.fetch_tag.val();
        self.query_job_valid.next = self.fetches.query_valid.val();
        self.fetches.query_ready.next = self.query_job_ready.val();
        self.query_job_rows.next = self.fetches.query_rows.val();
        self.query_job_mantissa.next = self.fetches.query_factor.val();
        self.query_job_shift.next = self.fetches.query_factor.val() >> self.mantissa_bits.val();
        self.token_lists.command_valid.next = self.fetches.command_valid.val();
        self.fetches.command_ready.next = self.token_lists.command_ready.val();
        self.token_lists.command_queries.next = self.fetches.command_queries.val();
        self.token_lists.command_from.next = self.fetches.command_from.val();
        self.token_lists.command_to.next = self.fetches.command_to.val();

        // Rows.
        self.rows.start.next = self.something.val();
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
        if self.rows.row_release_values.val() {
            self.row_visible.next = 0.into();
            self.row_keep.next = 0.into();
        }
        self.row_index.next = self.rows.row_index.val();
        self.row_head.next = self.rows.row_head.val();
        self.row_mantissa.next = self.rows.row_mantissa.val();
        self.row_shift.next = self.rows.row_shift.val();
        self.row_final.next = true;
        self.row_release_keys.next = self.rows.row_release_keys.val();
        self.row_release_values.next = self.rows.row_release_values.val();
        self.plane_valid.next = self.rows.plane_valid.val();
        self.rows.plane_ready.next = self.plane_ready.val();
        self.plane_base.next = self.rows.plane_base.val();
        if self.reset.val() {
            self.held.d.next = false;
            self.now_dim.d.next = 0.into();
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
