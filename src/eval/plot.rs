//! Line and scatter plots as SVG.

use plotters::prelude::*;
use std::error::Error;

/// One named series of points.
pub struct Series {
    /// Legend.
    pub name: String,
    /// `(x, y)`
    pub points: Vec<(f64, f64)>,
}

const COLOURS: [RGBColor; 8] = [
    RGBColor(0x1b, 0x6c, 0xa8),
    RGBColor(0xd1, 0x49, 0x5b),
    RGBColor(0x2e, 0x8b, 0x57),
    RGBColor(0xe0, 0x8e, 0x0b),
    RGBColor(0x7b, 0x4f, 0xa3),
    RGBColor(0x55, 0x55, 0x55),
    RGBColor(0x17, 0xa2, 0xb8),
    RGBColor(0x8c, 0x56, 0x4b),
];

/// Draws series into SVG text; `lines` joins the points of a series.
pub fn draw(title: &str, x_label: &str, y_label: &str, series: &[Series], lines: bool) -> Result<String, String> {
    try_draw(title, x_label, y_label, series, lines).map_err(|e| format!("plot {title:?}: {e}"))
}

fn try_draw(
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[Series],
    lines: bool,
) -> Result<String, Box<dyn Error>> {
    let all = || series.iter().flat_map(|s| &s.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let (low, high) = all().map(of).fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
        let margin = ((high - low) * 0.05).max(1e-6);
        low - margin..high + margin
    };
    const LEGEND_WIDTH: i32 = 270;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1000, 520)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .margin_right(LEGEND_WIDTH)
            .x_label_area_size(42)
            .y_label_area_size(64)
            .build_cartesian_2d(range(|p| p.0), range(|p| p.1))?;
        chart
            .configure_mesh()
            .x_desc(x_label)
            .y_desc(y_label)
            .light_line_style(RGBColor(0xf0, 0xf0, 0xf0))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (i, (s, colour)) in series.iter().zip(COLOURS.iter().cycle()).enumerate() {
            if lines {
                chart.draw_series(LineSeries::new(s.points.iter().copied(), colour.stroke_width(2)))?;
            }
            chart.draw_series(s.points.iter().map(|&p| Circle::new(p, 4, colour.filled())))?;
            // Beside the chart, where it covers no point.
            let (x, y) = (1000 - LEGEND_WIDTH + 14, 60 + 22 * i as i32);
            area.draw(&Circle::new((x, y), 4, colour.filled()))?;
            area.draw(&Text::new(s.name.clone(), (x + 12, y - 7), ("sans-serif", 13)))?;
        }
        area.present()?;
    }
    Ok(svg)
}
