//! Logins with a user's name and password.
//!
//! Unlike tokens, passwords can be guessed, and checking one is costly. So the check itself holds its turn and books the guess: both go
//! on when the client leaves. A guess whose turn comes after too many before it were wrong is not checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::authenticator::{Authenticator, Refused};
use super::identity::{Identity, Means};
use super::proof::{AttemptSource, BasicCredentials, PasswordCost, TooManyAttempts, verify_nobody, verify_password};
use crate::oci::{AccountId, Digest};
use crate::storage::joined;

pub(super) struct Passwords {
    /// Those that were right a moment ago for what is kept of them, by a hash that lives no longer than this process.
    right: moka::sync::Cache<Digest, ()>,
    salt: [u8; 32],
    /// Each password that is checked takes 19 MiB and a core for a moment.
    turns: Arc<Semaphore>,
}

/// How long a right password is remembered.
const REMEMBERED: Duration = Duration::from_secs(30);

const CHECKED_AT_ONCE: usize = 2;

/// How long one waits for a turn.
const WAIT: Duration = Duration::from_secs(10);

impl Passwords {
    pub fn new() -> Self {
        let mut salt = [0; 32];
        if aws_lc_rs::rand::fill(&mut salt).is_err() {
            fastrand::fill(&mut salt);
        }
        let right = moka::sync::Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED).build();
        Self { right, salt, turns: Arc::new(Semaphore::new(CHECKED_AT_ONCE)) }
    }

    /// What a password is remembered by, for the user and what is kept of theirs.
    fn digest(&self, basic: &BasicCredentials, kept: Option<&str>) -> Digest {
        let (user, password) = (basic.username.as_bytes(), basic.password.as_bytes());
        let kept = kept.unwrap_or_default().as_bytes();
        Digest::of(&[self.salt.as_slice(), user, b"\0", password, b"\0", kept].concat())
    }
}

impl Authenticator {
    pub(super) async fn by_password(
        &self,
        basic: &BasicCredentials,
        account: AccountId,
        source: AttemptSource,
    ) -> Result<Identity, Refused> {
        self.inner.attempts.check(source, Instant::now())?;
        // Who it is now: whoever they were then may have been revoked since.
        let known = self.inner.directory.user(&account, &basic.username).await?;
        let kept = known.as_ref().and_then(|known| known.row().password.clone());
        let passwords = &self.inner.passwords;
        let digest = passwords.digest(basic, kept.as_deref());
        let is_remembered = kept.is_some() && passwords.right.contains_key(&digest);
        if !is_remembered && !self.is_right(basic, kept, digest, source).await? {
            return Err(wrong());
        }
        known.map(|known| Identity::known(known, Means::Password)).ok_or_else(wrong)
    }

    async fn is_right(
        &self,
        basic: &BasicCredentials,
        kept: Option<String>,
        digest: Digest,
        source: AttemptSource,
    ) -> Result<bool, Refused> {
        let turn = tokio::time::timeout(WAIT, self.inner.passwords.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(TooManyAttempts::waiting(WAIT).into()) };
        // The same password of a whole fleet is checked once.
        if kept.is_some() && self.inner.passwords.right.contains_key(&digest) {
            return Ok(true);
        }
        self.inner.attempts.check(source, Instant::now())?;
        let (inner, password) = (self.inner.clone(), basic.password.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let checked = match kept {
                Some(kept) => verify_password(&password, &kept),
                // As long as for somebody who is there.
                None => verify_nobody(&password, PasswordCost::default()),
            };
            let is_right = matches!(checked, Ok(true));
            if is_right {
                inner.passwords.right.insert(digest, ());
            } else {
                inner.attempts.failed(source, Instant::now());
            }
            // Last, so that the next one finds this one booked.
            drop(turn);
            is_right
        });
        Ok(joined(checked.await).await)
    }
}

fn wrong() -> Refused {
    Refused::Wrong("the user name or the password is wrong".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{FAILURES, authenticator};
    use super::*;

    fn ann(password: impl Into<String>) -> BasicCredentials {
        BasicCredentials { username: "ann".to_owned(), password: password.into() }
    }

    fn source(text: &str) -> AttemptSource {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    /// So many guesses at once are no more than so many one after another.
    #[tokio::test]
    async fn parallel_guesses_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (authenticator, account) = authenticator(folder.path()).await;
        let guesses = (0..20).map(|n| {
            let authenticator = authenticator.clone();
            async move { authenticator.by_password(&ann(format!("guess {n}")), account, source("192.0.2.1")).await }
        });
        let answers = futures_util::future::join_all(guesses).await;
        let looked_at = answers.iter().filter(|answer| matches!(answer, Err(Refused::Wrong(_)))).count();
        let most = FAILURES as usize + CHECKED_AT_ONCE - 1;
        assert!((1..=most).contains(&looked_at), "{looked_at} guesses were looked at");
        assert!(answers.iter().all(|answer| matches!(answer, Err(Refused::Wrong(_) | Refused::TooMany(_)))));
        let other = authenticator.by_password(&ann("right"), account, source("192.0.2.2")).await;
        assert_eq!(other.unwrap().means, Means::Password);
    }

    /// A guess whose client left is booked, and keeps its turn while it is checked.
    #[tokio::test]
    async fn guesses_of_clients_that_leave_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (authenticator, account) = authenticator(folder.path()).await;
        let turns = authenticator.inner.passwords.turns.clone();
        for n in 0..FAILURES {
            let credentials = ann(format!("guess {n}"));
            let mut guess = Box::pin(authenticator.by_password(&credentials, account, source("192.0.2.1")));
            while turns.available_permits() == CHECKED_AT_ONCE {
                assert!(futures_util::poll!(&mut guess).is_pending());
                tokio::task::yield_now().await;
            }
            drop(guess);
            assert_eq!(turns.available_permits(), CHECKED_AT_ONCE - 1);
            drop(turns.acquire_many(CHECKED_AT_ONCE as u32).await.unwrap());
        }
        let next = authenticator.by_password(&ann("right"), account, source("192.0.2.1")).await;
        assert!(matches!(next, Err(Refused::TooMany(_))), "{next:?}");
    }
}
