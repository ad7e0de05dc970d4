//! May a kept answer be served? Pure decisions about ages.

use std::time::Duration;

use crate::config::UpstreamSettings;

/// How long answers are good for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) time_to_live: Duration,
    pub(super) stale_while_revalidate: Duration,
    pub(super) stale_if_error: Duration,
    pub(super) negative_time_to_live: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Serve it.
    Fresh,
    /// Serve it, and ask upstream behind the answer.
    Revalidate,
    /// Ask upstream first; serve it if upstream fails.
    AskFirst,
    /// Too old to serve whatever happens.
    Expired,
}

/// After a failed question, a kept answer is served for this long without another.
pub(super) const QUIET_AFTER_FAILURE: Duration = Duration::from_secs(5);

impl Rules {
    pub(super) fn of(settings: &UpstreamSettings) -> Self {
        Self {
            time_to_live: settings.tag_ttl,
            stale_while_revalidate: settings.stale_while_revalidate,
            stale_if_error: settings.stale_if_error,
            negative_time_to_live: settings.negative_ttl,
        }
    }

    /// `short_lived` answers, such as an empty list, are fresh only as long as a refusal is.
    pub(super) fn judge(&self, age: Duration, short_lived: bool) -> Verdict {
        let fresh = if short_lived { self.time_to_live.min(self.negative_time_to_live) } else { self.time_to_live };
        if age < fresh {
            Verdict::Fresh
        } else if !short_lived && age < self.time_to_live + self.stale_while_revalidate {
            Verdict::Revalidate
        } else if age < self.time_to_live + self.stale_if_error {
            Verdict::AskFirst
        } else {
            Verdict::Expired
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let rules = Rules {
            time_to_live: Duration::from_secs(60),
            stale_while_revalidate: Duration::from_secs(300),
            stale_if_error: Duration::from_secs(3600),
            negative_time_to_live: Duration::from_secs(5),
        };
        for (age, short_lived, verdict) in [
            (0, false, Verdict::Fresh),
            (59, false, Verdict::Fresh),
            (60, false, Verdict::Revalidate),
            (359, false, Verdict::Revalidate),
            (360, false, Verdict::AskFirst),
            (3659, false, Verdict::AskFirst),
            (3660, false, Verdict::Expired),
            (4, true, Verdict::Fresh),
            (5, true, Verdict::AskFirst),
        ] {
            assert_eq!(rules.judge(Duration::from_secs(age), short_lived), verdict, "{age} {short_lived}");
        }
    }
}
