//! The network of Fig. 10: gaps are counted, and kept lanes move down by the gaps below them.

use crate::hdl::*;
use crate::prefix_sum::{LEVELS_PER_STAGE, PrefixNetwork, levels_of};

/// Registers of the moves of `lanes` lanes.
fn shift_stages(lanes: usize) -> usize {
    (lanes.ilog2() as usize).div_ceil(LEVELS_PER_STAGE)
}

/// One level: a lane moves down by `distance` where its number of gaps is odd in units of `distance`. What is there is a
/// gap, or moves away in the same level.
///
/// Lanes below `distance` have fewer gaps than that below them and never move, so gaps are given from there on.
#[derive(LogicBlock)]
struct ShiftLevel {
    name: ModuleName,
    unused: Waiver,
    /// Lanes.
    data: Vec<Wire<In>>,
    /// How far the lanes from `distance` on move, in units of it; 0 in a gap.
    gaps: Vec<Wire<In>>,
    out_data: Vec<Wire<Out>>,
    /// The same for the next level: from twice `distance` on.
    out_gaps: Vec<Wire<Out>>,
    lanes: Param,
    distance: Param,
    out_gap_lanes: Param,
}

impl ShiftLevel {
    fn new(lanes: usize, bits: usize, level: usize) -> Self {
        let distance = 1 << level;
        let gap_bits = lanes.ilog2() as usize - level;
        let out_gap_lanes = lanes - 2 * distance;
        Self {
            name: ModuleName::new(format!("shift_level_{lanes}x{bits}_{level}")),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "The counts of low lanes need fewer bits than their port has: fewer lanes are below.",
            ),
            data: vec_of(lanes, || Wire::unsigned(bits)),
            gaps: vec_of(lanes - distance, || Wire::unsigned(gap_bits)),
            out_data: vec_of(lanes, || Wire::unsigned(bits)),
            out_gaps: vec_of(out_gap_lanes, || Wire::unsigned(gap_bits - 1)),
            lanes: Param::new(lanes),
            distance: Param::new(distance),
            out_gap_lanes: Param::new(out_gap_lanes),
        }
    }
}

impl Logic for ShiftLevel {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self.lanes.val() {
            self.out_data[i].next = self.data[i].val();
            if i + self.distance.val() < self.lanes.val() {
                if self.gaps[i].val().get_bit(0) {
                    self.out_data[i].next = self.data[i + self.distance.val()].val();
                }
            }
        }
        for i in 0..self.out_gap_lanes.val() {
            self.out_gaps[i].next = self.gaps[i + self.distance.val()].val() >> 1;
            // What has moved away leaves a gap.
            if self.gaps[i + self.distance.val()].val().get_bit(0) {
                self.out_gaps[i].next = 0.into();
            }
            if i + 2 * self.distance.val() < self.lanes.val() - self.distance.val() {
                if self.gaps[i + 2 * self.distance.val()].val().get_bit(0) {
                    self.out_gaps[i].next = self.gaps[i + 2 * self.distance.val()].val() >> 1;
                }
            }
        }
    }
}

/// Levels between two registers.
#[derive(LogicBlock)]
struct ShiftStage {
    name: ModuleName,
    clock: Signal<In, Clock>,
    data: Vec<Wire<In>>,
    gaps: Vec<Wire<In>>,
    out_data: Vec<Wire<Out>>,
    out_gaps: Vec<Wire<Out>>,
    lanes: Param,
    levels: Param,
    distance: Param,
    gap_lanes: Param,
    out_gap_lanes: Param,
    level: Vec<ShiftLevel>,
    data_held: Vec<Reg>,
    gaps_held: Vec<Reg>,
}

impl ShiftStage {
    fn new(lanes: usize, bits: usize, stage: usize) -> Self {
        let (first, levels) = (LEVELS_PER_STAGE * stage, levels_of(lanes, stage));
        let (distance, gap_bits) = (1 << first, lanes.ilog2() as usize - first);
        let (gap_lanes, out_gap_lanes) = (lanes - distance, lanes - (distance << levels));
        Self {
            name: ModuleName::new(format!("shift_stage_{lanes}x{bits}_{stage}")),
            clock: Default::default(),
            data: vec_of(lanes, || Wire::unsigned(bits)),
            gaps: vec_of(gap_lanes, || Wire::unsigned(gap_bits)),
            out_data: vec_of(lanes, || Wire::unsigned(bits)),
            out_gaps: vec_of(out_gap_lanes, || Wire::unsigned(gap_bits - levels)),
            lanes: Param::new(lanes),
            levels: Param::new(levels),
            distance: Param::new(distance),
            gap_lanes: Param::new(gap_lanes),
            out_gap_lanes: Param::new(out_gap_lanes),
            level: (0..levels).map(|l| ShiftLevel::new(lanes, bits, first + l)).collect(),
            data_held: vec_of(lanes, || Reg::unsigned(bits)),
            gaps_held: vec_of(out_gap_lanes, || Reg::unsigned(gap_bits - levels)),
        }
    }
}

impl Logic for ShiftStage {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self.lanes.val() {
            self.level[0].data[i].next = self.data[i].val();
            for l in 1..self.levels.val() {
                self.level[l].data[i].next = self.level[l - 1].out_data[i].val();
            }
            self.data_held[i].clock.next = self.clock.val();
            self.data_held[i].d.next = self.level[self.levels.val() - 1].out_data[i].val();
            self.out_data[i].next = self.data_held[i].q.val();
        }
        for i in 0..self.gap_lanes.val() {
            self.level[0].gaps[i].next = self.gaps[i].val();
            for l in 1..self.levels.val() {
                // `%` for the derive, which visits what the condition leaves out, too.
                if i < self.lanes.val() - (self.distance.val() << l) {
                    self.level[l].gaps[i % (self.lanes.val() - (self.distance.val() << l))].next =
                        self.level[l - 1].out_gaps[i].val();
                }
            }
        }
        for i in 0..self.out_gap_lanes.val() {
            self.gaps_held[i].clock.next = self.clock.val();
            self.gaps_held[i].d.next = self.level[self.levels.val() - 1].out_gaps[i].val();
            self.out_gaps[i].next = self.gaps_held[i].q.val();
        }
    }
}

/// Moves the kept lanes of each beat together: free-running, without handshake.
///
/// # Shapes   `data [P]`, `keep [P]` -> `data [P]`, the kept ones first, and `count`
/// # Timing   a beat of cycle `t` is out in `t + ShiftNetwork::latency(lanes)`: one cycle for each two levels of log2(P), once
/// for the counts and once for the moves
#[derive(LogicBlock)]
pub struct ShiftNetwork {
    name: ModuleName,
    unused: Waiver,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the beats inside.
    pub reset: Signal<In, Bit>,
    /// A beat enters.
    pub in_valid: Signal<In, Bit>,
    /// Its lanes.
    pub in_data: Vec<Wire<In>>,
    /// Which of them stay.
    pub in_keep: Vec<Signal<In, Bit>>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A beat leaves.
    pub out_valid: Signal<Out, Bit>,
    /// The kept lanes, then anything.
    pub out_data: Vec<Wire<Out>>,
    /// How many are kept.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    lanes: Param,
    prefix_stages: Param,
    shift_stages: Param,
    levels_per_stage: Param,
    cycles: Param,
    prefix: PrefixNetwork,
    stage: Vec<ShiftStage>,
    /// Data and marks wait while the gaps are counted.
    data: Vec<Reg>,
    keep: Vec<Dff<Bit>>,
    /// The count waits while the lanes move.
    count: Vec<Reg>,
    valid: Vec<Dff<Bit>>,
    last: Vec<Dff<Bit>>,
}

impl ShiftNetwork {
    /// For beats of `lanes` lanes of `bits`.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two.
    #[track_caller]
    pub fn new(lanes: usize, bits: usize) -> Self {
        let (count, cycles) = (bits_for(lanes), Self::latency(lanes));
        let (prefix_stages, shift_stages) = (PrefixNetwork::latency(lanes), shift_stages(lanes));
        Self {
            name: ModuleName::new(format!("shift_network_{lanes}x{bits}")),
            unused: Waiver::new(
                "UNUSEDSIGNAL",
                "Lane 0 never moves: nobody asks for the gaps below it, or whether it is one.",
            ),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_data: vec_of(lanes, || Wire::unsigned(bits)),
            in_keep: vec_of(lanes, Default::default),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_data: vec_of(lanes, || Wire::unsigned(bits)),
            out_count: Wire::unsigned(count),
            out_last: Default::default(),
            lanes: Param::new(lanes),
            prefix_stages: Param::new(prefix_stages),
            shift_stages: Param::new(shift_stages),
            levels_per_stage: Param::new(LEVELS_PER_STAGE),
            cycles: Param::new(cycles),
            prefix: PrefixNetwork::new(lanes),
            stage: (0..shift_stages).map(|s| ShiftStage::new(lanes, bits, s)).collect(),
            data: vec_of(prefix_stages * lanes, || Reg::unsigned(bits)),
            keep: vec_of(prefix_stages * lanes, Default::default),
            count: vec_of(shift_stages, || Reg::unsigned(count)),
            valid: vec_of(cycles, Default::default),
            last: vec_of(cycles, Default::default),
        }
    }

    /// Cycles from a beat in to the same beat out.
    pub fn latency(lanes: usize) -> usize {
        PrefixNetwork::latency(lanes) + shift_stages(lanes)
    }
}

impl Logic for ShiftNetwork {
    #[hdl_gen]
    fn update(&mut self) {
        self.prefix.clock.next = self.clock.val();
        for i in 0..self.lanes.val() {
            self.prefix.marked[i].next = !self.in_keep[i].val();
        }
        for s in 0..self.prefix_stages.val() {
            for i in 0..self.lanes.val() {
                self.data[s * self.lanes.val() + i].clock.next = self.clock.val();
                self.keep[s * self.lanes.val() + i].clock.next = self.clock.val();
                if s == 0 {
                    self.data[i].d.next = self.in_data[i].val();
                    self.keep[i].d.next = self.in_keep[i].val();
                } else {
                    self.data[s * self.lanes.val() + i].d.next = self.data[(s - 1) * self.lanes.val() + i].q.val();
                    self.keep[s * self.lanes.val() + i].d.next = self.keep[(s - 1) * self.lanes.val() + i].q.val();
                }
            }
        }
        for s in 0..self.shift_stages.val() {
            self.stage[s].clock.next = self.clock.val();
            self.count[s].clock.next = self.clock.val();
            if s == 0 {
                self.count[s].d.next = -self.prefix.total.val() + self.lanes.val();
            } else {
                self.count[s].d.next = self.count[s - 1].q.val();
            }
            for i in 0..self.lanes.val() {
                if s == 0 {
                    self.stage[s].data[i].next =
                        self.data[(self.prefix_stages.val() - 1) * self.lanes.val() + i].q.val();
                } else {
                    self.stage[s].data[i].next = self.stage[s - 1].out_data[i].val();
                }
            }
            for i in 1..self.lanes.val() {
                // `%` for the derive, which visits what the conditions leave out, too.
                if s == 0 {
                    self.stage[s].gaps[(i - 1) % (self.lanes.val() - (1 << (self.levels_per_stage.val() * s)))].next =
                        0.into();
                    if self.keep[(self.prefix_stages.val() - 1) * self.lanes.val() + i].q.val() {
                        self.stage[s].gaps[(i - 1) % (self.lanes.val() - (1 << (self.levels_per_stage.val() * s)))]
                            .next = self.prefix.below[i].val();
                    }
                } else {
                    if i <= self.lanes.val() - (1 << (self.levels_per_stage.val() * s)) {
                        self.stage[s].gaps[(i - 1) % (self.lanes.val() - (1 << (self.levels_per_stage.val() * s)))]
                            .next = self.stage[s - 1].out_gaps[i - 1].val();
                    }
                }
            }
        }
        for t in 0..self.cycles.val() {
            self.valid[t].clock.next = self.clock.val();
            self.last[t].clock.next = self.clock.val();
            if t == 0 {
                self.valid[t].d.next = self.in_valid.val() & !self.reset.val();
                self.last[t].d.next = self.in_last.val();
            } else {
                self.valid[t].d.next = self.valid[t - 1].q.val() & !self.reset.val();
                self.last[t].d.next = self.last[t - 1].q.val();
            }
        }
        if self.shift_stages.val() == 0 {
            self.out_data[0].next = self.data[0].q.val();
            self.out_count.next = -self.prefix.total.val() + 1;
        } else {
            for i in 0..self.lanes.val() {
                self.out_data[i].next = self.stage[self.shift_stages.val() - 1].out_data[i].val();
            }
            self.out_count.next = self.count[self.shift_stages.val() - 1].q.val();
        }
        self.out_valid.next = self.valid[self.cycles.val() - 1].q.val();
        self.out_last.next = self.last[self.cycles.val() - 1].q.val();
    }
}
