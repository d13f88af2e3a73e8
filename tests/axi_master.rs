//! `axi_master`: RTL against its cycle model in every cycle; what goes in comes out.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_sim::axi_master::{AxiMaster, Input, Output, Widths};
use spatten_sim::cosim::{Bits, BlockBench, Coverage, Field, Verilog, seed};
use spatten_testkit::{Checks, Rng};

fn word(bytes: u32, rng: &mut Rng) -> Bits {
    Bits::from_words((0..bytes / 4).map(|_| rng.bits() as u32).collect(), 8 * bytes)
}

fn bench(
    verilog: Verilog,
    config: &ArchConfig,
    each: usize,
    clear: bool,
    coverage: &mut Coverage,
) -> (BlockBench<AxiMaster>, usize) {
    let (w, mut rng) = (Widths::of(config), Rng::new(3));
    let id = |rng: &mut Rng| rng.below(1 << w.id) as u32;
    let (mut inputs, mut outputs): ([Vec<Input>; 4], [Vec<Output>; 4]) = Default::default();
    for _ in 0..each {
        let (address, number) = (rng.bits() >> (64 - w.address), id(&mut rng));
        inputs[0].push(Input::Request(address, number, w));
        outputs[0].push(Output::ReadAddress(address, number, w));
        // Now and then an error; OKAY and EXOKAY are none.
        let mut response = || if rng.below(20) == 0 { 2 + rng.below(2) as u8 } else { rng.below(2) as u8 };
        let [read, written] = [response(), response()];
        coverage.add("failed read", u64::from(read > 1));
        coverage.add("failed write", u64::from(written > 1));
        let (data, number) = (word(w.bytes, &mut rng), id(&mut rng));
        inputs[1].push(Input::Read(number, data.clone(), read, w));
        outputs[1].push(Output::Response(number, data, w));
        let (address, data) = (rng.bits() >> (64 - w.address), word(w.bytes, &mut rng));
        let strobe = (u128::from(rng.bits()) << 64 | u128::from(rng.bits())) & (u128::MAX >> (128 - w.bytes));
        inputs[2].push(Input::Write(address, data.clone(), strobe, w));
        outputs[2].push(Output::WriteAddress(address, w));
        outputs[3].push(Output::WriteData(data, strobe, w));
        inputs[3].push(Input::Written(written));
    }
    let total = outputs.iter().map(Vec::len).sum();
    let mut model = AxiMaster::new();
    model.clear(clear);
    let mut bench = BlockBench::new(verilog, "axi_master", &config.name, seed(0xa1), model);
    for (name, beats) in ["request", "r", "write", "b"].into_iter().zip(inputs) {
        bench = bench.input(name, beats);
    }
    for (name, beats) in ["ar", "response", "aw", "w"].into_iter().zip(outputs) {
        bench = bench.output(name, beats);
    }
    let bench = bench
        .pin("clear", Bits::new(clear.into(), 1))
        .status(|model| {
            vec![
                Field::flag("read_failed", model.read_failed()),
                Field::flag("acknowledge_valid", model.acknowledge().is_some()),
                Field::flag("acknowledge_error", model.acknowledge() == Some(true)),
            ]
        })
        .again("cargo test --test axi_master");
    (bench, total)
}

#[test]
fn what_goes_in_comes_out_under_every_stall() {
    let mut checks = Checks::new("axi_master");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("axi_master", &config));
        // Failed reads are remembered, or forgotten in every cycle.
        for clear in [false, true] {
            let (bench, total) = bench(verilog.clone(), &config, 2_500, clear, &mut coverage);
            let reports = run_all(&bench, total, &mut coverage);
            checks.eq(reports[0].span(), 2_501, || "a beat per cycle, one cycle of latency".into());
        }
    }
    coverage.require(&["failed read", "failed write", "bubble", "back-pressure", "stall"]);
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("axi_master", &config);
    let (bench, _) = bench(verilog(&design), &config, 300, true, &mut Coverage::default());
    same_in_icarus(&bench, &design, "axi_master");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("axi_master", &config);
    let with = |verilog| bench(verilog, &config, 100, true, &mut Coverage::default()).0;
    for (stream, field) in [("ar", "address"), ("response", "data"), ("aw", "address"), ("w", "strobe")] {
        faults_at_the_port_are_caught(&design, stream, field, with);
    }
    let check = |from: &str, to: &str, what: &str| {
        caught(&with(broken(&design, "axi_master", from, to)), what);
    };
    // A write whose halves part; an error of the wrong kind.
    check("write_ready = (addresses_in_ready & written_in_ready);", "write_ready = addresses_in_ready;", "ready");
    check("r_response[1]", "r_response[0]", "read_failed");
}
