//! The `spatten` binary: arguments in, exit status out. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    spatten::cli::main(std::env::args_os())
}
