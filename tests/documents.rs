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
