//! One beat without its gaps.

use crate::hdl::*;

/// Moves the kept lanes of a beat down over the gaps, order kept.
///
/// # Timing   a beat of cycle `t` is out in `t + 2`; nothing stalls
#[derive(LogicBlock)]
pub struct Gaps {
    name: ModuleName,
    pub clock: Signal<In, Clock>,
    pub keep: Vec<Signal<In, Bit>>,
    pub scores: Vec<Wire<In>>,
    pub kept: Vec<Wire<Out>>,
    lanes: Param,
    levels: Param,
    gaps: Vec<Wire<Local>>,
    shift: Vec<Reg>,
    held: Vec<Reg>,
    valid: Vec<Dff<Bit>>,
    moved: Vec<Wire<Local>>,
    moved_shift: Vec<Wire<Local>>,
    moved_valid: Vec<Signal<Local, Bit>>,
    out: Vec<Reg>,
}

impl Gaps {
    /// Cycles from a beat in to the same beat out.
    pub fn latency(_lanes: usize) -> usize {
        2
    }

    pub fn new(bits: usize, lanes: usize) -> Self {
        let levels = lanes.ilog2() as usize;
        let nodes = (levels + 1) * lanes;
        let count = bits_for(lanes - 1);
        Self {
            name: ModuleName::new(format!("gaps_{lanes}x{bits}")),
            clock: Default::default(),
            keep: vec_of(lanes, Default::default),
            scores: vec_of(lanes, || Wire::unsigned(bits)),
            kept: vec_of(lanes, || Wire::unsigned(bits)),
            lanes: Param::new(lanes),
            levels: Param::new(levels),
            gaps: vec_of(nodes, || Wire::unsigned(count)),
            shift: vec_of(lanes, || Reg::unsigned(count)),
            held: vec_of(lanes, || Reg::unsigned(bits)),
            valid: vec_of(lanes, Default::default),
            moved: vec_of(nodes, || Wire::unsigned(bits)),
            moved_shift: vec_of(nodes, || Wire::unsigned(count)),
            moved_valid: vec_of(nodes, Default::default),
            out: vec_of(lanes, || Reg::unsigned(bits)),
        }
    }
}

impl Logic for Gaps {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self.lanes.val() {
            self.shift[i].clock.next = self.clock.val();
            self.held[i].clock.next = self.clock.val();
            self.valid[i].clock.next = self.clock.val();
            self.out[i].clock.next = self.clock.val();
            // Gaps at and below a lane: of a kept lane, the distance that it moves.
            self.gaps[i].next = (!self.keep[i].val()).into();
            self.held[i].d.next = self.scores[i].val();
            self.valid[i].d.next = self.keep[i].val();
            self.shift[i].d.next = self.gaps[self.levels.val() * self.lanes.val() + i].val();
            self.moved[i].next = self.held[i].q.val();
            self.moved_shift[i].next = self.shift[i].q.val();
            self.moved_valid[i].next = self.valid[i].q.val();
            self.out[i].d.next = self.moved[self.levels.val() * self.lanes.val() + i].val();
            self.kept[i].next = self.out[i].q.val();
        }
        for l in 0..self.levels.val() {
            for i in 0..self.lanes.val() {
                if i < (1 << l) {
                    self.gaps[(l + 1) * self.lanes.val() + i].next = self.gaps[l * self.lanes.val() + i].val();
                } else {
                    self.gaps[(l + 1) * self.lanes.val() + i].next = self.gaps[l * self.lanes.val() + i].val()
                        + self.gaps[l * self.lanes.val() + i - (1 << l)].val();
                }
                self.moved[(l + 1) * self.lanes.val() + i].next = self.moved[l * self.lanes.val() + i].val();
                self.moved_shift[(l + 1) * self.lanes.val() + i].next =
                    self.moved_shift[l * self.lanes.val() + i].val();
                self.moved_valid[(l + 1) * self.lanes.val() + i].next = self.moved_valid[l * self.lanes.val() + i]
                    .val()
                    & !self.moved_shift[l * self.lanes.val() + i].val().get_bit(l);
                if i + (1 << l) < self.lanes.val() {
                    if self.moved_valid[l * self.lanes.val() + i + (1 << l)].val()
                        & self.moved_shift[l * self.lanes.val() + i + (1 << l)].val().get_bit(l)
                    {
                        self.moved[(l + 1) * self.lanes.val() + i].next =
                            self.moved[l * self.lanes.val() + i + (1 << l)].val();
                        self.moved_shift[(l + 1) * self.lanes.val() + i].next =
                            self.moved_shift[l * self.lanes.val() + i + (1 << l)].val();
                        self.moved_valid[(l + 1) * self.lanes.val() + i].next = true;
                    }
                }
            }
        }
    }
}
