//! Sizes and durations as people write them.

use std::time::Duration;

/// Longest unit first within each family, so that writing finds the largest that fits.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

const DURATION_UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Bytes of `256MiB`, `10GB` or `4096`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_number(text.trim());
    let number = digits.parse::<u64>().map_err(|_| {
        format!("{text:?} is not a size: write whole bytes, or a whole number with a unit, such as \"50GiB\"")
    })?;
    let unit = unit.trim();
    if unit.is_empty() {
        return Ok(number);
    }
    let Some((_, bytes)) = SIZE_UNITS.iter().find(|(name, _)| *name == unit) else {
        let hint = match size_unit_hint(unit) {
            Some(hint) => format!("did you mean \"{number}{hint}\"?"),
            None => "the units are B, kB, MB, GB, TB, KiB, MiB, GiB and TiB".to_owned(),
        };
        return Err(format!("{text:?} has an unknown unit {unit:?}: {hint}"));
    };
    number.checked_mul(*bytes).ok_or_else(|| format!("{text:?} is too large"))
}

/// `Gi`, `G`, `gib` and the like: what other programs write.
fn size_unit_hint(unit: &str) -> Option<&'static str> {
    let same = |name: &&str| name.eq_ignore_ascii_case(unit);
    let short = |name: &&str| name.strip_suffix('B').is_some_and(|short| short.eq_ignore_ascii_case(unit));
    let names = || SIZE_UNITS.iter().map(|(name, _)| *name).filter(|name| *name != "KB");
    names().find(same).or_else(|| names().find(short))
}

/// `60s`, `5m`, `1h30m`, `250ms`; a number without unit is refused.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is not a duration: write numbers with ms, s, m, h or d, such as \"60s\" or \"1h30m\"");
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (digits, after) = split_number(rest);
        let number = digits.parse::<u64>().map_err(|_| wrong())?;
        // `1 day` has a unit, and no unit that is known.
        let (spaces, after) = after.split_at(after.len() - after.trim_start().len());
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if !spaces.is_empty() && known_unit(unit) {
            return Err(format!("{text:?} has a space in it: write \"{digits}{unit}\""));
        }
        if unit.is_empty() {
            return Err(format!(
                "{text:?} has no unit: write \"{text}s\" for seconds; the units are ms, s, m, h and d"
            ));
        }
        let known = DURATION_UNITS.iter().find(|(name, _)| *name == unit);
        let (_, milliseconds) =
            known.ok_or_else(|| unknown_unit(text, &format!("{digits}{spaces}{unit}"), digits, unit))?;
        let part = number.checked_mul(*milliseconds).ok_or_else(|| format!("{text:?} is too long"))?;
        total = total.saturating_add(Duration::from_millis(part));
        rest = after.trim_start();
    }
    Ok(total)
}

fn known_unit(unit: &str) -> bool {
    DURATION_UNITS.iter().any(|(name, _)| *name == unit)
}

/// `day`, `hours`, `min` and the like: what other programs write.
fn unknown_unit(text: &str, part: &str, digits: &str, unit: &str) -> String {
    let meant = match unit.to_ascii_lowercase().trim_end_matches('s') {
        "day" | "d" => "d",
        "hour" | "hr" | "h" => "h",
        "minute" | "min" | "m" => "m",
        "second" | "sec" | "" => "s",
        "millisecond" | "milli" | "msec" => "ms",
        _ => return format!("{text:?} has an unknown unit {unit:?}: the units are ms, s, m, h and d"),
    };
    format!("{text:?} has an unknown unit {unit:?}: write \"{}\"", text.replacen(part, &format!("{digits}{meant}"), 1))
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// A text that [`parse_size`] reads back as the same number.
pub fn format_size(bytes: u64) -> String {
    let unit = SIZE_UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// A text that [`parse_duration`] reads back as the same time, to the millisecond.
pub fn format_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if milliseconds == 0 {
        return "0s".to_owned();
    }
    let unit = DURATION_UNITS.iter().find(|(_, unit)| milliseconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{milliseconds}ms"), |(name, unit)| format!("{}{name}", milliseconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1B", 1),
            ("10kB", 10_000),
            ("256MiB", 256 << 20),
            ("10GB", 10_000_000_000),
            ("50 GiB", 50 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "-1", "1.5GiB", "10 Gigs", "GiB", "99999999999TiB", "1e9", "10GiBs", "١MiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert!(parse_size("50Gi").unwrap_err().contains("\"50GiB\""));
        assert!(parse_size("50g").unwrap_err().contains("\"50GB\""));
        for bytes in [0, 1, 999, 1000, 1024, 1536, 50 << 30, 10_000_000_000, u64::MAX] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn durations() {
        for (text, milliseconds) in
            [("0s", 0), ("250ms", 250), ("60s", 60_000), ("5m", 300_000), ("1h30m", 5_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
            assert_eq!(parse_duration(&format_duration(Duration::from_millis(milliseconds))).unwrap().as_millis(), {
                u128::from(milliseconds)
            });
        }
        for bad in ["", "60", "s", "1w", "1.5s", "-1s", "1h30", "99999999999999999d", "5 minutes"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert!(parse_duration("60").unwrap_err().contains("\"60s\""));
        for (text, said) in [
            ("1 day", "\"1 day\" has an unknown unit \"day\": write \"1d\""),
            ("2hours", "write \"2h\""),
            ("1h 5 minutes", "write \"1h 5m\""),
            ("500msec", "write \"500ms\""),
            ("1w", "the units are ms, s, m, h and d"),
            ("5 m", "has a space in it: write \"5m\""),
        ] {
            let told = parse_duration(text).unwrap_err();
            assert!(told.contains(said) && !told.contains("no unit"), "{told}");
        }
    }
}
