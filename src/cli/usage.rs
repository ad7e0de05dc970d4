//! `entrepot usage`: who used how much, from the database, whether anybody serves or not.

use std::time::SystemTime;

use clap::{Args, ValueEnum};

use super::arguments::{Format, Output};
use super::failure::Failure;
use super::{existing, output};
use crate::app;
use crate::config::Source;
use crate::metering::{Line, Report, Wanted};

#[derive(Debug, Args)]
pub struct Usage {
    /// How long ago it begins, such as 7d or 12h, or a time in UTC, such as 2026-01-31 or 2026-01-31T10:00Z [default: 1d]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Where it ends, written the same way [default: now]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// What a line is about
    #[arg(long, value_enum, default_value = "repository")]
    pub by: By,
    /// Only of these repositories; * stands for anything, as in 'team/*'
    #[arg(long, value_name = "PATTERN")]
    pub repository: Option<String>,
    /// The account of the registry, `auth.account` unless it is given
    #[arg(long, value_name = "ACCOUNT")]
    pub registry: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    Repository,
    Principal,
    Hour,
}

/// The service writes its counts every 30 s.
const RECENT: &str =
    "requests of the last 30 s may be missing; POST /jobs/usage on the admin listener writes them down\n";

const COLUMNS: [&str; 8] = ["requests", "pulls", "pushes", "received", "sent", "fetched", "saved", "stored"];

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl By {
    const fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Principal => "principal",
            Self::Hour => "hour",
        }
    }
}

pub(super) async fn usage(source: &Source, usage: Usage) -> Result<String, Failure> {
    let settings = existing::settings(source)?;
    let Usage { since, until, by, repository, registry, output } = usage;
    let wanted = Wanted { since, until, by: Some(by.name().to_owned()), repository, registry };
    let question = wanted.question(settings.auth.account, SystemTime::now());
    let question = question.map_err(|wrong| Failure::Usage(wrong.to_string()))?;
    let registry = existing::find(settings, source)?;
    let report = app::usage(&registry, &question).await.map_err(|error| Failure::Runtime(error.to_string()))?;
    match output.format {
        Format::Json => output::json(&report),
        Format::Text => Ok(table(&report, by) + RECENT),
    }
}

/// Columns that are as wide as what stands in them.
fn table(report: &Report, by: By) -> String {
    let mut rows = vec![row(by.name(), COLUMNS.map(str::to_owned))];
    rows.extend(report.lines.iter().map(line));
    rows.push(row("total", cells(&report.total)));
    let columns = COLUMNS.len() + 1;
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or_default()).collect();
    let mut text = format!("hours {} to {}\n", report.since, report.last_hour);
    for row in &rows {
        let mut cells = row.iter().zip(&widths);
        let name = cells.next().map_or_else(String::new, |(name, width)| format!("{name:<width$}"));
        let rest: String = cells.map(|(cell, width)| format!("  {cell:>width$}")).collect();
        text += &format!("{name}{rest}\n");
    }
    if report.more {
        text += "there are more lines than these; ask for fewer hours, or name repositories\n";
    }
    text
}

fn line(line: &Line) -> Vec<String> {
    let name = line.repository.as_ref().or(line.principal.as_ref()).or(line.hour.as_ref());
    // A session's name comes from outside.
    let name: String = name.map_or("", String::as_str).chars().filter(|c| !c.is_control()).collect();
    row(&name, cells(line))
}

fn row(name: &str, cells: [String; COLUMNS.len()]) -> Vec<String> {
    std::iter::once(name.to_owned()).chain(cells).collect()
}

fn cells(line: &Line) -> [String; COLUMNS.len()] {
    let optional = |bytes: Option<String>| bytes.unwrap_or_else(|| "-".to_owned());
    [
        line.requests.to_string(),
        line.pulls.to_string(),
        line.pushes.to_string(),
        size(line.received_bytes),
        size(line.sent_bytes),
        size(line.fetched_bytes),
        optional(line.saved_bytes.map(signed)),
        optional(line.stored_bytes.map(size)),
    ]
}

fn signed(bytes: i64) -> String {
    format!("{}{}", if bytes < 0 { "-" } else { "" }, size(bytes.unsigned_abs()))
}

/// To a tenth of the largest unit that fits, which is what people read.
fn size(bytes: u64) -> String {
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths = (tenths + 512) / 1024;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{}.{} {unit}", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10 << 20, "10.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        assert_eq!((signed(-2048), signed(5)), ("-2.0 KiB".to_owned(), "5 B".to_owned()));
    }

    #[test]
    fn a_table() {
        let line = |repository: Option<&str>, sent_bytes| Line {
            repository: repository.map(str::to_owned),
            principal: None,
            hour: None,
            requests: 2,
            pulls: 1,
            pushes: 0,
            received_bytes: 0,
            sent_bytes,
            fetched_bytes: 1024,
            saved_bytes: Some(-1024),
            stored_bytes: None,
        };
        let report = Report {
            account: "000000000000".parse().unwrap(),
            since: "a".to_owned(),
            last_hour: "b".to_owned(),
            lines: vec![line(Some("team/app"), 10 << 30)],
            more: false,
            total: line(None, 10 << 30),
        };
        let expected = "\
hours a to b
repository  requests  pulls  pushes  received      sent  fetched     saved  stored
team/app           2      1       0       0 B  10.0 GiB  1.0 KiB  -1.0 KiB       -
total              2      1       0       0 B  10.0 GiB  1.0 KiB  -1.0 KiB       -
";
        assert_eq!(table(&report, By::Repository), expected);
    }
}
