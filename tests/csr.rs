//! `csr`: RTL against its cycle model in every cycle under random accesses and events, and the RTL alone against what
//! `arch::registers` says, access by access.
//!
//! ```text
//!  aw, w, ar (any order, any address) --> RTL and model --> b, r --> account: who is refused, what values are read
//!  status, error, events, increments -->  equal in every cycle --> values, rung, messages
//! ```

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;
#[path = "common/streams.rs"]
#[allow(dead_code)]
mod streams;

use block::{broken, configurations, design, note, verilog};
use spatten_arch::ArchConfig;
use spatten_arch::registers::{self, ADDRESS_BITS, Access, Counter, Kind, Register};
use spatten_sim::cosim::{Bits, Cache, Coverage, Init, Model, Stalls, Verilog, seed};
use spatten_sim::csr::{Csr, Input, Inputs, Output, Outputs};
use spatten_sim::cycle::CycleModel;
use spatten_testkit::{Checks, Rng};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use streams::{Beside, Queues, Seen, Streams, run_beside};

fn put_inputs(rtl: &mut Model, inputs: &Inputs, increment_bits: u32) {
    for (name, value) in [
        ("status", inputs.status),
        ("error", inputs.error),
        ("submission_head", inputs.submission_head),
        ("completion_tail", inputs.completion_tail),
        ("topk_longest", inputs.topk_longest),
        ("events", inputs.event),
    ] {
        let pin = rtl.pin(name).unwrap();
        rtl.set(pin, value.into());
    }
    let increments: Vec<u64> = inputs.increment.iter().map(|&x| x.into()).collect();
    let pin = rtl.pin("increment").unwrap();
    rtl.set_bits(pin, &Bits::from_lanes(&increments, increment_bits));
}

fn outputs_of(rtl: &Model) -> Outputs {
    let get = |name: &str| rtl.get(rtl.pin(name).unwrap());
    Outputs {
        enable: get("enable") == 1,
        soft_reset: get("soft_reset") == 1,
        clear_counters: get("clear_counters") == 1,
        submission_base: get("submission_base"),
        submission_level: get("submission_level") as u32,
        submission_tail: get("submission_tail") as u32,
        submission_rung: get("submission_rung") == 1,
        completion_base: get("completion_base"),
        completion_level: get("completion_level") as u32,
        completion_head: get("completion_head") as u32,
        completion_rung: get("completion_rung") == 1,
        interrupt: get("interrupt_line") == 1,
        message: get("interrupt_message") == 1,
    }
}

/// The account of accesses: who must be refused, and what values must be read, from the map and the documented timing.
struct Account {
    map: BTreeMap<u32, Register>,
    config: ArchConfig,
    values: BTreeMap<u32, u32>,
    addresses: VecDeque<u32>,
    data: VecDeque<(u32, u8)>,
    /// A write that was accepted whole and is answered in the next cycle but one.
    write: Option<(u32, u32, u8)>,
    /// A read that was accepted in the cycle before, and what its answer must be.
    read: Option<u32>,
    answer: Option<(Option<u32>, bool)>,
    write_refused: bool,
    coverage: Coverage,
    wrong: Option<String>,
}

impl Account {
    fn new(config: &ArchConfig) -> Self {
        let map: BTreeMap<u32, Register> = registers::all().into_iter().map(|r| (r.address(), r)).collect();
        let values =
            map.iter().filter(|(_, r)| r.access() == Access::ReadWrite).map(|(&at, r)| (at, r.reset)).collect();
        Self {
            map,
            config: config.clone(),
            values,
            addresses: VecDeque::new(),
            data: VecDeque::new(),
            write: None,
            read: None,
            answer: None,
            write_refused: false,
            coverage: Coverage::default(),
            wrong: None,
        }
    }

    /// What a read of this cycle must find; `None`: the account does not know.
    fn expected(&self, address: u32) -> (Option<u32>, bool) {
        let Some(register) = self.map.get(&address) else { return (Some(0), true) };
        let word = match register.kind {
            Kind::Constant(value) => Some(value(&self.config)),
            Kind::Value => Some(self.values[&address]),
            Kind::Command => Some(0),
            _ => None,
        };
        (word, false)
    }

    fn wrong(&mut self, text: String) {
        self.wrong.get_or_insert(text);
    }

    fn cycle(&mut self, model: &Csr, accepted: &[Option<Input>], taken: &[bool]) {
        // Answers of the cycle.
        if let (Some(Output::Written { refused }), true) = (model.output(0), taken[0])
            && *refused != self.write_refused
        {
            self.wrong(format!("a write is refused: {refused}, expected {}", self.write_refused));
        }
        if let (Some(Output::Read { data, refused }), true) = (model.output(1), taken[1]) {
            match self.answer.take() {
                Some((word, expected)) if *refused == expected && word.is_none_or(|word| word == *data) => {}
                other => self.wrong(format!("a read gives {data:#x}, refused {refused}, expected {other:x?}")),
            }
        }
        if let Some(address) = self.read.take() {
            self.answer = Some(self.expected(address));
        }
        // The write acts at the end of the cycle before its answer.
        if let Some((address, data, strobe)) = self.write.take() {
            let register = self.map.get(&address).copied();
            let access = register.map(|r| r.access());
            self.write_refused = matches!(access, None | Some(Access::Read));
            let mask = (0..4).filter(|i| strobe >> i & 1 == 1).fold(0u32, |all, i| all | 0xff << (8 * i));
            if let (Some(register), Some(old)) = (register, self.values.get_mut(&address)) {
                *old = (*old & !mask | data & mask) & register.mask();
            }
            self.coverage.add("write refused", self.write_refused.into());
            self.coverage.add("some bytes", (strobe != 0 && strobe != 15).into());
            self.coverage.add("no byte", (strobe == 0).into());
            let events = registers::INTERRUPT_STATUS.address() == address;
            let clears = data & mask & model.inputs.event != 0;
            self.coverage.add("an event while it is cleared", (events && clears).into());
        }
        if model.outputs().soft_reset {
            self.coverage.hit("soft reset");
            for (address, value) in &mut self.values {
                if *address != registers::SCRATCH.address() {
                    *value = self.map[address].reset;
                }
            }
        }
        let (before_w, before_aw) = (self.data.len(), self.addresses.len());
        for (port, input) in accepted.iter().enumerate() {
            match input {
                Some(Input::Address(address)) if port == 0 => self.addresses.push_back(*address),
                Some(Input::Address(address)) => {
                    self.coverage.add("not aligned", (address % 4 != 0).into());
                    self.coverage.add("read refused", self.expected(*address).1.into());
                    self.read = Some(*address);
                }
                Some(Input::Data { data, strobe }) => self.data.push_back((*data, *strobe)),
                None => {}
            }
        }
        self.coverage.add("address first", (before_aw > 0 && accepted[1].is_some()).into());
        self.coverage.add("data first", (before_w > 0 && accepted[0].is_some()).into());
        self.coverage.add("both at once", (accepted[0].is_some() && accepted[1].is_some()).into());
        if let (Some(&address), Some(&(data, strobe))) = (self.addresses.front(), self.data.front()) {
            self.addresses.pop_front();
            self.data.pop_front();
            self.write = Some((address, data, strobe));
        }
        let now = model.outputs();
        self.coverage.add("message", now.message.into());
        self.coverage.add("a doorbell", (now.submission_rung || now.completion_rung).into());
        self.coverage.add("counters cleared", now.clear_counters.into());
    }
}

/// The model, with the account kept beside it.
struct Watched {
    model: Csr,
    account: Rc<RefCell<Account>>,
}

impl CycleModel for Watched {
    type Input = Input;
    type Output = Output;
    fn ready(&self, port: usize) -> bool {
        self.model.ready(port)
    }
    fn output(&self, port: usize) -> Option<&Output> {
        self.model.output(port)
    }
    fn clock(&mut self, accepted: &mut [Option<Input>], taken: &[bool]) {
        self.account.borrow_mut().cycle(&self.model, accepted, taken);
        self.model.clock(accepted, taken);
    }
}

/// The rest of the chip, at random in every cycle.
struct Chip {
    increment_bits: u32,
}

impl Beside<Watched> for Chip {
    fn ports(&self) -> usize {
        7 + 13
    }

    fn drive(&mut self, rtl: &mut Model, model: &mut Watched, rng: &mut Rng) {
        let mut inputs = Inputs {
            status: rng.bits() as u32 & registers::STATUS.mask(),
            error: rng.bits() as u32,
            submission_head: rng.bits() as u32,
            completion_tail: rng.bits() as u32,
            topk_longest: rng.bits() as u32,
            event: if rng.below(4) == 0 { rng.bits() as u32 & registers::INTERRUPT_STATUS.mask() } else { 0 },
            ..Inputs::default()
        };
        for increment in &mut inputs.increment {
            *increment = rng.below(1 << self.increment_bits) as u32;
        }
        put_inputs(rtl, &inputs, self.increment_bits);
        model.model.inputs = inputs;
    }

    fn compare(&mut self, rtl: &Model, model: &Watched) -> Result<(), String> {
        let (is, should) = (outputs_of(rtl), model.model.outputs());
        if is == should { Ok(()) } else { Err(format!("ports differ\n  rtl    {is:x?}\n  model  {should:x?}")) }
    }
}

fn address(map: &[Register], rng: &mut Rng) -> u32 {
    match rng.below(16) {
        0 => rng.below(1 << ADDRESS_BITS) as u32,
        1 => map[rng.below(map.len() as u64) as usize].address() + 1 + rng.below(3) as u32,
        2..8 => {
            // Where most happens.
            let busy = [
                registers::INTERRUPT_STATUS,
                registers::INTERRUPT_ENABLE,
                registers::SUBMISSION_TAIL,
                registers::COMPLETION_HEAD,
                registers::COMMAND,
                registers::SCRATCH,
            ];
            busy[rng.below(6) as usize].address()
        }
        _ => map[rng.below(map.len() as u64) as usize].address(),
    }
}

fn check(
    verilog: &Verilog,
    config: &ArchConfig,
    count: usize,
    stalls: Stalls,
    coverage: &mut Coverage,
) -> Result<Seen, String> {
    let (map, mut rng) = (registers::all(), Rng::new(seed(0xc5)));
    let addresses = |rng: &mut Rng| -> VecDeque<(u64, Input)> {
        (0..count).map(|_| (0, Input::Address(address(&map, rng)))).collect()
    };
    let (writes, reads) = (addresses(&mut rng), addresses(&mut rng));
    let word = |_| {
        let strobe = if rng.below(3) == 0 { rng.below(16) as u8 } else { 15 };
        (0, Input::Data { data: rng.bits() as u32 & rng.bits() as u32, strobe })
    };
    let data = (0..count).map(word).collect();
    let queues: Queues<Input> = vec![writes, data, reads];
    let one = |name| Streams { name, lanes: 1 };
    let account = Rc::new(RefCell::new(Account::new(config)));
    let model = Watched { model: Csr::new(config), account: account.clone() };
    let mut chip = Chip { increment_bits: Counter::increment_bits(config) as u32 };
    let report = run_beside(
        verilog,
        model,
        &[one("aw"), one("w"), one("ar")],
        &[one("b"), one("r")],
        &mut chip,
        queues,
        stalls,
        seed(0x15),
        |_, _, _, _| (),
    )?;
    let mut account = account.borrow_mut();
    if let Some(wrong) = account.wrong.take() {
        return Err(wrong);
    }
    assert_eq!(report.taken, [count as u64, count as u64], "every access is answered");
    report.cover(coverage);
    CASES.iter().for_each(|name| coverage.add(name, account.coverage.count(name)));
    Ok(report)
}

/// Rare cases that the account sees.
const CASES: [&str; 12] = [
    "write refused",
    "read refused",
    "not aligned",
    "some bytes",
    "no byte",
    "address first",
    "data first",
    "both at once",
    "soft reset",
    "counters cleared",
    "a doorbell",
    "an event while it is cleared",
];

#[test]
fn equals_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("csr");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("csr", &config));
        let mut beats = 0;
        for stalls in Stalls::EVERY {
            let report = check(&verilog, &config, 1_500, stalls, &mut coverage).unwrap_or_else(|e| panic!("{e}"));
            let taken = report.taken.iter().sum::<u64>();
            note("csr", &config.name, taken, report.values, report.cycles);
            beats += taken;
        }
        checks.that(beats >= 10_000, || format!("{}: {beats} answers", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    coverage.require(&CASES);
    checks.finish_any();
}

/// The RTL alone, one access at a time.
struct Bus {
    rtl: Model,
    inputs: Inputs,
    increment_bits: u32,
    cycle: u64,
    messages: u64,
}

impl Bus {
    fn new(config: &ArchConfig) -> Self {
        Self::of(&verilog(&design("csr", config)), config)
    }

    fn of(verilog: &Verilog, config: &ArchConfig) -> Self {
        let built = Cache::default().build(verilog).unwrap_or_else(|e| panic!("{e}"));
        let mut rtl = Model::load(&built, Init::Random(seed(0xb5))).unwrap();
        rtl.reset(2).unwrap();
        let increment_bits = Counter::increment_bits(config) as u32;
        let mut bus = Self { rtl, inputs: Inputs::default(), increment_bits, cycle: 0, messages: 0 };
        bus.drive();
        bus
    }

    /// After a change of `inputs`.
    fn drive(&mut self) {
        put_inputs(&mut self.rtl, &self.inputs, self.increment_bits);
    }

    fn set(&mut self, name: &str, value: u64) {
        let pin = self.rtl.pin(name).unwrap();
        self.rtl.set(pin, value);
    }

    fn get(&mut self, name: &str) -> u64 {
        self.rtl.eval().unwrap();
        self.rtl.get(self.rtl.pin(name).unwrap())
    }

    fn step(&mut self) {
        self.messages += self.get("interrupt_message");
        self.rtl.step().unwrap();
        self.cycle += 1;
    }

    /// Response of a write, and in how many cycles.
    fn write(&mut self, address: u32, data: u32, strobe: u8) -> u64 {
        for (name, value) in [("aw_address", address), ("w_data", data), ("w_strobe", strobe.into())] {
            self.set(name, value.into());
        }
        assert_eq!((self.get("aw_ready"), self.get("w_ready"), self.get("b_valid")), (1, 1, 0));
        self.set("aw_valid", 1);
        self.set("w_valid", 1);
        self.step();
        self.set("aw_valid", 0);
        self.set("w_valid", 0);
        assert_eq!((self.get("aw_ready"), self.get("w_ready"), self.get("b_valid")), (0, 0, 0));
        self.step();
        assert_eq!(self.get("b_valid"), 1, "a write is answered after 2 cycles");
        let response = self.get("b_response");
        self.set("b_ready", 1);
        self.step();
        self.set("b_ready", 0);
        response
    }

    fn write_to(&mut self, register: Register, data: u32) {
        assert_eq!(self.write(register.address(), data, 15), 0, "{}", register.name);
    }

    /// Word and response of a read, and the cycle that its word is of.
    fn read(&mut self, address: u32) -> (u32, u64, u64) {
        self.set("ar_address", address.into());
        assert_eq!((self.get("ar_ready"), self.get("r_valid")), (1, 0));
        self.set("ar_valid", 1);
        self.step();
        self.set("ar_valid", 0);
        assert_eq!((self.get("ar_ready"), self.get("r_valid")), (0, 0));
        let at = self.cycle;
        self.step();
        assert_eq!(self.get("r_valid"), 1, "a read is answered after 2 cycles");
        let answer = (self.get("r_data") as u32, self.get("r_response"), at);
        self.set("r_ready", 1);
        self.step();
        self.set("r_ready", 0);
        answer
    }

    fn word(&mut self, register: Register) -> u32 {
        let (word, response, _) = self.read(register.address());
        assert_eq!(response, 0, "{}", register.name);
        word
    }
}

#[test]
fn every_address_answers_as_the_map_says() {
    let mut checks = Checks::new("csr_map");
    let map: BTreeMap<u32, Register> = registers::all().into_iter().map(|r| (r.address(), r)).collect();
    for config in configurations() {
        let mut bus = Bus::new(&config);
        bus.inputs = Inputs {
            status: 0x5,
            error: 0xdead_beef,
            submission_head: 0x1111_2222,
            completion_tail: 0x3333_4444,
            topk_longest: 0x5555_6666,
            ..Inputs::default()
        };
        bus.drive();
        let mut expected: BTreeMap<u32, u32> = BTreeMap::new();
        for (&at, register) in &map {
            let word = match (register.kind, register.name) {
                (Kind::Constant(value), _) => value(&config),
                (_, "status") => 0x5,
                (_, "error") => 0xdead_beef,
                (_, "submission_head") => 0x1111_2222,
                (_, "completion_tail") => 0x3333_4444,
                (_, "topk_longest") => 0x5555_6666,
                _ => register.reset,
            };
            expected.insert(at, word);
        }
        let mut all = |bus: &mut Bus, expected: &BTreeMap<u32, u32>, when: &str| {
            for at in 0..1u32 << ADDRESS_BITS {
                let (word, response, _) = bus.read(at);
                let should = expected.get(&at).map_or((0, 2), |&word| (word, 0));
                checks.eq((word, response), should, || format!("{} read of {at:#x} {when}", config.name));
            }
        };
        all(&mut bus, &expected, "after reset");
        for at in 0..1u32 << ADDRESS_BITS {
            let register = map.get(&at);
            // Commands are for other tests.
            if register.is_some_and(|r| matches!(r.kind, Kind::Command)) {
                continue;
            }
            let data = at.wrapping_mul(0x9e37_79b9) ^ 0xffff_ffff;
            let response = bus.write(at, data, 15);
            let writable = register.filter(|r| r.access() != Access::Read);
            assert_eq!(response, if writable.is_some() { 0 } else { 2 }, "{} write of {at:#x}", config.name);
            if let Some(register) = writable.filter(|r| matches!(r.kind, Kind::Value)) {
                expected.insert(at, data & register.mask());
            }
        }
        all(&mut bus, &expected, "after writes");
        // Byte by byte.
        for register in map.values().filter(|r| matches!(r.kind, Kind::Value)) {
            let mut word = expected[&register.address()];
            for strobe in 0..16u8 {
                let data = (u32::from(strobe) + 1).wrapping_mul(0x1357_9bdf);
                assert_eq!(bus.write(register.address(), data, strobe), 0);
                for byte in (0..4).filter(|byte| strobe >> byte & 1 == 1) {
                    let mask = 0xff << (8 * byte);
                    word = word & !mask | data & mask & register.mask();
                }
                checks.eq(bus.word(*register), word, || format!("{} strobe {strobe:04b}", register.name));
            }
        }
    }
    checks.finish_any();
}

#[test]
fn values_and_doorbells_reach_their_ports() {
    let mut bus = Bus::new(&ArchConfig::tiny());
    for (register, port) in [
        (registers::CONTROL, "enable"),
        (registers::SUBMISSION_SIZE, "submission_level"),
        (registers::COMPLETION_SIZE, "completion_level"),
        (registers::SUBMISSION_TAIL, "submission_tail"),
        (registers::COMPLETION_HEAD, "completion_head"),
    ] {
        for value in [0xffff_ffff, 0, 1, 0x12] {
            bus.write_to(register, value);
            assert_eq!(bus.get(port), u64::from(value & register.mask()), "{port}");
        }
    }
    for (low, high, port) in [
        (registers::SUBMISSION_BASE_LOW, registers::SUBMISSION_BASE_HIGH, "submission_base"),
        (registers::COMPLETION_BASE_LOW, registers::COMPLETION_BASE_HIGH, "completion_base"),
    ] {
        bus.write_to(low, 0x89ab_cdef);
        bus.write_to(high, 0x0123_4567);
        assert_eq!(bus.get(port), 0x0123_4567_89ab_cdef, "{port}");
    }
}

/// All counters up to where the low half of the first turns, read around there and once each: counter, count, and what it
/// must be.
fn counts(bus: &mut Bus) -> Vec<(Counter, u64, u64)> {
    let most = (1u32 << bus.increment_bits) - 1;
    for (i, increment) in bus.inputs.increment.iter_mut().enumerate() {
        *increment = most - i as u32;
    }
    bus.drive();
    for _ in 0..(1u64 << 32) / u64::from(most) - 100 {
        bus.rtl.step().unwrap();
        bus.cycle += 1;
    }
    let mut all = vec![];
    for &counter in [Counter::Cycles; 40].iter().chain(Counter::ALL) {
        let [low, high] = counter.registers();
        let (word, _, at) = bus.read(low.address());
        // By now the count has gone on.
        let whole = u64::from(bus.word(high)) << 32 | u64::from(word);
        // What is added in cycle t is in the count from t + 2; cycles begin at 0.
        all.push((counter, whole, u64::from(most - counter as u32) * (at - 1)));
    }
    all
}

#[test]
fn counts_of_64_bits_are_read_whole() {
    let config = ArchConfig::tiny();
    let mut bus = Bus::new(&config);
    let mut checks = Checks::new("csr_counters");
    let all = counts(&mut bus);
    for (counter, whole, expected) in &all {
        checks.eq(whole, expected, || counter.name().into());
    }
    let turned = all[..40].iter().filter(|(_, whole, _)| whole >> 32 > 0).count();
    assert!((1..40).contains(&turned), "the low half turned before {turned} of 40");
    // The high half is the one of the last low half, whosever it is.
    let high = bus.word(Counter::Cycles.registers()[1]);
    checks.eq(bus.word(Counter::Jobs.registers()[1]), high, || "one latch".into());

    bus.inputs.increment = Default::default();
    bus.drive();
    bus.write_to(registers::COMMAND, registers::COMMAND.field("clear_counters").mask());
    for &counter in Counter::ALL {
        checks.eq(bus.word(counter.registers()[0]), 0, || counter.name().into());
        checks.eq(bus.word(counter.registers()[1]), 0, || counter.name().into());
    }
    checks.finish(40 + Counter::ALL.len() as u64 * 3 + 1);
}

#[test]
fn events_are_kept_until_they_are_cleared_and_send_messages() {
    let mut bus = Bus::new(&ArchConfig::tiny());
    let event = |bus: &mut Bus, bits: u32| {
        bus.inputs.event = bits;
        bus.drive();
        bus.step();
        bus.inputs.event = 0;
        bus.drive();
        bus.step();
    };
    event(&mut bus, 0b0101);
    assert_eq!((bus.word(registers::INTERRUPT_STATUS), bus.get("interrupt_line"), bus.messages), (0b0101, 0, 0));
    // One that has happened is enabled; one that has not; one that was.
    bus.write_to(registers::INTERRUPT_ENABLE, 0b0001);
    assert_eq!((bus.get("interrupt_line"), bus.messages), (1, 1));
    bus.write_to(registers::INTERRUPT_ENABLE, 0b0011);
    assert_eq!(bus.messages, 1);
    // Again, and another one; one that is not enabled.
    event(&mut bus, 0b0001);
    event(&mut bus, 0b0010);
    assert_eq!((bus.word(registers::INTERRUPT_STATUS), bus.messages), (0b0111, 3));
    event(&mut bus, 0b1000);
    assert_eq!((bus.word(registers::INTERRUPT_STATUS), bus.messages), (0b1111, 3));
    bus.write_to(registers::INTERRUPT_STATUS, 0b1010);
    assert_eq!((bus.word(registers::INTERRUPT_STATUS), bus.get("interrupt_line")), (0b0101, 1));
    // Not by a byte that is not written.
    assert_eq!(bus.write(registers::INTERRUPT_STATUS.address(), 0b0101, 0b1110), 0);
    assert_eq!(bus.word(registers::INTERRUPT_STATUS), 0b0101);
    bus.write_to(registers::INTERRUPT_STATUS, 0b0001);
    assert_eq!((bus.word(registers::INTERRUPT_STATUS), bus.get("interrupt_line"), bus.messages), (0b0100, 0, 3));
    bus.write_to(registers::INTERRUPT_SET, 0b0010);
    assert_eq!((bus.word(registers::INTERRUPT_STATUS), bus.get("interrupt_line"), bus.messages), (0b0110, 1, 4));
}

#[test]
fn a_soft_reset_leaves_the_nonce_alone() {
    let config = ArchConfig::tiny();
    let mut bus = Bus::new(&config);
    bus.inputs.increment = [1; Counter::ALL.len()];
    bus.inputs.event = 0b1111;
    bus.drive();
    bus.step();
    bus.inputs.event = 0;
    bus.inputs.increment = Default::default();
    bus.drive();
    let values: Vec<Register> = registers::all().into_iter().filter(|r| matches!(r.kind, Kind::Value)).collect();
    for register in &values {
        bus.write_to(*register, u32::MAX);
    }
    bus.write_to(registers::COMMAND, registers::COMMAND.field("reset").mask());
    for register in &values {
        let expected = if register.name == "scratch" { u32::MAX } else { register.reset };
        assert_eq!(bus.word(*register), expected, "{}", register.name);
    }
    assert_eq!(bus.word(registers::INTERRUPT_STATUS), 0);
    Counter::ALL.iter().for_each(|c| assert_eq!(bus.word(c.registers()[0]), 0, "{}", c.name()));
    assert_eq!(bus.word(registers::IDENTITY).to_le_bytes(), *b"SPAT");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("csr", &config);
    let fault = |module: &str, from: &str, to: &str, what: &str| {
        let verilog = broken(&design, module, from, to);
        let found = Stalls::EVERY
            .into_iter()
            .find_map(|stalls| check(&verilog, &config, 1_000, stalls, &mut Coverage::default()).err());
        let found = found.unwrap_or_else(|| panic!("the fault was not found (expected {what:?})"));
        assert!(found.contains(what), "expected {what:?} in {found}");
    };
    // A write does not wait for its data; a read is accepted while another one is on its way.
    fault("csr", "assign go = (aw_held & w_held);", "assign go = aw_held;", "differs");
    fault(
        "csr",
        "assign ar_ready = ((~reading) & (~r_held));",
        "assign ar_ready = (~r_held);",
        "ar_ready of port 0 differs",
    );
    // An event is lost in the cycle in which it is cleared.
    fault(
        "csr",
        "assign next_happened = ((happened & (~cleared)) | happens);",
        "assign next_happened = ((happened | happens) & (~cleared));",
        "differ",
    );
    // A doorbell rings although no byte is written, or a byte is not written.
    fault("csr", "rung_1_next = ((|written) & write_hit_10);", "rung_1_next = (go & write_hit_10);", "ports differ");
    fault("csr", "assign lane_3 = strobe[3];", "assign lane_3 = strobe[2];", "differ");
    // Enabling what has happened sends no message.
    fault("csr", "| (next_happened & enabled));", ");", "ports differ");
    // A counter counts another one's increments.
    fault("performance_counters", "step_3_next = increment[31:24];", "step_3_next = increment[23:16];", "r_data");
    // A register is at another address.
    fault(
        "csr",
        "write_hit_9_next = (aw_address == 13'd4096);",
        "write_hit_9_next = (aw_address == 13'd4104);",
        "differ",
    );
}

#[test]
fn a_counter_without_its_latch_is_caught() {
    let config = ArchConfig::tiny();
    let design = broken(&design("csr", &config), "csr", "high_next = next_high_25;", "high_next = high;");
    let counts = counts(&mut Bus::of(&design, &config));
    assert!(counts.iter().any(|(_, whole, expected)| whole != expected), "{counts:?}");
}
