//! The devices that can compute attention, behind one choice.

use crate::cli::{Failure, MachineArgs};
use crate::output::progress;
use anyhow::Context;
use serde::Serialize;
use spatten_arch::plan::Scale;
use spatten_arch::{ArchConfig, Plan};
use spatten_golden::attention::Attention;
use spatten_golden::cascade::{Cascade, LayerReport, Sequence};
use spatten_golden::fixed::Fixed;
use spatten_golden::quantiser::Calibration;
use spatten_golden::reference::Reference;
use spatten_golden::run::{self, RunResult};
use spatten_golden::trace::{Mode, Trace};
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
}

impl Device {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Golden => "golden",
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reference" => Ok(Self::Reference),
            "golden" => Ok(Self::Golden),
            "sim" | "rtl" => Err(format!("device {text} is not built yet, expected golden or reference")),
            _ => Err(format!("unknown device {text:?}, expected golden or reference")),
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
}

impl Machine {
    /// Reads configuration, plan and calibration.
    pub fn load(args: &MachineArgs) -> Result<Self, Failure> {
        let arch = ArchConfig::load(&args.arch)?;
        let plan = args.plan.as_deref().map(Plan::load).transpose()?.unwrap_or_default();
        let plan_origin = args.plan.as_ref().map_or("the empty plan".into(), |p| p.display().to_string());
        Self::new(args.device, arch, plan, plan_origin)
    }

    /// A machine for a plan that is in memory already; reads the calibration that the plan names.
    pub fn new(device: Device, arch: ArchConfig, plan: Plan, plan_origin: String) -> Result<Self, Failure> {
        let calibration = match plan.quant.as_ref().map(|q| &q.scale) {
            Some(Scale::Static(file)) => Some(read_calibration(Path::new(file))?),
            _ => None,
        };
        Ok(Self { device, arch, plan, plan_origin, calibration })
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
        if self.device == Device::Golden {
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
        if self.device == Device::Golden {
            Fixed::check(&self.arch, heads, keys, head_dim).with_context(|| origin.to_string())?;
        }
        Ok(())
    }

    /// Runs a checked trace, with a progress bar on a terminal.
    pub fn run(&self, trace: &Trace) -> RunResult {
        let steps = if trace.mode == Mode::Decode { trace.rows() } else { 1 };
        let bar = progress(steps * trace.layers(), "layers");
        let calibration = self.calibration.clone();
        let mut done = || bar.inc(1);
        let result = match self.device {
            Device::Reference => run::run_observed(trace, &self.plan, Reference, calibration, &mut done),
            Device::Golden => run::run_observed(trace, &self.plan, Fixed::new(&self.arch), calibration, &mut done),
        };
        bar.finish_and_clear();
        result
    }

    /// Begins a sequence for a model host.
    pub fn begin(&self, sequence: Sequence) -> Box<dyn Job> {
        let calibration = self.calibration.clone();
        match self.device {
            Device::Reference => Box::new(Cascade::new(sequence, &self.plan, Reference, calibration)),
            Device::Golden => Box::new(Cascade::new(sequence, &self.plan, Fixed::new(&self.arch), calibration)),
        }
    }
}

/// A sequence in work, with its reports.
pub trait Job: Attention {
    /// One per layer so far.
    fn layer_reports(&self) -> &[LayerReport];
}

impl<B: spatten_golden::cascade::Backend> Job for Cascade<B> {
    fn layer_reports(&self) -> &[LayerReport] {
        self.reports()
    }
}

fn read_calibration(path: &Path) -> Result<Calibration, Failure> {
    Ok(spatten_arch::toml_file::load(path, "a calibration table")?)
}
