//! A block against its cycle model and the golden beats, in every cycle.
//!
//! ```text
//!  beats --> bubbles --> NAME_valid NAME_<field> --> RTL --> NAME_valid NAME_<field> --> compare <-- golden beats
//!                        NAME_ready <---------------     <-- NAME_ready <-- stalls         ^
//!                             \---- compare ---- cycle model (ready, output) --------------/
//! ```
//! A stream NAME has the ports `NAME_valid`, `NAME_ready` and one `NAME_<field>` per field of its beats. Once valid, a beat
//! stays until it is taken; without valid the payload is random, so a block that looks at it shows. Every port of the block
//! is driven or checked, or named in [`BlockBench::unchecked`].

use super::lanes::{mask, sign_extend};
use super::{Bits, Cache, CosimError, Coverage, Direction, Init, Model, Pin, Verilog, io};
use crate::cycle::CycleModel;
use std::env;
use std::fmt::{self, Write};

/// One beat of a stream.
pub trait Beat {
    /// Its fields, always the same ones in the same order within a stream: for driving and for comparing.
    fn fields(&self) -> Vec<Field>;
}

/// One field of a beat: the value of one port.
#[derive(Debug, Clone)]
pub struct Field {
    name: &'static str,
    bits: Bits,
    lane_width: u32,
    decode: Option<fn(u64) -> String>,
}

impl Field {
    /// A value of any width, compared as a whole.
    pub fn bits(name: &'static str, bits: Bits) -> Self {
        let lane_width = bits.width();
        Self { name, bits, lane_width, decode: None }
    }

    /// An unsigned value.
    ///
    /// # Panics
    /// Where it does not fit.
    #[track_caller]
    pub fn value(name: &'static str, value: u64, width: u32) -> Self {
        Self::bits(name, Bits::new(value, width))
    }

    /// One bit.
    pub fn flag(name: &'static str, value: bool) -> Self {
        Self::value(name, value.into(), 1)
    }

    /// Packed lanes; a mismatch names the lane.
    ///
    /// # Panics
    /// Where one does not fit.
    #[track_caller]
    pub fn lanes(name: &'static str, lanes: &[u64], lane_width: u32) -> Self {
        Self { lane_width, ..Self::bits(name, Bits::from_lanes(lanes, lane_width)) }
    }

    /// Packed lanes in two's complement.
    ///
    /// # Panics
    /// Where one does not fit.
    #[track_caller]
    pub fn signed_lanes(name: &'static str, lanes: &[i64], lane_width: u32) -> Self {
        Self { lane_width, ..Self::bits(name, Bits::from_signed_lanes(lanes, lane_width)) }
    }

    /// How a lane reads in a mismatch report, from its bits: `"3.98046875"`.
    pub fn decode(mut self, decode: fn(u64) -> String) -> Self {
        self.decode = Some(decode);
        self
    }

    fn lane_count(&self) -> usize {
        self.bits.width().checked_div(self.lane_width).unwrap_or(0) as usize
    }

    /// The first lane in which `other` differs (none where there is only one), with both values as text and the difference.
    fn difference(&self, other: &Bits) -> (Option<usize>, [String; 2], String) {
        let width = self.lane_width;
        if width > 64 || self.bits.width() != other.width() {
            return (None, [other.to_string(), self.bits.to_string()], String::new());
        }
        let lane = (0..self.lane_count()).find(|&i| self.bits.lane(i, width) != other.lane(i, width)).unwrap_or(0);
        let [theirs, ours] = [other.lane(lane, width), self.bits.lane(lane, width)];
        let text = |value| match self.decode {
            Some(decode) => format!("{} = {}", Bits::new(value, width), decode(value)),
            None => Bits::new(value, width).to_string(),
        };
        let off = sign_extend(theirs.wrapping_sub(ours) & mask(width), width);
        ((self.lane_count() > 1).then_some(lane), [text(theirs), text(ours)], format!("diff {off} LSB"))
    }
}

/// When sources pause and sinks are not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stalls {
    /// Never: full throughput.
    None,
    /// In every cycle on its own, with these probabilities in 1/1000.
    Random {
        /// That a source with a beat waits.
        input_permille: u32,
        /// That a sink is not ready.
        output_permille: u32,
    },
    /// Runs of 1 to 40 cycles of all, nothing, or every second at random: buffers fill and drain.
    Bursts,
}

impl Stalls {
    /// One of each kind: every block test runs all of them.
    pub const EVERY: [Self; 5] = [
        Self::None,
        Self::Random { input_permille: 300, output_permille: 300 },
        Self::Random { input_permille: 0, output_permille: 700 },
        Self::Random { input_permille: 700, output_permille: 0 },
        Self::Bursts,
    ];
}

/// The seed of a test: `SPATTEN_SEED` (decimal, or hexadecimal with `0x`), or its own.
///
/// # Panics
/// Where `SPATTEN_SEED` is not a number.
pub fn seed(own: u64) -> u64 {
    let Ok(text) = env::var("SPATTEN_SEED") else { return own };
    let digits = text.strip_prefix("0x").map(|hex| u64::from_str_radix(hex, 16));
    digits.unwrap_or_else(|| text.parse()).unwrap_or_else(|e| panic!("SPATTEN_SEED={text}: {e}"))
}

/// The first difference between RTL, cycle model and golden beats. Its text is the whole report.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Mismatch {
    /// Name of the block.
    pub block: String,
    /// The port, or the stream.
    pub signal: String,
    /// What is wrong with it.
    pub what: String,
    /// The cycle, counted from the end of reset.
    pub cycle: u64,
    /// Which beat of the stream.
    pub beat: Option<usize>,
    /// Which lane of the field.
    pub lane: Option<usize>,
    /// Who says what: `("rtl", "0x03fa")`.
    pub values: Vec<(&'static str, String)>,
    /// What the comparison means.
    pub note: String,
    /// Configuration, seed and stalls of the run.
    pub run: String,
    /// The command that repeats it.
    pub again: Option<String>,
    /// The waveform.
    pub waves: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}   cycle {}", self.block, self.signal, self.what, self.cycle)?;
        for (name, value) in [("beat", self.beat), ("lane", self.lane)] {
            value.map_or(Ok(()), |value| write!(f, "  {name} {value}"))?;
        }
        for (i, (who, value)) in self.values.iter().enumerate() {
            let note = if i + 1 == self.values.len() { format!("    [{}]", self.note) } else { String::new() };
            write!(f, "\n  {who:<6} {value}{note}")?;
        }
        write!(f, "\n  {}", self.run)?;
        self.again.iter().try_for_each(|command| write!(f, "\n  again: {command}"))?;
        self.waves.iter().try_for_each(|waves| write!(f, "\n  waves: {waves}"))
    }
}

/// Why a run failed. `Debug` is the report too, so that `unwrap` and a test that returns it print something readable.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The model could not be built or loaded, or a port is missing.
    #[error(transparent)]
    Cosim(#[from] CosimError),
    /// Ports and streams do not fit together.
    #[error("{block}: {message}")]
    Wiring {
        /// Name of the block.
        block: String,
        /// Which port, and what is known of it.
        message: String,
    },
    /// RTL, cycle model and golden beats differ.
    #[error("{0}")]
    Mismatch(Box<Mismatch>),
}

impl fmt::Debug for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a run has checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BenchReport {
    /// Block, configuration, seed and stalls.
    pub run: String,
    /// Clock periods after reset.
    pub cycles: u64,
    /// Beats accepted, per input stream.
    pub accepted: Vec<(String, u64)>,
    /// Beats compared and taken, per output stream.
    pub checked: Vec<(String, u64)>,
    /// Values (lanes of fields) in those.
    pub values: u64,
    /// Cycles in which a source paused although it had a beat, over all inputs.
    pub bubbles: u64,
    /// Cycles in which the block did not accept a beat that was offered, over all inputs.
    pub back_pressure: u64,
    /// Cycles in which a sink did not take a beat that was offered, over all outputs.
    pub stalls: u64,
    /// Cycle in which the first input beat was accepted.
    pub first_accepted: Option<u64>,
    /// Cycle in which the last output beat was taken.
    pub last_taken: Option<u64>,
}

impl BenchReport {
    /// Cycles from the first accepted beat to the last one taken, both included: with [`Stalls::None`] the block's own time.
    pub fn span(&self) -> u64 {
        self.last_taken.zip(self.first_accepted).map_or(0, |(last, first)| last - first + 1)
    }

    /// Counts `bubble`, `back-pressure` and `stall`.
    pub fn cover(&self, coverage: &mut Coverage) {
        coverage.add("bubble", self.bubbles);
        coverage.add("back-pressure", self.back_pressure);
        coverage.add("stall", self.stalls);
    }

    /// Ends a test, which says itself how many output beats it expects.
    ///
    /// # Panics
    /// Where another number was checked, or none.
    #[track_caller]
    pub fn finish(&self, expected: usize) {
        let checked: u64 = self.checked.iter().map(|(_, beats)| beats).sum();
        assert_eq!(checked, expected as u64, "beats checked: {self}");
        assert!(checked > 0, "nothing was checked: {self}");
        println!("{self}");
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} cycles;", self.run, self.cycles)?;
        for (name, beats) in self.accepted.iter().chain(&self.checked) {
            write!(f, " {name} {beats} beats,")?;
        }
        write!(f, " {} values checked; {} bubbles, ", self.values, self.bubbles)?;
        write!(f, "{} cycles of back-pressure, {} stalls", self.back_pressure, self.stalls)
    }
}

type Status<M> = Box<dyn Fn(&M) -> Vec<Field>>;

/// The bench of one block: what goes in, what must come out, and the model that says when.
pub struct BlockBench<M: CycleModel> {
    verilog: Verilog,
    cache: Cache,
    block: String,
    config: String,
    seed: u64,
    model: M,
    inputs: Vec<(String, u64, Vec<M::Input>)>,
    outputs: Vec<(String, Vec<M::Output>)>,
    pins: Vec<(String, Bits)>,
    status: Option<Status<M>>,
    unchecked: Vec<String>,
    again: Option<String>,
    patience: u64,
    drain: u64,
}

impl<M> BlockBench<M>
where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    /// A bench without streams. `model` is as after reset; every run starts from a copy.
    pub fn new(verilog: Verilog, block: &str, config: &str, seed: u64, model: M) -> Self {
        Self {
            verilog,
            cache: Cache::default(),
            block: block.into(),
            config: config.into(),
            seed,
            model,
            inputs: vec![],
            outputs: vec![],
            pins: vec![],
            status: None,
            unchecked: vec![],
            again: None,
            patience: 10_000,
            drain: 64,
        }
    }

    /// Another cache than the workspace's.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// The next input stream of the model (port 0, 1, ...) and its beats.
    pub fn input(self, name: &str, beats: Vec<M::Input>) -> Self {
        self.input_from(0, name, beats)
    }

    /// The same, offering nothing before `cycle`.
    pub fn input_from(mut self, cycle: u64, name: &str, beats: Vec<M::Input>) -> Self {
        self.inputs.push((name.into(), cycle, beats));
        self
    }

    /// The next output stream of the model (port 0, 1, ...) and the golden beats.
    pub fn output(mut self, name: &str, expected: Vec<M::Output>) -> Self {
        self.outputs.push((name.into(), expected));
        self
    }

    /// An input that is constant from before reset.
    pub fn pin(mut self, name: &str, value: Bits) -> Self {
        self.pins.push((name.into(), value));
        self
    }

    /// Outputs outside streams, by full port name, as the model has them in every cycle.
    pub fn status(mut self, fields: impl Fn(&M) -> Vec<Field> + 'static) -> Self {
        self.status = Some(Box::new(fields));
        self
    }

    /// A port that is left alone: an input stays 0, an output is not compared.
    pub fn unchecked(mut self, name: &str) -> Self {
        self.unchecked.push(name.into());
        self
    }

    /// The command that repeats a failure, for its report.
    pub fn again(mut self, command: impl Into<String>) -> Self {
        self.again = Some(command.into());
        self
    }

    /// Cycles without any beat after which the run is given up (10 000).
    pub fn patience(mut self, cycles: u64) -> Self {
        self.patience = cycles;
        self
    }

    /// Cycles after the last beat in which none may follow (64).
    pub fn drain(mut self, cycles: u64) -> Self {
        self.drain = cycles;
        self
    }

    /// Runs all beats through RTL and model. With `SPATTEN_WAVES=1`, or again after a mismatch, a waveform is written.
    ///
    /// # Errors
    /// The first mismatch; ports that are not there; a model that cannot be built.
    pub fn run(&self, stalls: Stalls) -> Result<BenchReport, BenchError> {
        let wanted = env::var("SPATTEN_WAVES").is_ok_and(|value| value != "0");
        let error = match self.run_once(stalls, wanted.then_some(0)) {
            Err(BenchError::Mismatch(mismatch)) if !wanted => mismatch,
            other => return other,
        };
        // The last few hundred cycles are what one looks at; the waveform of a long run is gigabytes.
        let waves = match self.run_once(stalls, Some(error.cycle.saturating_sub(500))) {
            Err(BenchError::Mismatch(again)) => again.waves,
            Err(other) => Some(format!("none: {other}")),
            Ok(_) => Some(
                "none: the run with waveforms passes, so the block depends on what registers hold before reset".into(),
            ),
        };
        Err(BenchError::Mismatch(Box::new(Mismatch { waves, ..*error })))
    }

    fn run_once(&self, stalls: Stalls, waves_from: Option<u64>) -> Result<BenchReport, BenchError> {
        let built = self.cache.build(&self.verilog.clone().waves(waves_from.is_some()))?;
        let mut rtl = Model::load(&built, Init::Random(self.seed))?;
        let file = |folder: &str, extension: &str| {
            let name = format!("{}-{}-{:x}-{}", self.block, self.config, self.seed, std::process::id());
            let folder = self.cache.folder().join(folder);
            std::fs::create_dir_all(&folder).map_err(io(&folder))?;
            Ok::<_, CosimError>(folder.join(format!("{name}.{extension}")))
        };
        let waves = waves_from.map(|from| Ok::<_, CosimError>((from, file("waves", "fst")?))).transpose()?;
        let mut run = Run::new(self, &mut rtl, stalls)?;
        let result = loop {
            if let Some((_, path)) = waves.as_ref().filter(|(from, _)| *from == run.cycle) {
                run.rtl.open_waves(path)?;
            }
            match run.cycle() {
                Ok(false) => {}
                Ok(true) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let report = run.report;
        if let Err(BenchError::Mismatch(mut mismatch)) = result {
            if let Some((_, path)) = waves {
                // The period of the mismatch is to be in the file.
                let _ = rtl.step();
                let at = rtl.time().saturating_sub(2);
                rtl.close_waves();
                mismatch.waves = Some(format!("{} @{}..{}", path.display(), at.saturating_sub(40), at));
            }
            return Err(BenchError::Mismatch(mismatch));
        }
        result?;
        rtl.close_waves();
        if self.verilog.has_coverage() {
            rtl.write_coverage(&file("coverage", "dat")?)?;
        }
        Ok(report)
    }

    fn wiring(&self, message: String) -> BenchError {
        BenchError::Wiring { block: self.block.clone(), message }
    }

    /// Pins of all streams; every port has a use.
    fn wire(&self, rtl: &Model) -> Result<(Vec<Wires>, Vec<Wires>), BenchError> {
        let names: Vec<&str> = self.inputs.iter().map(|s| &*s.0).chain(self.outputs.iter().map(|s| &*s.0)).collect();
        // Of streams `in` and `in_b`, the port `in_b_data` belongs to the second.
        let stream_of = |port: &str| {
            let fits = |name: &&&str| port.strip_prefix(**name).is_some_and(|rest| rest.starts_with('_'));
            names.iter().filter(fits).max_by_key(|name| name.len()).copied()
        };
        let wires = |name: &str, first: Option<Vec<Field>>, direction| {
            let [valid, ready] = ["valid", "ready"].map(|part| rtl.pin(&format!("{name}_{part}")));
            let (valid, ready) = (valid?, ready?);
            let mut fields = vec![];
            for port in rtl.ports().iter().filter(|port| stream_of(&port.name) == Some(name)) {
                let pin = rtl.pin(&port.name)?;
                let expected =
                    if pin == ready { direction == Direction::Output } else { direction == Direction::Input };
                if (port.direction == Direction::Input) != expected {
                    return Err(self.wiring(format!("port {} of stream {name} is an {:?}", port.name, port.direction)));
                }
                if pin != valid && pin != ready {
                    fields.push((port.name.clone(), pin, port.width));
                }
            }
            if let Some(first) = first {
                let described = first.iter().map(|f| (format!("{name}_{}", f.name), f.bits.width()));
                let described: Vec<_> = described.collect();
                let found: Vec<_> = fields.iter().map(|(name, _, width)| (name.clone(), *width)).collect();
                if described.len() != found.len() || described.iter().any(|field| !found.contains(field)) {
                    let text = |list: &[(String, u32)]| {
                        let mut list: Vec<_> = list.iter().map(|(name, width)| format!("{name}[{width}]")).collect();
                        list.sort();
                        list.join(" ")
                    };
                    let (described, found) = (text(&described), text(&found));
                    return Err(self.wiring(format!("beats of {name} have {described}, the module has {found}")));
                }
                let place = |name: &str| described.iter().position(|(described, _)| described == name);
                fields.sort_by_key(|(name, ..)| place(name));
            }
            Ok::<_, BenchError>(Wires { name: name.into(), valid, ready, fields })
        };
        let first = |beat: Option<&M::Input>| beat.map(Beat::fields);
        let inputs = self.inputs.iter().map(|(name, _, beats)| wires(name, first(beats.first()), Direction::Input));
        let inputs = inputs.collect::<Result<_, _>>()?;
        let expected = |beat: Option<&M::Output>| beat.map(Beat::fields);
        let outputs = self.outputs.iter().map(|(name, beats)| wires(name, expected(beats.first()), Direction::Output));
        let outputs = outputs.collect::<Result<_, _>>()?;

        let status = self.status.iter().flat_map(|status| status(&self.model)).map(|field| field.name.to_string());
        let used = self.pins.iter().map(|(name, _)| name.clone()).chain(self.unchecked.iter().cloned()).chain(status);
        let used: Vec<String> = used.chain(["clock".into(), "reset".into()]).collect();
        used.iter().take(used.len() - 2).try_for_each(|name| rtl.pin(name).map(drop))?;
        match rtl.ports().iter().find(|port| stream_of(&port.name).is_none() && !used.contains(&port.name)) {
            Some(port) => {
                Err(self.wiring(format!("nothing drives or checks port {} ({:?})", port.name, port.direction)))
            }
            None => Ok((inputs, outputs)),
        }
    }
}

/// The ports of one stream; fields in the order of its beats.
struct Wires {
    name: String,
    valid: Pin,
    ready: Pin,
    fields: Vec<(String, Pin, u32)>,
}

struct Source {
    wires: Wires,
    next: usize,
    offered: bool,
    pace: Pace,
}

struct Sink {
    wires: Wires,
    taken: usize,
    ready: bool,
    /// The payload of a beat that was offered and not taken in the last cycle.
    held: Option<Vec<Bits>>,
    pace: Pace,
}

struct Run<'b, M: CycleModel> {
    bench: &'b BlockBench<M>,
    rtl: &'b mut Model,
    model: M,
    sources: Vec<Source>,
    sinks: Vec<Sink>,
    status: Vec<(Field, Pin)>,
    random: Random,
    what: String,
    cycle: u64,
    last_move: u64,
    report: BenchReport,
}

impl<'b, M> Run<'b, M>
where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    /// Resets the RTL, with random payloads and no valid.
    fn new(bench: &'b BlockBench<M>, rtl: &'b mut Model, stalls: Stalls) -> Result<Self, BenchError> {
        let (inputs, outputs) = bench.wire(rtl)?;
        let mut random = Random(bench.seed);
        let (of_sources, of_sinks) = match stalls {
            Stalls::None => (Pace::Always, Pace::Always),
            Stalls::Random { input_permille, output_permille } => {
                (Pace::Random(input_permille), Pace::Random(output_permille))
            }
            Stalls::Bursts => (Pace::Bursts { mode: 0, left: 0 }, Pace::Bursts { mode: 0, left: 0 }),
        };
        let source = |wires| Source { wires, next: 0, offered: false, pace: of_sources.clone() };
        let sources: Vec<_> = inputs.into_iter().map(source).collect();
        let sink = |wires| Sink { wires, taken: 0, ready: false, held: None, pace: of_sinks.clone() };
        let sinks: Vec<_> = outputs.into_iter().map(sink).collect();
        for (name, value) in &bench.pins {
            let pin = rtl.pin(name)?;
            if (rtl.port(pin).direction, rtl.port(pin).width) != (Direction::Input, value.width()) {
                return Err(bench.wiring(format!(
                    "pin {name} of {} bits, the module has {:?}",
                    value.width(),
                    rtl.port(pin)
                )));
            }
            rtl.set_bits(pin, value);
        }
        sources.iter().for_each(|source| source.wires.randomise(rtl, &mut random));
        rtl.reset(2)?;
        let mut what = String::new();
        let _ = write!(what, "config={} seed={:#x} stalls={stalls:?}", bench.config, bench.seed);
        let report = BenchReport { run: format!("{} {what}", bench.block), ..BenchReport::default() };
        let (model, status) = (bench.model.clone(), vec![]);
        Ok(Self { bench, rtl, model, sources, sinks, status, random, what, cycle: 0, last_move: 0, report })
    }

    /// One clock period; true where everything has been seen and the drain is over.
    fn cycle(&mut self) -> Result<bool, BenchError> {
        self.drive();
        self.rtl.eval().map_err(|e| self.stopped(e))?;
        self.check()?;
        self.edge()?;
        self.cycle += 1;
        self.report.cycles = self.cycle;
        let fed = self.sources.iter().zip(&self.bench.inputs).all(|(source, (.., beats))| source.next == beats.len());
        let seen = self.sinks.iter().zip(&self.bench.outputs).all(|(sink, (_, beats))| sink.taken == beats.len());
        let idle = self.cycle - self.last_move;
        if fed && seen {
            if idle <= self.bench.drain {
                return Ok(false);
            }
            let counts = |list: &[(String, u64)]| list.iter().filter(|(_, n)| *n > 0).count();
            let sinks = self.sinks.iter().map(|sink| (sink.wires.name.clone(), sink.taken as u64));
            self.report.checked = sinks.collect();
            let sources = self.sources.iter().map(|source| (source.wires.name.clone(), source.next as u64));
            self.report.accepted = sources.collect();
            if counts(&self.report.checked) == 0 {
                return Err(self.bench.wiring("no beats are expected, so nothing is checked".into()));
            }
            return Ok(true);
        }
        if idle > self.bench.patience {
            let moved =
                self.sources.iter().zip(&self.bench.inputs).map(|(s, (.., b))| (&s.wires.name, s.next, b.len()));
            let taken = self.sinks.iter().zip(&self.bench.outputs).map(|(s, (_, b))| (&s.wires.name, s.taken, b.len()));
            let counts: Vec<_> = moved.chain(taken).map(|(name, n, of)| format!("{name} {n} of {of}")).collect();
            let values = vec![("beats", counts.join(", "))];
            let note = "rtl and cycle model agree".into();
            return Err(self.mismatch(
                "block",
                format!("is stuck: no beat moved for {idle} cycles"),
                None,
                None,
                values,
                note,
            ));
        }
        Ok(false)
    }

    fn drive(&mut self) {
        for (source, (_, start, beats)) in self.sources.iter_mut().zip(&self.bench.inputs) {
            if !source.offered {
                let waiting = source.next < beats.len() && self.cycle >= *start;
                source.offered = waiting && source.pace.goes(&mut self.random);
                self.report.bubbles += u64::from(waiting && !source.offered);
                if source.offered {
                    source.wires.drive(self.rtl, &beats[source.next].fields());
                } else {
                    source.wires.randomise(self.rtl, &mut self.random);
                }
                self.rtl.set(source.wires.valid, source.offered.into());
            }
        }
        for sink in &mut self.sinks {
            sink.ready = sink.pace.goes(&mut self.random);
            self.rtl.set(sink.wires.ready, sink.ready.into());
        }
    }

    fn check(&mut self) -> Result<(), BenchError> {
        for (port, (sink, (_, golden))) in self.sinks.iter().zip(&self.bench.outputs).enumerate() {
            let (wires, beat) = (&sink.wires, Some(sink.taken));
            let (offered, model) = (self.rtl.get(wires.valid) == 1, self.model.output(port));
            let valid_name = format!("{}_valid", wires.name);
            if let Some(held) = &sink.held {
                let note = "a beat stays until it is taken".to_string();
                if !offered {
                    let values = vec![("rtl", "0x0".into())];
                    return Err(self.mismatch(&valid_name, "dropped without ready".into(), beat, None, values, note));
                }
                for ((name, pin, _), before) in wires.fields.iter().zip(held) {
                    let now = self.rtl.get_bits(*pin);
                    if now != *before {
                        let values = vec![("before", before.to_string()), ("rtl", now.to_string())];
                        return Err(self.mismatch(name, "changed without ready".into(), beat, None, values, note));
                    }
                }
            }
            if offered != model.is_some() {
                let values = vec![("rtl", flag(offered)), ("model", flag(model.is_some()))];
                let note = if offered { "timing: early, or a beat too many" } else { "timing: late, or a beat lost" };
                return Err(self.mismatch(&valid_name, "differs".into(), beat, None, values, note.into()));
            }
            let Some(model) = model else { continue };
            let Some(golden) = golden.get(sink.taken) else {
                let values = vec![("golden", format!("{} beats", golden.len()))];
                let note = "rtl and cycle model agree".into();
                return Err(self.mismatch(&valid_name, "offers a beat too many".into(), beat, None, values, note));
            };
            let (golden, model) = (golden.fields(), model.fields());
            wires.assert_order(&golden);
            wires.assert_order(&model);
            for ((field, model), (name, pin, _)) in golden.iter().zip(&model).zip(&wires.fields) {
                if !self.rtl.shows(*pin, &field.bits) {
                    let (lane, [rtl, golden], off) = field.difference(&self.rtl.get_bits(*pin));
                    let (values, note) = (vec![("rtl", rtl), ("golden", golden)], "value; timing agrees");
                    let note = if off.is_empty() { note.into() } else { format!("{off}; {note}") };
                    return Err(self.mismatch(name, "differs".into(), beat, lane, values, note));
                }
                if model.bits != field.bits {
                    let (lane, [model, golden], _) = field.difference(&model.bits);
                    let (values, note) = (vec![("model", model), ("golden", golden)], "rtl and golden agree".into());
                    return Err(self.mismatch(name, "of the cycle model differs".into(), beat, lane, values, note));
                }
            }
        }
        for (port, source) in self.sources.iter().enumerate() {
            let (rtl, model) = (self.rtl.get(source.wires.ready) == 1, self.model.ready(port));
            if rtl != model {
                let values = vec![("rtl", flag(rtl)), ("model", flag(model))];
                let note = if rtl { "timing: ready too early" } else { "timing: ready too late" };
                let name = format!("{}_ready", source.wires.name);
                return Err(self.mismatch(&name, "differs".into(), Some(source.next), None, values, note.into()));
            }
        }
        if let Some(status) = &self.bench.status {
            for (i, field) in status(&self.model).into_iter().enumerate() {
                if self.status.len() == i {
                    let pin = self.rtl.pin(field.name)?;
                    self.status.push((field.clone(), pin));
                }
                let (first, pin) = &self.status[i];
                assert_eq!(first.name, field.name, "status fields are the same in every cycle");
                if !self.rtl.shows(*pin, &field.bits) {
                    let (lane, [rtl, model], _) = field.difference(&self.rtl.get_bits(*pin));
                    let (values, note) = (vec![("rtl", rtl), ("model", model)], "status".into());
                    return Err(self.mismatch(field.name, "differs".into(), None, lane, values, note));
                }
            }
        }
        Ok(())
    }

    /// The rising edge, in RTL and model.
    fn edge(&mut self) -> Result<(), BenchError> {
        let mut accepted = Vec::with_capacity(self.sources.len());
        for (port, (source, (.., beats))) in self.sources.iter_mut().zip(&self.bench.inputs).enumerate() {
            let moves = source.offered && self.model.ready(port);
            accepted.push(moves.then(|| beats[source.next].clone()));
            self.report.back_pressure += u64::from(source.offered && !moves);
            if moves {
                source.next += 1;
                source.offered = false;
                self.last_move = self.cycle;
                self.report.first_accepted.get_or_insert(self.cycle);
            }
        }
        let mut taken = Vec::with_capacity(self.sinks.len());
        for (port, (sink, (_, golden))) in self.sinks.iter_mut().zip(&self.bench.outputs).enumerate() {
            let offered = self.model.output(port).is_some();
            let moves = offered && sink.ready;
            taken.push(moves);
            self.report.stalls += u64::from(offered && !moves);
            let wires = &sink.wires;
            sink.held = (offered && !moves).then(|| wires.fields.iter().map(|f| self.rtl.get_bits(f.1)).collect());
            if moves {
                self.report.values += golden[sink.taken].fields().iter().map(|f| f.lane_count() as u64).sum::<u64>();
                sink.taken += 1;
                self.last_move = self.cycle;
                self.report.last_taken = Some(self.cycle);
            }
        }
        self.rtl.step().map_err(|e| self.stopped(e))?;
        self.model.clock(&mut accepted, &taken);
        Ok(())
    }

    fn stopped(&self, error: CosimError) -> BenchError {
        let CosimError::Stopped { message, .. } = error else { return error.into() };
        self.mismatch("rtl", "stopped".into(), None, None, vec![("rtl", message)], "assertion".into())
    }

    fn mismatch(
        &self,
        signal: &str,
        what: String,
        beat: Option<usize>,
        lane: Option<usize>,
        values: Vec<(&'static str, String)>,
        note: String,
    ) -> BenchError {
        BenchError::Mismatch(Box::new(Mismatch {
            block: self.bench.block.clone(),
            signal: signal.into(),
            what,
            cycle: self.cycle,
            beat,
            lane,
            values,
            note,
            run: self.what.clone(),
            again: self.bench.again.clone(),
            waves: None,
        }))
    }
}

impl Wires {
    /// A shorter or differently ordered list would be compared in part, or with the wrong port.
    fn assert_order(&self, fields: &[Field]) {
        let same = |(port, field): (&(String, Pin, u32), &Field)| port.0.strip_suffix(field.name).is_some();
        let same = fields.len() == self.fields.len() && self.fields.iter().zip(fields).all(same);
        assert!(same, "every beat of {} has the fields of its first beat, in the same order: {fields:?}", self.name);
    }

    fn drive(&self, rtl: &mut Model, fields: &[Field]) {
        self.assert_order(fields);
        for (field, (_, pin, _)) in fields.iter().zip(&self.fields) {
            rtl.set_bits(*pin, &field.bits);
        }
    }

    fn randomise(&self, rtl: &mut Model, random: &mut Random) {
        for (_, pin, width) in &self.fields {
            if *width <= 64 {
                rtl.set(*pin, random.bits());
            } else {
                let words: Vec<u32> = (0..width.div_ceil(32)).map(|_| random.bits() as u32).collect();
                rtl.set_words(*pin, &words);
            }
        }
    }
}

fn flag(value: bool) -> String {
    format!("{:#x}", u8::from(value))
}

/// Whether one source or sink goes in a cycle.
#[derive(Debug, Clone)]
enum Pace {
    Always,
    /// Pauses with this probability in 1/1000.
    Random(u32),
    /// All (0), nothing (1) or every second at random (2), for the cycles left.
    Bursts {
        mode: u64,
        left: u64,
    },
}

impl Pace {
    fn goes(&mut self, random: &mut Random) -> bool {
        match self {
            Self::Always => true,
            Self::Random(permille) => random.below(1000) >= u64::from(*permille),
            Self::Bursts { mode, left } => {
                if *left == 0 {
                    (*mode, *left) = (random.below(3), 1 + random.below(40));
                }
                *left -= 1;
                *mode == 0 || (*mode == 2 && random.below(2) == 0)
            }
        }
    }
}

/// SplitMix64, the same on every machine.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.bits() % bound
    }
}
