//! Leaves of Verilog text: each has a Rust model in its `update`, and both do the same in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod common;

use spatten_hw::emit::emit;
use spatten_hw::hdl::{Block, Clock, In, Num, Signal, simulate};
use spatten_hw::leaf::{BlockRom, Join, LaneRam, LaneSum, Multiplier, Ram, ReadPort, Rom};
use spatten_sim::cosim::{Bits, Cache, Init, Model};
use spatten_testkit::{Checks, Rng};

const CYCLES: u64 = 5_000;

fn rtl(design: impl Block) -> Model {
    let design = emit(design).unwrap_or_else(|e| panic!("{e}"));
    let built = Cache::default().build(&common::verilog(&design)).unwrap_or_else(|e| panic!("{e}"));
    // Registers of the Rust models start at 0.
    Model::load(&built, Init::Zeros).unwrap()
}

/// One rising edge of a rust-hdl block.
fn edge<B: Block>(block: &mut B, clock: impl Fn(&mut B) -> &mut Signal<In, Clock>) {
    for level in [true, false] {
        clock(block).next = level.into();
        assert!(simulate(block, 100));
    }
}

fn number(value: i64) -> Num {
    let size = Num::from(value.unsigned_abs() as usize);
    if value < 0 { -size } else { size }
}

#[test]
fn the_multiplier_is_its_model() {
    let mut checks = Checks::new("leaf_multiplier");
    let mut rng = Rng::new(1);
    for (a_bits, b_bits) in [(12, 12), (2, 18), (32, 19)] {
        let (mut rust, mut rtl) = (Multiplier::new(a_bits, b_bits), rtl(Multiplier::new(a_bits, b_bits)));
        rust.connect_all();
        let [a, b, product] = ["a", "b", "product"].map(|name| rtl.pin(name).unwrap());
        for cycle in 0..CYCLES {
            let mut draw = |bits: usize| match rng.below(6) {
                0 => -(1i64 << (bits - 1)),
                1 => (1i64 << (bits - 1)) - 1,
                _ => rng.below(1 << bits) as i64 - (1i64 << (bits - 1)),
            };
            let (x, y) = (draw(a_bits), draw(b_bits));
            rust.a.next = number(x);
            rust.b.next = number(y);
            assert!(simulate(&mut rust, 100));
            rtl.set(a, x as u64);
            rtl.set(b, y as u64);
            rtl.eval().unwrap();
            let width = a_bits + b_bits;
            let model = (0..width).fold(0u64, |v, i| v | u64::from(rust.product.val().get_bit(i)) << i);
            checks.eq(rtl.get(product), model, || format!("{a_bits} x {b_bits} cycle {cycle}"));
            edge(&mut rust, |m| &mut m.clock);
            rtl.step().unwrap();
        }
    }
    checks.finish(3 * CYCLES);
}

#[test]
fn memories_are_their_models() {
    let mut checks = Checks::new("leaf_ram");
    let mut rng = Rng::new(2);
    let mut collisions = 0;
    for port in [ReadPort::Direct, ReadPort::Registered] {
        let (bits, depth) = (9, 6);
        let (mut rust, mut rtl) = (Ram::new(bits, depth, port), rtl(Ram::new(bits, depth, port)));
        rust.connect_all();
        let names = ["write_enable", "write_address", "write_data", "read_address", "read_data"];
        let [enable, write, data, read, out] = names.map(|name| rtl.pin(name).unwrap());
        for cycle in 0..CYCLES {
            let (w, r, d) = (rng.below(6), rng.below(6), rng.below(1 << bits));
            let writes = rng.below(2) == 1;
            collisions += u64::from(writes && w == r);
            rust.write_enable.next = writes;
            rust.write_address.next = (w as usize).into();
            rust.write_data.next = (d as usize).into();
            rust.read_address.next = (r as usize).into();
            assert!(simulate(&mut rust, 100));
            for (pin, value) in [(enable, writes.into()), (write, w), (data, d), (read, r)] {
                rtl.set(pin, value);
            }
            rtl.eval().unwrap();
            let model = rust.read_data.val().index() as u64;
            checks.eq(rtl.get(out), model, || format!("{port:?} cycle {cycle}"));
            edge(&mut rust, |m| &mut m.clock);
            rtl.step().unwrap();
        }
    }
    assert!(collisions > 100, "{collisions} words read while they were written");
    checks.finish(2 * CYCLES);
}

#[test]
fn memories_of_lanes_are_their_models() {
    let mut checks = Checks::new("leaf_lane_ram");
    let mut rng = Rng::new(3);
    for port in [ReadPort::Direct, ReadPort::Registered] {
        let (lanes, bits, depth) = (5, 14, 4);
        let (mut rust, mut rtl) = (LaneRam::new(lanes, bits, depth, port), rtl(LaneRam::new(lanes, bits, depth, port)));
        rust.connect_all();
        let names = ["write_enable", "write_address", "write_data", "read_address", "read_data"];
        let [enable, write, data, read, out] = names.map(|name| rtl.pin(name).unwrap());
        for cycle in 0..CYCLES {
            let (w, r) = (rng.below(depth as u64), rng.below(depth as u64));
            let words: Vec<u64> = (0..lanes).map(|_| rng.below(1 << bits)).collect();
            let writes = rng.below(2) == 1;
            rust.write_enable.next = writes;
            rust.write_address.next = (w as usize).into();
            rust.read_address.next = (r as usize).into();
            for (wire, word) in rust.write_data.iter_mut().zip(&words) {
                wire.next = (*word as usize).into();
            }
            assert!(simulate(&mut rust, 100));
            for (pin, value) in [(enable, writes.into()), (write, w), (read, r)] {
                rtl.set(pin, value);
            }
            rtl.set_bits(data, &Bits::from_lanes(&words, bits as u32));
            rtl.eval().unwrap();
            let got = rtl.get_bits(out).lanes(bits as u32);
            let model: Vec<u64> = rust.read_data.iter().map(|w| w.val().index() as u64).collect();
            checks.eq(got, model, || format!("{port:?} cycle {cycle}"));
            edge(&mut rust, |m| &mut m.clock);
            rtl.step().unwrap();
        }
    }
    checks.finish(2 * CYCLES);
}

#[test]
fn the_table_is_its_model() {
    let mut checks = Checks::new("leaf_rom");
    let mut rng = Rng::new(4);
    let words: Vec<u64> = (0..64).map(|_| rng.below(1 << 43)).collect();
    let (mut rust, mut rtl) = (Rom::new("test", words.clone(), 43), rtl(Rom::new("test", words.clone(), 43)));
    rust.connect_all();
    let [index, word] = ["index", "word"].map(|name| rtl.pin(name).unwrap());
    for (i, &expected) in words.iter().enumerate() {
        rust.index.next = i.into();
        assert!(simulate(&mut rust, 100));
        rtl.set(index, i as u64);
        rtl.eval().unwrap();
        checks.eq(rust.word.val(), (expected as usize).into(), || format!("model {i}"));
        checks.eq(rtl.get(word), expected, || format!("verilog {i}"));
    }
    checks.finish(128);
}

#[test]
fn lanes_are_joined_as_the_model_says() {
    let mut checks = Checks::new("leaf_join");
    let mut rng = Rng::new(5);
    let (lanes, bits) = (5, 11);
    let (mut rust, mut rtl) = (Join::new(lanes, bits), rtl(Join::new(lanes, bits)));
    rust.connect_all();
    let [lane, word] = ["lane", "word"].map(|name| rtl.pin(name).unwrap());
    for i in 0..CYCLES {
        let values: Vec<u64> = (0..lanes).map(|_| rng.below(1 << bits)).collect();
        for (wire, value) in rust.lane.iter_mut().zip(&values) {
            wire.next = (*value as usize).into();
        }
        assert!(simulate(&mut rust, 100));
        rtl.set_bits(lane, &Bits::from_lanes(&values, bits as u32));
        rtl.eval().unwrap();
        let model = rust.word.val().index() as u64;
        checks.eq(rtl.get(word), model, || format!("word {i}"));
        checks.eq(model >> (2 * bits) & ((1 << bits) - 1), values[2], || format!("lane 2 of word {i}"));
    }
    checks.finish(2 * CYCLES);
}

#[test]
fn lanes_are_added_without_carries_between_them() {
    let mut checks = Checks::new("leaf_lane_sum");
    let mut rng = Rng::new(5);
    let (lanes, bits) = (5, 7);
    let (mut rust, mut rtl) = (LaneSum::new(lanes, bits), rtl(LaneSum::new(lanes, bits)));
    rust.connect_all();
    let [a, b, sum] = ["a", "b", "sum"].map(|name| rtl.pin(name).unwrap());
    for i in 0..CYCLES {
        let [x, y] = [0; 2].map(|_| rng.below(1 << (lanes * bits)));
        rust.a.next = (x as usize).into();
        rust.b.next = (y as usize).into();
        assert!(simulate(&mut rust, 100));
        rtl.set(a, x);
        rtl.set(b, y);
        rtl.eval().unwrap();
        let model = rust.sum.val().index() as u64;
        checks.eq(rtl.get(sum), model, || format!("word {i}"));
        let lane = |word: u64| word >> (2 * bits) & ((1 << bits) - 1);
        checks.eq(lane(model), (lane(x) + lane(y)) & ((1 << bits) - 1), || format!("lane 2 of word {i}"));
    }
    checks.finish(2 * CYCLES);
}

#[test]
fn the_table_in_block_ram_is_its_model() {
    let mut checks = Checks::new("leaf_block_rom");
    let mut rng = Rng::new(4);
    let words: Vec<u64> = (0..64).map(|_| rng.below(1 << 43)).collect();
    let table = || BlockRom::new("test", words.clone(), 43);
    let (mut rust, mut rtl) = (table(), rtl(table()));
    rust.connect_all();
    let [index, word] = ["index", "word"].map(|name| rtl.pin(name).unwrap());
    for cycle in 0..CYCLES {
        let at = if cycle < 64 { cycle } else { rng.below(64) };
        rust.index.next = (at as usize).into();
        edge(&mut rust, |r| &mut r.clock);
        rtl.set(index, at);
        rtl.step().unwrap();
        rtl.eval().unwrap();
        checks.eq(rust.word.val(), (words[at as usize] as usize).into(), || format!("model {at}"));
        checks.eq(rtl.get(word), words[at as usize], || format!("verilog {at}"));
    }
    checks.finish(2 * CYCLES);
}
