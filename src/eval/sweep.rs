//! Every option of a plan, one at a time, on the tune half: a table and one plot per group.

use super::plot::{Series, draw};
use super::{Evaluator, Half, Quality, Table, say, search};
use crate::cli::Failure;
use crate::infer::{calibration, write_calibration};
use crate::output::{self, progress};
use spatten_arch::Plan;
use std::fmt::Write;
use std::path::Path;

/// One setting: its place in a plot, and its plan.
struct Setting {
    series: String,
    x: f64,
    toml: String,
}

/// Settings that share a plot.
struct Group {
    file: &'static str,
    title: &'static str,
    x_label: &'static str,
    settings: Vec<Setting>,
}

fn setting(series: impl Into<String>, x: f64, toml: impl Into<String>) -> Setting {
    Setting { series: series.into(), x, toml: toml.into() }
}

/// `[tokens]` for a share of tokens kept in the last layer.
fn tokens(kept: f64, rest: &str) -> String {
    let r_end = 1.0 - kept;
    format!("[tokens]\nr_start = {:.3}\nr_end = {r_end:.3}\n{rest}\n", r_end * 0.2)
}

fn groups(evaluator: &Evaluator, folder: &Path) -> Result<Vec<Group>, Failure> {
    let mut groups = vec![];
    let kept = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3];
    let mut of_tokens = vec![];
    for mode in ["full", "kv_only"] {
        for importance in ["sum", "value_weighted"] {
            for pin in ["none", "first:1"] {
                let rest = format!("mode = \"{mode}\"\nimportance = \"{importance}\"\npin = \"{pin}\"");
                of_tokens
                    .extend(kept.map(|k| setting(format!("{mode}, {importance}, pin {pin}"), k, tokens(k, &rest))));
            }
        }
    }
    groups.push(Group {
        file: "tokens",
        title: "Token pruning: mode, importance, pin",
        x_label: "tokens kept in the last layer",
        settings: of_tokens,
    });
    let pins = ["none", "first:1", "last:1", "first:1+last:1", "first:2"];
    groups.push(Group {
        file: "pins",
        title: "Pins, kv_only, value-weighted (x: tokens kept in the last layer)",
        x_label: "tokens kept in the last layer",
        settings: pins
            .iter()
            .flat_map(|pin| {
                [0.7, 0.5, 0.3].map(|k| {
                    let rest = format!("mode = \"kv_only\"\nimportance = \"value_weighted\"\npin = \"{pin}\"");
                    setting(format!("pin {pin}"), k, tokens(k, &rest))
                })
            })
            .collect(),
    });
    let order = search::heads_by_loss(evaluator)?;
    let (layers, heads) = (evaluator.encoder.layers(), evaluator.encoder.heads());
    let mut of_heads: Vec<Setting> = [1.0, 0.9, 0.8, 0.7, 0.5]
        .map(|k: f64| {
            let r = 1.0 - k;
            setting("cascade (paper)", k, format!("[heads]\nr_start = {:.3}\nr_end = {r:.3}\n", r * 0.2))
        })
        .into();
    for removed in [0, 4, 8, 14, 20, 28] {
        let share = 1.0 - removed as f64 / (layers * heads) as f64;
        let mask = search::mask_without(&order[..removed], layers, heads);
        of_heads.push(setting("calibrated mask", share, format!("[heads]\nmask = {mask:?}\n")));
    }
    groups.push(Group {
        file: "heads",
        title: "Heads: cascade and calibrated mask",
        x_label: "heads kept (cascade: in the last layer; mask: of all)",
        settings: of_heads,
    });
    groups.push(Group {
        file: "values",
        title: "Local value pruning",
        x_label: "values kept per row",
        settings: [1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1]
            .map(|k| setting("values.keep", k, format!("[values]\nkeep = {k}\n")))
            .into(),
    });
    let table = calibration(&evaluator.encoder, &evaluator.tune_ids());
    let table_path = folder.join("calibration.toml");
    write_calibration(&table_path, &table)?;
    let scales = [
        ("head".to_string(), "scale per head"),
        ("layer".into(), "scale per layer"),
        ("token".into(), "scale per token"),
        (format!("static:{}", table_path.display()), "calibrated static scale"),
    ];
    groups.push(Group {
        file: "bits",
        title: "Static bits of Q, K and V",
        x_label: "bits",
        settings: scales
            .iter()
            .flat_map(|(scale, name)| {
                [12, 10, 8, 7, 6, 5, 4]
                    .map(|b| setting(*name, f64::from(b), format!("[quant]\nbits = {b}\nscale = {scale:?}\n")))
            })
            .collect(),
    });
    let each = |which: &'static str| {
        [8, 7, 6, 5, 4, 3].map(move |b| {
            setting(format!("only {which}"), f64::from(b), format!("[quant]\nbits = {{ {which} = {b} }}\n"))
        })
    };
    groups.push(Group {
        file: "bits-each",
        title: "Static bits of one tensor, the others 12",
        x_label: "bits",
        settings: ["q", "k", "v"].into_iter().flat_map(each).collect(),
    });
    let progressive = |split: &str, msb: u32, lsb: u32, threshold: f64, first: &str| {
        format!(
            "[quant]\nprogressive = true\nmsb = {msb}\nlsb = {lsb}\nthreshold = {threshold}\nsplit = \"{split}\"\nmsb_first = {first}\nbits = {}\n",
            msb + lsb
        )
    };
    let all = r#"["q", "k", "v"]"#;
    groups.push(Group {
        file: "split",
        title: "Split, MSB planes only (threshold 0; Q, K and V)",
        x_label: "MSB bits (of MSB + 4)",
        settings: ["floor", "mid", "balanced"]
            .into_iter()
            .flat_map(|s| [3, 4, 5, 6, 8].map(|m| setting(s, f64::from(m), progressive(s, m, 4, 0.0, all))))
            .collect(),
    });
    groups.push(Group {
        file: "threshold",
        title: "Progressive K, balanced: threshold",
        x_label: "threshold",
        settings: [(3, 4), (4, 4), (5, 4), (6, 4)]
            .into_iter()
            .flat_map(|(m, l)| {
                [0.0, 0.05, 0.1, 0.2, 0.3, 0.5]
                    .map(|t| setting(format!("{m}+{l}"), t, progressive("balanced", m, l, t, r#"["k"]"#)))
            })
            .collect(),
    });
    Ok(groups)
}

/// Runs the sweep and writes `table.md`, one SVG per group, and `saving.svg` over all settings.
pub fn run(evaluator: &Evaluator, folder: &Path) -> Result<(), Failure> {
    let groups = groups(evaluator, folder)?;
    let bar = progress(groups.iter().map(|g| g.settings.len()).sum(), "sweep");
    let mut markdown = format!("{}\n", evaluator.set.summary());
    let mut overview: Vec<Series> = vec![];
    for group in &groups {
        let mut table = Table::new();
        let mut series: Vec<Series> = vec![];
        let mut points = vec![];
        for s in &group.settings {
            let plan = Plan::from_toml(&s.toml, "sweep")?;
            let q: Quality = evaluator.measure(&plan, "sweep", Half::Tune)?;
            table.row(&format!("{} @ {}", s.series, (s.x * 1000.0).round() / 1000.0), &q);
            match series.last_mut().filter(|l| l.name == s.series) {
                Some(last) => last.points.push((s.x, q.mean_cosine)),
                None => series.push(Series { name: s.series.clone(), points: vec![(s.x, q.mean_cosine)] }),
            }
            points.push((q.fp32_saving(), q.mean_cosine));
            bar.inc(1);
        }
        overview.push(Series { name: group.file.into(), points });
        let _ = write!(markdown, "\n## {}\n\n![{}]({}.svg)\n\n{}", group.title, group.title, group.file, table.text());
        say(&format!("\n{}\n{}\n", group.title, table.text()))?;
        write_plot(folder, group.file, group.title, group.x_label, &series, true)?;
    }
    bar.finish_and_clear();
    let title = "All single settings: quality against traffic";
    write_plot(folder, "saving", title, "times fewer bytes than fp32 dense", &overview, false)?;
    let _ = write!(markdown, "\n## {title}\n\n![{title}](saving.svg)\n");
    let path = folder.join("table.md");
    output::write_atomically(&path, markdown.as_bytes()).map_err(|e| Failure::Job(e.into()))?;
    say(&format!("table and plots in {}\n", folder.display()))
}

fn write_plot(
    folder: &Path,
    file: &str,
    title: &str,
    x_label: &str,
    series: &[Series],
    lines: bool,
) -> Result<(), Failure> {
    let svg =
        draw(title, x_label, "mean cosine to dense", series, lines).map_err(|e| Failure::Job(anyhow::anyhow!(e)))?;
    output::write_atomically(&folder.join(format!("{file}.svg")), svg.as_bytes()).map_err(|e| Failure::Job(e.into()))
}
