//! Images that failed while others went on (`--keep-going`).

use super::error::Error;
use super::progress::Progress;

pub(super) struct Tally {
    keeps_going: bool,
    /// How many images there are.
    of: usize,
    failed: Vec<String>,
    done: usize,
}

impl Tally {
    pub(super) fn new(keeps_going: bool, of: usize) -> Self {
        Self { keeps_going, of, failed: Vec::new(), done: 0 }
    }

    /// Notes how one image ended; an error ends them all. A layout that cannot be read or written has no good images.
    pub(super) fn note(&mut self, progress: &Progress, image: &str, ended: Result<(), Error>) -> Result<(), Error> {
        let error = match ended {
            Ok(()) => {
                self.done += 1;
                return Ok(());
            }
            Err(error) => error,
        };
        if !self.keeps_going || matches!(error, Error::File { .. } | Error::Usage(_)) {
            if !self.keeps_going && self.of > 1 {
                progress.remark("--keep-going goes on with the other images");
            }
            return Err(error);
        }
        progress.failed(image, &error)?;
        self.failed.push(format!("{image}: {error}"));
        Ok(())
    }

    pub(super) fn is_all_lost(&self) -> bool {
        self.done == 0
    }

    /// An error that names all that failed.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.failed.is_empty() { Ok(()) } else { Err(Error::Some { of: self.of, failed: self.failed }) }
    }
}
