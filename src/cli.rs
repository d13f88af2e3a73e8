//! Arguments, and what they mean for the exit status: 0, 1 (the job failed) or 2 (unusable arguments or input).

use crate::device::Device;
use crate::model::panics_are_answered;
use crate::{docs, eval, infer, rtl, run};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use spatten_arch::ArchConfig;
use spatten_arch::toml_file::one_line;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Sparse attention with cascade token and head pruning, local value pruning and progressive quantization.
#[derive(Debug, Parser)]
#[command(name = "spatten", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a recorded attention workload (safetensors, npz, npy, or the authors' CSV).
    Run(run::RunArgs),
    /// Embed text with a real transformer, its attention on the device, and compare with the dense f64 result.
    Infer(infer::InferArgs),
    /// Measure how much quality plans cost on graded sentence pairs: table, plots, and the two recommended plans.
    Eval(eval::EvalArgs),
    /// Record the absolute maxima of Q, K and V over a set of sentences, for plans with scale = "static:FILE".
    Calibrate(infer::CalibrateArgs),
    /// Write the Verilog of a configuration: one file per module and a list of files.
    Rtl(rtl::RtlArgs),
    /// Write the tables that are generated from the arch crate into README.md and docs/, or check that they are current.
    Docs(docs::DocsArgs),
}

/// What every command that computes attention takes.
#[derive(Debug, Clone, Args)]
pub struct MachineArgs {
    /// Accelerator configuration: tiny, eighth, paper, or a TOML file.
    #[arg(long, value_name = "NAME|FILE.toml", default_value = "paper")]
    pub arch: String,
    /// Pruning plan; without it nothing is pruned.
    #[arg(long, value_name = "FILE.toml")]
    pub plan: Option<PathBuf>,
    /// golden (bit-exact fixed point) or reference (f64).
    #[arg(long, value_name = "DEVICE", default_value = "golden")]
    pub device: Device,
}

impl MachineArgs {
    /// The files that are read, with their names for messages.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let mut files = vec![];
        if ArchConfig::named(&self.arch).is_none() {
            files.push(("--arch", Path::new(&self.arch)));
        }
        files.extend(self.plan.as_deref().map(|plan| ("--plan", plan)));
        files
    }
}

/// Why a command ended without a result.
#[derive(Debug)]
pub enum Failure {
    /// Unusable arguments or input, found before any work.
    Input(anyhow::Error),
    /// The job itself failed.
    Job(anyhow::Error),
}

impl Failure {
    /// An input error from its message.
    pub fn input(message: impl std::fmt::Display) -> Self {
        Self::Input(anyhow::anyhow!("{message}"))
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    /// Errors are the input's fault unless a command says otherwise with [`Failure::Job`].
    fn from(e: E) -> Self {
        Self::Input(e.into())
    }
}

/// Runs a command line. Never panics on bad input; prints errors as one line on stderr.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(e) if !e.use_stderr() => {
            // --help and --version.
            let _ = e.print();
            return ExitCode::SUCCESS;
        }
        Err(e) if e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let command = Cli::command();
            let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            eprintln!("error: no command, expected one of {} (see spatten --help)", names.join(", "));
            return ExitCode::from(2);
        }
        Err(e) => {
            let text = e.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            let line: Vec<&str> = first.lines().map(str::trim).collect();
            eprintln!("{} (see spatten --help)", one_line(&line.join(" ")));
            return ExitCode::from(2);
        }
    };
    // A bug is one line too, and the job's failure.
    std::panic::set_hook(Box::new(|panic| {
        if !panics_are_answered() {
            eprintln!("error: internal: {}", one_line(&panic.to_string()));
        }
    }));
    let result = std::panic::catch_unwind(|| match cli.command {
        Command::Run(args) => run::command(&args),
        Command::Infer(args) => infer::command(&args),
        Command::Eval(args) => eval::command(&args),
        Command::Calibrate(args) => infer::calibrate(&args),
        Command::Rtl(args) => rtl::command(&args),
        Command::Docs(args) => docs::command(&args),
    });
    let Ok(result) = result else { return ExitCode::FAILURE };
    let (error, status) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Input(e)) => (e, 2),
        Err(Failure::Job(e)) => (e, 1),
    };
    eprintln!("error: {}", one_line(&with_causes(&error)));
    ExitCode::from(status)
}

/// The error and its causes, each once: many errors quote their cause in their own words.
fn with_causes(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.ends_with(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}
