//! `controller`: every instruction in RTL against the cycle model in every cycle, what programs push against golden.
//!
//! ```text
//!  pop streams, ports --> controller (a program of all instructions) --> push streams, fields
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
use block::{broken, note, verilog};
use spatten_arch::micro::{Assembler, REGISTERS, SCRATCH_WORDS};
use spatten_hw::controller::Sizes;
use spatten_hw::emit::{Design, emit};
use spatten_sim::controller::Controller;
use spatten_sim::cosim::{Bits, Cache, Coverage, Init, Model, Verilog, seed};
use spatten_testkit::{Checks, Rng};

const SIZES: Sizes = Sizes { outs: 4, pushes: 3, pops: 2, ports: 5 };

/// What a program computes: from what it reads, words that it pushes, each on its stream.
type Golden = Box<dyn Fn(&[u64]) -> u64>;

struct Program {
    words: Vec<u64>,
    /// Of a round: what is read, as the number of a port; then what is pushed, with its stream.
    reads: Vec<usize>,
    pushes: Vec<(usize, Golden)>,
}

/// A round of all instructions, again and again. Its first values are the ports as they are when it pops; everything else is computed.
fn program(rng: &mut Rng) -> Program {
    let mut a = Assembler::default();
    let start = a.begin();
    a.wait(1);
    let reads = vec![0, 4, 2];
    for (i, &port) in reads.iter().enumerate() {
        a.input(1 + i as u8, port);
    }
    a.pop(1);
    let mut pushes: Vec<(usize, Golden)> = vec![];
    let mut give = |a: &mut Assembler, register: u8, rng: &mut Rng, golden: Golden| {
        let stream = rng.below(SIZES.pushes as u64) as usize;
        // The field of another stream's beat does not matter to this one.
        a.out(3, 2);
        a.out(0, register);
        a.push(stream);
        pushes.push((stream, golden));
    };
    for _ in 0..6 {
        let d = 4 + rng.below(REGISTERS as u64 - 8) as u8;
        let n = rng.bits() as u16;
        let signed = n as i16;
        let shift = u32::from(n) & 63;
        a.add(d, 1, 2);
        give(&mut a, d, rng, Box::new(|x| x[0].wrapping_add(x[1])));
        a.sub(d, 1, 2);
        give(&mut a, d, rng, Box::new(|x| x[0].wrapping_sub(x[1])));
        a.and(d, 1, 2);
        give(&mut a, d, rng, Box::new(|x| x[0] & x[1]));
        a.or(d, 2, 3);
        give(&mut a, d, rng, Box::new(|x| x[1] | x[2]));
        a.xor(d, 1, 3);
        give(&mut a, d, rng, Box::new(|x| x[0] ^ x[2]));
        a.add_n(d, 3, signed);
        give(&mut a, d, rng, Box::new(move |x| (x[2] as i128 + i128::from(signed)) as u64));
        a.shift_left_by(d, 1, 2);
        give(&mut a, d, rng, Box::new(|x| x[0] << (x[1] % 64)));
        a.shift_right_by(d, 1, 3);
        give(&mut a, d, rng, Box::new(|x| x[0] >> (x[2] % 64)));
        a.shift_left(d, 2, shift as u16);
        give(&mut a, d, rng, Box::new(move |x| x[1] << shift));
        a.shift_right(d, 2, shift as u16);
        give(&mut a, d, rng, Box::new(move |x| x[1] >> shift));
        let bits = 1 + rng.below(u64::from(64 - shift)) as u32;
        a.field(d, 1, shift, bits);
        give(&mut a, d, rng, Box::new(move |x| (u128::from(x[0]) >> shift & ((1 << bits) - 1)) as u64));
        let constant = rng.bits() >> rng.below(64);
        a.set(d, constant);
        give(&mut a, d, rng, Box::new(move |_| constant));
        // A word of memory, and the neighbour that is not it.
        let place = rng.below(SCRATCH_WORDS as u64 - 1) as usize;
        a.set(30, place as u64);
        a.store(30, 0, 1);
        a.store(30, 1, 2);
        a.load(d, 0, place);
        give(&mut a, d, rng, Box::new(|x| x[0]));
        a.load(d, 30, 1);
        give(&mut a, d, rng, Box::new(|x| x[1]));
        // Register 0 is not written.
        a.add(0, 1, 2);
        give(&mut a, 0, rng, Box::new(|_| 0));
        // Each branch, taken or not, with operands that differ, or not.
        for kind in 0..4 {
            for (left, right) in [(1u8, 2u8), (2, 1), (3, 3)] {
                let to = a.label();
                a.set(d, 1);
                match kind {
                    0 => a.if_equal(left, right, to),
                    1 => a.if_different(left, right, to),
                    2 => a.if_less(left, right, to),
                    _ => a.if_not_less(left, right, to),
                }
                a.set(d, 0);
                a.here(to);
                let golden = move |x: &[u64]| {
                    let (l, r) = (x[usize::from(left) - 1], x[usize::from(right) - 1]);
                    u64::from([l == r, l != r, l < r, l >= r][kind])
                };
                give(&mut a, d, rng, Box::new(golden));
            }
        }
        // A call and its return; the place it comes from is what it is.
        let (there, back) = (a.label(), a.label());
        a.call(29, there);
        let from = a.len() as u64;
        a.jump(back);
        a.here(there);
        a.add(d, 29, 0);
        a.give_back(29);
        a.here(back);
        give(&mut a, d, rng, Box::new(move |_| from));
    }
    // Whether stream 0 has a beat is left to its own stream: it is popped where it has one.
    let none = a.label();
    a.has(4, 0);
    a.if_equal(4, 0, none);
    a.pop(0);
    a.here(none);
    a.jump(start);
    Program { words: a.finish(), reads, pushes }
}

fn design(program: &Program) -> Design {
    emit(spatten_hw::controller::Controller::new("test", program.words.clone(), SIZES)).unwrap()
}

/// How often an input says no, of 1000: beats that are not there, beats that are not taken.
const STALLS: [[u64; 2]; 4] = [[0, 0], [500, 0], [0, 500], [800, 800]];

fn bits(words: &[u64]) -> Bits {
    let halves = words.iter().flat_map(|&w| [w as u32, (w >> 32) as u32]).collect();
    Bits::from_words(halves, 64 * words.len() as u32)
}

fn flags(flags: &[bool]) -> Bits {
    Bits::new(flags.iter().rev().fold(0, |all, &f| all << 1 | u64::from(f)), flags.len() as u32)
}

/// Runs so many rounds; what is pushed is golden's. Beats that were checked.
fn check(
    verilog: &Verilog,
    program: &Program,
    rounds: usize,
    stalls: [u64; 2],
    rng: &mut Rng,
    coverage: &mut Coverage,
) -> Result<[u64; 2], String> {
    let built = Cache::default().build(verilog).unwrap_or_else(|e| panic!("{e}"));
    let mut rtl = Model::load(&built, Init::Random(rng.bits())).unwrap();
    let mut model = Controller::new(&program.words, SIZES.outs);
    let pin = |rtl: &Model, name: &str| rtl.pin(name).unwrap();
    let names = ["pop_valid", "pop_ready", "push_valid", "push_ready", "port", "out"];
    let [pop_valid, pop_ready, push_valid, push_ready, port, out] = names.map(|name| pin(&rtl, name));
    rtl.set_bits(pop_valid, &Bits::zero(SIZES.pops as u32));
    rtl.reset(2).unwrap();
    let (mut there, mut ports) = ([false; SIZES.pops], [0; SIZES.ports]);
    let (mut read, mut given) = (vec![], 0);
    let mut quiet = 0;
    for cycle in 0u64.. {
        // What is offered stays, and what is shown beside it.
        for (i, there) in there.iter_mut().enumerate() {
            // Where there are stalls, a round's values come when they are waited for.
            let late = i == 1 && stalls[0] > 0 && model.waits() != Some(1);
            if !*there && !late && rng.below(1000) >= stalls[0] {
                *there = true;
                if i == 1 {
                    for port in &mut ports {
                        *port = [rng.bits(), rng.bits() >> rng.below(64), 0, u64::MAX][rng.below(4) as usize];
                    }
                    if rng.below(3) == 0 {
                        ports[4] = ports[0];
                    }
                }
            }
        }
        let ready: Vec<bool> = (0..SIZES.pushes).map(|_| rng.below(1000) >= stalls[1]).collect();
        rtl.set_bits(pop_valid, &flags(&there));
        rtl.set_bits(push_ready, &flags(&ready));
        rtl.set_bits(port, &bits(&ports));
        rtl.eval().map_err(|e| e.to_string())?;

        let one = |at: Option<usize>, n: usize| at.map_or(0, |at| 1 << at) & ((1 << n) - 1);
        let shown = [
            ("push_valid", rtl.get_bits(push_valid).words()[0], one(model.push(), SIZES.pushes)),
            ("pop_ready", rtl.get_bits(pop_ready).words()[0], one(model.pop(), SIZES.pops)),
        ];
        for (name, is, should) in shown {
            if is != should {
                return Err(format!("{name} differs: rtl {is:#x}, model {should:#x}   cycle {cycle}   {stalls:?}"));
            }
        }
        let popped = model.pop().filter(|&i| there[i]);
        let offered = model.push();
        let taken = offered.is_some_and(|i| ready[i]);
        coverage.add("back-pressure", u64::from(offered.is_some() && !taken));
        coverage.add("waits for a beat", u64::from(model.waits().is_some_and(|i| !there[i])));
        if let Some(stream) = offered {
            let fields = rtl.get_bits(out).lanes(64);
            let (wanted, golden) = &program.pushes[given % program.pushes.len()];
            let should = golden(&read);
            for (what, is, should) in [
                ("stream", stream as u64, *wanted as u64),
                ("out[0]", fields[0], should),
                ("out[3]", fields[3], read[1]),
            ] {
                if is != should {
                    let n = given % program.pushes.len();
                    return Err(format!("{what} of push {n} differs: rtl {is:#x}, golden {should:#x}   {read:x?}"));
                }
            }
            for i in [0, 3] {
                if fields[i] != model.field(i) {
                    return Err(format!("out[{i}] differs: rtl {:#x}, model {:#x}", fields[i], model.field(i)));
                }
            }
        }
        let asked = model.asks().is_some_and(|i| there[i]);
        let shown = model.looks().map_or(0, |i| ports[i]);
        model.clock(taken, asked, shown);
        rtl.step().map_err(|e| e.to_string())?;
        if let Some(i) = popped {
            there[i] = false;
            if i == 1 {
                read = program.reads.iter().map(|&port| ports[port]).collect();
            }
            coverage.add(["a stream that had a beat", "round"][i], 1);
        }
        quiet = if taken || popped.is_some() { 0 } else { quiet + 1 };
        given += usize::from(taken);
        if given == rounds * program.pushes.len() {
            return Ok([given as u64, cycle]);
        }
        if quiet > 2_000 {
            return Err(format!("nothing moves any more   cycle {cycle}"));
        }
    }
    unreachable!("cycles are counted without end")
}

#[test]
fn programs_compute_what_they_say_in_as_many_cycles_as_they_say() {
    let mut checks = Checks::new("controller");
    let mut coverage = Coverage::default();
    let mut rng = Rng::new(seed(0xc0));
    for _ in 0..2 {
        let program = program(&mut rng);
        let verilog = verilog(&design(&program));
        for stalls in STALLS {
            let done = check(&verilog, &program, 25, stalls, &mut rng, &mut coverage);
            let [beats, cycles] = done.unwrap_or_else(|e| panic!("{e}"));
            checks.eq(beats, 25 * program.pushes.len() as u64, || "beats".into());
            note("controller", "every", beats, 3 * beats, cycles);
        }
    }
    coverage.require(&["back-pressure", "waits for a beat", "a stream that had a beat", "round"]);
    checks.finish_any();
}

#[test]
fn faults_are_caught() {
    let mut rng = Rng::new(1);
    let program = program(&mut rng);
    let design = design(&program);
    let mut caught = |module: &str, from: &str, to: &str, what: &str| {
        let broken = broken(&design, module, from, to);
        let found = STALLS
            .into_iter()
            .find_map(|stalls| check(&broken, &program, 5, stalls, &mut rng, &mut Coverage::default()).err());
        let found = found.unwrap_or_else(|| panic!("{from:?} as {to:?} was not found"));
        assert!(found.contains(what), "expected {what:?} in {found}");
    };
    caught("controller", "less = (a < b);", "less = (a <= b);", "differs");
    caught("controller", "result_next = (a - b);", "result_next = (b - a);", "out[0]");
    caught("controller", "result_next = (right & mask);", "result_next = right;", "out[0]");
    caught("controller", "result_next = ({52'd0, counter} + 64'h1);", "result_next = {52'd0, counter};", "differs");
    // A beat that is lost when it is not taken at once, an instruction that takes a cycle more.
    caught("controller", "((~pushes_now) | push_goes_2)", "1'd1", "");
}
