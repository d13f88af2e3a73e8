//! `spatten run`: a recorded workload on a device.

use crate::cli::{Failure, MachineArgs};
use crate::device::{Device, Machine};
use crate::output::{self, OutTensors};
use crate::report::Report;
use crate::workload::{self, Workload};
use anyhow::Context;
use clap::Args;
use spatten_golden::run::RunResult;
use spatten_golden::trace::{Mode, Trace};
use std::path::PathBuf;

/// Arguments of `spatten run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Workload, recognised by content.
    workload: PathBuf,
    #[command(flatten)]
    machine: MachineArgs,
    /// Attention outputs, survivors and importances as safetensors.
    #[arg(long, value_name = "OUT.safetensors")]
    out: Option<PathBuf>,
    /// What was moved, kept and refetched, as JSON.
    #[arg(long, value_name = "REPORT.json")]
    report: Option<PathBuf>,
    /// Chrome trace of blocks and channels; needs a device with cycles.
    #[arg(long, value_name = "T.json")]
    timeline: Option<PathBuf>,
    /// Seed of everything that is random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Runs the command: all input is read and checked, and all outputs are known to be writable, before any work.
pub fn command(args: &RunArgs) -> Result<(), Failure> {
    let machine = Machine::load(&args.machine)?;
    let device = machine.device.name();
    if args.timeline.is_some() {
        let why = match machine.device {
            Device::Sim | Device::Rtl => "is not written by any device yet".into(),
            _ => format!("device {device} has no cycles"),
        };
        return Err(Failure::input(format!("--timeline: {why}, expected no --timeline")));
    }
    let origin = args.workload.display().to_string();
    let workload = workload::load(&args.workload)?;
    let (bytes, report) = match &workload {
        Workload::Trace { trace, ignored } => {
            check_trace(&machine, &origin, trace)?;
            check_outputs(args)?;
            let run = machine.run(trace)?;
            let report = Report::of_trace(&machine, args.seed, &origin, trace, ignored, &run);
            (args.out.is_some().then(|| tensors(trace, &run.result)), report)
        }
        Workload::Counts(counts) => {
            if args.out.is_some() {
                return Err(Failure::input(format!(
                    "--out: {origin} has counts and no tensors, so there is no output"
                )));
            }
            if machine.device != Device::Golden || args.machine.plan.is_some() {
                let what = if args.machine.plan.is_some() { "--plan".into() } else { format!("--device {device}") };
                return Err(Failure::input(format!(
                    "{what}: {origin} has counts that are pruned and quantised already, expected no plan and device golden"
                )));
            }
            check_outputs(args)?;
            (None, Report::of_counts(&machine, args.seed, &origin, counts))
        }
    };
    let job = |e: crate::output::OutputError| Failure::Job(e.into());
    if let (Some(path), Some(bytes)) = (&args.out, bytes) {
        output::write_atomically(path, &bytes).map_err(job)?;
    }
    match &args.report {
        Some(path) => {
            let json = serde_json::to_string_pretty(&report).context("report to JSON").map_err(Failure::Job)?;
            output::write_atomically(path, format!("{json}\n").as_bytes()).map_err(job)?;
        }
        None => output::say(&report.summary()).map_err(job)?,
    }
    Ok(())
}

fn check_trace(machine: &Machine, origin: &str, trace: &Trace) -> Result<(), Failure> {
    machine.check(origin, trace.layers(), trace.heads(), trace.kv_heads(), trace.keys(), trace.head_dim())
}

fn check_outputs(args: &RunArgs) -> Result<(), Failure> {
    let outputs = [("--out", &args.out), ("--report", &args.report)];
    let outputs: Vec<_> = outputs.into_iter().filter_map(|(name, path)| Some((name, path.as_deref()?))).collect();
    let mut inputs = args.machine.files();
    inputs.push(("the workload", &args.workload));
    Ok(output::check_places(&outputs, &inputs)?)
}

/// One byte per token or head of every layer: alive when the layer starts.
fn alive(lists: &[Vec<usize>], width: usize) -> Vec<u8> {
    let mut bytes = vec![0; lists.len() * width];
    for (row, list) in lists.iter().enumerate() {
        for &i in list {
            bytes[row * width + i] = 1;
        }
    }
    bytes
}

/// `OUT.safetensors`.
///
/// # Shapes   `out [layers, heads, L0, D]`, `survivors [layers + 1, L1]`, `heads_alive [layers + 1, heads]` (both with `L0`
/// in front in decode mode), `token_importance [layers, L1]`, `head_importance [layers, heads]`,
/// `refetched [layers, heads, L0]`
pub fn tensors(trace: &Trace, result: &RunResult) -> Vec<u8> {
    let (layers, heads, rows, keys) = (trace.layers(), trace.heads(), trace.rows(), trace.keys());
    let per_pass = |inner: usize| {
        let mut shape = vec![layers + 1, inner];
        if trace.mode == Mode::Decode {
            shape.insert(0, rows);
        }
        shape
    };
    let floats = |table: &[Vec<f64>]| table.iter().flatten().map(|&x| x as f32).collect::<Vec<_>>();
    let survivors: Vec<u8> = result.passes.iter().flat_map(|p| alive(&p.survivors, keys)).collect();
    let heads_alive: Vec<u8> = result.passes.iter().flat_map(|p| alive(&p.heads, heads)).collect();
    let out: Vec<f32> = result.out.iter().map(|&x| x as f32).collect();
    let refetched: Vec<u8> = result.refetched.iter().map(|&r| u8::from(r)).collect();
    OutTensors::new()
        .f32("out", trace.q.shape(), &out)
        .u8("survivors", &per_pass(keys), &survivors)
        .u8("heads_alive", &per_pass(heads), &heads_alive)
        .f32("token_importance", &[layers, keys], &floats(&result.token_importance))
        .f32("head_importance", &[layers, heads], &floats(&result.head_importance))
        .u8("refetched", &[layers, heads, rows], &refetched)
        .to_bytes()
}
