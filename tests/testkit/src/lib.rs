//! What the tests of every crate share: checks that are counted, a seeded generator, and reference data that may or
//! may not be there.

use std::fmt::{Debug, Display};
use std::io::Write;
use std::path::PathBuf;

/// Counts comparisons of one test and fails where fewer ran than expected: a loop that never enters, or a comparison
/// that truncates, is a failure and not a pass.
///
/// The total goes to `target/checks/`, from which `make test` prints how many checks ran.
#[derive(Debug)]
pub struct Checks {
    name: &'static str,
    checked: u64,
}

impl Checks {
    /// Starts a count under the name of the test.
    pub fn new(name: &'static str) -> Self {
        Self { name, checked: 0 }
    }

    /// Counts one comparison of two values and asserts that they are equal.
    #[track_caller]
    pub fn eq<T: PartialEq + Debug>(&mut self, got: T, expected: T, context: impl FnOnce() -> String) {
        self.checked += 1;
        if got != expected {
            panic!("{}: {}\n  got      {got:?}\n  expected {expected:?}", self.name, context());
        }
    }

    /// Counts one comparison and asserts `|got - expected| <= tolerance`.
    #[track_caller]
    pub fn near(&mut self, got: f64, expected: f64, tolerance: f64, context: impl FnOnce() -> String) {
        self.checked += 1;
        let off = (got - expected).abs();
        if off.is_nan() || off > tolerance {
            panic!(
                "{}: {}\n  got      {got}\n  expected {expected}\n  off by   {off:e}, tolerance {tolerance:e}",
                self.name,
                context()
            );
        }
    }

    /// Counts one condition.
    #[track_caller]
    pub fn that(&mut self, holds: bool, context: impl FnOnce() -> String) {
        self.checked += 1;
        assert!(holds, "{}: {}", self.name, context());
    }

    /// Ends the count.
    ///
    /// # Panics
    /// Where the number of checks differs from `expected`, or is 0.
    #[track_caller]
    pub fn finish(self, expected: u64) {
        assert_eq!(self.checked, expected, "{}: number of checks", self.name);
        self.finish_any();
    }

    /// Ends the count where the number depends on random inputs; still fails on none.
    #[track_caller]
    pub fn finish_any(self) {
        assert!(self.checked > 0, "{}: nothing was checked", self.name);
        println!("{}: {} checks", self.name, self.checked);
        let folder = workspace_root().join("target/checks");
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::File::create(folder.join(self.name)))
            .and_then(|mut f| writeln!(f, "{}", self.checked));
        written.unwrap_or_else(|e| panic!("{}: cannot record the count: {e}", folder.display()));
    }
}

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A folder of reference data beside the checkout (`SPATTEN_DATA`, or `../shared/data`), or `None` with a line that says
/// so: the data is not part of the project.
pub fn reference_data(part: &str) -> Option<PathBuf> {
    let base = match std::env::var_os("SPATTEN_DATA") {
        Some(dir) => PathBuf::from(dir),
        None => workspace_root().join("../shared/data"),
    };
    let path = base.join(part);
    if path.exists() {
        return Some(path);
    }
    not_run(format_args!("reference data {part} is not at {} (set SPATTEN_DATA)", base.display()));
    None
}

/// Says what a test leaves out on this machine, and why. Straight to stderr and not by a macro that prints: what those
/// write in a test that passes is captured, and nobody would see that less was checked.
pub fn not_run(reason: impl Display) {
    let _ = writeln!(std::io::stderr(), "NOT RUN: {reason}");
}

/// SplitMix64: a small seeded generator, the same on every machine.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (-53f64).exp2()
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    #[ignore = "run by data_that_is_missing_is_seen_in_a_test_that_passes"]
    fn without_data() {
        assert_eq!(reference_data("minilm-traces"), None);
    }

    #[test]
    fn data_that_is_missing_is_seen_in_a_test_that_passes() {
        let mut test = Command::new(std::env::current_exe().unwrap());
        test.args(["--ignored", "--exact", "tests::without_data"]).env("SPATTEN_DATA", "/no/such/folder");
        let output = test.output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        assert!(text.contains("1 passed"), "{text}");
        let said = "NOT RUN: reference data minilm-traces is not at /no/such/folder (set SPATTEN_DATA)\n";
        assert!(text.contains(said), "{text}");
    }
}
