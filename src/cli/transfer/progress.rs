//! What is told while images are on their way: bars on a terminal, plain lines elsewhere, or one JSON object an image.
//!
//! What is finished goes to standard output, at once; what is under way to standard error.

use std::io::{IsTerminal, Write, stderr};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::error::Error;
use crate::cli::arguments::Format;
use crate::cli::output;
use crate::oci::Digest;

const BAR: &str = "{msg:>19} {wide_bar} {binary_bytes:>11} of {binary_total_bytes:<11} {binary_bytes_per_sec:>13}";

pub(super) struct Progress {
    format: Format,
    bars: Option<MultiProgress>,
}

/// What came of one image.
#[derive(Debug, Serialize)]
pub(super) struct Finished {
    pub(super) image: String,
    pub(super) digest: String,
    pub(super) manifests: usize,
    /// Blobs that were moved now, and those that were there already.
    pub(super) blobs_moved: usize,
    pub(super) blobs_there: usize,
    /// Of the blobs that were moved.
    pub(super) bytes_moved: u64,
    /// Of all blobs and manifests of the image.
    pub(super) bytes: u64,
    /// Some platforms of its index are left out.
    pub(super) sparse: bool,
    pub(super) seconds: f64,
}

/// One blob that is under way.
pub(super) struct Bar(Option<ProgressBar>);

impl Progress {
    pub(super) fn new(format: Format) -> Self {
        let on_terminal = format == Format::Text && stderr().is_terminal();
        Self { format, bars: on_terminal.then(MultiProgress::new) }
    }

    pub(super) fn begins(&self, doing: &str, image: &str) {
        if self.format == Format::Text {
            // Where standard error is closed, the exit code still tells.
            self.aside(|| _ = writeln!(stderr(), "{doing} {image}"));
        }
    }

    pub(super) fn blob(&self, digest: &Digest, size: u64) -> Bar {
        let Some(bars) = &self.bars else { return Bar(None) };
        let style = ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
        let short: String = digest.to_string().chars().take(19).collect();
        Bar(Some(bars.add(ProgressBar::new(size).with_style(style).with_message(short))))
    }

    pub(super) fn finished(&self, finished: &Finished) -> Result<(), Error> {
        let line = match self.format {
            Format::Text => finished.line(),
            Format::Json => serde_json::to_string(finished).unwrap_or_default(),
        };
        let mut printed = Ok(());
        self.aside(|| printed = output::print(&line));
        printed.map_err(|failure| Error::wrong(&finished.image, failure.to_string()))
    }

    /// An image that failed while others go on. People get the list at the end.
    pub(super) fn failed(&self, image: &str, error: &Error) -> Result<(), Error> {
        if self.format == Format::Text {
            self.remark(&format!("{image} failed; the others go on"));
            return Ok(());
        }
        let line = serde_json::json!({ "image": image, "error": error.to_string() }).to_string();
        output::print(&line).map_err(|failure| Error::wrong(image, failure.to_string()))
    }

    /// A line beside the results.
    pub(super) fn remark(&self, text: &str) {
        self.aside(|| _ = writeln!(stderr(), "{text}"));
    }

    /// Writes while no bar is in the way.
    fn aside(&self, mut write: impl FnMut()) {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

impl Finished {
    fn line(&self) -> String {
        format!(
            "{} {}: {} moved ({}), {} there already, {}{}, {:.1} s",
            self.image,
            self.digest,
            counted(self.blobs_moved, "blob"),
            bytes(self.bytes_moved),
            self.blobs_there,
            counted(self.manifests, "manifest"),
            if self.sparse { " of a sparse index" } else { "" },
            self.seconds
        )
    }
}

impl Bar {
    pub(super) fn advance(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }

    pub(super) fn set(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// For people.
pub(in crate::cli) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// To the millisecond.
pub(super) fn seconds_since(start: Instant) -> f64 {
    start.elapsed().as_millis() as f64 / 1000.0
}
