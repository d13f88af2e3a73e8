//! Operands of all lanes to beats of the buffers: the last part of `fetch_path`.

use crate::bitwidth_converter::{ELEMENTS, ELEMENTS_KNOWN};
use crate::fifo::Fifo;
use crate::hdl::*;
use crate::leaf::Join;
use crate::matrix_fetcher::TAG_BITS;

/// Takes the beats of all lanes at once and puts them side by side.
///
/// Where rows are half a chunk long (`half`, per job), the low halves of two steps make one beat; a job's last step that has
/// no other is a beat whose upper half is 0.
///
/// # Timing   a step is there when the last of its lanes is; one per cycle. A step without a partner is there a cycle later
#[derive(LogicBlock)]
pub(super) struct Joiner {
    name: ModuleName,
    pub(super) clock: Signal<In, Clock>,
    pub(super) reset: Signal<In, Bit>,
    /// A job.
    pub(super) job_valid: Signal<In, Bit>,
    pub(super) job_ready: Signal<Out, Bit>,
    /// Its rows are half a chunk long.
    pub(super) job_half: Wire<In>,
    pub(super) in_valid: Vec<Signal<In, Bit>>,
    /// To all lanes.
    pub(super) in_ready: Signal<Out, Bit>,
    /// The operands of all lanes.
    pub(super) in_data: Vec<Wire<In>>,
    pub(super) in_tag: Wire<In>,
    pub(super) in_last: Signal<In, Bit>,
    pub(super) out_valid: Signal<Out, Bit>,
    pub(super) out_ready: Signal<In, Bit>,
    pub(super) out_data: Wire<Out>,
    pub(super) out_tag: Wire<Out>,
    pub(super) out_last: Signal<Out, Bit>,
    lanes: Param,
    row: Param,
    kept_operands: Param,
    jobs: Fifo,
    all: Vec<Signal<Local, Bit>>,
    there: Signal<Local, Bit>,
    half: Signal<Local, Bit>,
    keeps: Signal<Local, Bit>,
    whole: Signal<Local, Bit>,
    gives: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    kept: Vec<Reg>,
    kept_tag: Reg,
    /// A step is kept; another follows, or none.
    first: Dff<Bit>,
    alone: Dff<Bit>,
    join: Join,
}

impl Joiner {
    /// Of `lanes` lanes of operands of `bits`.
    pub(super) fn new(lanes: usize, bits: usize) -> Self {
        Self {
            name: ModuleName::new("lane_joiner"),
            clock: Default::default(),
            reset: Default::default(),
            job_valid: Default::default(),
            job_ready: Default::default(),
            job_half: Wire::unsigned(1),
            in_valid: vec_of(lanes, Default::default),
            in_ready: Default::default(),
            in_data: vec_of(lanes * ELEMENTS, || Wire::unsigned(bits)),
            in_tag: Wire::unsigned(TAG_BITS),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: Wire::unsigned(lanes * ELEMENTS * bits),
            out_tag: Wire::unsigned(TAG_BITS),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            row: Param::new(ELEMENTS / 2),
            kept_operands: Param::new(lanes * ELEMENTS / 2),
            jobs: Fifo::new(1, ELEMENTS_KNOWN),
            all: vec_of(lanes, Default::default),
            there: Default::default(),
            half: Default::default(),
            keeps: Default::default(),
            whole: Default::default(),
            gives: Default::default(),
            ends: Default::default(),
            kept: vec_of(lanes * ELEMENTS / 2, || Reg::unsigned(bits)),
            kept_tag: Reg::unsigned(TAG_BITS),
            first: Default::default(),
            alone: Default::default(),
            join: Join::new(lanes * ELEMENTS, bits),
        }
    }
}

impl Logic for Joiner {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, kept_tag, first, alone);
        clock!(self, clock, jobs);
        self.jobs.reset.next = self.reset.val();
        self.jobs.in_valid.next = self.job_valid.val();
        self.job_ready.next = self.jobs.in_ready.val();
        self.jobs.in_data.next = self.job_half.val();
        for i in 0..self.lanes.val() {
            if i == 0 {
                self.all[0].next = self.in_valid[0].val() & self.jobs.out_valid.val() & !self.alone.q.val();
            } else {
                self.all[i].next = self.all[i - 1].val() & self.in_valid[i].val();
            }
        }
        self.there.next = self.all[self.lanes.val() - 1].val();
        self.half.next = self.jobs.out_data.val().any();
        self.keeps.next = self.there.val() & self.half.val() & !self.first.q.val();
        self.whole.next = self.there.val() & (!self.half.val() | self.first.q.val());
        self.out_valid.next = self.whole.val() | self.alone.q.val();
        self.gives.next = (self.whole.val() | self.alone.q.val()) & self.out_ready.val();
        self.in_ready.next = self.keeps.val() | (self.whole.val() & self.out_ready.val());
        self.out_last.next = self.alone.q.val() | self.in_last.val();
        self.ends.next = self.gives.val() & (self.alone.q.val() | self.in_last.val());
        self.jobs.out_ready.next = self.ends.val();
        self.out_tag.next = self.in_tag.val();
        if self.alone.q.val() {
            self.out_tag.next = self.kept_tag.q.val();
        }
        if self.gives.val() {
            self.first.d.next = false;
            self.alone.d.next = false;
        }
        if self.keeps.val() {
            self.kept_tag.d.next = self.in_tag.val();
            self.first.d.next = !self.in_last.val();
            self.alone.d.next = self.in_last.val();
        }
        for i in 0..self.kept_operands.val() {
            self.kept[i].clock.next = self.clock.val();
            self.kept[i].d.next = self.kept[i].q.val();
            if self.keeps.val() {
                self.kept[i].d.next =
                    self.in_data[(i / self.row.val()) * 2 * self.row.val() + i % self.row.val()].val();
            }
            self.join.lane[i].next = self.in_data[i].val();
            self.join.lane[self.kept_operands.val() + i].next = self.in_data[self.kept_operands.val() + i].val();
            if self.half.val() {
                self.join.lane[i].next = self.kept[i].q.val();
                self.join.lane[self.kept_operands.val() + i].next =
                    self.in_data[(i / self.row.val()) * 2 * self.row.val() + i % self.row.val()].val();
                if self.alone.q.val() {
                    self.join.lane[self.kept_operands.val() + i].next = 0.into();
                }
            }
        }
        self.out_data.next = self.join.word.val();
        if self.reset.val() {
            self.first.d.next = false;
            self.alone.d.next = false;
        }
    }
}
