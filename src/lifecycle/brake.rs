//! The brake: a run that would remove too large a share of a repository at once is not carried out.

use std::fmt;

/// Bound on what one run removes, in images (heads of units) and in tags alike. Archiving removes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brake {
    /// 100 for no bound.
    pub max_share_percent: u8,
    /// So many may always go, as a large share of a small repository is not many.
    pub always_allowed: usize,
}

/// Refusal of a run that would remove too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    pub removed: Removed,
    pub going: usize,
    pub of: usize,
    pub max_share_percent: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    Images,
    Tags,
}

impl Default for Brake {
    fn default() -> Self {
        Self { max_share_percent: 50, always_allowed: 10 }
    }
}

impl Brake {
    /// The narrower of this brake's share and a policy's.
    pub(super) fn narrowed(self, max_share_percent: Option<u8>) -> Self {
        let share = max_share_percent.map_or(self.max_share_percent, |share| share.min(self.max_share_percent));
        Self { max_share_percent: share, ..self }
    }

    pub(super) fn check(self, removed: Removed, going: usize, of: usize) -> Result<(), Stop> {
        let Self { max_share_percent, always_allowed } = self;
        let is_small = going.saturating_mul(100) <= of.saturating_mul(usize::from(max_share_percent));
        if is_small || going <= always_allowed { Ok(()) } else { Err(Stop { removed, going, of, max_share_percent }) }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { removed, going, of, max_share_percent } = self;
        let removed = match removed {
            Removed::Images => "images",
            Removed::Tags => "tags",
        };
        write!(
            f,
            "{going} of {of} {removed} would be removed, and one run may remove {max_share_percent} percent: \
             look at the preview, then change the policy or raise the share"
        )
    }
}
