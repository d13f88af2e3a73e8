//! Kept values to requests that the value buffer serves in one cycle each.

use crate::hdl::*;

/// Cuts beats where the word of the value buffer changes.
///
/// Kept rows are in ascending order, so those of one word stand side by side, and no two of them share a place. A beat is of as
/// many keys as it has lanes, so a word is never cut in two: a row of n keys takes no more requests than keys have words (of at
/// most `lanes` rows), however its kept values lie. A beat of nothing makes no request, unless it is a row's last one. A marker
/// is one too, and becomes a request of no rows that releases the head, or with `again` says that it is added to.
///
/// # Timing   a beat's first request is offered in the cycle after it is taken, and the next beat is taken in the cycle of its last
#[derive(LogicBlock)]
pub struct ValueRequests {
    name: ModuleName,
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// Synchronous: forgets the beat.
    pub reset: Signal<In, Bit>,
    /// log2(head dimension) - 4.
    pub dim: Wire<In>,
    /// A beat is offered.
    pub in_valid: Signal<In, Bit>,
    /// It would be taken.
    pub in_ready: Signal<Out, Bit>,
    /// Rows of the head.
    pub in_index: Vec<Wire<In>>,
    /// Their weights.
    pub in_score: Vec<Wire<In>>,
    /// How many.
    pub in_count: Wire<In>,
    /// The query row ends.
    pub in_last: Signal<In, Bit>,
    /// No row.
    pub in_marker: Signal<In, Bit>,
    /// The head is added to.
    pub in_again: Signal<In, Bit>,
    /// A request is there.
    pub read_valid: Signal<Out, Bit>,
    /// It is taken.
    pub read_ready: Signal<In, Bit>,
    /// Rows of the head, in the low lanes.
    pub read_row: Vec<Wire<Out>>,
    /// Their weights.
    pub read_weight: Vec<Wire<Out>>,
    /// How many.
    pub read_count: Wire<Out>,
    /// The last ones of a sum.
    pub read_last: Signal<Out, Bit>,
    /// The head is done with.
    pub read_release: Signal<Out, Bit>,
    /// The head is added to.
    pub read_again: Signal<Out, Bit>,
    lanes: Param,
    places: Param,
    levels: Vec<Param>,
    /// log2 of the rows of a word.
    level: Reg,
    valid: Dff<Bit>,
    index: Vec<Reg>,
    score: Vec<Reg>,
    /// The lane's row is in the word of the lane before.
    joined: Vec<Dff<Bit>>,
    words: Vec<Wire<Local>>,
    count: Reg,
    last: Dff<Bit>,
    marker: Dff<Bit>,
    again: Dff<Bit>,
    run: Vec<Signal<Local, Bit>>,
    ends: Vec<Signal<Local, Bit>>,
    taken: Vec<Wire<Local>>,
    done: Signal<Local, Bit>,
    moves: Signal<Local, Bit>,
    free: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
}

impl ValueRequests {
    /// From beats of `lanes` to requests of `places` rows of up to `keys`, with weights of `bits`.
    pub fn new(bits: usize, lanes: usize, places: usize, keys: usize) -> Self {
        let (index, count) = (bits_for(keys - 1), bits_for(lanes));
        Self {
            name: ModuleName::new(format!("value_requests_{bits}_{lanes}to{places}_{keys}")),
            clock: Default::default(),
            reset: Default::default(),
            dim: Wire::unsigned(2),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_index: vec_of(lanes, || Wire::unsigned(index)),
            in_score: vec_of(lanes, || Wire::unsigned(bits)),
            in_count: Wire::unsigned(count),
            in_last: Default::default(),
            in_marker: Default::default(),
            in_again: Default::default(),
            read_valid: Default::default(),
            read_ready: Default::default(),
            read_row: vec_of(places, || Wire::unsigned(index)),
            read_weight: vec_of(places, || Wire::unsigned(bits)),
            read_count: Wire::unsigned(bits_for(places)),
            read_last: Default::default(),
            read_release: Default::default(),
            read_again: Default::default(),
            lanes: Param::new(lanes),
            places: Param::new(places),
            levels: (0..4).map(|dim| Param::new((places.ilog2() as usize).saturating_sub(dim))).collect(),
            level: Reg::unsigned(bits_for(places.ilog2() as usize)),
            valid: Default::default(),
            index: vec_of(lanes, || Reg::unsigned(index)),
            score: vec_of(lanes, || Reg::unsigned(bits)),
            joined: vec_of(lanes, Default::default),
            words: vec_of(lanes, || Wire::unsigned(index)),
            count: Reg::unsigned(count),
            last: Default::default(),
            marker: Default::default(),
            again: Default::default(),
            run: vec_of(lanes, Default::default),
            ends: vec_of(lanes, Default::default),
            taken: vec_of(lanes + 1, || Wire::unsigned(count)),
            done: Default::default(),
            moves: Default::default(),
            free: Default::default(),
            accept: Default::default(),
        }
    }
}

impl Logic for ValueRequests {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, level, valid, count, last, marker, again);
        for d in 0..4 {
            if self.dim.val() == d {
                self.level.d.next = self.levels[d].val().into();
            }
        }

        // Lanes from 0 on that are of one word.
        self.taken[0].next = 0.into();
        for i in 0..self.lanes.val() {
            if i == 0 {
                self.run[0].next = self.count.q.val().any();
            } else {
                self.run[i].next = self.run[i - 1].val() & self.joined[i].q.val();
            }
            if i + 1 < self.lanes.val() {
                self.ends[i].next = self.run[i].val() & !self.joined[i + 1].q.val();
            } else {
                self.ends[i].next = self.run[i].val();
            }
            self.taken[i + 1].next = self.taken[i].val();
            if self.ends[i].val() {
                self.taken[i + 1].next = (i + 1).into();
            }
        }
        self.done.next = self.taken[self.lanes.val()].val() == self.count.q.val();
        self.moves.next = self.valid.q.val() & self.read_ready.val();
        self.free.next = !self.valid.q.val() | (self.read_ready.val() & self.done.val());
        self.in_ready.next = self.free.val();
        self.accept.next = self.in_valid.val() & self.free.val();
        if self.moves.val() {
            self.valid.d.next = !self.done.val();
            self.count.d.next = self.count.q.val() - self.taken[self.lanes.val()].val();
        }
        if self.accept.val() {
            self.valid.d.next = self.in_count.val().any() | self.in_last.val();
            self.count.d.next = self.in_count.val();
            self.last.d.next = self.in_last.val();
            self.marker.d.next = self.in_marker.val();
            self.again.d.next = self.in_again.val();
        }
        for i in 0..self.lanes.val() {
            self.index[i].clock.next = self.clock.val();
            self.index[i].d.next = self.index[i].q.val();
            self.score[i].clock.next = self.clock.val();
            self.score[i].d.next = self.score[i].q.val();
            self.joined[i].clock.next = self.clock.val();
            self.joined[i].d.next = self.joined[i].q.val();
            if self.moves.val() {
                self.joined[i].d.next = false;
                for by in 0..self.lanes.val() {
                    if i + by + 1 < self.lanes.val() {
                        if self.ends[by].val() {
                            self.index[i].d.next = self.index[i + by + 1].q.val();
                            self.score[i].d.next = self.score[i + by + 1].q.val();
                            self.joined[i].d.next = self.joined[i + by + 1].q.val();
                        }
                    }
                }
            }
            self.words[i].next = self.in_index[i].val() >> self.level.q.val();
            if self.accept.val() {
                self.index[i].d.next = self.in_index[i].val();
                self.score[i].d.next = self.in_score[i].val();
                self.joined[i].d.next = false;
                if i > 0 {
                    self.joined[i].d.next =
                        (self.in_count.val() > i) & (self.words[i].val() == self.words[i - 1].val());
                }
            }
        }
        if self.reset.val() {
            self.valid.d.next = false;
        }
        self.read_valid.next = self.valid.q.val();
        for i in 0..self.places.val() {
            if i < self.lanes.val() {
                self.read_row[i].next = self.index[i].q.val();
                self.read_weight[i].next = self.score[i].q.val();
            } else {
                self.read_row[i].next = 0.into();
                self.read_weight[i].next = 0.into();
            }
        }
        self.read_count.next = self.taken[self.lanes.val()].val();
        self.read_last.next = self.last.q.val() & self.done.val() & !self.marker.q.val();
        self.read_release.next = self.marker.q.val() & !self.again.q.val();
        self.read_again.next = self.marker.q.val() & self.again.q.val();
    }
}
