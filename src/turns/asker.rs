//! On whose behalf something is done.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

/// An opaque key, equal for equal clients. Two that share a key by chance share their turns, which nobody can bring about: keys are
/// others in each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asker(u64);

#[derive(Hash)]
enum Of<'a> {
    Principal(&'a str),
    Address(IpAddr),
    Work(&'a str),
}

impl Asker {
    /// A user or role, by its ARN, from wherever it comes.
    pub fn principal(arn: &str) -> Self {
        Self::of(&Of::Principal(arn))
    }

    /// Clients that are known by their address only.
    pub fn address(address: IpAddr) -> Self {
        Self::of(&Of::Address(network(address)))
    }

    /// The process itself: jobs and chores, each kind by a name of its own.
    pub fn work(name: &str) -> Self {
        Self::of(&Of::Work(name))
    }

    fn of(of: &Of<'_>) -> Self {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEYS.hash_one(of))
    }
}

/// The address as it is counted: an IPv6 client usually has a whole /64 network of addresses to come from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_one_asker_and_kinds_are_apart() {
        let address = |text: &str| Asker::address(text.parse().unwrap());
        assert_eq!(address("2001:db8:0:1::1"), address("2001:db8:0:1:ffff::2"));
        assert_ne!(address("2001:db8:0:1::1"), address("2001:db8:0:2::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(Asker::principal("a"), Asker::principal("a"));
        assert_ne!(Asker::principal("a"), Asker::work("a"));
        assert_ne!(Asker::principal("192.0.2.1"), address("192.0.2.1"));
    }
}
