//! Examples in documents and plans in the repository are parsed, so that none of them rots.

use spatten_arch::{ArchConfig, Plan};
use spatten_testkit::{Checks, workspace_root};

fn toml_blocks(text: &str) -> Vec<&str> {
    text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn examples_of_plans_and_configurations_parse() {
    let mut checks = Checks::new("documents_parse");
    let read = |file: &str| std::fs::read_to_string(workspace_root().join(file)).unwrap();
    let plans = read("docs/interfaces.md");
    for block in toml_blocks(&plans) {
        let plan = Plan::from_toml(block, "docs/interfaces.md");
        checks.that(plan.is_ok(), || format!("{:?}", plan.err().map(|e| e.to_string())));
    }
    let configurations = read("docs/formats.md");
    for block in toml_blocks(&configurations) {
        let config = ArchConfig::from_toml(block, "docs/formats.md");
        checks.that(config.is_ok(), || format!("{:?}", config.err().map(|e| e.to_string())));
    }
    for name in ["paper", "minilm-safe", "minilm-fast"] {
        let plan = Plan::load(&workspace_root().join(format!("plans/{name}.toml"))).unwrap();
        let fits = plan.check_for(name, 6, 12, ArchConfig::paper().datapath_bits);
        checks.that(fits.is_ok(), || format!("{name}: {fits:?}"));
        checks.that(plan != Plan::default(), || format!("{name} prunes nothing"));
    }
    checks.finish(8);
}

/// The C compiler knows every size and offset of the header that the driver's Rust types have.
#[test]
fn the_c_header_compiles_and_agrees() {
    let header = workspace_root().join("driver/include/spatten.h");
    let text =
        std::fs::read_to_string(&header).unwrap_or_else(|e| panic!("{}: {e} (run: make docs)", header.display()));
    assert_eq!(text, spatten_arch::c_header::text(), "stale: make docs");
    assert!(text.matches("_Static_assert").count() > 100, "sizes and offsets are asserted");
    let mut command = std::process::Command::new("cc");
    command.args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c"]).arg(&header);
    let output = command.output().unwrap_or_else(|e| panic!("cc: {e} (run: make setup)"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
