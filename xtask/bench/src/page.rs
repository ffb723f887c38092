//! The results as a page: a table with a bar for every ratio, in one file that needs nothing else.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::Failure;
use crate::measure::{Cost, Outcome};

/// Of a bar's picture, in pixels.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 20.0;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>asyncio-bench</title>
<style>
:root { color-scheme: light dark; --line: #8888; --faster: #2a9d5c; --slower: #d1495b; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; }
table { border-collapse: collapse; }
th, td { padding: 1px 10px; text-align: left; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tr.first td { border-top: 1px solid var(--line); }
svg { display: block; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; text-anchor: middle; }
.grid { stroke: var(--line); stroke-width: 0.5; }
.one, .whisker { stroke: currentColor; stroke-width: 1.5; }
.faster { fill: var(--faster); }
.slower { fill: var(--slower); }
</style>
<h1>What an operation costs, beside peers</h1>
<p>Ratios are of the peer's cost to ours, taken round by round: right of the line at 1, ours is faster or
smaller. A bar ends at the median; its whisker goes from the first quartile to the third. The scale is
logarithmic.</p>
"#;

/// Writes the page into the target directory.
pub(crate) fn write(outcomes: &[Outcome]) -> Result<PathBuf, Failure> {
    // The program lies in `target/PROFILE`.
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("no target directory")?;
    let directory = target.join("bench");
    fs::create_dir_all(&directory)?;
    let path = directory.join("index.html");
    fs::write(&path, page(outcomes)?)?;
    Ok(path)
}

fn page(outcomes: &[Outcome]) -> Result<String, Failure> {
    let scale = Scale::of(outcomes);
    let mut page = HEAD.to_owned();
    let mut builds: Vec<&String> = outcomes.iter().filter_map(|it| it.build.as_ref()).collect();
    builds.sort();
    builds.dedup();
    for build in builds {
        writeln!(page, "<p>{}</p>", escaped(build))?;
    }
    writeln!(
        page,
        "<table>\n<tr><th>row<th>peer<th>{}<th class=n>ratio<th class=n>quartiles\
         <th class=n>ours<th class=n>peer",
        scale.axis()?
    )?;
    let mut before = "";
    for outcome in outcomes {
        let first = outcome.row != before;
        before = outcome.row;
        writeln!(
            page,
            "<tr{}><td>{}<td>{}<td>{}<td class=n>{:.2}<td class=n>{:.2} … {:.2}\
             <td class=n>{}<td class=n>{}",
            if first { " class=first" } else { "" },
            if first { outcome.row } else { "" },
            escaped(outcome.peer),
            scale.bar(outcome)?,
            outcome.ratio.median,
            outcome.ratio.q1,
            outcome.ratio.q3,
            cost(&outcome.ours, outcome.unit),
            cost(&outcome.theirs, outcome.unit),
        )?;
    }
    page.push_str("</table>\n</html>\n");
    Ok(page)
}

fn cost(cost: &Cost, unit: &str) -> String {
    format!("{:.1} {unit}", cost.amount)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Where ratios lie: the logarithm to base two, from one power to another.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    /// As wide as the ratios are, with one power at either side of one at least.
    fn of(outcomes: &[Outcome]) -> Self {
        let ends = outcomes.iter().flat_map(|it| [it.ratio.q1, it.ratio.q3]);
        let (mut low, mut high) = (-1, 1);
        for end in ends.map(f64::log2).filter(|end| end.is_finite()) {
            low = low.min(end.floor() as i32);
            high = high.max(end.ceil() as i32);
        }
        Self { low, high }
    }

    fn at(&self, ratio: f64) -> f64 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let part = (ratio.log2() - low) / (high - low);
        // Room for the labels at both ends.
        12.0 + part.clamp(0.0, 1.0) * (WIDTH - 24.0)
    }

    fn axis(&self) -> Result<String, Failure> {
        let mut svg = opening();
        for power in self.low..=self.high {
            let ratio = f64::from(power).exp2();
            write!(svg, "<text x={:.1} y=15>{ratio}</text>", self.at(ratio))?;
        }
        svg.push_str("</svg>");
        Ok(svg)
    }

    fn bar(&self, outcome: &Outcome) -> Result<String, Failure> {
        let (one, end) = (self.at(1.0), self.at(outcome.ratio.median));
        let (q1, q3) = (self.at(outcome.ratio.q1), self.at(outcome.ratio.q3));
        let class = if outcome.ratio.median < 1.0 {
            "slower"
        } else {
            "faster"
        };
        let mut svg = opening();
        for power in self.low..=self.high {
            let x = self.at(f64::from(power).exp2());
            write!(svg, "<path class=grid d='M{x:.1} 0V{HEIGHT}'/>")?;
        }
        write!(
            svg,
            "<rect class={class} x={:.1} y=4 width={:.1} height=12 />\
             <path class=one d='M{one:.1} 0V{HEIGHT}'/>\
             <path class=whisker fill=none d='M{q1:.1} 7V13M{q1:.1} 10H{q3:.1}M{q3:.1} 7V13'/></svg>",
            one.min(end),
            (end - one).abs(),
        )?;
        Ok(svg)
    }
}

fn opening() -> String {
    format!("<svg width={WIDTH} height={HEIGHT} role=img>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Quartiles;

    fn outcome(q1: f64, median: f64, q3: f64) -> Outcome {
        let cost = Cost {
            amount: 10.0,
            cpu: Some(10.0),
            allocations: None,
        };
        Outcome {
            row: "a_row",
            peer: "<peer>",
            ratio: Quartiles { q1, median, q3 },
            cpu_ratio: Some(1.0),
            ours: cost,
            theirs: cost,
            unit: "ns",
            build: None,
        }
    }

    #[test]
    fn the_scale_holds_all_quartiles_and_one() {
        let scale = Scale::of(&[outcome(0.2, 0.5, 0.9), outcome(3.0, 5.0, 9.0)]);
        assert_eq!((scale.low, scale.high), (-3, 4));
        assert!(scale.at(0.2) < scale.at(1.0) && scale.at(1.0) < scale.at(9.0));
        let scale = Scale::of(&[outcome(f64::NAN, f64::NAN, f64::INFINITY)]);
        assert_eq!((scale.low, scale.high), (-1, 1));
    }

    #[test]
    fn bars_begin_at_one_and_names_are_escaped() {
        let page = page(&[outcome(0.4, 0.5, 0.6), outcome(1.9, 2.0, 2.1)]).expect("it is written");
        // From 0.25 to 4: one is in the middle.
        assert!(
            page.contains("<rect class=slower x=111.0 y=4 width=99.0 "),
            "{page}"
        );
        assert!(
            page.contains("<rect class=faster x=210.0 y=4 width=99.0 "),
            "{page}"
        );
        assert!(page.contains("&lt;peer>") && !page.contains("<peer>"));
    }
}
