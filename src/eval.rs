//! stub
use crate::cli::Failure;
/// x
#[derive(Debug, clap::Args)]
pub struct EvalArgs {}
/// x
pub fn command(_: &EvalArgs) -> Result<(), Failure> { Ok(()) }
