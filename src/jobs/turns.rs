//! Whose jobs are taken next: accounts take turns, and within an account its destinations.

use crate::meta::Lane;

/// Shares free places out to lanes that are due. `last` is the account that had the last place; the one after it begins. `room` says how many
/// jobs of a lane may begin. Nobody's jobs wait for more than one turn of each other account, however many wait.
pub(super) fn share(lanes: &[Lane], places: u32, last: &str, room: impl Fn(&Lane) -> u32) -> Vec<(String, u32)> {
    let mut accounts: Vec<Vec<(&Lane, u32)>> = Vec::new();
    let due = lanes.iter().filter(|lane| lane.due_in_ms <= 0);
    for lane in due.map(|lane| (lane, room(lane).min(places))).filter(|(_, room)| *room > 0) {
        match accounts.last_mut() {
            Some(lanes) if lanes.first().is_some_and(|(first, _)| first.account() == lane.0.account()) => {
                lanes.push(lane);
            }
            _ => accounts.push(vec![lane]),
        }
    }
    let begin = accounts.partition_point(|lanes| lanes.first().is_some_and(|(lane, _)| lane.account() <= last));
    accounts.rotate_left(begin);
    for lanes in &mut accounts {
        // So that no destination is always the first.
        let begin = fastrand::usize(0..lanes.len().max(1));
        lanes.rotate_left(begin);
    }
    let mut shares: Vec<(String, u32)> = Vec::new();
    let mut left = places;
    while left > 0 && !accounts.is_empty() {
        for lanes in &mut accounts {
            if left == 0 {
                break;
            }
            let Some((lane, room)) = lanes.first_mut() else { continue };
            left -= 1;
            *room -= 1;
            match shares.iter_mut().find(|(name, _)| name == lane.name()) {
                Some((_, wanted)) => *wanted += 1,
                None => shares.push((lane.name().to_owned(), 1)),
            }
            lanes.rotate_left(1);
            lanes.retain(|(_, room)| *room > 0);
        }
        accounts.retain(|lanes| !lanes.is_empty());
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes(names: &[&str]) -> Vec<Lane> {
        names.iter().map(|name| Lane::for_tests(name, 0)).collect()
    }

    fn sorted(mut shares: Vec<(String, u32)>) -> Vec<(String, u32)> {
        shares.sort();
        shares
    }

    fn pairs(expected: &[(&str, u32)]) -> Vec<(String, u32)> {
        expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn accounts_take_turns_whatever_their_destinations() {
        // 1 has three destinations, 2 has one.
        let all = lanes(&["1/a", "1/b", "1/c", "2/a"]);
        let of = |shares: &[(String, u32)], account: &str| -> u32 {
            shares.iter().filter(|(name, _)| name.starts_with(account)).map(|(_, count)| count).sum()
        };
        let shares = share(&all, 4, "", |_| u32::MAX);
        assert_eq!((of(&shares, "1/"), of(&shares, "2/")), (2, 2), "{shares:?}");
        assert_eq!(of(&share(&all, 1, "", |_| u32::MAX), "1/"), 1);
        assert_eq!(of(&share(&all, 1, "1", |_| u32::MAX), "2/"), 1);
        assert_eq!(of(&share(&all, 1, "2", |_| u32::MAX), "1/"), 1, "round again");
        let six = share(&all, 6, "", |_| u32::MAX);
        assert_eq!(sorted(six), pairs(&[("1/a", 1), ("1/b", 1), ("1/c", 1), ("2/a", 3)]));
    }

    #[test]
    fn what_may_not_begin_gives_its_places_to_others() {
        let all = lanes(&["1/away", "1/b", "2/asked"]);
        let room = |lane: &Lane| match lane.name() {
            "1/away" => 0,
            "2/asked" => 1,
            _ => u32::MAX,
        };
        assert_eq!(sorted(share(&all, 5, "", room)), pairs(&[("1/b", 4), ("2/asked", 1)]));
        assert!(share(&all, 5, "", |_| 0).is_empty());
        assert!(share(&[Lane::for_tests("1/a", 5)], 5, "", |_| 9).is_empty(), "its time has not come");
        assert!(share(&all, 0, "", |_| 9).is_empty());
    }
}
