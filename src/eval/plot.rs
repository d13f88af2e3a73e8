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
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (860, 520)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
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
        for (s, colour) in series.iter().zip(COLOURS.iter().cycle()) {
            if lines {
                chart.draw_series(LineSeries::new(s.points.iter().copied(), colour.stroke_width(2)))?;
            }
            let dots = s.points.iter().map(|&p| Circle::new(p, 4, colour.filled()));
            chart
                .draw_series(dots)?
                .label(s.name.clone())
                .legend(|(x, y)| Circle::new((x + 10, y), 4, colour.filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(0xcc, 0xcc, 0xcc))
            .label_font(("sans-serif", 13))
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}
