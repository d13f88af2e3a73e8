//! Beats of one number of lanes to beats of another: between `dot_product`, `softmax` and `top_k`.

use crate::hdl::*;

/// Packs narrow beats into wider ones, or cuts wide ones.
///
/// All beats of a row but its last are full: `groups[dim]` lanes of the input, `out_lanes` of the output, both powers of two.
///
/// # Shapes   rows keep their elements and their order; an empty row is one beat of count 0 on both sides. Lanes from `count`
/// on mean nothing
/// # Timing   the output offers a beat in the cycle after the input beat that completes it; where a beat is cut, its parts follow
/// each other. Nothing is accepted while a beat waits, but for the cycle in which its last part is taken: full throughput of
/// the slower side
#[derive(LogicBlock)]
pub struct Repack {
    name: ModuleName,
    unused: Vec<Waiver>,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets what is inside.
    pub reset: Signal<In, Bit>,
    /// Which group size.
    pub dim: Wire<In>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Its lanes.
    pub in_data: Vec<Wire<In>>,
    /// How many.
    pub in_count: Wire<In>,
    /// The row ends.
    pub in_last: Signal<In, Bit>,
    /// A beat is there.
    pub out_valid: Signal<Out, Bit>,
    /// It is taken.
    pub out_ready: Signal<In, Bit>,
    /// Its lanes.
    pub out_data: Vec<Wire<Out>>,
    /// How many.
    pub out_count: Wire<Out>,
    /// The row ends.
    pub out_last: Signal<Out, Bit>,
    in_lanes: Param,
    out_lanes: Param,
    wide: Param,
    groups: Vec<Param>,
    group_a: Param,
    group_b: Param,
    group_c: Param,
    group_d: Param,
    levels: Vec<Param>,
    final_positions: Vec<Param>,
    /// Lanes that a cut moves down by.
    rest: Param,
    held: Vec<Reg>,
    position: Reg,
    final_position: Wire<Local>,
    preceding: Wire<Local>,
    /// The input repeated, for each group size.
    spread: Vec<Wire<Local>>,
    merged: Vec<Wire<Local>>,
    word_valid: Dff<Bit>,
    word: Vec<Reg>,
    word_count: Reg,
    word_last: Dff<Bit>,
    ends: Signal<Local, Bit>,
    part: Signal<Local, Bit>,
    free: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    completes: Signal<Local, Bit>,
}

impl Repack {
    /// From beats of up to `in_lanes` lanes, of which `groups[dim]` are used, to `out_lanes` lanes.
    ///
    /// # Panics
    /// Where a number of lanes is no power of two, or a group is more than the input has.
    #[track_caller]
    pub fn new(bits: usize, in_lanes: usize, out_lanes: usize, groups: [usize; 4]) -> Self {
        assert!(
            groups.iter().all(|&g| g.is_power_of_two() && g <= in_lanes) && out_lanes.is_power_of_two(),
            "groups {groups:?} of {in_lanes} lanes to {out_lanes}: powers of two"
        );
        let wide = in_lanes.max(out_lanes);
        let positions = groups.map(|g| (out_lanes / g).max(1));
        let most = positions.into_iter().max().unwrap_or(1);
        let [a, b, c, d] = groups;
        Self {
            name: ModuleName::new(format!("repack_{bits}_{in_lanes}to{out_lanes}_{a}_{b}_{c}_{d}")),
            unused: groups
                .iter()
                .filter(|&&g| g > out_lanes)
                .take(1)
                .map(|_| Waiver::new("UNUSEDSIGNAL", "Beats that are cut are not repeated."))
                .collect(),
            clock: Default::default(),
            reset: Default::default(),
            dim: Wire::unsigned(2),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: vec_of(in_lanes, || Wire::unsigned(bits)),
            in_count: Wire::unsigned(bits_for(in_lanes)),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(out_lanes, || Wire::unsigned(bits)),
            out_count: Wire::unsigned(bits_for(out_lanes)),
            out_last: Default::default(),
            in_lanes: Param::new(in_lanes),
            out_lanes: Param::new(out_lanes),
            wide: Param::new(wide),
            groups: groups.map(Param::new).into(),
            group_a: Param::new(a),
            group_b: Param::new(b),
            group_c: Param::new(c),
            group_d: Param::new(d),
            levels: groups.map(|g| Param::new(g.ilog2() as usize)).into(),
            final_positions: positions.map(|p| Param::new(p - 1)).into(),
            rest: Param::new(wide - out_lanes),
            held: vec_of(out_lanes, || Reg::unsigned(bits)),
            position: Reg::unsigned(bits_for(most - 1)),
            final_position: Wire::unsigned(bits_for(most - 1)),
            preceding: Wire::unsigned(bits_for(wide)),
            spread: vec_of(4 * out_lanes, || Wire::unsigned(bits)),
            merged: vec_of(wide, || Wire::unsigned(bits)),
            word_valid: Default::default(),
            word: vec_of(wide, || Reg::unsigned(bits)),
            word_count: Reg::unsigned(bits_for(wide)),
            word_last: Default::default(),
            ends: Default::default(),
            part: Default::default(),
            free: Default::default(),
            accept: Default::default(),
            completes: Default::default(),
        }
    }
}

impl Logic for Repack {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, position, word_valid, word_count, word_last);
        self.ends.next = self.word_count.q.val() < (self.out_lanes.val() + 1);
        self.part.next = self.word_valid.q.val() & self.out_ready.val();
        self.free.next = !self.word_valid.q.val() | (self.out_ready.val() & self.ends.val());
        self.in_ready.next = self.free.val();
        self.accept.next = self.in_valid.val() & self.free.val();
        self.final_position.next = self.final_positions[0].val().into();
        self.preceding.next = self.position.q.val() << self.levels[0].val();
        for d in 1..4 {
            if self.dim.val() == d {
                self.final_position.next = self.final_positions[d].val().into();
                self.preceding.next = self.position.q.val() << self.levels[d].val();
            }
        }
        self.completes.next =
            self.accept.val() & (self.in_last.val() | (self.position.q.val() == self.final_position.val()));

        // The beat that arrives, behind those that wait for it.
        for i in 0..self.out_lanes.val() {
            self.spread[i].next = self.in_data[i % self.group_a.val()].val();
            self.spread[self.out_lanes.val() + i].next = self.in_data[i % self.group_b.val()].val();
            self.spread[2 * self.out_lanes.val() + i].next = self.in_data[i % self.group_c.val()].val();
            self.spread[3 * self.out_lanes.val() + i].next = self.in_data[i % self.group_d.val()].val();
        }
        for i in 0..self.wide.val() {
            if i < self.out_lanes.val() {
                self.merged[i].next = self.held[i].q.val();
            } else {
                self.merged[i].next = self.in_data[i].val();
            }
            for d in 0..4 {
                if self.groups[d].val() > self.out_lanes.val() {
                    if i < self.in_lanes.val() {
                        if self.dim.val() == d {
                            self.merged[i].next = self.in_data[i].val();
                        }
                    }
                } else if i < self.out_lanes.val() {
                    if (self.dim.val() == d) & (self.position.q.val() == (i >> self.levels[d].val())) {
                        self.merged[i].next = self.spread[d * self.out_lanes.val() + i].val();
                    }
                }
            }
        }
        for i in 0..self.out_lanes.val() {
            self.held[i].clock.next = self.clock.val();
            self.held[i].d.next = self.held[i].q.val();
            if self.accept.val() {
                self.held[i].d.next = self.merged[i].val();
            }
            self.out_data[i].next = self.word[i].q.val();
        }
        for i in 0..self.wide.val() {
            self.word[i].clock.next = self.clock.val();
            self.word[i].d.next = self.word[i].q.val();
            if i < self.rest.val() {
                if self.part.val() {
                    self.word[i].d.next = self.word[i + self.out_lanes.val()].q.val();
                }
            }
            if self.completes.val() {
                self.word[i].d.next = self.merged[i].val();
            }
        }
        if self.part.val() {
            self.word_valid.d.next = !self.ends.val();
            self.word_count.d.next = self.word_count.q.val() - self.out_lanes.val();
        }
        if self.accept.val() {
            self.position.d.next = self.position.q.val() + 1;
        }
        if self.completes.val() {
            self.position.d.next = 0.into();
            self.word_valid.d.next = true;
            self.word_count.d.next = self.preceding.val() + self.in_count.val();
            self.word_last.d.next = self.in_last.val();
        }
        if self.reset.val() {
            self.position.d.next = 0.into();
            self.word_valid.d.next = false;
        }
        self.out_valid.next = self.word_valid.q.val();
        self.out_last.next = self.word_last.q.val() & self.ends.val();
        self.out_count.next = self.out_lanes.val().into();
        if self.ends.val() {
            self.out_count.next = self.word_count.q.val();
        }
    }
}
