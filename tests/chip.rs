//! `chip`: RTL and cycle model on one board, every port in every cycle; results are golden's.
//!
//! ```text
//!  workload --> host side --> board: registers, rings, memory --> RTL = model? --> board --> host side --> golden?
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)] // what single blocks need
mod block;
#[path = "../golden/tests/cascade/case.rs"]
#[allow(dead_code)] // a part of the cases' own checks
mod case;
#[path = "common/walk.rs"]
#[allow(dead_code)] // what only the functional card needs
mod walk;

use block::note;
use spatten::card::Board;
use spatten::card::rtl::{RtlChip, verilog};
use spatten_arch::ArchConfig;
use spatten_sim::chip::{Chip, INPUTS, Input, OUTPUTS, Output};
use spatten_sim::cosim::{Beat, Coverage, Init, Verilog};
use spatten_sim::csr;
use spatten_sim::cycle::CycleModel;
use spatten_testkit::Checks;
use std::cell::RefCell;
use walk::{MET, Walk, cases, for_cases, work};

/// Name of a stream of the model's ports, for messages.
fn stream(port: usize, input: bool, channels: usize) -> String {
    let names: [&[&str]; 2] =
        [&["csr_b", "csr_r", "host_ar", "host_aw", "host_w"], &["csr_aw", "csr_w", "csr_ar", "host_r", "host_b"]];
    let kinds: [&[&str]; 2] = [&["ar", "aw", "w"], &["r", "b"]];
    let (before, way) = if input { (INPUTS, 1) } else { (OUTPUTS, 0) };
    match port.checked_sub(before) {
        None => names[way][port].into(),
        Some(at) => format!("card_{} of channel {}", kinds[way][at / channels], at % channels),
    }
}

/// RTL and model side by side: what one shows, the other has to show.
struct Both {
    rtl: RtlChip,
    model: Chip,
    channels: usize,
    cycle: u64,
    beats: u64,
    /// The register that is read.
    register: u32,
}

impl Both {
    fn new(verilog: &Verilog, config: &ArchConfig, seed: u64) -> Self {
        let rtl = RtlChip::of(verilog, config, Init::Random(seed)).unwrap_or_else(|e| panic!("{e}"));
        Self { rtl, model: Chip::new(config), channels: config.channels, cycle: 0, beats: 0, register: 0 }
    }

    fn compare(&self) {
        let about = |port, input| {
            let name = stream(port, input, self.channels);
            let (cycle, counter) = (self.cycle, self.model.program_counter());
            format!("chip: {name} differs   cycle {cycle}   program counter {counter}   register {:#x}", self.register)
        };
        for port in 0..INPUTS + 2 * self.channels {
            let (is, should) = (self.rtl.ready(port), self.model.ready(port));
            assert!(is == should, "{}: ready: rtl {is}, model {should}", about(port, true));
        }
        for port in 0..OUTPUTS + 3 * self.channels {
            let (is, should) = (self.rtl.output(port), self.model.output(port));
            if is != should {
                let text = |beat: Option<&Output>| beat.map_or("nothing".into(), |b| format!("{:?}", b.fields()));
                panic!("{}\n  rtl    {}\n  model  {}", about(port, false), text(is), text(should));
            }
        }
    }
}

impl CycleModel for Both {
    type Input = Input;
    type Output = Output;

    fn ready(&self, port: usize) -> bool {
        self.model.ready(port)
    }

    fn output(&self, port: usize) -> Option<&Output> {
        self.model.output(port)
    }

    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        self.compare();
        if let Some(Input::Csr(csr::Input::Address(address))) = accepted[2] {
            self.register = address;
        }
        self.beats += accepted.iter().flatten().count() as u64 + taken.iter().filter(|&&t| t).count() as u64;
        self.rtl.clock(&mut accepted.to_vec(), taken);
        self.model.clock(accepted, taken);
        self.cycle += 1;
    }
}

/// As many as a contributor waits for, or ten times as many (`SPATTEN_LONG=1`).
fn many(cases: u32) -> u32 {
    if std::env::var("SPATTEN_LONG").is_ok_and(|v| v != "0") { 10 * cases } else { cases }
}

#[test]
fn workloads_are_golden_and_every_cycle_of_rtl_is_the_models() {
    let checks = RefCell::new(Checks::new("chip"));
    let coverage = RefCell::new(Coverage::default());
    let configs = [ArchConfig::tiny(), ArchConfig::eighth()];
    let texts = configs.each_ref().map(verilog);
    let totals = RefCell::new([0u64; 2]);
    for_cases(many(20), cases(2), |(number, params)| {
        let (config, coverage) = (&configs[*number], &mut *coverage.borrow_mut());
        let (trace, plan) = work(params, coverage);
        let mut board = Board::new(config, Both::new(&texts[*number], config, 1)).unwrap();
        let mut walk = Walk::new(&mut board, config, 3, trace, &plan).unwrap();
        walk.run(&mut board, &mut checks.borrow_mut(), coverage);
        walk.card.end(&mut board).unwrap();
        let mut totals = totals.borrow_mut();
        (totals[0], totals[1]) = (totals[0] + board.chip().cycle, totals[1] + board.chip().beats);
    });
    let [cycles, beats] = totals.into_inner();
    println!("{cycles} cycles, {beats} beats");
    note("chip", "tiny and eighth", beats, beats, cycles);
    checks.into_inner().finish_any();
}

/// The model alone is fast enough for many.
#[test]
fn the_model_gives_what_golden_gives() {
    let checks = RefCell::new(Checks::new("chip_model"));
    let coverage = RefCell::new(Coverage::default());
    let configs = [ArchConfig::tiny(), ArchConfig::eighth(), ArchConfig::paper()];
    for_cases(many(120), cases(3), |(number, params)| {
        let (config, coverage) = (&configs[*number], &mut *coverage.borrow_mut());
        let (trace, plan) = work(params, coverage);
        let mut board = Board::new(config, Chip::new(config)).unwrap();
        let mut walk = Walk::new(&mut board, config, 3, trace, &plan).unwrap();
        walk.run(&mut board, &mut checks.borrow_mut(), coverage);
        walk.card.end(&mut board).unwrap();
    });
    println!("{:?}", coverage.borrow());
    // What as few cases meet without fail; the others are for the long run.
    let common = [
        "encoder",
        "causal",
        "decode",
        "padding",
        "heads that share keys",
        "K split",
        "tokens pruned",
        "rows computed again",
        "a count that is clamped",
        "evict",
        "reselect",
        "values pruned",
    ];
    let coverage = coverage.into_inner();
    coverage.require(if many(1) > 1 { &MET } else { &common });
    checks.into_inner().finish_any();
}

/// A fault anywhere is seen at some port, or hangs.
#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = block::design("chip", &config);
    let find = |module: &str, from: &str, to: &str| {
        let verilog = block::broken(&design, module, from, to);
        let run = || {
            for_cases(4, cases(1), |(_, params)| {
                let (trace, plan) = work(params, &mut Coverage::default());
                let mut board = Board::new(&config, Both::new(&verilog, &config, 1)).unwrap();
                let mut walk = Walk::new(&mut board, &config, 3, trace, &plan).unwrap();
                walk.run(&mut board, &mut Checks::new("broken chip"), &mut Coverage::default());
            });
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        assert!(found.is_err(), "{module}: {from:?} as {to:?} was not found");
    };
    // Every difference is one too many: in addresses, counts, ranks.
    find("controller", "result_next = (a - b);", "result_next = (a - b) + 64'd1;");
}
