//! One run: drive, settle, compare, clock; every cycle.

use super::record::{Recorder, Shown};
use super::traffic::{Pace, Random};
use super::wires::Wires;
use super::{Beat, BenchError, BenchReport, BlockBench, Field, Mismatch, Stalls};
use crate::cosim::{Bits, CosimError, Direction, Model, Pin};
use crate::cycle::CycleModel;
use std::cell::Cell;

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
    /// Values in the beat on offer.
    values: Cell<u64>,
    pace: Pace,
}

pub(super) struct Run<'b, M: CycleModel> {
    bench: &'b BlockBench<M>,
    pub(super) rtl: &'b mut Model,
    model: M,
    sources: Vec<Source>,
    sinks: Vec<Sink>,
    status: Vec<(Field, Pin)>,
    random: Random,
    what: String,
    pub(super) cycle: u64,
    last_move: u64,
    pub(super) report: BenchReport,
    pub(super) recorder: Option<Recorder>,
}

impl<'b, M> Run<'b, M>
where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    /// Resets the RTL, with random payloads and no valid.
    pub(super) fn new(bench: &'b BlockBench<M>, rtl: &'b mut Model, stalls: Stalls) -> Result<Self, BenchError> {
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
        let sink =
            |wires| Sink { wires, taken: 0, ready: false, held: None, values: Cell::new(0), pace: of_sinks.clone() };
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
        let what = format!("config={} seed={:#x} stalls={stalls:?}", bench.config, bench.seed);
        let report = BenchReport {
            run: format!("{} {what}", bench.block),
            accepted_at: vec![vec![]; sources.len()],
            taken_at: vec![vec![]; sinks.len()],
            ..BenchReport::default()
        };
        let (model, status) = (bench.model.clone(), vec![]);
        Ok(Self {
            bench,
            rtl,
            model,
            sources,
            sinks,
            status,
            random,
            what,
            cycle: 0,
            last_move: 0,
            report,
            recorder: None,
        })
    }

    /// One clock period; true where everything has been seen and the drain is over.
    pub(super) fn cycle(&mut self) -> Result<bool, BenchError> {
        self.drive();
        self.rtl.eval().map_err(|e| self.stopped(e))?;
        self.check()?;
        self.note();
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
            let sinks = self.sinks.iter().map(|sink| (sink.wires.name.clone(), sink.taken as u64));
            self.report.checked = sinks.collect();
            let sources = self.sources.iter().map(|source| (source.wires.name.clone(), source.next as u64));
            self.report.accepted = sources.collect();
            if self.report.checked.iter().all(|(_, beats)| *beats == 0) {
                return Err(self.bench.wiring("no beats are expected, so nothing is checked".into()));
            }
            return Ok(true);
        }
        // A stream that has not started yet is waited for.
        let started = self.bench.inputs.iter().all(|(_, start, _)| *start <= self.cycle);
        if started && idle > self.bench.patience {
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
            let valid_name = || format!("{}_valid", wires.name);
            if let Some(held) = &sink.held {
                let note = "a beat stays until it is taken".to_string();
                if !offered {
                    let values = vec![("rtl", "0x0".into())];
                    return Err(self.mismatch(&valid_name(), "dropped without ready".into(), beat, None, values, note));
                }
                // A beat that was held was compared, so the golden one is there; it knows the lanes.
                let lanes = golden[sink.taken].fields();
                for ((field, (name, pin, _)), before) in lanes.into_iter().zip(&wires.fields).zip(held) {
                    if !self.rtl.shows(*pin, before) {
                        let before = Field { bits: before.clone(), ..field };
                        let (lane, [now, before], _) = before.difference(&self.rtl.get_bits(*pin));
                        let values = vec![("before", before), ("rtl", now)];
                        return Err(self.mismatch(name, "changed without ready".into(), beat, lane, values, note));
                    }
                }
            }
            if offered != model.is_some() {
                let values = vec![("rtl", flag(offered)), ("model", flag(model.is_some()))];
                let note = if offered { "timing: early, or a beat too many" } else { "timing: late, or a beat lost" };
                return Err(self.mismatch(&valid_name(), "differs".into(), beat, None, values, note.into()));
            }
            let Some(model) = model else { continue };
            let Some(golden) = golden.get(sink.taken) else {
                let values = vec![("golden", format!("{} beats", golden.len()))];
                let note = "rtl and cycle model agree".into();
                return Err(self.mismatch(&valid_name(), "offers a beat too many".into(), beat, None, values, note));
            };
            let (golden, model) = (golden.fields(), model.fields());
            wires.assert_order(&golden);
            wires.assert_order(&model);
            sink.values.set(golden.iter().map(|field| field.lane_count() as u64).sum());
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
            let fields = status(&self.model);
            assert!(self.status.is_empty() || self.status.len() == fields.len(), "status fields: {fields:?}");
            for (i, field) in fields.into_iter().enumerate() {
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

    /// Adds the cycle to a recording.
    fn note(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        let idle = |pin| {
            let of = |sink: &&Sink| sink.wires.fields.iter().any(|f| f.1 == pin);
            self.sinks.iter().find(of).is_some_and(|sink| self.rtl.get(sink.wires.valid) == 0)
        };
        recorder.line(self.rtl, |pin| if idle(pin) { Shown::Unknown } else { Shown::Value });
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
                self.report.accepted_at[port].push(self.cycle);
                self.last_move = self.cycle;
                self.report.first_accepted.get_or_insert(self.cycle);
            }
        }
        let mut taken = Vec::with_capacity(self.sinks.len());
        for (port, sink) in self.sinks.iter_mut().enumerate() {
            let offered = self.model.output(port).is_some();
            let moves = offered && sink.ready;
            taken.push(moves);
            self.report.stalls += u64::from(offered && !moves);
            let wires = &sink.wires;
            sink.held = (offered && !moves).then(|| wires.fields.iter().map(|f| self.rtl.get_bits(f.1)).collect());
            if moves {
                self.report.values += sink.values.get();
                sink.taken += 1;
                self.report.taken_at[port].push(self.cycle);
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

fn flag(value: bool) -> String {
    format!("{:#x}", u8::from(value))
}
