//! Counts of marked lanes below each lane. Siblings: `golden`, `sim`, `tests/prefix_sum.rs`.
//! Paper: SpAtten section IV-C, Fig. 10 (the zero eliminator's first half).
//! Differs from the paper: two levels of adders between registers.

use crate::credits::Credits;
use crate::hdl::*;
use crate::lane_fifo::LaneFifo;

/// Levels of a network of `lanes` lanes that are between two registers: two of them are short enough for 120 MHz on ECP5.
pub(crate) const LEVELS_PER_STAGE: usize = 2;

/// Registers of a network of log2(lanes) levels; at least one, so that no network is a path from input to output.
pub(crate) fn stages(lanes: usize) -> usize {
    (lanes.ilog2() as usize).div_ceil(LEVELS_PER_STAGE).max(1)
}

/// Levels of stage `stage`.
pub(crate) fn levels_of(lanes: usize, stage: usize) -> usize {
    (lanes.ilog2() as usize - LEVELS_PER_STAGE * stage).min(LEVELS_PER_STAGE)
}

/// Some levels of the network, and registers: after the level of distance `d`, a lane has the sum of `2 * d` lanes.
#[derive(LogicBlock)]
struct PrefixStage {
    name: ModuleName,
    clock: Signal<In, Clock>,
    below: Vec<Wire<In>>,
    sums: Vec<Wire<Out>>,
    lanes: Param,
    levels: Param,
    distance: Param,
    node: Vec<Wire<Local>>,
    held: Vec<Reg>,
}

impl PrefixStage {
    fn new(lanes: usize, stage: usize) -> Self {
        let levels = levels_of(lanes, stage);
        let bits = bits_for(lanes - 1);
        Self {
            name: ModuleName::new(format!("prefix_stage_{lanes}_{stage}")),
            clock: Default::default(),
            below: vec_of(lanes, || Wire::unsigned(bits)),
            sums: vec_of(lanes, || Wire::unsigned(bits)),
            lanes: Param::new(lanes),
            levels: Param::new(levels),
            distance: Param::new(1 << (LEVELS_PER_STAGE * stage)),
            node: vec_of((levels + 1) * lanes, || Wire::unsigned(bits)),
            held: vec_of(lanes, || Reg::unsigned(bits)),
        }
    }
}

impl Logic for PrefixStage {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self.lanes.val() {
            self.node[i].next = self.below[i].val();
        }
        for l in 0..self.levels.val() {
            for i in 0..self.lanes.val() {
                if i >= (self.distance.val() << l) {
                    self.node[(l + 1) * self.lanes.val() + i].next = self.node[l * self.lanes.val() + i].val()
                        + self.node[l * self.lanes.val() + i - (self.distance.val() << l)].val();
                } else {
                    self.node[(l + 1) * self.lanes.val() + i].next = self.node[l * self.lanes.val() + i].val();
                }
            }
        }
        for i in 0..self.lanes.val() {
            self.held[i].clock.next = self.clock.val();
            self.held[i].d.next = self.node[self.levels.val() * self.lanes.val() + i].val();
            self.sums[i].next = self.held[i].q.val();
        }
    }
}

/// The network alone: free-running, without handshake.
///
/// # Timing   a beat of cycle `t` is out in `t + PrefixNetwork::latency(lanes)`
#[derive(LogicBlock)]
pub struct PrefixNetwork {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Lanes that count.
    pub marked: Vec<Signal<In, Bit>>,
    /// Marked lanes below each lane.
    pub below: Vec<Wire<Out>>,
    /// Marked lanes.
    pub total: Wire<Out>,
    lanes: Param,
    stages: Param,
    stage: Vec<PrefixStage>,
    highest: Vec<Dff<Bit>>,
}

impl PrefixNetwork {
    /// For `lanes` lanes.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two.
    #[track_caller]
    pub fn new(lanes: usize) -> Self {
        assert!(lanes.is_power_of_two(), "{lanes} lanes: a power of two");
        let stages = stages(lanes);
        Self {
            name: ModuleName::new(format!("prefix_network_{lanes}")),
            clock: Default::default(),
            marked: vec_of(lanes, Default::default),
            below: vec_of(lanes, || Wire::unsigned(bits_for(lanes - 1))),
            total: Wire::unsigned(bits_for(lanes)),
            lanes: Param::new(lanes),
            stages: Param::new(stages),
            stage: (0..stages).map(|s| PrefixStage::new(lanes, s)).collect(),
            highest: vec_of(stages, Default::default),
        }
    }

    /// Cycles from marks to counts.
    pub fn latency(lanes: usize) -> usize {
        stages(lanes)
    }
}

impl Logic for PrefixNetwork {
    #[hdl_gen]
    fn update(&mut self) {
        for s in 0..self.stages.val() {
            self.stage[s].clock.next = self.clock.val();
            self.highest[s].clock.next = self.clock.val();
            if s == 0 {
                // Each lane adds the lane below it: then what is summed is below the lane, without it.
                self.stage[s].below[0].next = 0.into();
                for i in 1..self.lanes.val() {
                    self.stage[s].below[i].next = self.marked[i - 1].val().into();
                }
                self.highest[s].d.next = self.marked[self.lanes.val() - 1].val();
            } else {
                for i in 0..self.lanes.val() {
                    self.stage[s].below[i].next = self.stage[s - 1].sums[i].val();
                }
                self.highest[s].d.next = self.highest[s - 1].q.val();
            }
        }
        for i in 0..self.lanes.val() {
            self.below[i].next = self.stage[self.stages.val() - 1].sums[i].val();
        }
        self.total.next = self.stage[self.stages.val() - 1].sums[self.lanes.val() - 1].val()
            + self.highest[self.stages.val() - 1].q.val();
    }
}

/// Counts, for each lane of a beat, the marked lanes below it.
///
/// # Shapes   `marked [P]` -> `counts [P]`
/// # Timing   one beat per cycle; a beat accepted in cycle `t` is offered from `t + PrefixSum::latency(P)`, which is 1 and
/// one for each two levels of log2(P). Under back-pressure as many beats are inside as the queue has places
/// ([`PrefixSum::places`])
#[derive(LogicBlock)]
pub struct PrefixSum {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets what is inside.
    pub reset: Signal<In, Bit>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Lanes that count.
    pub in_marked: Vec<Signal<In, Bit>>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Marked lanes below each lane.
    pub out_counts: Vec<Wire<Out>>,
    /// Marked lanes.
    pub out_total: Wire<Out>,
    lanes: Param,
    stages: Param,
    credits: Credits,
    network: PrefixNetwork,
    queue: LaneFifo,
    valid: Vec<Dff<Bit>>,
    take: Signal<Local, Bit>,
}

impl PrefixSum {
    /// For `lanes` lanes.
    ///
    /// # Panics
    /// Where `lanes` is not a power of two.
    #[track_caller]
    pub fn new(lanes: usize) -> Self {
        let (bits, total, places) = (bits_for(lanes - 1), bits_for(lanes), Self::places(lanes));
        Self {
            name: ModuleName::new("prefix_sum"),
            clock: Default::default(),
            reset: Default::default(),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_marked: vec_of(lanes, Default::default),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_counts: vec_of(lanes, || Wire::unsigned(bits)),
            out_total: Wire::unsigned(total),
            lanes: Param::new(lanes),
            stages: Param::new(stages(lanes)),
            credits: Credits::new(places),
            network: PrefixNetwork::new(lanes),
            queue: LaneFifo::new(lanes, bits, total, places),
            valid: vec_of(stages(lanes), Default::default),
            take: Default::default(),
        }
    }

    /// Cycles from a beat in to the same beat offered.
    pub fn latency(lanes: usize) -> usize {
        PrefixNetwork::latency(lanes) + 1
    }

    /// Beats that fit inside.
    pub fn places(lanes: usize) -> usize {
        (Self::latency(lanes) + 1).next_power_of_two()
    }
}

impl Logic for PrefixSum {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, credits, network, queue);
        self.credits.reset.next = self.reset.val();
        self.queue.reset.next = self.reset.val();
        self.in_ready.next = self.credits.available.val();
        self.take.next = self.in_valid.val() & self.credits.available.val();
        self.credits.take.next = self.take.val();
        self.credits.give.next = self.queue.popped.val();
        for s in 0..self.stages.val() {
            self.valid[s].clock.next = self.clock.val();
            if s == 0 {
                self.valid[s].d.next = self.take.val() & !self.reset.val();
            } else {
                self.valid[s].d.next = self.valid[s - 1].q.val() & !self.reset.val();
            }
        }
        self.queue.push.next = self.valid[self.stages.val() - 1].q.val();
        for i in 0..self.lanes.val() {
            self.network.marked[i].next = self.in_marked[i].val();
            self.queue.in_data[i].next = self.network.below[i].val();
            self.out_counts[i].next = self.queue.out_data[i].val();
        }
        self.queue.in_tag.next = self.network.total.val();
        self.out_total.next = self.queue.out_tag.val();
        self.out_valid.next = self.queue.out_valid.val();
        self.queue.out_ready.next = self.out_ready.val();
    }
}
