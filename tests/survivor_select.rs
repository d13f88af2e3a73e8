//! `survivor_select`: RTL against a stable sort and its cycle model, in every cycle.

#[path = "common/block.rs"]
#[allow(dead_code)]
mod block;

use block::{
    broken, caught, configurations, design, faults_at_the_port_are_caught, replayed, run_all, same_in_icarus, verilog,
};
use spatten_arch::ArchConfig;
use spatten_sim::cosim::{BlockBench, Coverage, Verilog, beats, seed};
use spatten_sim::survivor_select::{Input, Kept, SurvivorSelect, Widths};
use spatten_testkit::{Checks, Rng};

#[derive(Default)]
struct Work {
    lists: Vec<Input>,
    selections: Vec<Input>,
    importance: Vec<Input>,
    kept: Vec<Kept>,
}

/// Places of the `keep` first ones in the order of pins, then of importance, then of places.
fn sorted(list: &[(u16, bool)], importance: &[u64], keep: usize) -> Vec<usize> {
    let pinned = list.iter().filter(|(_, pinned)| *pinned).count();
    let mut places: Vec<usize> = (0..list.len()).collect();
    places.sort_by_key(|&i| (!list[i].1, std::cmp::Reverse(importance[i]), i));
    places.truncate(keep.max(pinned));
    places.sort_unstable();
    places
}

fn work(config: &ArchConfig, least: usize, seed: u64, coverage: &mut Coverage) -> Work {
    let (widths, mut rng) = (Widths::of(config), Rng::new(seed));
    let mut work = Work::default();
    let mut list: Vec<(u16, bool)> = vec![];
    for number in 0.. {
        if work.kept.len() >= least {
            break;
        }
        let new_list = number == 0 || rng.below(3) > 0;
        if new_list {
            let most = if number % 9 == 4 { config.keys_on_chip } else { 60.min(config.keys_on_chip) };
            let count = if rng.below(9) == 0 { 0 } else { 1 + rng.below(most as u64) as usize };
            let one_in = [1, 4, 1000][rng.below(3) as usize];
            let mut token = 0;
            list = (0..count)
                .map(|_| {
                    token += 1 + rng.below(50) as u16;
                    (token, rng.below(one_in) == 0)
                })
                .collect();
            let tokens = beats(&list, widths.lanes);
            work.lists.extend(tokens.into_iter().map(|(beat, last)| Input::List(beat, last, widths)));
        }
        coverage.add("list kept", u64::from(!new_list));
        coverage.add("no token", u64::from(list.is_empty()));
        let spread = [1u64, 3, 1 << widths.importance][rng.below(3) as usize];
        let importance: Vec<u64> = list.iter().map(|_| rng.below(spread)).collect();
        let keep = match rng.below(5) {
            0 => 0,
            1 => config.keys_on_chip,
            _ => rng.below(list.len() as u64 + 2) as usize,
        };
        let pins = list.iter().filter(|(_, pinned)| *pinned).count();
        coverage.add("more pins than places", u64::from(pins > keep));
        coverage.add("some pins", u64::from(pins > 0 && pins < keep && keep < list.len()));
        coverage.add("all kept", u64::from(keep >= list.len()));
        work.selections.push(Input::Select(keep, new_list, widths));
        let scores = beats(&importance, widths.lanes);
        work.importance.extend(scores.into_iter().map(|(beat, last)| Input::Importance(beat, last, widths)));
        let places = sorted(&list, &importance, keep);
        coverage.add("equals at the cut", u64::from(spread == 1 && places.len() < list.len() && !places.is_empty()));
        let kept: Vec<(u16, usize)> = places.into_iter().map(|i| (list[i].0, i)).collect();
        let first = list.first().map_or(0, |token| token.0);
        let kept = beats(&kept, widths.lanes);
        work.kept.extend(kept.into_iter().map(|(tokens, last)| Kept { tokens, first, last, widths }));
    }
    work
}

fn bench(work: &Work, verilog: Verilog, config: &ArchConfig) -> BlockBench<SurvivorSelect> {
    BlockBench::new(verilog, "survivor_select", &config.name, seed(0x55), SurvivorSelect::new(config))
        .input("list", work.lists.clone())
        .input("select", work.selections.clone())
        .input("in", work.importance.clone())
        .output("kept", work.kept.clone())
        .again("cargo test --test survivor_select")
}

#[test]
fn equals_a_stable_sort_and_its_cycle_model_under_every_stall() {
    let mut checks = Checks::new("survivor_select");
    let mut coverage = Coverage::default();
    for config in configurations() {
        let verilog = verilog(&design("survivor_select", &config));
        let work = work(&config, 4_000, seed(1), &mut coverage);
        let reports = run_all(&bench(&work, verilog, &config), work.kept.len(), &mut coverage);
        let beats: u64 = reports.iter().flat_map(|r| &r.checked).map(|(_, n)| n).sum();
        checks.that(beats >= 10_000, || format!("{}: {beats} beats", config.name));
    }
    coverage.require(&["bubble", "back-pressure", "stall"]);
    coverage.require(&["list kept", "no token", "more pins than places", "some pins", "all kept", "equals at the cut"]);
    checks.finish_any();
}

#[test]
fn another_simulator_shows_the_same() {
    let config = replayed();
    let design = design("survivor_select", &config);
    let work = work(&config, 150, seed(2), &mut Coverage::default());
    same_in_icarus(&bench(&work, verilog(&design), &config), &design, "survivor_select");
}

#[test]
fn faults_are_caught() {
    let config = ArchConfig::tiny();
    let design = design("survivor_select", &config);
    let work = work(&config, 400, seed(3), &mut Coverage::default());
    faults_at_the_port_are_caught(&design, "kept", "index", |verilog| bench(&work, verilog, &config).patience(2_000));
    let check = |from: &str, to: &str, what: &str| {
        let verilog = broken(&design, "survivor_select", from, to);
        caught(&bench(&work, verilog, &config).patience(2_000), what);
    };
    // Pins that are counted over all lists; fewer tokens than pins.
    check("sum_0 = 7'd0;", "sum_0 = pinned;", "differs");
    check("(keep < pinned)", "(pinned < keep)", "differs");
}
