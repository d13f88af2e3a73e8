//! The devices that can compute attention, behind one choice.

use crate::card::attention::Timing;
use crate::card::rtl::RtlChip;
use crate::card::{self, CardAttention, CardDevice, DeviceError};
use crate::cli::{Failure, MachineArgs};
use crate::output::progress;
use anyhow::Context;
use serde::Serialize;
use spatten_arch::firmware;
use spatten_arch::plan::Scale;
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::cascade::{Cascade, Sequence};
use spatten_golden::fixed::Fixed;
use spatten_golden::quantiser::Calibration;
use spatten_golden::reference::Reference;
use spatten_golden::run::{self, RunResult, Sequential};
use spatten_golden::trace::{Mode, Trace};
use spatten_sim::chip::Chip;
use spatten_sim::cosim::Init;
use std::path::Path;
use std::str::FromStr;

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// f64 mathematics.
    Reference,
    /// The bit-exact integer model.
    Golden,
    /// The cycle-accurate simulator.
    Sim,
    /// The Verilated RTL.
    Rtl,
}

/// Makes a card, as after power-up.
pub type MakeCard = fn(&ArchConfig) -> Result<Box<dyn CardDevice>, DeviceError>;

impl Device {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Golden => "golden",
            Self::Sim => "sim",
            Self::Rtl => "rtl",
        }
    }

    /// What makes its card; `None` where it is no card.
    fn make_card(self) -> Option<MakeCard> {
        match self {
            Self::Sim => Some(|config| Ok(Box::new(card::Board::new(config, Chip::new(config))?))),
            Self::Rtl => Some(|config| {
                let chip = RtlChip::new(config, Init::Random(1)).map_err(|e| DeviceError::Machine(Box::new(e)))?;
                Ok(Box::new(card::Board::new(config, chip)?))
            }),
            Self::Reference | Self::Golden => None,
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reference" => Ok(Self::Reference),
            "golden" => Ok(Self::Golden),
            "sim" => Ok(Self::Sim),
            "rtl" => Ok(Self::Rtl),
            _ => Err(format!("unknown device {text:?}, expected reference, golden, sim or rtl")),
        }
    }
}

/// Arguments that were read and checked: a chip, a plan, and the calibration that the plan names.
#[derive(Debug, Clone)]
pub struct Machine {
    /// What computes.
    pub device: Device,
    /// Sizes of the chip.
    pub arch: ArchConfig,
    /// What to prune.
    pub plan: Plan,
    /// Where the plan came from, for errors.
    pub plan_origin: String,
    /// Absolute maxima for `scale = "static:FILE"`.
    pub calibration: Option<Calibration>,
    /// Makes the card of a device that has one.
    make_card: Option<MakeCard>,
}

/// What a machine says of a trace.
#[derive(Debug, Clone)]
pub struct Run {
    /// Results and decisions.
    pub result: RunResult,
    /// Cycles, where the device has them.
    pub timing: Option<Timing>,
}

impl Machine {
    /// Reads configuration, plan and calibration.
    pub fn load(args: &MachineArgs) -> Result<Self, Failure> {
        let arch = ArchConfig::load(&args.arch)?;
        let plan = args.plan.as_deref().map(Plan::load).transpose()?.unwrap_or_default();
        let plan_origin = args.plan.as_ref().map_or("the empty plan".into(), |p| p.display().to_string());
        if matches!(args.device, Device::Sim | Device::Rtl) && !firmware::WORD_BYTES.contains(&arch.channel_bytes) {
            let (least, most) = (firmware::WORD_BYTES.start(), firmware::WORD_BYTES.end());
            return Err(Failure::input(format!(
                "{}: channel_bytes = {}, expected {least} to {most} for device {}",
                arch.name,
                arch.channel_bytes,
                args.device.name()
            )));
        }
        Self::new(args.device, arch, plan, plan_origin)
    }

    /// A machine for a plan that is in memory already; reads the calibration that the plan names.
    pub fn new(device: Device, arch: ArchConfig, plan: Plan, plan_origin: String) -> Result<Self, Failure> {
        let calibration = match plan.quant.as_ref().map(|q| &q.scale) {
            Some(Scale::Static(file)) => Some(read_calibration(Path::new(file))?),
            _ => None,
        };
        Ok(Self { device, arch, plan, plan_origin, calibration, make_card: device.make_card() })
    }

    /// The same machine on cards of another make.
    pub fn with_cards(self, make_card: MakeCard) -> Self {
        Self { make_card: Some(make_card), ..self }
    }

    fn card(&self, sequence: Sequence, calibration: Option<Calibration>) -> Result<CardAttention, Failure> {
        let make =
            self.make_card.ok_or_else(|| Failure::input(format!("device {} has no card", self.device.name())))?;
        let begin = || CardAttention::new(make(&self.arch)?, &self.arch, sequence, &self.plan, calibration);
        begin().map_err(|e: DeviceError| Failure::Job(e.into()))
    }

    /// Whether a workload of this shape can run: the plan fits it, and it fits the chip (the f64 reference has no size).
    pub fn check(
        &self,
        origin: &str,
        layers: usize,
        heads: usize,
        kv_heads: usize,
        keys: usize,
        head_dim: usize,
    ) -> Result<(), Failure> {
        let mut plan = self.plan.clone();
        let fixed = self.device != Device::Reference;
        if fixed {
            // Without [quant] the machine computes on 12 bits, which have to fit like any other width.
            plan.quant.get_or_insert_default();
        }
        plan.check_for(&self.plan_origin, layers, heads, self.arch.datapath_bits)?;
        if let Some(pin) = self.plan.tokens.pin.as_ref()
            && let Some(bad) = pin.positions.iter().find(|&&p| p >= keys)
        {
            return Err(Failure::input(format!(
                "{}: tokens.pin = [{bad}], expected positions below the {keys} tokens of {origin}",
                self.plan_origin
            )));
        }
        if let Some(c) = &self.calibration {
            c.check(layers, heads, kv_heads)
                .map_err(|e| Failure::input(format!("{}: calibration: {e} for {origin}", self.plan_origin)))?;
        }
        if fixed {
            Fixed::check(&self.arch, heads, keys, head_dim).with_context(|| origin.to_string())?;
        }
        if matches!(self.device, Device::Sim | Device::Rtl) {
            card::check(&self.plan, keys, head_dim).with_context(|| format!("{} for {origin}", self.plan_origin))?;
        }
        Ok(())
    }

    /// Runs a checked trace, with a progress bar on a terminal.
    pub fn run(&self, trace: &Trace) -> Result<Run, Failure> {
        let steps = if trace.mode == Mode::Decode { trace.rows() } else { 1 };
        let bar = progress(steps * trace.layers(), "layers");
        let sequence = run::sequence_of(trace);
        let calibration = run::calibration_of(trace, self.calibration.clone());
        let mut device = self.begin_with(sequence, calibration)?;
        let result = run::run_on(trace, device.sequential(), &mut || bar.inc(1));
        bar.finish_and_clear();
        Ok(Run { result, timing: device.finish()? })
    }

    /// Begins a sequence for a model host.
    pub fn begin(&self, sequence: Sequence) -> Result<Box<dyn Job>, Failure> {
        self.begin_with(sequence, self.calibration.clone())
    }

    fn begin_with(&self, sequence: Sequence, calibration: Option<Calibration>) -> Result<Box<dyn Job>, Failure> {
        Ok(match self.device {
            Device::Reference => Box::new(Cascade::new(sequence, &self.plan, Reference, calibration)),
            Device::Golden => Box::new(Cascade::new(sequence, &self.plan, Fixed::new(&self.arch), calibration)),
            Device::Sim | Device::Rtl => Box::new(self.card(sequence, calibration)?),
        })
    }
}

/// A sequence in work.
pub trait Job {
    /// It, as a run or a model host sees it.
    fn sequential(&mut self) -> &mut dyn Sequential;

    /// Ends it. Nothing that it said counts where this is an error.
    fn finish(self: Box<Self>) -> Result<Option<Timing>, Failure>;
}

impl<B: spatten_golden::cascade::Backend> Job for Cascade<B> {
    fn sequential(&mut self) -> &mut dyn Sequential {
        self
    }

    fn finish(self: Box<Self>) -> Result<Option<Timing>, Failure> {
        Ok(None)
    }
}

impl Job for CardAttention {
    fn sequential(&mut self) -> &mut dyn Sequential {
        self
    }

    fn finish(self: Box<Self>) -> Result<Option<Timing>, Failure> {
        CardAttention::finish(*self).map(Some).map_err(|e| Failure::Job(e.into()))
    }
}

fn read_calibration(path: &Path) -> Result<Calibration, Failure> {
    Ok(spatten_arch::toml_file::load(path, "a calibration table")?)
}
