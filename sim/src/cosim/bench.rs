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
//!
//! ```
//! use spatten_sim::cosim::{Beat, BlockBench, Field, Stalls, Verilog, seed};
//! use spatten_sim::cycle::Fifo;
//!
//! #[derive(Clone)]
//! struct Byte(u64);
//! impl Beat for Byte {
//!     fn fields(&self) -> Vec<Field> {
//!         vec![Field::value("data", self.0, 8)]
//!     }
//! }
//!
//! // In a block's test this comes from the emitter.
//! let text = "module slice (
//!   input wire clock, input wire reset,
//!   input wire in_valid, output wire in_ready, input wire [7:0] in_data,
//!   output reg out_valid, input wire out_ready, output reg [7:0] out_data
//! );
//!   assign in_ready = ~out_valid;
//!   always @(posedge clock) begin
//!     if (in_valid & in_ready) out_data <= in_data;
//!     out_valid <= ~reset & (out_valid ? ~out_ready : in_valid);
//!   end
//! endmodule";
//! let seed = seed(1);
//! let beats: Vec<_> = (0..40).map(|i| Byte(i * seed & 0xff)).collect();
//! let bench = BlockBench::new(Verilog::new("slice").file("slice.v", text), "slice", "tiny", seed, Fifo::new(1))
//!     .input("in", beats.clone())
//!     .output("out", beats)
//!     .again(format!("SPATTEN_SEED={seed:#x} cargo test -p spatten-sim --doc"));
//! for stalls in Stalls::EVERY {
//!     bench.run(stalls)?.finish(40);
//! }
//! assert_eq!(bench.run(Stalls::None)?.span(), 80);
//! # Ok::<(), spatten_sim::cosim::BenchError>(())
//! ```

mod beat;
mod record;
mod report;
mod run;
mod traffic;
mod wires;

pub use beat::{Beat, Field};
pub use report::{BenchError, BenchReport, Mismatch};
pub use traffic::{Stalls, seed};

use super::{Bits, Cache, CosimError, Init, Model, Verilog, io};
use crate::cycle::CycleModel;
use run::Run;
use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

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

    /// The same without any waveform, for tests that expect a mismatch: they save a build.
    ///
    /// # Errors
    /// As [`BlockBench::run`].
    pub fn run_without_waves(&self, stalls: Stalls) -> Result<BenchReport, BenchError> {
        self.run_once(stalls, None)
    }

    fn run_once(&self, stalls: Stalls, waves_from: Option<u64>) -> Result<BenchReport, BenchError> {
        let built = self.cache.build(&self.verilog.clone().waves(waves_from.is_some()))?;
        let mut rtl = Model::load(&built, Init::Random(self.seed))?;
        let file = |folder: &str, extension: &str| {
            // Tests of one process run in threads, with the same block and seed.
            static RUNS: AtomicU32 = AtomicU32::new(0);
            let number = RUNS.fetch_add(1, Ordering::Relaxed);
            let name = format!("{}-{}-{:x}-{}-{number}", self.block, self.config, self.seed, std::process::id());
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
            mismatch.waves = waves.map(|(from, path)| {
                if mismatch.cycle < from {
                    return format!("none: a run with waveforms fails earlier, in cycle {}", mismatch.cycle);
                }
                // The period of the mismatch is to be in the file.
                let _ = rtl.step();
                rtl.close_waves();
                let at = rtl.time().saturating_sub(2);
                format!("{} @{}..{at}", path.display(), at.saturating_sub(40))
            });
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
}
