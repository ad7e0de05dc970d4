//! The metrics page, read.

/// One reading.
pub struct Metrics(Vec<Sample>);

struct Sample {
    name: String,
    labels: String,
    value: f64,
}

impl Metrics {
    pub(super) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let sample = Sample { name: name.to_owned(), labels: labels.to_owned(), value: value.parse().ok()? };
            Some(sample)
        });
        Self(samples.collect())
    }

    /// The sum over all series of that name that have these labels; 0 where there is none.
    pub fn with(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.contains(&format!("{label}=\"{value}\"")))
        };
        self.0.iter().filter(has).map(|sample| sample.value).sum()
    }

    pub fn sum(&self, name: &str) -> f64 {
        self.with(name, &[])
    }
}
