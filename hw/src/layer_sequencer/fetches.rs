//! The fetch jobs of a layer, in the order in which they are needed.

use super::{BASES, FACTOR_BITS, HEAD_BITS};
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};
use spatten_arch::config::MAX_HEADS;
use spatten_arch::content::{Content, GRANULE_BITS, GRANULE_DIM};
use spatten_arch::element::READING_BITS;
use spatten_arch::layout::ADDRESS_BITS;

/// Jobs, and query jobs, that wait.
const JOBS: usize = 4;
/// Query rows that are fetched behind the keys and values of the next head: at least one step, less than three.
const STEP: usize = 16;

/// What is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, LogicState)]
pub enum State {
    /// Nothing.
    Idle,
    /// The next head is taken.
    Take,
    /// Its keys and values, which nobody fetched ahead.
    Own,
    /// Its queries.
    Queries,
    /// Keys and values of the head after it.
    Ahead,
    /// Waits for the outcome of first passes.
    Decide,
    /// LSBs of keys and values.
    Lsbs,
    /// Waits for the next flat row.
    Next,
    /// Its query.
    Again,
    /// The next head's query, of which nothing is said yet.
    AheadQuery,
}

/// A job per content of each head: keys and values once for the heads that share them, then queries. Keys and values of the next
/// head come before the last queries of this one, so that they stream in while it computes; and behind the others, so that
/// the half that they wait for is free soon. At D = 128 a head has both halves: its queries all come before the next head's keys.
///
/// A single row (a generation step) begins with its keys: its query comes before its values.
///
/// Scales come before their rows: `operand_router` keeps those of all queries.
///
/// If `progressive`, the outcome of the first passes (`tell`) is waited for behind the last queries of heads that share keys. If a row
/// is flat, LSBs of the first `visible` keys and values follow, and then the flat rows' queries, a job each (with LSBs, two: the
/// LSBs first). A generation step fetches the next head's keys and values before it waits. At D = 128 nothing is fetched ahead.
///
/// A single row whose keys are no other row's, and whose query is not split, is not fetched again: `operand_router` keeps it until the
/// outcome is known (`query_keep`, then `query_again` or `query_drop`). So the next head's query is fetched before that, and before
/// its keys.
///
/// # Timing   a content per cycle, one that is not needed included, as long as jobs are taken; two cycles more for each head
#[derive(LogicBlock)]
pub struct Fetches {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the layer.
    pub reset: Signal<In, Bit>,
    /// Begins a layer.
    pub start: Signal<In, Bit>,
    /// Its rows may need a second pass.
    pub progressive: Signal<In, Bit>,
    /// No layer is being fetched.
    pub idle: Signal<Out, Bit>,
    /// log2(head dimension) - 4.
    pub dim: Wire<In>,
    /// Queries, keys and values have scales.
    pub scaled: Signal<In, Bit>,
    /// Values have norms.
    pub weighted: Signal<In, Bit>,
    /// Bits of an element of K, V and Q.
    pub bits: Vec<Wire<In>>,
    /// Bits of their LSBs.
    pub lsb_bits: Vec<Wire<In>>,
    /// `arch::descriptor::Split`.
    pub split_kind: Wire<In>,
    /// Tokens of the lists of keys and of queries.
    pub counts: Vec<Wire<In>>,
    /// A head is offered.
    pub head_valid: Signal<In, Bit>,
    /// It would be taken.
    pub head_ready: Signal<Out, Bit>,
    /// The first one of these keys and values.
    pub head_first: Signal<In, Bit>,
    /// The last one of these keys and values.
    pub head_ends: Signal<In, Bit>,
    /// The layer's last one.
    pub head_closes: Signal<In, Bit>,
    /// Its number.
    pub head_number: Wire<In>,
    /// Its factor.
    pub head_logit: Wire<In>,
    /// Its addresses.
    pub head_base: Vec<Wire<In>>,
    /// An outcome is there.
    pub tell_valid: Signal<In, Bit>,
    /// It is taken.
    pub tell_ready: Signal<Out, Bit>,
    /// Some row is flat.
    pub tell_any: Signal<In, Bit>,
    /// Keys that the flat rows see.
    pub tell_visible: Wire<In>,
    /// A flat row is there.
    pub again_valid: Signal<In, Bit>,
    /// It is taken.
    pub again_ready: Signal<Out, Bit>,
    /// Its index.
    pub again_index: Wire<In>,
    /// Its head.
    pub again_head: Wire<In>,
    /// The last one.
    pub again_last: Signal<In, Bit>,
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
    /// What it is.
    pub fetch_tag: Wire<Out>,
    /// Rows of queries are on their way.
    pub query_valid: Signal<Out, Bit>,
    /// That is taken.
    pub query_ready: Signal<In, Bit>,
    /// How many.
    pub query_rows: Wire<Out>,
    /// Their factor.
    pub query_factor: Wire<Out>,
    /// It is of LSBs.
    pub query_lsbs: Signal<Out, Bit>,
    /// The row is kept.
    pub query_keep: Signal<Out, Bit>,
    /// The row that was kept comes again.
    pub query_again: Signal<Out, Bit>,
    /// It is dropped.
    pub query_drop: Signal<Out, Bit>,
    /// Tokens of the job.
    pub command_valid: Signal<Out, Bit>,
    /// They would be taken.
    pub command_ready: Signal<In, Bit>,
    /// Of the list of queries.
    pub command_queries: Signal<Out, Bit>,
    /// First word of the list.
    pub command_from: Wire<Out>,
    /// Tokens before the end.
    pub command_to: Wire<Out>,
    /// The last of them alone.
    pub command_single: Signal<Out, Bit>,
    level: Param,
    step_level: Param,
    longest: Param,
    contents: Param,
    count_bits: Param,
    address_bits: Param,
    bits_bits: Param,
    keys: Param,
    key_scales: Param,
    values: Param,
    value_scales: Param,
    norms: Param,
    queries: Param,
    query_scales: Param,
    key_lsbs: Param,
    value_lsbs: Param,
    query_lsbs_content: Param,
    head_bits: Param,
    factor_bits: Param,
    reading_at: Param,
    granule_dim: Param,
    granule_bits: Param,
    state: Dff<State>,
    content: Reg,
    base: Vec<Reg>,
    first: Dff<Bit>,
    ends: Dff<Bit>,
    closes: Dff<Bit>,
    logit: Reg,
    /// Keys that the flat rows see.
    seen: Reg,
    /// By head: what its queries need. Joined, query scales, queries and their LSBs.
    table: Ram,
    table_base: Vec<Wire<Local>>,
    again: Signal<Local, Bit>,
    row_done: Signal<Local, Bit>,
    is_query: Signal<Local, Bit>,
    waits: Signal<Local, Bit>,
    keeps_ahead: Signal<Local, Bit>,
    /// The query at hand is kept; the next head's is fetched.
    keeps: Signal<Local, Bit>,
    query_ahead: Dff<Bit>,
    of_next: Signal<Local, Bit>,
    drops: Signal<Local, Bit>,
    repeats: Signal<Local, Bit>,
    keep: Wire<Local>,
    once_more: Wire<Local>,
    drop: Wire<Local>,
    factor: Wire<Local>,
    lsbs: Wire<Local>,
    rows_of_job: Wire<Local>,
    now_above: Wire<Local>,
    now_reading: Wire<Local>,
    /// By tensor: reading of its MSBs.
    readings: Vec<Wire<Local>>,
    lsb_reading: Wire<Local>,
    /// Keys and values of the head to come are fetched.
    ahead: Dff<Bit>,
    /// The queries behind `split` are fetched.
    second: Dff<Bit>,
    single: Signal<Local, Bit>,
    /// Values come behind the query.
    values_left: Dff<Bit>,
    from: Reg,
    split: Reg,
    steps_before: Wire<Local>,
    part_end: Wire<Local>,
    works: Signal<Local, Bit>,
    of_queries: Signal<Local, Bit>,
    needed: Signal<Local, Bit>,
    rooms: Signal<Local, Bit>,
    issue: Signal<Local, Bit>,
    done: Signal<Local, Bit>,
    part_done: Signal<Local, Bit>,
    has_second: Signal<Local, Bit>,
    own: Vec<Wire<Local>>,
    other: Vec<Wire<Local>>,
    now_base: Wire<Local>,
    now_dim: Wire<Local>,
    now_bits: Wire<Local>,
    jobs: Fifo,
    query_jobs: Fifo,
}

impl Fetches {
    /// For lists of up to `keys` tokens in words of `lanes`, and operands of up to `bits`.
    pub fn new(lanes: usize, keys: usize, bits: usize) -> Self {
        let words = super::words(lanes, keys);
        let count = bits_for(keys);
        let step = STEP.max(lanes);
        let tag = crate::matrix_fetcher::TAG_BITS;
        let content = |c: Content| Param::new(c as usize);
        Self {
            name: ModuleName::new(format!("layer_fetches_{lanes}x{keys}_{bits}")),
            clock: Default::default(),
            reset: Default::default(),
            start: Default::default(),
            progressive: Default::default(),
            idle: Default::default(),
            dim: Wire::unsigned(2),
            scaled: Default::default(),
            weighted: Default::default(),
            bits: vec_of(3, || Wire::unsigned(bits)),
            lsb_bits: vec_of(3, || Wire::unsigned(bits)),
            split_kind: Wire::unsigned(2),
            counts: vec_of(2, || Wire::unsigned(count)),
            head_valid: Default::default(),
            head_ready: Default::default(),
            head_first: Default::default(),
            head_ends: Default::default(),
            head_closes: Default::default(),
            head_number: Wire::unsigned(HEAD_BITS),
            head_logit: Wire::unsigned(FACTOR_BITS),
            head_base: vec_of(BASES - 1, || Wire::unsigned(ADDRESS_BITS)),
            tell_valid: Default::default(),
            tell_ready: Default::default(),
            tell_any: Default::default(),
            tell_visible: Wire::unsigned(count),
            again_valid: Default::default(),
            again_ready: Default::default(),
            again_index: Wire::unsigned(bits_for(keys - 1)),
            again_head: Wire::unsigned(HEAD_BITS),
            again_last: Default::default(),
            fetch_valid: Default::default(),
            fetch_ready: Default::default(),
            fetch_base: Wire::unsigned(ADDRESS_BITS),
            fetch_dim: Wire::unsigned(2),
            fetch_bits: Wire::unsigned(bits),
            fetch_above: Wire::unsigned(bits),
            fetch_reading: Wire::unsigned(READING_BITS),
            fetch_tag: Wire::unsigned(tag),
            query_valid: Default::default(),
            query_ready: Default::default(),
            query_rows: Wire::unsigned(count),
            query_factor: Wire::unsigned(FACTOR_BITS),
            query_lsbs: Default::default(),
            query_keep: Default::default(),
            query_again: Default::default(),
            query_drop: Default::default(),
            command_valid: Default::default(),
            command_ready: Default::default(),
            command_queries: Default::default(),
            command_from: Wire::unsigned(bits_for(words - 1)),
            command_to: Wire::unsigned(count),
            command_single: Default::default(),
            level: Param::new(lanes.ilog2() as usize),
            step_level: Param::new(step.ilog2() as usize),
            longest: Param::new(2 * step),
            contents: Param::new(BASES - 1),
            count_bits: Param::new(count),
            address_bits: Param::new(ADDRESS_BITS),
            bits_bits: Param::new(bits),
            keys: content(Content::Keys),
            key_scales: content(Content::KeyScales),
            values: content(Content::Values),
            value_scales: content(Content::ValueScales),
            norms: content(Content::Norms),
            queries: content(Content::Queries),
            query_scales: content(Content::QueryScales),
            key_lsbs: content(Content::KeyLsbs),
            value_lsbs: content(Content::ValueLsbs),
            query_lsbs_content: content(Content::QueryLsbs),
            head_bits: Param::new(HEAD_BITS),
            factor_bits: Param::new(FACTOR_BITS),
            reading_at: Param::new(ADDRESS_BITS + 2 + 2 * bits),
            granule_dim: Param::new(GRANULE_DIM as usize),
            granule_bits: Param::new(GRANULE_BITS as usize),
            state: Default::default(),
            content: Reg::unsigned(4),
            base: vec_of(BASES - 1, || Reg::unsigned(ADDRESS_BITS)),
            first: Default::default(),
            ends: Default::default(),
            closes: Default::default(),
            logit: Reg::unsigned(FACTOR_BITS),
            seen: Reg::unsigned(count),
            table: Ram::new(FACTOR_BITS + 3 * ADDRESS_BITS, MAX_HEADS, ReadPort::Registered),
            table_base: vec_of(3, || Wire::unsigned(ADDRESS_BITS)),
            again: Default::default(),
            row_done: Default::default(),
            is_query: Default::default(),
            waits: Default::default(),
            keeps_ahead: Default::default(),
            keeps: Default::default(),
            query_ahead: Default::default(),
            of_next: Default::default(),
            drops: Default::default(),
            repeats: Default::default(),
            keep: Wire::unsigned(1),
            once_more: Wire::unsigned(1),
            drop: Wire::unsigned(1),
            factor: Wire::unsigned(FACTOR_BITS),
            lsbs: Wire::unsigned(1),
            rows_of_job: Wire::unsigned(count),
            now_above: Wire::unsigned(bits),
            now_reading: Wire::unsigned(READING_BITS),
            readings: vec_of(3, || Wire::unsigned(READING_BITS)),
            lsb_reading: Wire::unsigned(READING_BITS),
            ahead: Default::default(),
            second: Default::default(),
            single: Default::default(),
            values_left: Default::default(),
            from: Reg::unsigned(count),
            split: Reg::unsigned(count),
            steps_before: Wire::unsigned(count),
            part_end: Wire::unsigned(count),
            works: Default::default(),
            of_queries: Default::default(),
            needed: Default::default(),
            rooms: Default::default(),
            issue: Default::default(),
            done: Default::default(),
            part_done: Default::default(),
            has_second: Default::default(),
            own: vec_of(BASES - 1, || Wire::unsigned(ADDRESS_BITS)),
            other: vec_of(BASES - 1, || Wire::unsigned(ADDRESS_BITS)),
            now_base: Wire::unsigned(ADDRESS_BITS),
            now_dim: Wire::unsigned(2),
            now_bits: Wire::unsigned(bits),
            jobs: Fifo::new(ADDRESS_BITS + 2 + 2 * bits + READING_BITS + tag, JOBS),
            query_jobs: Fifo::new(count + FACTOR_BITS + 4, JOBS),
        }
    }
}

impl Logic for Fetches {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            content,
            first,
            ends,
            closes,
            logit,
            ahead,
            second,
            values_left,
            from,
            split,
            seen
        );
        dff_setup!(self, clock, query_ahead);
        clock!(self, clock, table, jobs, query_jobs);
        self.jobs.reset.next = self.reset.val();
        self.query_jobs.reset.next = self.reset.val();
        self.idle.next = self.state.q.val() == State::Idle;

        // Which content, of which rows.
        self.again.next = self.state.q.val() == State::Again;
        self.of_next.next = (self.state.q.val() == State::Ahead) | (self.state.q.val() == State::AheadQuery);
        self.of_queries.next = (self.state.q.val() == State::Queries)
            | (self.state.q.val() == State::Again)
            | (self.state.q.val() == State::AheadQuery);
        self.is_query.next =
            (self.content.q.val() == self.queries.val()) | (self.content.q.val() == self.query_lsbs_content.val());
        self.single.next = self.counts[1].val() == 1;
        self.has_second.next = self.split.q.val() != self.counts[1].val();
        self.part_end.next = self.split.q.val();
        if self.second.q.val() {
            self.part_end.next = self.counts[1].val();
        }
        self.works.next = (self.state.q.val() == State::Own)
            | (self.state.q.val() == State::Queries)
            | (self.state.q.val() == State::Lsbs)
            | (self.state.q.val() == State::Again)
            | (self.of_next.val() & self.head_valid.val() & self.head_first.val());
        self.needed.next = true;
        if (self.content.q.val() == self.key_scales.val())
            | (self.content.q.val() == self.value_scales.val())
            | (self.content.q.val() == self.query_scales.val())
        {
            self.needed.next = self.scaled.val();
        }
        if self.content.q.val() == self.norms.val() {
            self.needed.next = self.weighted.val();
        }
        if self.content.q.val() == self.key_lsbs.val() {
            self.needed.next = self.lsb_bits[0].val().any();
        }
        if self.content.q.val() == self.value_lsbs.val() {
            self.needed.next = self.lsb_bits[1].val().any();
        }
        if self.content.q.val() == self.query_lsbs_content.val() {
            self.needed.next = self.lsb_bits[2].val().any();
        }
        self.rooms.next = self.jobs.in_ready.val()
            & self.command_ready.val()
            & (self.query_jobs.in_ready.val() | !self.is_query.val());
        self.issue.next = self.works.val()
            & self.needed.val()
            & self.rooms.val()
            & !((self.state.q.val() == State::Queries) & self.query_ahead.q.val());
        self.done.next = self.works.val() & (!self.needed.val() | self.rooms.val());
        self.part_done.next = self.done.val() & (self.content.q.val() == self.queries.val());
        self.row_done.next = self.again.val() & self.part_done.val();

        // What the heads' queries need is kept: their flat rows are fetched again.
        self.table.write_enable.next = (self.state.q.val() == State::Take) & self.head_valid.val();
        self.table.write_address.next = self.head_number.val();
        self.table.write_data.next = (((((self.head_base[self.query_lsbs_content.val()].val()
            << self.address_bits.val())
            | self.head_base[self.queries.val()].val())
            << self.address_bits.val())
            | self.head_base[self.query_scales.val()].val())
            << self.factor_bits.val())
            | self.head_logit.val();
        self.table.read_address.next = self.again_head.val();
        for i in 0..3 {
            self.table_base[i].next =
                self.table.read_data.val() >> (self.factor_bits.val() + i * self.address_bits.val());
        }
        self.factor.next = self.logit.q.val();
        if self.again.val() {
            self.factor.next = self.table.read_data.val();
        }

        // The job.
        for i in 0..self.contents.val() {
            if i == 0 {
                self.own[0].next = self.base[0].q.val();
                self.other[0].next = self.head_base[0].val();
            } else {
                self.own[i].next = self.own[i - 1].val();
                self.other[i].next = self.other[i - 1].val();
                if self.content.q.val() == i {
                    self.own[i].next = self.base[i].q.val();
                    self.other[i].next = self.head_base[i].val();
                }
            }
        }
        self.now_base.next = self.own[self.contents.val() - 1].val();
        if self.of_next.val() {
            self.now_base.next = self.other[self.contents.val() - 1].val();
        }
        if self.again.val() {
            self.now_base.next = self.table_base[0].val();
            if self.content.q.val() == self.queries.val() {
                self.now_base.next = self.table_base[1].val();
            }
            if self.content.q.val() == self.query_lsbs_content.val() {
                self.now_base.next = self.table_base[2].val();
            }
        }
        // MSBs are read as the middle of their cell, or as they are; LSBs as what they add to that.
        self.lsb_reading.next = 0.into();
        if self.split_kind.val() == 0 {
            self.lsb_reading.next = 2.into();
        }
        if self.split_kind.val() == 1 {
            self.lsb_reading.next = 3.into();
        }
        for i in 0..3 {
            self.readings[i].next = 0.into();
            if (self.split_kind.val() == 1) & self.lsb_bits[i].val().any() {
                self.readings[i].next = 1.into();
            }
        }
        self.now_dim.next = self.dim.val();
        self.now_bits.next = self.granule_bits.val().into();
        self.now_above.next = 0.into();
        self.now_reading.next = 0.into();
        if self.content.q.val() == self.keys.val() {
            self.now_bits.next = self.bits[0].val();
            self.now_reading.next = self.readings[0].val();
        } else if self.content.q.val() == self.values.val() {
            self.now_bits.next = self.bits[1].val();
            self.now_reading.next = self.readings[1].val();
        } else if self.content.q.val() == self.queries.val() {
            self.now_bits.next = self.bits[2].val();
            self.now_reading.next = self.readings[2].val();
        } else if self.content.q.val() == self.key_lsbs.val() {
            self.now_bits.next = self.lsb_bits[0].val();
            self.now_above.next = self.bits[0].val();
            self.now_reading.next = self.lsb_reading.val();
        } else if self.content.q.val() == self.value_lsbs.val() {
            self.now_bits.next = self.lsb_bits[1].val();
            self.now_above.next = self.bits[1].val();
            self.now_reading.next = self.lsb_reading.val();
        } else if self.content.q.val() == self.query_lsbs_content.val() {
            self.now_bits.next = self.lsb_bits[2].val();
            self.now_above.next = self.bits[2].val();
            self.now_reading.next = self.lsb_reading.val();
        } else {
            self.now_dim.next = self.granule_dim.val().into();
        }
        self.jobs.in_valid.next = self.issue.val();
        self.jobs.in_data.next = (((((((((self.content.q.val() << 2) | self.now_reading.val())
            << self.bits_bits.val())
            | self.now_above.val())
            << self.bits_bits.val())
            | self.now_bits.val())
            << 2)
            | self.now_dim.val())
            << self.address_bits.val())
            | self.now_base.val();
        self.fetch_valid.next = self.jobs.out_valid.val();
        self.jobs.out_ready.next = self.fetch_ready.val();
        self.fetch_base.next = self.jobs.out_data.val();
        self.fetch_dim.next = self.jobs.out_data.val() >> self.address_bits.val();
        self.fetch_bits.next = self.jobs.out_data.val() >> (self.address_bits.val() + 2);
        self.fetch_above.next = self.jobs.out_data.val() >> (self.address_bits.val() + 2 + self.bits_bits.val());
        self.fetch_reading.next = self.jobs.out_data.val() >> self.reading_at.val();
        self.fetch_tag.next = self.jobs.out_data.val() >> (self.reading_at.val() + 2);

        self.command_valid.next = self.issue.val();
        self.command_queries.next = self.of_queries.val();
        self.command_single.next = self.again.val();
        self.command_from.next = 0.into();
        self.command_to.next = self.counts[0].val();
        if self.state.q.val() == State::Lsbs {
            self.command_to.next = self.seen.q.val();
        }
        if self.state.q.val() == State::Queries {
            self.command_from.next = self.from.q.val() >> self.level.val();
            self.command_to.next = self.part_end.val();
        }
        if self.state.q.val() == State::AheadQuery {
            self.command_to.next = self.counts[1].val();
        }
        if self.again.val() {
            self.command_from.next = self.again_index.val() >> self.level.val();
            self.command_to.next = self.again_index.val() + 1;
        }
        // What is said of queries: of those that are fetched, or were ahead; of the one that was kept, in the end.
        self.lsbs.next = (self.content.q.val() == self.query_lsbs_content.val()).into();
        self.keep.next = self.keeps.val().into();
        self.once_more.next = self.repeats.val().into();
        self.drop.next = 0.into();
        self.query_jobs.in_valid.next = (self.works.val()
            & self.needed.val()
            & self.rooms.val()
            & self.is_query.val()
            & (self.state.q.val() != State::AheadQuery))
            | self.drops.val()
            | self.repeats.val();
        self.rows_of_job.next = self.part_end.val() - self.from.q.val();
        if self.again.val() | self.drops.val() | self.repeats.val() {
            self.rows_of_job.next = 1.into();
        }
        if self.drops.val() | self.repeats.val() {
            self.lsbs.next = 0.into();
            self.keep.next = 0.into();
            self.drop.next = self.drops.val().into();
        }
        self.query_jobs.in_data.next =
            (((((((((self.factor.val() << 1) | self.once_more.val()) << 1) | self.drop.val()) << 1)
                | self.keep.val())
                << 1)
                | self.lsbs.val())
                << self.count_bits.val())
                | self.rows_of_job.val();
        self.query_valid.next = self.query_jobs.out_valid.val();
        self.query_jobs.out_ready.next = self.query_ready.val();
        self.query_rows.next = self.query_jobs.out_data.val();
        self.query_lsbs.next = self.query_jobs.out_data.val().get_bit(self.count_bits.val());
        self.query_keep.next = self.query_jobs.out_data.val().get_bit(self.count_bits.val() + 1);
        self.query_drop.next = self.query_jobs.out_data.val().get_bit(self.count_bits.val() + 2);
        self.query_again.next = self.query_jobs.out_data.val().get_bit(self.count_bits.val() + 3);
        self.query_factor.next = self.query_jobs.out_data.val() >> (self.count_bits.val() + 4);

        self.head_ready.next = self.state.q.val() == State::Take;
        self.tell_ready.next = (self.state.q.val() == State::Decide) & self.query_jobs.in_ready.val();
        self.drops.next = (self.state.q.val() == State::Decide)
            & self.query_jobs.in_ready.val()
            & self.tell_valid.val()
            & !self.tell_any.val()
            & self.keeps.val();
        self.repeats.next = (self.state.q.val() == State::Next)
            & self.query_jobs.in_ready.val()
            & self.again_valid.val()
            & self.keeps.val();
        self.again_ready.next = self.row_done.val()
            | ((self.state.q.val() == State::Next) & self.query_jobs.in_ready.val() & self.keeps.val());
        self.steps_before.next = (self.counts[1].val() - 1) >> self.step_level.val();
        // The first passes of the keys at hand are all fetched for; what is next may be ahead of their outcome.
        self.waits.next = self.progressive.val() & self.ends.q.val();
        self.keeps_ahead.next = self.waits.val() & self.single.val() & !self.closes.q.val() & (self.dim.val() != 3);
        self.keeps.next = self.keeps_ahead.val() & self.first.q.val() & !self.lsb_bits[2].val().any();
        for i in 0..self.contents.val() {
            self.base[i].clock.next = self.clock.val();
            self.base[i].d.next = self.base[i].q.val();
            if (self.state.q.val() == State::Take) & self.head_valid.val() {
                self.base[i].d.next = self.head_base[i].val();
            }
        }
        match self.state.q.val() {
            State::Idle => {
                if self.start.val() {
                    self.state.d.next = State::Take;
                    self.ahead.d.next = false;
                    self.query_ahead.d.next = false;
                    self.split.d.next = self.counts[1].val();
                    if (self.counts[1].val() > self.longest.val()) & (self.dim.val() != 3) {
                        self.split.d.next = (self.steps_before.val() - 1) << self.step_level.val();
                    }
                }
            }
            State::Take => {
                self.second.d.next = false;
                self.values_left.d.next = false;
                self.from.d.next = 0.into();
                if self.head_valid.val() {
                    self.first.d.next = self.head_first.val();
                    self.ends.d.next = self.head_ends.val();
                    self.closes.d.next = self.head_closes.val();
                    self.logit.d.next = self.head_logit.val();
                    self.ahead.d.next = false;
                    if self.head_first.val() & !self.ahead.q.val() {
                        self.state.d.next = State::Own;
                        self.content.d.next = self.keys.val().into();
                    } else {
                        self.state.d.next = State::Queries;
                        self.content.d.next = self.query_scales.val().into();
                    }
                }
            }
            State::Own => {
                if self.done.val() {
                    self.content.d.next = self.content.q.val() + 1;
                    if self.single.val() & (self.content.q.val() == self.key_scales.val()) {
                        self.state.d.next = State::Queries;
                        self.content.d.next = self.query_scales.val().into();
                        self.values_left.d.next = true;
                    }
                    if self.content.q.val() == self.norms.val() {
                        self.state.d.next = State::Queries;
                        self.content.d.next = self.query_scales.val().into();
                        if self.single.val() {
                            self.state.d.next = State::Take;
                            if self.closes.q.val() {
                                self.state.d.next = State::Idle;
                            }
                            if self.waits.val() {
                                self.state.d.next = State::Decide;
                            }
                            if self.keeps_ahead.val() {
                                self.state.d.next = State::Ahead;
                                self.content.d.next = self.keys.val().into();
                            }
                            if self.keeps.val() {
                                self.state.d.next = State::AheadQuery;
                                self.content.d.next = self.query_scales.val().into();
                            }
                        }
                    }
                }
            }
            State::Queries => {
                if self.done.val() {
                    self.content.d.next = self.queries.val().into();
                    if self.content.q.val() == self.queries.val() {
                        self.content.d.next = self.query_scales.val().into();
                        self.from.d.next = self.part_end.val();
                        self.query_ahead.d.next = false;
                    }
                }
                if self.part_done.val() & self.values_left.q.val() {
                    self.values_left.d.next = false;
                    self.state.d.next = State::Own;
                    self.content.d.next = self.values.val().into();
                } else if self.part_done.val() {
                    if self.keeps.val() {
                        self.state.d.next = State::AheadQuery;
                        self.content.d.next = self.query_scales.val().into();
                    } else if self.keeps_ahead.val() {
                        self.state.d.next = State::Ahead;
                        self.content.d.next = self.keys.val().into();
                    } else if self.single.val()
                        | self.second.q.val()
                        | (!self.has_second.val() & (self.closes.q.val() | (self.waits.val() & (self.dim.val() == 3))))
                    {
                        self.state.d.next = State::Take;
                        if self.closes.q.val() {
                            self.state.d.next = State::Idle;
                        }
                        if self.waits.val() {
                            self.state.d.next = State::Decide;
                        }
                    } else if self.closes.q.val() {
                        self.second.d.next = true;
                    } else {
                        self.state.d.next = State::Ahead;
                        self.content.d.next = self.keys.val().into();
                    }
                }
            }
            State::Ahead => {
                if self.done.val() {
                    self.content.d.next = self.content.q.val() + 1;
                }
                if (self.done.val() & (self.content.q.val() == self.norms.val()))
                    | (self.head_valid.val() & !self.head_first.val())
                {
                    self.ahead.d.next = self.head_first.val();
                    self.second.d.next = true;
                    self.content.d.next = self.query_scales.val().into();
                    self.state.d.next = State::Queries;
                    if !self.has_second.val() {
                        self.state.d.next = State::Take;
                        if self.waits.val() {
                            self.state.d.next = State::Decide;
                        }
                    }
                }
            }
            State::Decide => {
                self.content.d.next = self.key_lsbs.val().into();
                self.seen.d.next = self.tell_visible.val();
                if self.tell_valid.val() & self.query_jobs.in_ready.val() {
                    if self.tell_any.val() {
                        self.state.d.next = State::Lsbs;
                    } else {
                        self.state.d.next = State::Take;
                        if self.closes.q.val() {
                            self.state.d.next = State::Idle;
                        }
                    }
                }
            }
            State::Lsbs => {
                if self.done.val() {
                    self.content.d.next = self.value_lsbs.val().into();
                    if self.content.q.val() == self.value_lsbs.val() {
                        self.state.d.next = State::Next;
                    }
                }
            }
            State::Next => {
                self.content.d.next = self.query_scales.val().into();
                if self.repeats.val() {
                    self.state.d.next = State::Take;
                } else if self.again_valid.val() & !self.keeps.val() {
                    self.state.d.next = State::Again;
                }
            }
            State::AheadQuery => {
                if self.done.val() {
                    self.content.d.next = self.queries.val().into();
                    if self.content.q.val() == self.queries.val() {
                        self.query_ahead.d.next = true;
                        self.state.d.next = State::Ahead;
                        self.content.d.next = self.keys.val().into();
                    }
                }
            }
            State::Again => {
                if self.done.val() {
                    self.content.d.next = self.query_lsbs_content.val().into();
                    if self.content.q.val() == self.query_lsbs_content.val() {
                        self.content.d.next = self.queries.val().into();
                    }
                }
                if self.row_done.val() {
                    self.state.d.next = State::Next;
                    if self.again_last.val() {
                        self.state.d.next = State::Take;
                        if self.closes.q.val() {
                            self.state.d.next = State::Idle;
                        }
                    }
                }
            }
        }
        if self.reset.val() {
            self.state.d.next = State::Idle;
        }
    }
}
