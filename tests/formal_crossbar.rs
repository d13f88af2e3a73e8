//! `crossbar`: proved on the emitted 2x2 block (`formal/crossbar.sv`); each proof fails where the block is broken on purpose.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::broken_design;
use spatten_hw::crossbar::Crossbar;
use spatten_hw::emit::{Design, emit};
use spatten_testkit::workspace_root;
use std::process::Command;

/// Status and last words of `scripts/formal.py` on a design.
fn prove(design: &Design, name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = workspace_root().join("target/formal-rtl").join(name);
    std::fs::create_dir_all(&folder).expect("target/ can be written");
    let mut files = String::new();
    for module in &design.modules {
        std::fs::write(folder.join(format!("{}.v", module.name)), &module.text).expect("target/ can be written");
        files += &format!("{}.v\n", module.name);
    }
    std::fs::write(folder.join("files.f"), files).expect("target/ can be written");
    let out = Command::new(workspace_root().join("scripts/formal.py"))
        .current_dir(workspace_root())
        .arg(&folder)
        .args([design.top.as_str(), "formal/crossbar.sv"])
        // On a busy machine; alone each step is a matter of seconds.
        .args(["--timeout", "300"])
        .args(arguments)
        .output()
        .expect("scripts/formal.py runs (python3)");
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    println!("{name}: {}", text.trim());
    (out.status.code(), text)
}

#[track_caller]
fn refuted(design: &Design, name: &str, property: &str, arguments: &[&str]) {
    let (status, text) = prove(design, name, &[&["--pdr", "--only", property], arguments].concat());
    assert_eq!(status, Some(1), "{name}: {text}");
    assert!(text.contains(&format!("FAIL {property} in cycle")), "{name}: expected {property}: {text}");
}

#[test]
fn every_word_arrives_once_in_order_and_soon() {
    let design = emit(Crossbar::new(2, 2)).unwrap();
    let (status, text) = prove(&design, "crossbar", &["-D", "INVARIANTS", "--induction", "4", "--depth", "12"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("PASS 13 assertions") && text.contains("for all time"), "{text}");
}

#[test]
fn the_bound_of_waiting_is_exact() {
    refuted(&emit(Crossbar::new(2, 2)).unwrap(), "crossbar_soon", "words_leave_soon", &["-D", "SOON=8"]);
}

#[test]
fn the_proof_fails_on_broken_blocks() {
    let design = emit(Crossbar::new(2, 2)).unwrap();
    for (name, module, from, to, property) in [
        (
            "drop",
            "crossbar",
            "assign outputs_1_in_valid = (|chosen_1);",
            "assign outputs_1_in_valid = chosen_1[0];",
            "words_are_not_lost",
        ),
        (
            "double",
            "crossbar",
            "assign goes_2 = (goes_0 | chosen_1[0]);",
            "assign goes_2 = chosen_1[0];",
            "words_are_not_invented",
        ),
        (
            "order",
            "fifo_3x4",
            "tail_next = (tail + {1'd0, push});",
            "tail_next = (tail - {1'd0, push});",
            "order_and_content_kept",
        ),
        // Input 0 always goes first.
        (
            "starve",
            "crossbar",
            "assign after_1 = (asking_1 & behind_1);",
            "assign after_1 = (asking_1 & 2'd1);",
            "words_leave_soon",
        ),
    ] {
        refuted(&broken_design(&design, module, from, to), &format!("crossbar_{name}"), property, &[]);
    }
}
