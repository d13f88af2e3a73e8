//! The block list against the files that exist: a status in the README is a claim about files.

use spatten_arch::blocks::{BLOCKS, Status};
use spatten_testkit::{Checks, workspace_root};

#[test]
fn every_status_has_its_files() {
    let root = workspace_root();
    let mut checks = Checks::new("blocks_have_their_files");
    for b in &BLOCKS {
        let exists = |folder: &str| root.join(folder).join(format!("{}.rs", b.name)).exists();
        let golden = b.computes && b.status >= Status::Golden;
        checks.eq(exists("golden/src"), golden, || format!("golden/src/{}.rs for status {:?}", b.name, b.status));
        for folder in ["hw/src", "sim/src"] {
            checks.eq(exists(folder), b.status >= Status::Rtl, || format!("{folder}/{}.rs for {:?}", b.name, b.status));
        }
        let unique = BLOCKS.iter().filter(|o| o.name == b.name).count() == 1;
        checks.that(unique, || format!("{} is listed twice", b.name));
    }
    checks.finish(4 * BLOCKS.len() as u64);
}
