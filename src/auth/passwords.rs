//! Logins with a user's name and password.
//!
//! Unlike tokens, passwords can be guessed, and checking one is costly. Failures are counted for each user at each address, and
//! generously for each address, where users who lately logged in from there are let pass. The check itself holds its turn and
//! books the guess: both go on when the client leaves. A guess whose turn comes after too many before it were wrong is not
//! checked.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::authenticator::{Authenticator, Refused};
use super::identity::{Identity, Means};
use super::proof::{
    AttemptLimit, AttemptSource, Attempts, BasicCredentials, PasswordCost, TooManyAttempts, verify_nobody,
    verify_password,
};
use super::turns::{Pair, Turns};
use crate::config::AuthSettings;
use crate::oci::{AccountId, Digest};
use crate::storage::joined;

pub(super) struct Passwords {
    of_users: Attempts<Pair>,
    of_addresses: Attempts<AttemptSource>,
    /// Users who lately logged in from an address.
    known: moka::sync::Cache<Pair, ()>,
    /// Those that were right a moment ago for what is kept of them, by a hash that lives no longer than this process.
    right: moka::sync::Cache<Digest, ()>,
    salt: [u8; 32],
    names: RandomState,
    /// Each password that is checked takes 19 MiB and a core for a moment.
    turns: Turns,
}

/// How long a right password is remembered. A success pays the debt of wrong ones no more often.
const REMEMBERED: Duration = Duration::from_secs(30);

const CHECKED_AT_ONCE: usize = 2;

/// How long one waits for a turn.
const WAIT: Duration = Duration::from_secs(10);

/// Users at addresses that are known: so many, for so long after the last login.
const MAX_KNOWN: u64 = 100_000;
const KNOWN: Duration = Duration::from_secs(24 * 60 * 60);

impl Passwords {
    pub fn new(settings: &AuthSettings) -> Self {
        let mut salt = [0; 32];
        if aws_lc_rs::rand::fill(&mut salt).is_err() {
            fastrand::fill(&mut salt);
        }
        let limit = |failures| AttemptLimit { failures, ..AttemptLimit::default() };
        Self {
            of_users: Attempts::new(limit(settings.failed_logins)),
            of_addresses: Attempts::new(limit(settings.failed_logins_per_address)),
            known: moka::sync::Cache::builder().max_capacity(MAX_KNOWN).time_to_idle(KNOWN).build(),
            right: moka::sync::Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED).build(),
            salt,
            names: RandomState::new(),
            turns: Turns::new(CHECKED_AT_ONCE),
        }
    }

    /// A password is remembered by this, for the user and what is kept of theirs.
    fn digest(&self, basic: &BasicCredentials, kept: Option<&str>) -> Digest {
        let (user, password) = (basic.username.as_bytes(), basic.password.as_bytes());
        let kept = kept.unwrap_or_default().as_bytes();
        Digest::of(&[self.salt.as_slice(), user, b"\0", password, b"\0", kept].concat())
    }

    fn pair(&self, source: AttemptSource, account: AccountId, user: &str) -> Pair {
        Pair { source, user: self.names.hash_one((account, user)) }
    }

    fn is_known(&self, pair: Pair) -> bool {
        self.known.get(&pair).is_some()
    }

    fn check(&self, pair: Pair) -> Result<(), TooManyAttempts> {
        let now = Instant::now();
        self.of_users.check(pair, now).map_err(TooManyAttempts::of_user)?;
        match self.of_addresses.check(pair.source, now) {
            Err(wait) if !self.is_known(pair) => Err(TooManyAttempts::of_address(wait)),
            _ => Ok(()),
        }
    }

    fn failed(&self, pair: Pair) {
        let now = Instant::now();
        self.of_users.failed(pair, now);
        self.of_addresses.failed(pair.source, now);
    }
}

impl Authenticator {
    pub(super) async fn by_password(
        &self,
        basic: &BasicCredentials,
        account: AccountId,
        source: AttemptSource,
    ) -> Result<Identity, Refused> {
        let passwords = &self.inner.passwords;
        let pair = passwords.pair(source, account, &basic.username);
        // Before anything is remembered: what is remembered is the password, and would be found out by guessing fast.
        passwords.check(pair)?;
        // Who it is now: whoever they were then may have been revoked since.
        let known = self.inner.directory.user(&account, &basic.username).await?;
        let kept = known.as_ref().and_then(|known| known.row().password.clone());
        let digest = passwords.digest(basic, kept.as_deref());
        let is_remembered = kept.is_some() && passwords.right.contains_key(&digest);
        if !is_remembered && !self.is_right(basic, kept, digest, pair).await? {
            return Err(wrong());
        }
        if !passwords.is_known(pair) {
            passwords.known.insert(pair, ());
        }
        known.map(|known| Identity::known(known, Means::Password)).ok_or_else(wrong)
    }

    async fn is_right(
        &self,
        basic: &BasicCredentials,
        kept: Option<String>,
        digest: Digest,
        pair: Pair,
    ) -> Result<bool, Refused> {
        let passwords = &self.inner.passwords;
        let turn = passwords.turns.next(pair, passwords.is_known(pair));
        let Ok(Ok(turn)) = tokio::time::timeout(WAIT, turn).await else {
            return Err(TooManyAttempts::waiting(WAIT).into());
        };
        // The same password of a whole fleet is checked once.
        if kept.is_some() && passwords.right.contains_key(&digest) {
            return Ok(true);
        }
        passwords.check(pair)?;
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
                inner.passwords.of_users.succeeded(pair);
            } else {
                inner.passwords.failed(pair);
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
    use super::super::tests::{FAILURES, FAILURES_PER_ADDRESS, authenticator};
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
        let other = Pair { source: source("192.0.2.9"), user: 0 };
        for n in 0..FAILURES {
            let credentials = ann(format!("guess {n}"));
            let mut guess = Box::pin(authenticator.by_password(&credentials, account, source("192.0.2.1")));
            while turns.free() == CHECKED_AT_ONCE {
                assert!(futures_util::poll!(&mut guess).is_pending());
                tokio::task::yield_now().await;
            }
            drop(guess);
            assert_eq!(turns.free(), CHECKED_AT_ONCE - 1);
            drop((turns.next(other, false).await.unwrap(), turns.next(other, false).await.unwrap()));
        }
        let next = authenticator.by_password(&ann("right"), account, source("192.0.2.1")).await;
        assert!(matches!(next, Err(Refused::TooMany(_))), "{next:?}");
    }

    /// The whole debt of a user at an address is paid by a success that was checked, and not by those that are remembered.
    #[tokio::test]
    async fn y4_a_success_pays_for_mistakes_once() {
        let folder = tempfile::tempdir().unwrap();
        let (authenticator, account) = authenticator(folder.path()).await;
        let here = source("192.0.2.1");
        let login = async |password: &str| authenticator.by_password(&ann(password), account, here).await.map(drop);
        let guess = async || login(&fastrand::u64(..).to_string()).await;
        for _ in 1..FAILURES {
            assert!(matches!(guess().await, Err(Refused::Wrong(_))));
        }
        assert!(login("right").await.is_ok());
        for _ in 1..FAILURES {
            assert!(matches!(guess().await, Err(Refused::Wrong(_))));
            assert!(login("right").await.is_ok(), "remembered");
        }
        assert!(matches!(guess().await, Err(Refused::Wrong(_))));
        // A fast answer to a right guess would be an oracle.
        assert!(matches!(login("right").await, Err(Refused::TooMany(_))));
        assert!(matches!(guess().await, Err(Refused::TooMany(_))));
    }

    /// Many names from one address come to an end, too, but not those of users who lately logged in from there.
    #[tokio::test]
    async fn t13_whoever_tries_many_names_keeps_known_users_in() {
        let folder = tempfile::tempdir().unwrap();
        let (authenticator, account) = authenticator(folder.path()).await;
        let here = source("192.0.2.1");
        assert!(authenticator.by_password(&ann("right"), account, here).await.is_ok());
        authenticator.inner.passwords.right.invalidate_all();
        for _ in 0..FAILURES_PER_ADDRESS {
            let other = authenticator.inner.passwords.pair(here, account, &fastrand::u64(..).to_string());
            assert!(authenticator.inner.passwords.check(other).is_ok());
            authenticator.inner.passwords.failed(other);
        }
        let bob = BasicCredentials { username: "bob".to_owned(), password: "x".to_owned() };
        let refused = authenticator.by_password(&bob, account, here).await;
        assert!(matches!(refused, Err(Refused::TooMany(_))), "{refused:?}");
        assert!(authenticator.by_password(&ann("right"), account, here).await.is_ok());
        assert!(
            authenticator
                .by_password(&bob, account, source("192.0.2.2"))
                .await
                .is_err_and(|refused| matches!(refused, Refused::Wrong(_)))
        );
    }
}
