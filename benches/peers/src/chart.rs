//! The chart, written by hand as SVG.

use std::fmt::{self, Write};

/// Okabe and Ito's colours, which everyone can tell apart.
const COLOURS: [&str; 3] = ["#0072b2", "#e69f00", "#d55e00"];
const WIDTH: f64 = 760.0;
/// Where the bars begin, from the left, and how long the longest may be.
const LEFT: f64 = 170.0;
const LONGEST: f64 = 520.0;
const TOP: f64 = 58.0;
const BAR: f64 = 16.0;
const GROUP: f64 = 68.0;

/// Draws a group of bars for each kind of request, with a bar for each library.
pub(crate) fn draw(kinds: &[&str], rows: &[(&str, Vec<f64>)]) -> String {
    let mut svg = String::new();
    write_chart(&mut svg, kinds, rows).expect("a string takes everything");
    svg
}

fn write_chart(svg: &mut String, kinds: &[&str], rows: &[(&str, Vec<f64>)]) -> fmt::Result {
    let groups = f64::from(u32::try_from(kinds.len()).expect("few"));
    let bottom = TOP + groups * GROUP;
    let height = bottom + 34.0;
    let ratios = rows.iter().flat_map(|(_, ratios)| ratios);
    let scale = LONGEST / ratios.copied().fold(1.0, f64::max);
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" font-size="13" fill="#222">
<title>Time of a request, as a multiple of a bare axum router</title>
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
<text x="16" y="26" font-size="16" font-weight="600">Time of a request, as a multiple of a bare axum router</text>"##
    )?;
    let mut top = TOP;
    for (kind, name) in kinds.iter().enumerate() {
        writeln!(
            svg,
            r#"<text x="16" y="{:.1}">{name}</text>"#,
            top + 1.5 * BAR + 5.0
        )?;
        let mut y = top;
        for ((_, ratios), colour) in rows.iter().zip(COLOURS) {
            let ratio = ratios[kind];
            let width = ratio * scale;
            writeln!(
                svg,
                r#"<rect x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{:.1}" fill="{colour}"/><text x="{:.1}" y="{:.1}" font-size="12">{ratio:.2}</text>"#,
                BAR - 2.0,
                LEFT + width + 6.0,
                y + BAR - 5.0,
            )?;
            y += BAR;
        }
        top += GROUP;
    }
    let bare = LEFT + scale;
    writeln!(
        svg,
        r##"<line x1="{bare:.1}" y1="{:.1}" x2="{bare:.1}" y2="{:.1}" stroke="#222" stroke-dasharray="3 3"/><text x="{bare:.1}" y="{:.1}" font-size="12" text-anchor="middle">bare</text>"##,
        TOP - 6.0,
        bottom - 16.0,
        TOP - 10.0,
    )?;
    let mut x = LEFT;
    for ((name, _), colour) in rows.iter().zip(COLOURS) {
        writeln!(
            svg,
            r#"<rect x="{x}" y="{:.1}" width="12" height="12" fill="{colour}"/><text x="{:.1}" y="{:.1}">{name}</text>"#,
            bottom + 4.0,
            x + 18.0,
            bottom + 15.0,
        )?;
        x += 180.0;
    }
    writeln!(svg, "</svg>")
}
