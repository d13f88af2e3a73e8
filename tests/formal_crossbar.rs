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
fn prove(design: &Design, name: &str) -> (Option<i32>, String) {
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
        .args([design.top.as_str(), "formal/crossbar.sv", "--pdr", "--timeout", "3600"])
        .output()
        .expect("scripts/formal.py runs (python3)");
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    println!("{name}: {}", text.trim());
    (out.status.code(), text)
}

#[test]
fn every_word_arrives_once_in_order_and_soon() {
    // For all time it takes minutes; `make test` searches the same properties for faults below.
    if !std::env::var("SPATTEN_LONG").is_ok_and(|v| v != "0") {
        println!("not proved: only in make test-long (SPATTEN_LONG=1)");
        return;
    }
    let (status, text) = prove(&emit(Crossbar::new(2, 2)).unwrap(), "crossbar");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("for all time"), "{text}");
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
    ] {
        let (status, text) = prove(&broken_design(&design, module, from, to), &format!("crossbar_{name}"));
        assert_eq!(status, Some(1), "{name}: {text}");
        assert!(text.contains("FAIL"), "{name}: {text}");
        assert!(text.contains(property), "{name}: expected {property}: {text}");
    }
}
