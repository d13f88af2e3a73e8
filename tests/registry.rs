//! Every registered block at every configuration, as the tools of hardware engineers read it.
//!
//! ```text
//!  registry::block(name, configuration) --> files --> verilator --lint-only -Wall        (all configurations)
//!                                               \---> scripts/synth.py --check: latches, (tiny, eighth)
//!                                                     loops, drivers, paths from input to output
//! ```
//! Whole synthesis of one block: `make block B=...`, of all: `make block-table`.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{broken_design, design, write};
use spatten_arch::ArchConfig;
use spatten_arch::blocks::{BLOCKS, Status};
use spatten_hw::emit::Design;
use spatten_hw::registry;
use spatten_testkit::{Checks, workspace_root};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Whether a tool accepts a design, and what it says.
fn ask(mut command: Command) -> (bool, String) {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e} (run: make setup)"));
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

fn lint(design: &Design, name: &str) -> (bool, String) {
    let mut command = Command::new("verilator");
    command.current_dir(write(design, &format!("registry/{name}")));
    command.args(["--lint-only", "-Wall", "-f", "files.f", "--top-module", &design.top]);
    ask(command)
}

fn synthesis(design: &Design, name: &str) -> (bool, String) {
    let mut command = Command::new("python3");
    let folder = write(design, &format!("registry/{name}"));
    command.current_dir(workspace_root()).arg("scripts/synth.py").arg(folder).args([&design.top, "--check"]);
    ask(command)
}

/// Asks about all blocks of some configurations, as many at a time as there are processors.
fn all(configurations: &[&str], tool: fn(&Design, &str) -> (bool, String), checks: &mut Checks) {
    let jobs: Vec<(&str, &str)> =
        configurations.iter().flat_map(|config| registry::names().map(move |block| (*config, block))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = vec![];
        while let Some((config, block)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let design = design(block, &ArchConfig::named(config).expect("a named configuration"));
            found.push((format!("{block} at {config}"), tool(&design, &format!("{config}-{block}"))));
        }
        found
    };
    let threads = thread::available_parallelism().map_or(1, |n| n.get());
    let found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });
    assert_eq!(found.len(), jobs.len());
    for (name, (accepted, said)) in found {
        checks.that(accepted, || format!("{name}:\n{said}"));
    }
}

#[test]
fn every_block_that_has_rtl_is_registered() {
    let mut checks = Checks::new("registry");
    for block in BLOCKS.iter().filter(|b| b.status == Status::Rtl) {
        checks.that(registry::names().any(|name| name == block.name), || block.name.into());
    }
    checks.finish_any();
}

#[test]
fn lint_is_clean_at_every_configuration_and_every_waiver_has_a_reason() {
    let mut checks = Checks::new("registry_lint");
    all(&ArchConfig::NAMES, lint, &mut checks);
    let mut waivers = 0;
    for (config, block) in ArchConfig::NAMES.iter().flat_map(|c| registry::names().map(move |b| (c, b))) {
        let design = design(block, &ArchConfig::named(config).expect("a named configuration"));
        for module in &design.modules {
            let lines: Vec<&str> = module.text.lines().collect();
            for pair in lines.windows(2).filter(|pair| pair[1].contains("lint_off")) {
                waivers += 1;
                let reason = pair[0].trim().strip_prefix("// ").unwrap_or("");
                checks.that(reason.len() > 20, || format!("{block} at {config}, {}: {}", module.name, pair[1]));
            }
        }
    }
    println!("{waivers} waivers");
    checks.finish_any();
}

#[test]
fn yosys_finds_no_latch_no_loop_and_no_path_from_port_to_port() {
    let mut checks = Checks::new("registry_synthesis");
    all(&["tiny", "eighth"], synthesis, &mut checks);
    checks.finish(2 * registry::names().count() as u64);
}

#[test]
fn what_is_wrong_is_refused() {
    let fifo = design("fifo", &ArchConfig::tiny());
    let refused = |from: &str, to: &str, name: &str, tool: fn(&Design, &str) -> (bool, String), what: &str| {
        let (accepted, said) = tool(&broken_design(&fifo, "fifo", from, to), name);
        assert!(!accepted && said.contains(what), "expected {what:?} in {said}");
    };
    let (ready, wide) = ("assign in_ready = (count < 7'd64);", "assign in_ready = (count < 8'd64);");
    refused(ready, wide, "width", lint, "WIDTH");
    let passed_on = "assign in_ready = (count < 7'd64) | out_ready;";
    refused(ready, passed_on, "path", synthesis, "reached from an input without a register: in_ready");
    let latch = "reg kept;\n    always @* if (in_valid) kept = count < 7'd64;\n    assign in_ready = kept;";
    refused(ready, latch, "latch", synthesis, "latches: ");
    let circle = "wire again;\n    assign again = ~in_ready;\n    assign in_ready = (count < 7'd64) & ~again;";
    refused(ready, circle, "loop", synthesis, "logic loop");
}
