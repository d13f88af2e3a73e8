//! The emitter: a kernel of every shape of expression computes the same in rust-hdl's own simulator and in Verilator.
//! Among them are all those for which rust-hdl 0.46 prints Verilog that differs (`docs/decisions/0009-run-time-widths.md`).

#[path = "common/block.rs"]
#[allow(dead_code)]
mod common;

use spatten_hw::emit::emit;
use spatten_hw::hdl::*;
use spatten_sim::cosim::{Bits as Value, Cache, Coverage, Init, Model};
use spatten_testkit::{Checks, Rng};

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
enum Phase {
    Rest,
    Work,
    Done,
}

#[derive(LogicBlock)]
struct Shapes {
    name: ModuleName,
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    a: Wire<In>,
    b: Wire<In>,
    c: Wire<In>,
    s: Wire<In>,
    t: Wire<In>,
    flag: Signal<In, Bit>,
    lanes: Vec<Wire<In>>,
    signed_lanes: Vec<Wire<In>>,
    y: Vec<Wire<Out>>,
    z: Vec<Wire<Out>>,
    bits: Vec<Signal<Out, Bit>>,
    nodes: Vec<Wire<Local>>,
    count: Reg,
    phase: Dff<Phase>,
    seen: Signal<Local, Bit>,
    n: Param,
    half: Param,
}

const LANES: usize = 8;

impl Shapes {
    fn new() -> Self {
        Self {
            name: ModuleName::new("shapes"),
            clock: Default::default(),
            reset: Default::default(),
            a: Wire::unsigned(5),
            b: Wire::unsigned(5),
            c: Wire::unsigned(9),
            s: Wire::signed(6),
            t: Wire::signed(8),
            flag: Default::default(),
            lanes: vec_of(LANES, || Wire::unsigned(3)),
            signed_lanes: vec_of(LANES, || Wire::signed(4)),
            y: vec_of(20, || Wire::unsigned(12)),
            z: vec_of(12, || Wire::signed(12)),
            bits: vec_of(16, Default::default),
            nodes: vec_of(2 * LANES, || Wire::signed(10)),
            count: Reg::unsigned(7),
            phase: Default::default(),
            seen: Default::default(),
            n: Param::new(LANES),
            half: Param::new(LANES / 2),
        }
    }
}

impl Logic for Shapes {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, count, phase);
        // Carries that a comparison, a shift or a wider target must keep.
        self.y[0].next = self.a.val() + self.b.val();
        self.y[1].next = (self.a.val() + self.b.val()) >> 1;
        self.y[2].next = (self.a.val() << 3) >> 2;
        self.y[3].next = self.a.val() * self.c.val();
        self.y[4].next = self.a.val() - self.b.val();
        self.y[5].next = (self.a.val() - self.b.val()) >> 2;
        self.y[6].next = !self.a.val() + 1;
        self.y[7].next = !(self.a.val() & self.b.val()) ^ self.c.val();
        self.y[8].next = self.c.val() >> self.lanes[0].val();
        self.y[9].next = self.c.val() << self.lanes[1].val();
        self.y[10].next = (self.c.val() >> 20) + (self.c.val() >> 8);
        self.y[11].next = self.count.q.val() + self.flag.val() - 1;
        self.y[12].next = self.t.val() >> self.lanes[2].val();
        self.y[13].next = (self.s.val() + self.t.val()) >> self.lanes[2].val();
        self.y[14].next = self.a.val() | (self.s.val() & self.c.val());
        self.y[15].next = -self.a.val();
        self.y[16].next = 0.into();
        if (self.a.val() > 3) & (self.s.val() < 0) {
            self.y[16].next = self.a.val() + 2;
        } else if self.flag.val() {
            self.y[16].next = 7.into();
        }
        self.y[17].next = 1.into();
        match self.phase.q.val() {
            Phase::Rest => {
                self.y[17].next = self.a.val();
                if self.flag.val() {
                    self.phase.d.next = Phase::Work;
                }
            }
            Phase::Work => {
                self.count.d.next = self.count.q.val() + self.a.val();
                if self.count.q.val() + self.a.val() > 100 {
                    self.phase.d.next = Phase::Done;
                }
            }
            _ => {
                self.phase.d.next = Phase::Rest;
            }
        }
        self.seen.next = self.phase.q.val() == Phase::Done;
        self.y[18].next = self.seen.val().into();
        self.y[19].next = self.nodes[1].val() * self.nodes[1].val();
        // Signs.
        self.z[0].next = self.s.val() + self.t.val();
        self.z[1].next = self.s.val() - self.a.val();
        self.z[2].next = self.s.val() * self.t.val();
        self.z[3].next = self.s.val() * self.a.val();
        self.z[4].next = self.s.val() >> 2;
        self.z[5].next = (self.s.val() + self.t.val() + 1) >> 1;
        self.z[6].next = -self.t.val();
        self.z[7].next = self.signed_lanes[3].val() - self.lanes[3].val();
        self.z[8].next = self.t.val() >> 30;
        self.z[9].next = !self.s.val();
        self.z[10].next = (self.t.val() << 2) - (self.a.val() << 1);
        self.z[11].next = self.signed_lanes[7].val() >> 1;
        // Truth values.
        self.bits[0].next = self.a.val() + self.b.val() < 32;
        self.bits[1].next = self.a.val() + 1 == self.b.val();
        self.bits[2].next = self.s.val() < self.a.val();
        self.bits[3].next = self.s.val() >= self.t.val();
        self.bits[4].next = self.a.val() - self.b.val() < 0;
        self.bits[5].next = self.signed_lanes[2].val() > self.signed_lanes[5].val();
        self.bits[6].next = (self.a.val() & self.b.val()) == self.c.val();
        self.bits[7].next = self.flag.val() & !self.a.val().any() | (self.b.val() != 3);
        self.bits[8].next = self.c.val().get_bit(8) ^ self.flag.val();
        self.bits[9].next = self.c.val().get_bit(self.lanes[4].val().index());
        self.bits[10].next = (self.s.val() + self.t.val()).any();
        self.bits[11].next = (self.a.val() << 1) > self.c.val();
        self.bits[12].next = !self.flag.val();
        self.bits[13].next = (self.t.val() >> 1) <= (self.s.val() << 1);
        self.bits[14].next = self.lanes[6].val().get_bit(self.a.val().get_bit(0).into());
        self.bits[15].next = self.nodes[1].val() < self.t.val();
        // A tree in heap order.
        self.nodes[0].next = 0.into();
        for k in 1..self.n.val() {
            self.nodes[k].next = self.nodes[2 * k].val() + self.nodes[2 * k + 1].val();
        }
        for i in 0..self.n.val() {
            self.nodes[i + self.n.val()].next =
                self.signed_lanes[i].val() - self.lanes[(i + self.half.val()) % 8].val() + i;
        }
        if self.reset.val() {
            self.count.d.next = 0.into();
            self.phase.d.next = Phase::Rest;
        }
    }
}

#[test]
fn kernels_compute_the_same_in_rust_and_in_verilog() {
    const CYCLES: u64 = 20_000;
    let mut checks = Checks::new("emitter");
    let mut coverage = Coverage::default();
    let mut rust = Box::new(Shapes::new());
    rust.connect_all();
    let design = emit(Shapes::new()).unwrap_or_else(|e| panic!("{e}"));
    let built = Cache::default().build(&common::verilog(&design)).unwrap_or_else(|e| panic!("{e}"));
    let mut rtl = Model::load(&built, Init::Random(7)).unwrap();
    let mut rng = Rng::new(0x5eed_0009);
    let pin = |name: &str| rtl.pin(name).unwrap();
    let [a, b, c, s, t, flag, lanes, signed_lanes] =
        ["a", "b", "c", "s", "t", "flag", "lanes", "signed_lanes"].map(pin);
    let [reset, y, z, bits] = ["reset", "y", "z", "bits"].map(pin);
    for cycle in 0..CYCLES {
        let mut number = |bits: u32| {
            // Ends of the range as often as its inside.
            match rng.below(4) {
                0 => 0,
                1 => (1 << bits) - 1,
                2 => 1 << (bits - 1),
                _ => rng.below(1 << bits),
            }
        };
        let [va, vb, vc, vs, vt] = [5, 5, 9, 6, 8].map(&mut number);
        let (vl, vsl): (Vec<u64>, Vec<u64>) = (0..LANES).map(|_| (number(3), number(4))).unzip();
        let vf = number(1) == 1;
        let resets = cycle < 2 || number(9) == 77;
        let signed = |value: u64, bits: u32| (value as i64) - if value >> (bits - 1) & 1 == 1 { 1 << bits } else { 0 };
        let number =
            |value: i64| if value < 0 { -Num::from(value.unsigned_abs() as usize) } else { Num::from(value as usize) };
        rust.a.next = number(va as i64);
        rust.b.next = number(vb as i64);
        rust.c.next = number(vc as i64);
        rust.s.next = number(signed(vs, 6));
        rust.t.next = number(signed(vt, 8));
        rust.flag.next = vf;
        rust.reset.next = resets;
        for i in 0..LANES {
            rust.lanes[i].next = number(vl[i] as i64);
            rust.signed_lanes[i].next = number(signed(vsl[i], 4));
        }
        assert!(simulate(&mut *rust, 100), "rust-hdl does not settle");
        for (pin, value) in [(a, va), (b, vb), (c, vc), (s, vs), (t, vt), (flag, vf.into()), (reset, resets.into())] {
            rtl.set(pin, value);
        }
        rtl.set_bits(lanes, &Value::from_lanes(&vl, 3));
        rtl.set_bits(signed_lanes, &Value::from_lanes(&vsl, 4));
        rtl.eval().unwrap();
        // Before the first edge with reset the registers hold anything.
        if cycle > 0 {
            let low = |x: Num, bits: usize| (0..bits).fold(0u64, |v, i| v | u64::from(x.get_bit(i)) << i);
            let (ys, zs) = (rtl.get_bits(y), rtl.get_bits(z));
            for (i, wire) in rust.y.iter().enumerate() {
                checks.eq(ys.lane(i, 12), low(wire.val(), 12), || {
                    format!("cycle {cycle} y[{i}]: {va} {vb} {vc} {vs} {vt}")
                });
            }
            for (i, wire) in rust.z.iter().enumerate() {
                checks.eq(zs.lane(i, 12), low(wire.val(), 12), || {
                    format!("cycle {cycle} z[{i}]: {va} {vb} {vc} {vs} {vt}")
                });
            }
            for (i, bit) in rust.bits.iter().enumerate() {
                let got = rtl.get(bits) >> i & 1 == 1;
                checks
                    .eq(got, bit.val(), || format!("cycle {cycle} bits[{i}]: {va} {vb} {vc} {vs} {vt} {vl:?} {vsl:?}"));
                coverage.hit(if got { "true" } else { "false" });
            }
            if rust.seen.val() {
                coverage.hit("done");
            }
        }
        rust.clock.next = true.into();
        assert!(simulate(&mut *rust, 100));
        rust.clock.next = false.into();
        assert!(simulate(&mut *rust, 100));
        rtl.step().unwrap();
    }
    coverage.require(&["true", "false", "done"]);
    checks.finish((CYCLES - 1) * (20 + 12 + 16));
}
