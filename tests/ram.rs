//! `ram`: both read ports against the model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{broken, configurations, design, note, verilog};
use spatten_hw::emit::emit;
use spatten_hw::ram::{Ram as Rtl, ReadPort};
use spatten_sim::cosim::{Bits, Cache, Coverage, Init, Model, Verilog, seed};
use spatten_sim::ram::Ram;
use spatten_testkit::{Checks, Rng};

/// Random writes and reads for `cycles`; the first difference, or the number of words compared.
fn compare(
    verilog: &Verilog,
    depth: usize,
    bits: u32,
    port: ReadPort,
    cycles: u64,
    coverage: &mut Coverage,
) -> Result<u64, String> {
    let built = Cache::default().build(verilog).unwrap_or_else(|e| panic!("{e}"));
    let mut rtl = Model::load(&built, Init::Random(1)).unwrap();
    let mut model = Ram::<Option<Bits>>::new(depth);
    let mut rng = Rng::new(seed(0x4a4));
    let pin = |name: &str| rtl.pin(name).unwrap();
    let [enable, write_address, write_data, read_address, read_data] =
        ["write_enable", "write_address", "write_data", "read_address", "read_data"].map(pin);
    let (mut compared, mut collided) = (0, false);
    for cycle in 0..cycles {
        // Few addresses, so that they meet; now and then the ends.
        let mut address = || match rng.below(8) {
            0 => 0,
            1 => depth - 1,
            _ => rng.below(depth.min(24) as u64) as usize,
        };
        let (read, write) = (address(), address());
        let word = Bits::from_lanes(&(0..bits).map(|_| rng.bits() & 1).collect::<Vec<_>>(), 1);
        let writes = rng.below(2) == 1;
        rtl.set(enable, writes.into());
        rtl.set(write_address, write as u64);
        rtl.set_bits(write_data, &word);
        rtl.set(read_address, read as u64);
        rtl.eval().unwrap();
        let expected = match port {
            ReadPort::Direct => model.word(read).clone(),
            ReadPort::Registered => model.read_data().clone(),
        };
        if let Some(expected) = expected {
            compared += 1;
            let got = rtl.get_bits(read_data);
            // Undefined in hardware; simulation must not show what a block could depend on.
            let undefined = port == ReadPort::Registered && collided;
            if (got == expected) == undefined {
                return Err(format!("ram: read_data differs   cycle {cycle}\n  rtl   {got}\n  model {expected}"));
            }
        }
        collided = writes && read == write;
        if collided {
            coverage.hit("read and written");
        }
        coverage.hit(if read + 1 == depth { "last word" } else { "other word" });
        rtl.step().unwrap();
        model.clock(read, writes.then_some((write, Some(word))));
    }
    Ok(compared)
}

#[test]
fn equals_its_model_in_every_cycle() {
    let mut checks = Checks::new("ram");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let depth = config.key_buffer_bytes / config.channel_bytes;
        let bits = 8 * config.channel_bytes as u32;
        let verilog = verilog(&design("ram", &config));
        let compared = compare(&verilog, depth, bits, ReadPort::Registered, 15_000, &mut coverage).unwrap();
        note("ram", &config.name, compared, compared, 15_000);
        checks.that(compared > 10_000, || format!("{compared} words compared"));
    }
    for (bits, depth) in [(1, 2), (13, 5), (70, 64)] {
        let rtl = emit(Rtl::new(bits, depth, ReadPort::Direct)).unwrap();
        let compared = compare(&verilog(&rtl), depth, bits as u32, ReadPort::Direct, 15_000, &mut coverage).unwrap();
        checks.that(compared > 10_000, || format!("{compared} words compared"));
    }
    coverage.require(&["read and written", "last word"]);
    checks.finish_any();
}

#[test]
fn faults_are_caught() {
    let rtl = emit(Rtl::new(8, 16, ReadPort::Registered)).unwrap();
    let mut coverage = Coverage::default();
    for (from, to) in [
        ("] <= write_data", "] <= write_data ^ 8'd2"),
        ("if (write_enable) words", "if (write_enable & write_address != read_address) words"),
        (
            "assign read_data = word;",
            "reg [7:0] late;\n    always @(posedge clock) late <= word;\n    assign read_data = late;",
        ),
    ] {
        let verilog = broken(&rtl, "ram", from, to);
        let found = compare(&verilog, 16, 8, ReadPort::Registered, 1_000, &mut coverage);
        assert!(found.is_err(), "{to} was not found");
    }
}
