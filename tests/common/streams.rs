//! A block whose ports are arrays of streams, or that asks for what it is given: RTL against its cycle model in every cycle.
//!
//! ```text
//!  queues --> pauses --> NAME_valid[lane] NAME_<field>[lane] --> RTL and model --> equal? --> taken beats --+
//!    ^                                                                                                      |
//!    +--------------------------------------- `seen`: checks them, answers them ----------------------------+
//! ```
//! `BlockBench` drives streams of one lane with beats that are known beforehand; here the caller sees each taken beat and may
//! add beats to any queue, which is what a memory does. Golden is what `seen` checks.

use spatten_sim::cosim::{Beat, Bits, Cache, Coverage, Field, Init, Model, Pin, Stalls, Verilog, part, put};
use spatten_sim::cycle::CycleModel;
use spatten_testkit::Rng;
use std::collections::VecDeque;

/// An array of streams that share their ports; a single stream has one lane. An input without a `ready` port is always
/// taken.
#[derive(Debug, Clone, Copy)]
pub struct Streams {
    /// Prefix of its ports.
    pub name: &'static str,
    /// How many.
    pub lanes: usize,
}

/// Beats that wait for an input, each not before its cycle.
pub type Queues<I> = Vec<VecDeque<(u64, I)>>;

/// What a run has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub cycles: u64,
    /// Beats per flat output port.
    pub taken: Vec<u64>,
    /// Fields of those, all compared.
    pub values: u64,
    pub first_accepted: Option<u64>,
    pub last_taken: u64,
    bubbles: u64,
    back_pressure: u64,
    stalls: u64,
}

impl Seen {
    pub fn cover(&self, coverage: &mut Coverage) {
        coverage.add("bubble", self.bubbles);
        coverage.add("back-pressure", self.back_pressure);
        coverage.add("stall", self.stalls);
    }

    /// Cycles from the first accepted beat to the last one taken, both included.
    pub fn span(&self) -> u64 {
        self.last_taken - self.first_accepted.expect("a beat was accepted") + 1
    }
}

/// Pins of an array of streams.
struct Pins {
    lanes: usize,
    valid: Pin,
    ready: Option<Pin>,
    /// Without the prefix.
    fields: Vec<(String, Pin, usize)>,
}

fn pins(rtl: &Model, streams: &Streams) -> Pins {
    let pin = |part: &str| rtl.pin(&format!("{}_{part}", streams.name)).unwrap();
    let ready = format!("{}_ready", streams.name);
    let ready = rtl.ports().iter().any(|port| port.name == ready).then(|| pin("ready"));
    let valid = pin("valid");
    let prefix = format!("{}_", streams.name);
    let fields = rtl.ports().iter().filter_map(|port| {
        let name = port.name.strip_prefix(&prefix)?;
        let width = port.width as usize;
        assert_eq!(width % streams.lanes, 0, "{} of {} lanes", port.name, streams.lanes);
        (name != "valid" && name != "ready").then(|| (name.to_string(), pin(name), width / streams.lanes))
    });
    Pins { lanes: streams.lanes, valid, ready, fields: fields.collect() }
}

fn goes(stalls: Stalls, input: bool, burst: &mut (u64, u64), rng: &mut Rng) -> bool {
    match stalls {
        Stalls::None => true,
        Stalls::Random { input_permille, output_permille } => {
            rng.below(1000) >= u64::from(if input { input_permille } else { output_permille })
        }
        Stalls::Bursts => {
            if burst.1 == 0 {
                *burst = (rng.below(3), 1 + rng.below(40));
            }
            burst.1 -= 1;
            burst.0 == 0 || (burst.0 == 2 && rng.below(2) == 0)
        }
    }
}

/// The lane's fields against its beat; the ports of a stream are the fields of its beats, no more and no less.
fn fields_of<'a>(pins: &'a Pins, fields: &'a [Field]) -> impl Iterator<Item = (&'a Field, Pin, usize)> {
    assert_eq!(pins.fields.len(), fields.len(), "fields of a beat and ports of its stream: {fields:?}");
    fields.iter().map(|field| {
        let found = pins.fields.iter().find(|(name, ..)| name == field.name());
        let (_, pin, width) = found.unwrap_or_else(|| panic!("no port for field {}", field.name()));
        assert_eq!(*width, field.value_bits().width() as usize, "width of {}", field.name());
        (field, *pin, *width)
    })
}

/// Ports that belong to no stream.
pub trait Beside<M> {
    /// How many.
    fn ports(&self) -> usize;
    /// Drives those that are inputs, and tells the model.
    fn drive(&mut self, rtl: &mut Model, model: &mut M, rng: &mut Rng);
    /// Compares those that are outputs.
    fn compare(&mut self, rtl: &Model, model: &M) -> Result<(), String>;
    /// Cycles without a beat after which nothing more is coming.
    fn quiet_cycles(&self) -> u64 {
        200
    }
}

impl<M> Beside<M> for () {
    fn ports(&self) -> usize {
        0
    }
    fn drive(&mut self, _: &mut Model, _: &mut M, _: &mut Rng) {}
    fn compare(&mut self, _: &Model, _: &M) -> Result<(), String> {
        Ok(())
    }
}

/// Runs until all queues are empty and nothing has moved for a while. Ports of the model are the lanes of the first array,
/// then those of the next.
///
/// # Errors
/// The first difference of RTL and model, or a run in which nothing moves any more although beats wait.
#[allow(dead_code, clippy::too_many_arguments)]
pub fn run<M>(
    verilog: &Verilog,
    model: M,
    inputs: &[Streams],
    outputs: &[Streams],
    queues: Queues<M::Input>,
    stalls: Stalls,
    seed: u64,
    seen: impl FnMut(u64, usize, &M::Output, &mut Queues<M::Input>),
) -> Result<Seen, String>
where
    M: CycleModel,
    M::Input: Beat,
    M::Output: Beat,
{
    run_beside(verilog, model, inputs, outputs, &mut (), queues, stalls, seed, seen)
}

/// The same for a block with other ports `beside` its streams.
///
/// # Errors
/// As [`run`], and what `beside` compares.
#[allow(clippy::too_many_arguments)]
pub fn run_beside<M>(
    verilog: &Verilog,
    mut model: M,
    inputs: &[Streams],
    outputs: &[Streams],
    beside: &mut impl Beside<M>,
    mut queues: Queues<M::Input>,
    stalls: Stalls,
    seed: u64,
    mut seen: impl FnMut(u64, usize, &M::Output, &mut Queues<M::Input>),
) -> Result<Seen, String>
where
    M: CycleModel,
    M::Input: Beat,
    M::Output: Beat,
{
    let built = Cache::default().build(verilog).unwrap_or_else(|e| panic!("{e}"));
    let mut rtl = Model::load(&built, Init::Random(seed)).unwrap();
    let input_pins: Vec<Pins> = inputs.iter().map(|s| pins(&rtl, s)).collect();
    let output_pins: Vec<Pins> = outputs.iter().map(|s| pins(&rtl, s)).collect();
    let used = 2
        + beside.ports()
        + input_pins
            .iter()
            .chain(&output_pins)
            .map(|p| 1 + usize::from(p.ready.is_some()) + p.fields.len())
            .sum::<usize>();
    assert_eq!(rtl.ports().len(), used, "every port is driven or compared: {:?}", rtl.ports());
    let flat = |pins: &[Pins]| pins.iter().map(|p| p.lanes).sum::<usize>();
    assert_eq!(queues.len(), flat(&input_pins));
    let (mut rng, n_in, n_out) = (Rng::new(seed), flat(&input_pins), flat(&output_pins));
    let mut offered: Vec<Option<M::Input>> = (0..n_in).map(|_| None).collect();
    let (mut bursts_in, mut bursts_out) = (vec![(0, 0); n_in], vec![(0, 0); n_out]);
    let mut report = Seen { taken: vec![0; n_out], ..Seen::default() };
    let mut last_move = 0;
    for p in &input_pins {
        rtl.set_bits(p.valid, &Bits::zero(p.lanes as u32));
    }
    rtl.reset(2).unwrap();
    for cycle in 0.. {
        report.cycles = cycle;
        let mut port = 0;
        for p in &input_pins {
            let mut valid = vec![0u32; p.lanes.div_ceil(32)];
            let mut values: Vec<Vec<u32>> =
                p.fields.iter().map(|(_, _, width)| vec![0; (width * p.lanes).div_ceil(32)]).collect();
            for lane in 0..p.lanes {
                let at = port + lane;
                if offered[at].is_none() && queues[at].front().is_some_and(|(from, _)| *from <= cycle) {
                    if goes(stalls, true, &mut bursts_in[at], &mut rng) {
                        offered[at] = queues[at].pop_front().map(|(_, beat)| beat);
                    } else {
                        report.bubbles += 1;
                    }
                }
                if let Some(beat) = &offered[at] {
                    valid[lane / 32] |= 1 << (lane % 32);
                    let fields = beat.fields();
                    for (field, pin, width) in fields_of(p, &fields) {
                        let index = p.fields.iter().position(|f| f.1 == pin).unwrap();
                        put(&mut values[index], lane * width, field.value_bits().words());
                    }
                } else {
                    // Without valid, anything.
                    for ((_, _, width), words) in p.fields.iter().zip(&mut values) {
                        let random: Vec<u32> = (0..width.div_ceil(32)).map(|_| rng.bits() as u32).collect();
                        put(words, lane * width, part(&random, 0, *width).words());
                    }
                }
            }
            rtl.set_bits(p.valid, &Bits::from_words(valid, p.lanes as u32));
            for ((_, pin, width), words) in p.fields.iter().zip(values) {
                rtl.set_bits(*pin, &Bits::from_words(words, (width * p.lanes) as u32));
            }
            port += p.lanes;
        }
        let ready: Vec<bool> = bursts_out.iter_mut().map(|burst| goes(stalls, false, burst, &mut rng)).collect();
        let mut port = 0;
        for p in &output_pins {
            let mut word = vec![0u32; p.lanes.div_ceil(32)];
            (0..p.lanes).filter(|lane| ready[port + lane]).for_each(|lane| word[lane / 32] |= 1 << (lane % 32));
            rtl.set_bits(p.ready.expect("an output is taken"), &Bits::from_words(word, p.lanes as u32));
            port += p.lanes;
        }
        beside.drive(&mut rtl, &mut model, &mut rng);
        rtl.eval().map_err(|e| e.to_string())?;

        let differs = |signal: &str, port: usize, rtl: String, model: String| {
            Err(format!(
                "{signal} of port {port} differs   cycle {cycle}\n  rtl    {rtl}\n  model  {model}   [{stalls:?}]"
            ))
        };
        let mut port = 0;
        for (p, s) in input_pins.iter().zip(inputs) {
            let ready = p.ready.map(|pin| rtl.get_bits(pin));
            for lane in 0..p.lanes {
                let is = ready.as_ref().is_none_or(|ready| ready.lane(lane, 1) == 1);
                let should = model.ready(port + lane);
                if is != should {
                    return differs(&format!("{}_ready", s.name), lane, is.to_string(), should.to_string());
                }
            }
            port += p.lanes;
        }
        let mut port = 0;
        for (p, s) in output_pins.iter().zip(outputs) {
            let valid = rtl.get_bits(p.valid);
            for lane in 0..p.lanes {
                let (is, should) = (valid.lane(lane, 1) == 1, model.output(port + lane));
                if is != should.is_some() {
                    return differs(&format!("{}_valid", s.name), lane, is.to_string(), should.is_some().to_string());
                }
                let Some(beat) = should else { continue };
                let fields = beat.fields();
                for (field, pin, width) in fields_of(p, &fields) {
                    let value = part(rtl.get_bits(pin).words(), lane * width, width);
                    if value != *field.value_bits() {
                        let name = format!("{}_{}", s.name, field.name());
                        return differs(&name, lane, value.to_string(), field.value_bits().to_string());
                    }
                }
            }
            port += p.lanes;
        }

        beside.compare(&rtl, &model).map_err(|e| format!("{e}   cycle {cycle}   [{stalls:?}]"))?;

        let mut accepted: Vec<Option<M::Input>> = Vec::with_capacity(n_in);
        for (at, slot) in offered.iter_mut().enumerate() {
            let moves = slot.is_some() && model.ready(at);
            report.back_pressure += u64::from(slot.is_some() && !moves);
            accepted.push(if moves { slot.take() } else { None });
            if moves {
                report.first_accepted.get_or_insert(cycle);
                last_move = cycle;
            }
        }
        let mut taken = vec![false; n_out];
        for (at, (taken, ready)) in taken.iter_mut().zip(&ready).enumerate() {
            let Some(beat) = model.output(at) else { continue };
            *taken = *ready;
            report.stalls += u64::from(!ready);
            if *ready {
                report.taken[at] += 1;
                report.values += beat.fields().len() as u64;
                (last_move, report.last_taken) = (cycle, cycle);
                seen(cycle, at, beat, &mut queues);
            }
        }
        rtl.step().map_err(|e| e.to_string())?;
        model.clock(&mut accepted, &taken);
        let waiting = queues.iter().map(VecDeque::len).sum::<usize>() + offered.iter().flatten().count();
        let idle = cycle - last_move;
        if waiting == 0 && idle > beside.quiet_cycles() {
            return Ok(report);
        }
        if idle > 10_000 {
            return Err(format!("nothing moves since cycle {last_move}, {waiting} beats wait   [{stalls:?}]"));
        }
    }
    unreachable!("cycles are counted without end")
}
