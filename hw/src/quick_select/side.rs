//! One of the two queues of the engine, with what fills it.

use crate::hdl::*;
use crate::leaf::{Ram, ReadPort};
use crate::zero_eliminator::ShiftNetwork;

/// Collects the candidates of one side of the pivot without gaps: zero eliminator, rotation to the queue's end, one bank of
/// memory per lane, so that candidate `c` is word `c / lanes` of bank `c % lanes` and any of them can be read as the pivot.
///
/// A pass may read the queue that it fills: what it writes is never ahead of what it has read.
///
/// # Timing   flags of cycle `t`: counted in `total` from `t + 2`, readable in memory by the address of cycle
/// `t + Side::latency(lanes)`
#[derive(LogicBlock)]
pub struct Side {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous; of the control alone.
    pub reset: Signal<In, Bit>,
    /// A pass begins: nothing is collected.
    pub clear: Signal<In, Bit>,
    /// Candidates of this side in the beat.
    pub keep: Vec<Signal<In, Bit>>,
    /// The beat.
    pub scores: Vec<Wire<In>>,
    /// Lanes of a row's beat to store as they are.
    pub load: Vec<Signal<In, Bit>>,
    /// The word to store them to.
    pub load_word: Wire<In>,
    /// The row's beat.
    pub load_scores: Vec<Wire<In>>,
    /// Candidates collected.
    pub total: Wire<Out>,
    /// Word to read.
    pub read_word: Wire<In>,
    /// Its value one cycle later.
    pub read: Vec<Wire<Out>>,
    lanes: Param,
    levels: Param,
    loading: Signal<Local, Bit>,
    marked: Vec<Wire<Local>>,
    count: Reg,
    sum: Reg,
    base: Reg,
    base_lane: Wire<Local>,
    eliminator: ShiftNetwork,
    /// Passes end by their counts; the name tells Verilator.
    last_unused: Signal<Local, Bit>,
    rotated: Vec<Wire<Local>>,
    placed: Vec<Signal<Local, Bit>>,
    write: Vec<Dff<Bit>>,
    /// The bank's word is the one after `word`.
    wrapped: Vec<Dff<Bit>>,
    word: Reg,
    next_word: Reg,
    write_scores: Vec<Reg>,
    banks: Vec<Ram>,
}

impl Side {
    /// A queue of `keys` scores of `bits`, `lanes` per cycle.
    pub fn new(bits: usize, lanes: usize, keys: usize) -> Self {
        let levels = lanes.ilog2() as usize;
        let nodes = (levels + 1) * lanes;
        let depth = (keys / lanes).max(2);
        let (count, total, word) = (bits_for(lanes), bits_for(keys), bits_for(depth - 1));
        Self {
            name: ModuleName::new(format!("quick_select_side_{lanes}x{bits}_{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            clear: Default::default(),
            keep: vec_of(lanes, Default::default),
            scores: vec_of(lanes, || Wire::unsigned(bits)),
            load: vec_of(lanes, Default::default),
            load_word: Wire::unsigned(word),
            load_scores: vec_of(lanes, || Wire::unsigned(bits)),
            total: Wire::unsigned(total),
            read_word: Wire::unsigned(word),
            read: vec_of(lanes, || Wire::unsigned(bits)),
            lanes: Param::new(lanes),
            levels: Param::new(levels),
            loading: Default::default(),
            marked: vec_of(2 * lanes - 1, || Wire::unsigned(count)),
            count: Reg::unsigned(count),
            sum: Reg::unsigned(total),
            base: Reg::unsigned(bits_for(keys - 1)),
            base_lane: Wire::unsigned(levels.max(1)),
            eliminator: ShiftNetwork::new(lanes, bits),
            last_unused: Default::default(),
            rotated: vec_of(nodes, || Wire::unsigned(bits)),
            placed: vec_of(nodes, Default::default),
            write: vec_of(lanes, Default::default),
            wrapped: vec_of(lanes, Default::default),
            word: Reg::unsigned(word),
            next_word: Reg::unsigned(word),
            write_scores: vec_of(lanes, || Reg::unsigned(bits)),
            banks: vec_of(lanes, || Ram::new(bits, depth, ReadPort::Registered)),
        }
    }
}

impl Side {
    /// Cycles from a beat's flags to the address that reads it.
    pub fn latency(lanes: usize) -> usize {
        ShiftNetwork::latency(lanes) + 2
    }
}

impl Logic for Side {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, count, sum, base, word, next_word);
        clock!(self, clock, eliminator);
        for i in 0..self.lanes.val() {
            self.write[i].clock.next = self.clock.val();
            self.wrapped[i].clock.next = self.clock.val();
            self.write_scores[i].clock.next = self.clock.val();
            self.banks[i].clock.next = self.clock.val();
        }

        // The beat is counted while the zero eliminator works, so that the pass is decided before its last beat is stored.
        self.eliminator.reset.next = self.reset.val();
        self.eliminator.in_valid.next = true;
        self.eliminator.in_last.next = false;
        self.last_unused.next = self.eliminator.out_last.val();
        for i in 0..self.lanes.val() {
            self.eliminator.in_keep[i].next = self.keep[i].val();
            self.eliminator.in_data[i].next = self.scores[i].val();
            self.marked[i].next = self.keep[i].val().into();
        }
        for i in 0..(self.lanes.val() - 1) {
            self.marked[self.lanes.val() + i].next = self.marked[2 * i].val() + self.marked[2 * i + 1].val();
        }
        self.count.d.next = self.marked[2 * self.lanes.val() - 2].val();
        self.base.d.next = self.base.q.val() + self.eliminator.out_count.val();
        self.sum.d.next = self.sum.q.val() + self.count.q.val();
        self.total.next = self.sum.q.val();

        // Kept lane j goes to bank (base + j) % lanes.
        self.base_lane.next = self.base.q.val();
        for i in 0..self.lanes.val() {
            self.rotated[i].next = self.eliminator.out_data[i].val();
            self.placed[i].next = self.eliminator.out_valid.val() & (self.eliminator.out_count.val() > i);
        }
        for l in 0..self.levels.val() {
            for i in 0..self.lanes.val() {
                self.rotated[(l + 1) * self.lanes.val() + i].next = self.rotated[l * self.lanes.val() + i].val();
                self.placed[(l + 1) * self.lanes.val() + i].next = self.placed[l * self.lanes.val() + i].val();
                if self.base_lane.val().get_bit(l) {
                    self.rotated[(l + 1) * self.lanes.val() + i].next =
                        self.rotated[l * self.lanes.val() + (i + self.lanes.val() - (1 << l)) % self.lanes.val()].val();
                    self.placed[(l + 1) * self.lanes.val() + i].next =
                        self.placed[l * self.lanes.val() + (i + self.lanes.val() - (1 << l)) % self.lanes.val()].val();
                }
            }
        }
        // Nothing of a pass is on its way while a row arrives.
        self.loading.next = self.load[0].val();
        self.word.d.next = self.base.q.val() >> self.levels.val();
        self.next_word.d.next = (self.base.q.val() >> self.levels.val()) + 1;
        for i in 0..self.lanes.val() {
            self.write[i].d.next = self.placed[self.levels.val() * self.lanes.val() + i].val() | self.load[i].val();
            self.write_scores[i].d.next = self.rotated[self.levels.val() * self.lanes.val() + i].val();
            if i + 1 == self.lanes.val() {
                self.wrapped[i].d.next = false;
            } else {
                self.wrapped[i].d.next = (self.base_lane.val() > i) & !self.loading.val();
            }
            if self.loading.val() {
                self.write_scores[i].d.next = self.load_scores[i].val();
            }
        }
        if self.loading.val() {
            self.word.d.next = self.load_word.val();
        }

        for i in 0..self.lanes.val() {
            self.banks[i].write_enable.next = self.write[i].q.val();
            self.banks[i].write_address.next = self.word.q.val();
            if self.wrapped[i].q.val() {
                self.banks[i].write_address.next = self.next_word.q.val();
            }
            self.banks[i].write_data.next = self.write_scores[i].q.val();
            self.banks[i].read_address.next = self.read_word.val();
            self.read[i].next = self.banks[i].read_data.val();
        }

        if self.clear.val() {
            self.sum.d.next = 0.into();
            self.base.d.next = 0.into();
        }
        if self.reset.val() {
            self.count.d.next = 0.into();
            for i in 0..self.lanes.val() {
                self.write[i].d.next = false;
            }
        }
    }
}
