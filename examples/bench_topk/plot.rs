//! `docs/topk.svg`: cycles per row over n at the paper's lanes, both logarithmic.

use crate::Case;
use crate::cases::Keep;
use crate::others::Batcher;
use plotters::prelude::*;

const LANES: usize = 16;
const LENGTHS: [usize; 6] = [16, 64, 256, 384, 1024, 4096];
const SIZE: (u32, u32) = (980, 560);
const LEGEND: i32 = 270;

struct Series {
    name: &'static str,
    colour: RGBColor,
    width: u32,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

fn series(cases: &[Case]) -> Vec<Series> {
    const QUICK: usize = 0;
    const TOP_K: usize = 2;
    let measured = |kind: &str, keep: &dyn Fn(usize) -> Keep, value: &dyn Fn(&Case) -> f64| -> Vec<(f64, f64)> {
        let of = |n: usize| cases.iter().find(|c| c.lanes == LANES && c.n == n && c.kind == kind && c.keep == keep(n));
        LENGTHS.iter().filter_map(|&n| of(n).map(|c| (n as f64, value(c)))).collect()
    };
    let every = |_| Keep::Every;
    let half = |n: usize| Keep::Of(n / 2);
    let of_n = |f: &dyn Fn(usize) -> f64| LENGTHS.iter().map(|&n| (n as f64, f(n))).collect::<Vec<_>>();
    let line = |name, colour, width, dashed, points| Series { name, colour, width, dashed, points };
    let (blue, light, orange) = (RGBColor(0x1b, 0x4f, 0x8a), RGBColor(0x5b, 0x9b, 0xd5), RGBColor(0xd9, 0x5f, 0x02));
    let (green, grey, dark) = (RGBColor(0x2e, 0x8b, 0x57), RGBColor(0x99, 0x99, 0x99), RGBColor(0x55, 0x55, 0x55));
    vec![
        line(
            "quick_select, its adversary",
            blue,
            2,
            true,
            measured("adversary", &half, &|c| c.engines[QUICK].1.max as f64),
        ),
        line("Batcher's sorter, 32 comparators", green, 2, false, of_n(&|n| Batcher::new(n).folded(LANES) as f64)),
        line(
            "quick_select, uniform, p99",
            light,
            2,
            true,
            measured("uniform", &every, &|c| c.engines[QUICK].1.p99 as f64),
        ),
        line("quick_select, uniform, mean", light, 2, false, measured("uniform", &every, &|c| c.engines[QUICK].1.mean)),
        line("allowed: 1.25 n / 8 + 16", dark, 1, true, of_n(&|n| 1.25 * n as f64 / 8.0 + 16.0)),
        line(
            "top_k (radix_select), every row",
            orange,
            3,
            false,
            measured("adversary", &half, &|c| c.engines[TOP_K].1.max as f64),
        ),
        line("dot products: n / 8", grey, 1, false, of_n(&|n| n as f64 / 8.0)),
    ]
}

pub fn plot(cases: &[Case]) -> Result<String, Box<dyn std::error::Error>> {
    let series = series(cases);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let most = series.iter().flat_map(|s| &s.points).map(|p| p.1).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("Cycles from row to row, {LANES} lanes (measured in RTL)"), ("sans-serif", 20))
            .margin(14)
            .margin_right(LEGEND)
            .x_label_area_size(46)
            .y_label_area_size(80)
            .build_cartesian_2d((14f64..4700f64).log_scale().base(2.0), (1f64..most * 1.6).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("n, scores per row")
            .y_desc("cycles")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .light_line_style(RGBColor(0xf4, 0xf4, 0xf4))
            .bold_line_style(RGBColor(0xdd, 0xdd, 0xdd))
            .label_style(("sans-serif", 14))
            .axis_desc_style(("sans-serif", 15))
            .draw()?;
        for (i, Series { name, colour, width, dashed, points }) in series.iter().enumerate() {
            let style = colour.stroke_width(*width);
            let (x, y) = (SIZE.0 as i32 - LEGEND + 14, 70 + 28 * i as i32);
            if *dashed {
                chart.draw_series(DashedLineSeries::new(points.iter().copied(), 7, 5, style))?;
                for dash in 0..3 {
                    area.draw(&PathElement::new([(x + 12 * dash, y), (x + 12 * dash + 7, y)], style))?;
                }
            } else {
                chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
                area.draw(&PathElement::new([(x, y), (x + 31, y)], style))?;
            }
            chart.draw_series(points.iter().map(|&p| Circle::new(p, 2 + *width as i32 / 2, colour.filled())))?;
            area.draw(&Text::new(*name, (x + 40, y - 8), ("sans-serif", 15)))?;
        }
        area.present()?;
    }
    Ok(svg)
}
