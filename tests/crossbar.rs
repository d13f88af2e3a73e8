//! `crossbar`: RTL against its cycle model in every cycle; every word arrives once, at its output, in order.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/streams.rs"]
#[allow(dead_code)]
mod streams;

use block::{broken, configurations, design, note, port_faults, verilog};
use spatten_hw::{crossbar as rtl, emit::emit};
use spatten_sim::cosim::{Beat, Coverage, Field, Stalls, Verilog, bits_for, seed};
use spatten_sim::crossbar::Crossbar;
use spatten_sim::cycle::CycleModel;
use spatten_testkit::{Checks, Rng};
use std::collections::VecDeque;
use streams::{Queues, Seen, Streams, run};

const BITS: u32 = 48;

/// A word: input, output and number of the word on its way, and something random.
#[derive(Debug, Clone, Copy)]
struct Word(u64);

impl Word {
    fn new(from: usize, to: usize, number: u64, rng: &mut Rng) -> Self {
        Self(rng.bits() & 0xff | number << 8 | (from as u64) << 24 | (to as u64) << 32)
    }
    fn from(self) -> usize {
        (self.0 >> 24 & 0xff) as usize
    }
    fn to(self) -> usize {
        (self.0 >> 32) as usize
    }
    fn number(self) -> u64 {
        self.0 >> 8 & 0xffff
    }
}

impl Beat for Word {
    fn fields(&self) -> Vec<Field> {
        vec![Field::value("data", self.0, BITS)]
    }
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    to: usize,
    word: Word,
    ports: usize,
}

impl Beat for Sent {
    fn fields(&self) -> Vec<Field> {
        let bits = bits_for(self.ports - 1);
        vec![Field::value("to", self.to as u64, bits), Field::value("data", self.word.0, BITS)]
    }
}

/// The model with beats that describe their ports.
struct Described(Crossbar<Word>);

impl CycleModel for Described {
    type Input = Sent;
    type Output = Word;
    fn ready(&self, port: usize) -> bool {
        self.0.ready(port)
    }
    fn output(&self, port: usize) -> Option<&Word> {
        self.0.output(port)
    }
    fn clock(&mut self, accepted: &mut [Option<Sent>], taken: &[bool]) {
        self.0.clock(|i| accepted[i].take().map(|sent| (sent.to, sent.word)), |o| taken[o]);
    }
}

/// `count` words of every input, to the outputs that `to` says.
fn queues(ports: usize, count: usize, mut to: impl FnMut(usize, usize, &mut Rng) -> usize) -> Queues<Sent> {
    let mut rng = Rng::new(seed(3));
    let mut queue = |from: usize| -> VecDeque<(u64, Sent)> {
        let mut numbers = vec![0; ports];
        let mut word = |i: usize| {
            let to = to(from, i, &mut rng);
            numbers[to] += 1;
            (0, Sent { to, word: Word::new(from, to, numbers[to], &mut rng), ports })
        };
        (0..count).map(&mut word).collect()
    };
    (0..ports).map(&mut queue).collect()
}

fn check(verilog: &Verilog, ports: usize, queues: Queues<Sent>, stalls: Stalls) -> Result<Seen, String> {
    let total: usize = queues.iter().map(VecDeque::len).sum();
    let sent: Vec<Vec<Word>> = queues.iter().map(|q| q.iter().map(|(_, sent)| sent.word).collect()).collect();
    let mut left: Vec<Vec<VecDeque<Word>>> = (0..ports)
        .map(|from| (0..ports).map(|to| sent[from].iter().filter(|w| w.to() == to).copied().collect()).collect())
        .collect();
    let [inputs, outputs] = [Streams { name: "in", lanes: ports }, Streams { name: "out", lanes: ports }];
    let mut wrong = None;
    let seen = |_: u64, port: usize, word: &Word, _: &mut Queues<Sent>| {
        let expected = left.get_mut(word.from()).and_then(|to| to[port].pop_front());
        if expected.map(|w| w.0) != Some(word.0) {
            wrong.get_or_insert(format!("output {port} gives {word:?}, expected {expected:?} ({})", word.number()));
        }
    };
    let model = Described(Crossbar::new(ports));
    let report = run(verilog, model, &[inputs], &[outputs], queues, stalls, seed(0xc), seen)?;
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    assert_eq!(report.taken.iter().sum::<u64>(), total as u64, "every word arrives once");
    Ok(report)
}

#[test]
fn every_word_arrives_once_and_in_order_under_every_stall() {
    let mut checks = Checks::new("crossbar");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let (ports, verilog) = (config.channels, verilog(&design("crossbar", &config)));
        let count = 3_400usize.div_ceil(ports);
        for stalls in Stalls::EVERY {
            // Uniform; all to one; runs to the same output.
            for pattern in 0..3 {
                let mut run = 0;
                let to = |_: usize, i: usize, rng: &mut Rng| match pattern {
                    0 => rng.below(ports as u64) as usize,
                    1 => 0,
                    _ => {
                        if i.is_multiple_of(8) {
                            run = rng.below(ports as u64) as usize;
                        }
                        run
                    }
                };
                let report = check(&verilog, ports, queues(ports, count, to), stalls).unwrap_or_else(|e| panic!("{e}"));
                report.cover(&mut coverage);
                note("crossbar", &config.name, report.taken.iter().sum(), report.values, report.cycles);
                checks.that(report.taken.iter().sum::<u64>() >= 3_400, || config.name.clone());
            }
        }
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    checks.finish_any();
}

#[test]
fn permutations_and_one_output_run_at_full_throughput() {
    let mut checks = Checks::new("crossbar_cycles");
    for ports in [2, 4, 8] {
        let verilog = verilog(&emit(rtl::Crossbar::new(ports, BITS as usize)).unwrap());
        let report = check(&verilog, ports, queues(ports, 500, |from, i, _| (from + i) % ports), Stalls::None).unwrap();
        checks.eq(report.span(), 500 + 2, || format!("{ports} ports, a permutation in every cycle"));
        let report = check(&verilog, ports, queues(ports, 100, |_, _, _| 1), Stalls::None).unwrap();
        checks.eq(report.span(), 100 * ports as u64 + 2, || format!("{ports} ports, all to one"));
        checks.eq(report.taken[1], 100 * ports as u64, || "all of them".into());
    }
    checks.finish(9);
}

#[test]
fn faults_are_caught() {
    let design = emit(rtl::Crossbar::new(2, BITS as usize)).unwrap();
    let find = |verilog: &Verilog, what: &str| {
        let random = |_: usize, _: usize, rng: &mut Rng| rng.below(2) as usize;
        let stalls = Stalls::Random { input_permille: 100, output_permille: 300 };
        let found = check(verilog, 2, queues(2, 300, random), stalls).expect_err("a fault");
        assert!(found.contains(what), "expected {what:?} in {found}");
    };
    for (verilog, what) in port_faults(&design, "out", "data") {
        find(&verilog, &what);
    }
    let fault = |module: &str, from: &str, to: &str, what: &str| find(&broken(&design, module, from, to), what);
    fault("crossbar", "behind_0_next = (-(chosen_0 << 1));", "behind_0_next = 2'd0;", "out_data of port 0 differs");
    fault(
        "crossbar",
        "assign select_1 = chosen_0[1];",
        "assign select_1 = chosen_0[1] & ~chosen_1[0];",
        "out_data of port",
    );
    fault(
        "crossbar",
        "assign outputs_1_in_valid = (|chosen_1);",
        "assign outputs_1_in_valid = chosen_1[0];",
        "out_valid",
    );
}
