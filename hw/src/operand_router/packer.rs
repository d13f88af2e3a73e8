//! Beats of one number of words to beats of another: scales, norms and rows of queries of `operand_router`.

use crate::hdl::*;

/// Packs narrow beats into wider ones, or cuts wide ones: to `sizes[dim]` words each.
///
/// All input beats are full. `cut` says that the beat on offer is the last of its word that matters: what is behind it is
/// dropped when it leaves.
///
/// # Shapes   `in_data [C]` -> the low `sizes[dim]` lanes of `out_data`, the others 0. A job whose words do not fill its last
/// beat gives it with zeros behind them; `out_last` stands with that beat alone
/// # Timing   the output offers a beat in the cycle after the input beat that completes it; where a beat is cut, its parts
/// follow each other. Nothing is accepted while a beat waits, but for the cycle in which its last part is taken: full
/// throughput of the slower side
#[derive(LogicBlock)]
pub(super) struct Packer {
    name: ModuleName,
    pub(super) clock: Signal<In, Clock>,
    /// Synchronous: forgets what is inside.
    pub(super) reset: Signal<In, Bit>,
    /// Which size.
    pub(super) dim: Wire<In>,
    pub(super) in_valid: Signal<In, Bit>,
    pub(super) in_ready: Signal<Out, Bit>,
    pub(super) in_data: Vec<Wire<In>>,
    /// The job's last beat.
    pub(super) in_last: Signal<In, Bit>,
    pub(super) out_valid: Signal<Out, Bit>,
    pub(super) out_ready: Signal<In, Bit>,
    pub(super) out_data: Vec<Wire<Out>>,
    /// The job's last beat.
    pub(super) out_last: Signal<Out, Bit>,
    /// Nothing behind the beat on offer matters.
    pub(super) cut: Signal<In, Bit>,
    in_lanes: Param,
    in_level: Param,
    out_lanes: Param,
    wide: Param,
    sizes: Vec<Param>,
    size_a: Param,
    size_b: Param,
    size_c: Param,
    size_d: Param,
    final_positions: Vec<Param>,
    final_parts: Vec<Param>,
    final_position: Wire<Local>,
    final_part: Wire<Local>,
    /// Beats that the word has.
    position: Reg,
    word_valid: Dff<Bit>,
    word_last: Dff<Bit>,
    word: Vec<Reg>,
    /// Parts of the word behind the one on offer.
    left: Reg,
    /// The word without the part on offer.
    rest: Vec<Wire<Local>>,
    ends: Signal<Local, Bit>,
    part: Signal<Local, Bit>,
    free: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    completes: Signal<Local, Bit>,
}

impl Packer {
    /// From beats of `in_lanes` words of `bits` to beats of `sizes[dim]`.
    ///
    /// # Panics
    /// Where a number of words is no power of two.
    #[track_caller]
    pub(super) fn new(bits: usize, in_lanes: usize, sizes: [usize; 4]) -> Self {
        assert!(
            sizes.iter().all(|n| n.is_power_of_two()) && in_lanes.is_power_of_two(),
            "beats of {in_lanes} words to beats of {sizes:?}: powers of two"
        );
        let [a, b, c, d] = sizes;
        let out_lanes = sizes.into_iter().max().unwrap_or(1);
        let wide = in_lanes.max(out_lanes);
        let (beats, parts) = (sizes.map(|n| (n / in_lanes).max(1)), sizes.map(|n| (in_lanes / n).max(1)));
        let counter = |of: [usize; 4]| bits_for(of.into_iter().max().unwrap_or(1) - 1);
        Self {
            name: ModuleName::new(format!("packer_{bits}_{in_lanes}to{a}_{b}_{c}_{d}")),
            clock: Default::default(),
            reset: Default::default(),
            dim: Wire::unsigned(2),
            in_valid: Default::default(),
            in_ready: Default::default(),
            in_data: vec_of(in_lanes, || Wire::unsigned(bits)),
            in_last: Default::default(),
            out_valid: Default::default(),
            out_ready: Default::default(),
            out_data: vec_of(out_lanes, || Wire::unsigned(bits)),
            out_last: Default::default(),
            cut: Default::default(),
            in_lanes: Param::new(in_lanes),
            in_level: Param::new(in_lanes.ilog2() as usize),
            out_lanes: Param::new(out_lanes),
            wide: Param::new(wide),
            sizes: sizes.map(Param::new).into(),
            size_a: Param::new(a),
            size_b: Param::new(b),
            size_c: Param::new(c),
            size_d: Param::new(d),
            final_positions: beats.map(|n| Param::new(n - 1)).into(),
            final_parts: parts.map(|n| Param::new(n - 1)).into(),
            final_position: Wire::unsigned(counter(beats)),
            final_part: Wire::unsigned(counter(parts)),
            position: Reg::unsigned(counter(beats)),
            word_valid: Default::default(),
            word_last: Default::default(),
            word: vec_of(wide, || Reg::unsigned(bits)),
            left: Reg::unsigned(counter(parts)),
            rest: vec_of(in_lanes, || Wire::unsigned(bits)),
            ends: Default::default(),
            part: Default::default(),
            free: Default::default(),
            accept: Default::default(),
            completes: Default::default(),
        }
    }
}

impl Logic for Packer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, position, word_valid, word_last, left);
        self.ends.next = (self.left.q.val() == 0) | self.cut.val();
        self.part.next = self.word_valid.q.val() & self.out_ready.val();
        self.free.next = !self.word_valid.q.val() | (self.out_ready.val() & self.ends.val());
        self.in_ready.next = self.free.val();
        self.accept.next = self.in_valid.val() & self.free.val();
        self.final_position.next = self.final_positions[0].val().into();
        self.final_part.next = self.final_parts[0].val().into();
        for d in 1..4 {
            if self.dim.val() == d {
                self.final_position.next = self.final_positions[d].val().into();
                self.final_part.next = self.final_parts[d].val().into();
            }
        }
        self.completes.next =
            self.accept.val() & (self.in_last.val() | (self.position.q.val() == self.final_position.val()));

        for i in 0..self.in_lanes.val() {
            self.rest[i].next = self.word[i].q.val();
            if i + self.size_a.val() < self.in_lanes.val() {
                if self.dim.val() == 0 {
                    self.rest[i].next = self.word[i + self.size_a.val()].q.val();
                }
            }
            if i + self.size_b.val() < self.in_lanes.val() {
                if self.dim.val() == 1 {
                    self.rest[i].next = self.word[i + self.size_b.val()].q.val();
                }
            }
            if i + self.size_c.val() < self.in_lanes.val() {
                if self.dim.val() == 2 {
                    self.rest[i].next = self.word[i + self.size_c.val()].q.val();
                }
            }
            if i + self.size_d.val() < self.in_lanes.val() {
                if self.dim.val() == 3 {
                    self.rest[i].next = self.word[i + self.size_d.val()].q.val();
                }
            }
        }
        // A word's first beat clears what is above it.
        for i in 0..self.wide.val() {
            self.word[i].clock.next = self.clock.val();
            self.word[i].d.next = self.word[i].q.val();
            if i < self.in_lanes.val() {
                if self.part.val() {
                    self.word[i].d.next = self.rest[i].val();
                }
                if self.accept.val() & (self.position.q.val() == 0) {
                    self.word[i].d.next = self.in_data[i].val();
                }
            } else {
                if self.accept.val() {
                    if self.position.q.val() == 0 {
                        self.word[i].d.next = 0.into();
                    }
                    if self.position.q.val() == (i >> self.in_level.val()) {
                        self.word[i].d.next = self.in_data[i % self.in_lanes.val()].val();
                    }
                }
            }
        }
        for i in 0..self.out_lanes.val() {
            self.out_data[i].next = self.word[i].q.val();
            for d in 0..4 {
                if self.sizes[d].val() < i + 1 {
                    if self.dim.val() == d {
                        self.out_data[i].next = 0.into();
                    }
                }
            }
        }

        if self.part.val() {
            self.left.d.next = self.left.q.val() - 1;
            if self.ends.val() {
                self.word_valid.d.next = false;
            }
        }
        if self.accept.val() {
            self.position.d.next = self.position.q.val() + 1;
        }
        if self.completes.val() {
            self.position.d.next = 0.into();
            self.word_valid.d.next = true;
            self.word_last.d.next = self.in_last.val();
            self.left.d.next = self.final_part.val();
        }
        if self.reset.val() {
            self.position.d.next = 0.into();
            self.word_valid.d.next = false;
        }
        self.out_valid.next = self.word_valid.q.val();
        self.out_last.next = self.word_last.q.val() & self.ends.val();
    }
}
