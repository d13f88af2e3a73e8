//! A run as text, for a second simulator: every port in every cycle.

use super::run::Run;
use super::{Beat, BenchError, BenchReport, BlockBench, Stalls};
use crate::cosim::{Direction, Init, Model, Pin};
use crate::cycle::CycleModel;
use std::fmt::Write;

/// The vectors of one run; see [`BlockBench::record`].
#[derive(Debug, Default)]
pub(super) struct Recorder {
    ports: Vec<(Pin, Direction, u32)>,
    text: String,
}

impl Recorder {
    /// The head line, and two cycles of reset with the inputs as they stand.
    fn new(rtl: &Model) -> Result<Self, BenchError> {
        let mut recorder = Self::default();
        for port in rtl.ports().iter().filter(|p| p.name != "clock") {
            let direction = if port.direction == Direction::Input { "in" } else { "out" };
            let _ = write!(recorder.text, "{direction}:{}:{} ", port.name, port.width);
            recorder.ports.push((rtl.pin(&port.name)?, port.direction, port.width));
        }
        recorder.text.push('\n');
        let reset = rtl.pin("reset")?;
        for _ in 0..2 {
            recorder.line(rtl, |pin| if pin == reset { Shown::Reset } else { Shown::Unknown });
        }
        Ok(recorder)
    }

    /// One cycle. `shown` says which outputs mean something.
    pub(super) fn line(&mut self, rtl: &Model, shown: impl Fn(Pin) -> Shown) {
        for &(pin, direction, width) in &self.ports {
            match shown(pin) {
                Shown::Reset => self.text.push('1'),
                Shown::Unknown if direction == Direction::Output => {
                    self.text.extend(std::iter::repeat_n('x', width.div_ceil(4) as usize));
                }
                _ => {
                    let hex = rtl.get_bits(pin).to_string();
                    self.text.push_str(hex.trim_start_matches("0x"));
                }
            }
            self.text.push(' ');
        }
        self.text.push('\n');
    }
}

/// How a port is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Its value.
    Value,
    /// An output that means nothing in this cycle; inputs are always written.
    Unknown,
    /// 1, whatever it holds.
    Reset,
}

impl<M> BlockBench<M>
where
    M: CycleModel + Clone,
    M::Input: Beat + Clone,
    M::Output: Beat,
{
    /// Runs as [`BlockBench::run`] does and returns every port of every cycle as text: a line with the ports, then one line
    /// per cycle in hexadecimal, with `x` for outputs that mean nothing (payload without valid, and everything in reset).
    /// `scripts/iverilog_replay.py` plays it to another simulator.
    ///
    /// # Errors
    /// As [`BlockBench::run`], without waveforms.
    pub fn record(&self, stalls: Stalls) -> Result<(BenchReport, String), BenchError> {
        let built = self.cache.build(&self.verilog)?;
        let mut rtl = Model::load(&built, Init::Random(self.seed))?;
        let mut run = Run::new(self, &mut rtl, stalls)?;
        run.recorder = Some(Recorder::new(run.rtl)?);
        while !run.cycle()? {}
        let text = run.recorder.take().map(|r| r.text).unwrap_or_default();
        Ok((run.report, text))
    }
}
