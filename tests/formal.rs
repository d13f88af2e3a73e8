//! Proofs on emitted blocks: each holds for all time, and fails, with its name, where the block is broken on purpose.
//!
//! ```text
//!  kernel --> Verilog --> scripts/formal.py <-- formal/BLOCK.sv (the properties)
//!                 \--> one place changed --> scripts/formal.py: FAIL <property>
//! ```
//! yosys and z3 come with `make setup`; that they are missing is an error here.

use spatten_arch::ArchConfig;
use spatten_hw::emit::{Design, emit};
use spatten_hw::fifo::Fifo;
use spatten_hw::requant_decision::RequantDecision;
use spatten_hw::zero_eliminator::ZeroEliminator;
use spatten_testkit::{Checks, workspace_root};
use std::process::Command;

/// Runs `scripts/formal.py` on a design; its status and what it says.
fn formal(design: &Design, name: &str, properties: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let root = workspace_root();
    let folder = root.join("target/formal-rtl").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut list = String::new();
    for module in &design.modules {
        let file = format!("{}.v", module.name);
        std::fs::write(folder.join(&file), &module.text).unwrap_or_else(|e| panic!("{file}: {e}"));
        list += &format!("{file}\n");
    }
    std::fs::write(folder.join("files.f"), list).expect("a list of files");
    let mut command = Command::new("python3");
    command.current_dir(&root).arg("scripts/formal.py").arg(&folder).args([&design.top, properties, "--pdr"]);
    // On a busy machine; alone each step is a matter of seconds.
    command.args(["--timeout", "300"]).args(arguments);
    let output = command.output().unwrap_or_else(|e| panic!("python3 scripts/formal.py: {e} (run: make setup)"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

/// The properties hold for the design as it is, and `property` fails where `from` in `module` is `to`: an assertion by itself,
/// whichever else sees the fault, or a cover statement that is not reached any more.
fn proves_and_refuses(
    design: &Design,
    properties: &str,
    arguments: &[&str],
    mutants: &[(&str, &str, &str, &str)],
    checks: &mut Checks,
) {
    let (status, said) = formal(design, &design.top, properties, arguments);
    let hint = "status 2: yosys, yosys-smtbmc, yosys-abc or z3 cannot run (make setup brings them)";
    checks.that(status == Some(0) && said.contains("PASS") && said.contains("for all time"), || {
        format!("{} is not proved ({hint}), status {status:?}:\n{said}", design.top)
    });
    println!("{said}");
    let text =
        std::fs::read_to_string(workspace_root().join(properties)).unwrap_or_else(|e| panic!("{properties}: {e}"));
    for (i, (module, from, to, property)) in mutants.iter().enumerate() {
        let mut broken = design.clone();
        let found = broken.modules.iter_mut().find(|m| m.name.starts_with(module));
        let found = found.unwrap_or_else(|| panic!("no module {module} in {}", design.top));
        assert_eq!(found.text.matches(from).count(), 1, "{from:?} in\n{}", found.text);
        found.text = found.text.replace(from, to);
        let only: &[&str] = if text.contains(&format!("{property}: assert")) { &["--only", property] } else { &[] };
        let arguments = [arguments, only].concat();
        let (status, said) = formal(&broken, &format!("{}-{i}", design.top), properties, &arguments);
        checks.that(status == Some(1) && said.contains("FAIL") && said.contains(property), || {
            format!("{module} with {to:?}: expected {property} to fail ({hint}), status {status:?}:\n{said}")
        });
        println!("{said}");
    }
}

#[test]
fn a_queue_never_over_or_underflows_and_keeps_order() {
    let mut checks = Checks::new("formal_fifo");
    let design = emit(Fifo::new(2, 4)).unwrap();
    let mutants = [
        ("fifo", "in_ready = (count < 3'd4)", "in_ready = (count < 3'd5)", "full_is_not_ready"),
        ("fifo", "tail_next = (tail + {1'd0, push});", "tail_next = (tail + 2'd1);", "order_and_content_kept"),
        // A word that is there in one cycle and not in the next.
        ("fifo", "assign out_valid = (|count);", "assign out_valid = (|count) & ~head[0];", "words_are_valid"),
    ];
    proves_and_refuses(&design, "formal/fifo.sv", &["-D", "DEPTH=4", "-D", "WIDTH=2"], &mutants, &mut checks);
    checks.finish(4);
}

#[test]
fn the_zero_eliminator_keeps_exactly_the_kept_in_order() {
    let mut checks = Checks::new("formal_zero_eliminator");
    let design = emit(ZeroEliminator::compact_only(4, 2)).unwrap();
    let arguments = ["-D", "P=4", "-D", "W=2", "-D", "STAGES=4", "-D", "LAST=1", "--depth", "8"];
    let mutants = [
        // A lane that does not move.
        ("shift_level_4x2_1", "if (gaps[0]) begin", "if (1'b0) begin", "lanes_are_right"),
        // A count without its carry.
        ("prefix_stage", "(node_3 + node_2)", "(node_3 | node_2)", "lanes_are_right"),
        // A lost beat.
        (
            "shift_network",
            "valid_0_next = (in_valid & (~reset))",
            "valid_0_next = (in_valid & (~reset) & in_keep[0])",
            // The beat after it comes in its place.
            "lanes_are_right",
        ),
        // A beat that hides while it is not taken: none is ever seen to wait.
        ("compact_only", "assign out_valid = ", "assign out_valid = out_ready & ", "kept_some_late"),
    ];
    proves_and_refuses(&design, "formal/zero_eliminator.sv", &arguments, &mutants, &mut checks);
    checks.finish(5);
}

/// All sums and thresholds of `tiny`, which no simulation exhausts.
#[test]
fn every_row_is_decided_once_in_order_and_rightly() {
    let mut checks = Checks::new("formal_requant_decision");
    let design = emit(RequantDecision::new(&ArchConfig::tiny())).unwrap();
    let mutants = [
        ("requant", "(sum_sum > threshold_inverse)", "(sum_sum >= threshold_inverse)", "decision_is_right"),
        (
            "requant",
            "assign push_refetch = (held & flat);",
            "assign push_refetch = (held & flat & (|row));",
            "refetches_arrive",
        ),
        ("requant", "refetch_places_next = 3'd4;", "refetch_places_next = 3'd5;", "rows_fit"),
        (
            "requant",
            "assign decision_valid = decisions_out_valid;",
            "reg shown;\n    always @(posedge clock) shown <= decisions_out_valid & ~shown;\n    \
             assign decision_valid = decisions_out_valid & ~shown;",
            "decision_stays",
        ),
    ];
    proves_and_refuses(&design, "formal/requant_decision.sv", &[], &mutants, &mut checks);
    checks.finish(5);
}
