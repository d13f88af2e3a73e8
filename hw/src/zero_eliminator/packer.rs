//! Partial beats into full ones.

use crate::credits::Credits;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;
use crate::prefix_sum::{LEVELS_PER_STAGE, levels_of, stages};

/// Some levels of a rotation, and registers: at the level of distance `d`, all lanes move up by `d` where `by` has that bit.
#[derive(LogicBlock)]
struct RotateStage {
    name: ModuleName,
    unused: Vec<Waiver>,
    clock: Signal<In, Clock>,
    data: Vec<Wire<In>>,
    by: Wire<In>,
    out: Vec<Wire<Out>>,
    lanes: Param,
    levels: Param,
    distance: Param,
    node: Vec<Wire<Local>>,
    held: Vec<Reg>,
}

impl RotateStage {
    fn new(lanes: usize, bits: usize, stage: usize) -> Self {
        let levels = levels_of(lanes, stage);
        Self {
            name: ModuleName::new(format!("rotate_stage_{lanes}x{bits}_{stage}")),
            unused: (lanes..2).map(|_| Waiver::new("UNUSEDSIGNAL", "One lane has nowhere to go.")).collect(),
            clock: Default::default(),
            data: vec_of(lanes, || Wire::unsigned(bits)),
            by: Wire::unsigned(levels.max(1)),
            out: vec_of(lanes, || Wire::unsigned(bits)),
            lanes: Param::new(lanes),
            levels: Param::new(levels),
            distance: Param::new(1 << (LEVELS_PER_STAGE * stage)),
            node: vec_of((levels + 1) * lanes, || Wire::unsigned(bits)),
            held: vec_of(lanes, || Reg::unsigned(bits)),
        }
    }
}

impl Logic for RotateStage {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self.lanes.val() {
            self.node[i].next = self.data[i].val();
        }
        for l in 0..self.levels.val() {
            for i in 0..self.lanes.val() {
                self.node[(l + 1) * self.lanes.val() + i].next = self.node[l * self.lanes.val() + i].val();
                if self.by.val().get_bit(l) {
                    self.node[(l + 1) * self.lanes.val() + i].next = self.node
                        [l * self.lanes.val() + (i + self.lanes.val() - (self.distance.val() << l)) % self.lanes.val()]
                    .val();
                }
            }
        }
        for i in 0..self.lanes.val() {
            self.held[i].clock.next = self.clock.val();
            self.held[i].d.next = self.node[self.levels.val() * self.lanes.val() + i].val();
            self.out[i].next = self.held[i].q.val();
        }
    }
}

/// Merges beats of 0 to P lanes into full beats; only the last of a row is partial, or empty where the row is. A full beat
/// therefore waits for what comes next.
///
/// A beat is rotated up by the lanes that are left over from those before it. Then its lanes from there on belong to the
/// beat that is being filled, and those below to the next one.
///
/// # Timing   one beat per cycle, but one cycle more after a row's last beat where that and what is left over are more than
/// one beat. A beat that is ended, or known not to be the last, in cycle `t` is offered from `t + Packer::latency(P)`, what
/// is left over of the last one from `t + 1 + Packer::latency(P)`. Nothing is taken while all [`Packer::places`] are taken
#[derive(LogicBlock)]
pub struct Packer {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets what is inside.
    pub reset: Signal<In, Bit>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Its lanes.
    pub in_data: Vec<Wire<In>>,
    /// How many of them count.
    pub in_count: Wire<In>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Its lanes.
    pub out_data: Vec<Wire<Out>>,
    /// How many of them count: all but in the last beat of a row.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    lanes: Param,
    stages: Param,
    levels_per_stage: Param,
    credits: Credits,
    queue: LaneFifo,
    rotate: Vec<RotateStage>,
    /// Lanes left over, as the beat that enters sees them.
    left: Reg,
    /// The row has ended and lanes are left over.
    flushing: Dff<Bit>,
    take: Signal<Local, Bit>,
    total: Wire<Local>,
    emits: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    count: Wire<Local>,
    merges: Signal<Local, Bit>,
    /// The same, one per stage of the rotation.
    held_left: Vec<Reg>,
    held_count: Vec<Reg>,
    held_emits: Vec<Dff<Bit>>,
    held_ends: Vec<Dff<Bit>>,
    held_merges: Vec<Dff<Bit>>,
    /// Lanes of the beat that is being filled.
    hold: Vec<Reg>,
    /// Lanes that the beat brings, above those that are left over.
    fresh: Vec<Signal<Local, Bit>>,
    merged: Vec<Wire<Local>>,
}

impl Packer {
    /// For beats of `lanes` lanes of `bits`.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two.
    #[track_caller]
    pub fn new(lanes: usize, bits: usize) -> Self {
        let (count, stages, places) = (bits_for(lanes), stages(lanes), Self::places(lanes));
        Self {
            name: ModuleName::new(format!("packer_{lanes}x{bits}")),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: vec_of(lanes, || Wire::unsigned(bits)),
            in_count: Wire::unsigned(count),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(lanes, || Wire::unsigned(bits)),
            out_count: Wire::unsigned(count),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            stages: Param::new(stages),
            levels_per_stage: Param::new(LEVELS_PER_STAGE),
            credits: Credits::new(places),
            queue: LaneFifo::new(lanes, bits, count + 1, places),
            rotate: (0..stages).map(|s| RotateStage::new(lanes, bits, s)).collect(),
            left: Reg::unsigned(count),
            flushing: Default::default(),
            take: Default::default(),
            total: Wire::unsigned(count + 1),
            emits: Default::default(),
            ends: Default::default(),
            count: Wire::unsigned(count),
            merges: Default::default(),
            held_left: vec_of(stages, || Reg::unsigned(count)),
            held_count: vec_of(stages, || Reg::unsigned(count)),
            held_emits: vec_of(stages, Default::default),
            held_ends: vec_of(stages, Default::default),
            held_merges: vec_of(stages, Default::default),
            hold: vec_of(lanes, || Reg::unsigned(bits)),
            fresh: vec_of(lanes, Default::default),
            merged: vec_of(lanes, || Wire::unsigned(bits)),
        }
    }

    /// Cycles from a beat in to the beat that it fills or ends.
    pub fn latency(lanes: usize) -> usize {
        stages(lanes) + 1
    }

    /// Beats that fit behind the rotation.
    pub fn places(lanes: usize) -> usize {
        (Self::latency(lanes) + 1).next_power_of_two()
    }
}

impl Logic for Packer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, left, flushing);
        clock!(self, clock, credits, queue);
        self.credits.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();

        self.in_ready.next = self.credits.available.val() & !self.flushing.q.val();
        self.take.next = self.in_valid.val() & self.credits.available.val() & !self.flushing.q.val();
        self.total.next = self.left.q.val() + self.in_count.val();
        self.merges.next = self.take.val();
        self.emits.next = false;
        self.ends.next = false;
        self.count.next = self.total.val();
        if self.take.val() {
            self.left.d.next = self.total.val();
            // A full beat waits for the next kept lane: it might be the row's last one.
            if self.total.val() > self.lanes.val() {
                self.emits.next = true;
                self.count.next = self.lanes.val().into();
                self.left.d.next = self.total.val() - self.lanes.val();
            }
            if self.in_last.val() {
                self.emits.next = true;
                if self.total.val() > self.lanes.val() {
                    self.flushing.d.next = true;
                } else {
                    self.ends.next = true;
                    self.left.d.next = 0.into();
                }
            }
        }
        if self.flushing.q.val() {
            self.count.next = self.left.q.val();
            if self.credits.available.val() {
                self.emits.next = true;
                self.ends.next = true;
                self.left.d.next = 0.into();
                self.flushing.d.next = false;
            }
        }
        if self.reset.val() {
            self.left.d.next = 0.into();
            self.flushing.d.next = false;
        }
        self.credits.take.next = self.emits.val();
        self.credits.give.next = self.queue.popped.val();

        for s in 0..self.stages.val() {
            self.rotate[s].clock.next = self.clock.val();
            self.held_left[s].clock.next = self.clock.val();
            self.held_count[s].clock.next = self.clock.val();
            self.held_emits[s].clock.next = self.clock.val();
            self.held_ends[s].clock.next = self.clock.val();
            self.held_merges[s].clock.next = self.clock.val();
            if s == 0 {
                self.rotate[s].by.next = self.left.q.val();
                self.held_left[s].d.next = self.left.q.val();
                self.held_count[s].d.next = self.count.val();
                self.held_emits[s].d.next = self.emits.val() & !self.reset.val();
                self.held_ends[s].d.next = self.ends.val();
                self.held_merges[s].d.next = self.merges.val();
            } else {
                self.rotate[s].by.next = self.held_left[s - 1].q.val() >> (self.levels_per_stage.val() * s);
                self.held_left[s].d.next = self.held_left[s - 1].q.val();
                self.held_count[s].d.next = self.held_count[s - 1].q.val();
                self.held_emits[s].d.next = self.held_emits[s - 1].q.val() & !self.reset.val();
                self.held_ends[s].d.next = self.held_ends[s - 1].q.val();
                self.held_merges[s].d.next = self.held_merges[s - 1].q.val();
            }
            for i in 0..self.lanes.val() {
                if s == 0 {
                    self.rotate[s].data[i].next = self.in_data[i].val();
                } else {
                    self.rotate[s].data[i].next = self.rotate[s - 1].out[i].val();
                }
            }
        }

        for i in 0..self.lanes.val() {
            self.fresh[i].next = self.held_left[self.stages.val() - 1].q.val() <= i;
            self.hold[i].clock.next = self.clock.val();
            self.hold[i].d.next = self.hold[i].q.val();
            self.merged[i].next = self.hold[i].q.val();
            if self.fresh[i].val() {
                self.merged[i].next = self.rotate[self.stages.val() - 1].out[i].val();
            }
            // Where the beat is full, what is left over begins the next one.
            if self.held_merges[self.stages.val() - 1].q.val()
                & (self.fresh[i].val() | self.held_emits[self.stages.val() - 1].q.val())
            {
                self.hold[i].d.next = self.rotate[self.stages.val() - 1].out[i].val();
            }
            // Lanes that do not count are zero.
            self.queue.in_data[i].next = 0.into();
            if self.held_count[self.stages.val() - 1].q.val() > i {
                self.queue.in_data[i].next = self.merged[i].val();
            }
            self.out_data[i].next = self.queue.out_data[i].val();
        }
        self.queue.push.next = self.held_emits[self.stages.val() - 1].q.val();
        self.queue.in_tag.next =
            (self.held_count[self.stages.val() - 1].q.val() << 1) | self.held_ends[self.stages.val() - 1].q.val();
        self.out_valid.next = self.queue.out_valid.val();
        self.out_count.next = self.queue.out_tag.val() >> 1;
        self.out_last.next = self.queue.out_tag.val().get_bit(0);
        self.queue.out_ready.next = self.out_ready.val();
    }
}
