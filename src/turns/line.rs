//! The order of those who wait.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::Asker;

/// Those who wait: each asker's in the order of their numbers, and the askers in turn. One may wait on behalf of several askers; its turn
/// is the earliest of theirs.
pub struct Line<T> {
    waiting: HashMap<u64, Waiter<T>>,
    /// None is empty.
    of: HashMap<Asker, BTreeSet<u64>>,
    /// Each asker of `of` once.
    turns: VecDeque<Asker>,
}

struct Waiter<T> {
    item: T,
    /// Never empty.
    askers: BTreeSet<Asker>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: HashMap::new(), of: HashMap::new(), turns: VecDeque::new() }
    }
}

impl<T> Line<T> {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// `number` tells it from all others, and those who came before from those who come after.
    pub fn push(&mut self, number: u64, item: T, asker: Asker) {
        self.waiting.insert(number, Waiter { item, askers: BTreeSet::from([asker]) });
        self.enter(number, asker);
    }

    /// From now on it waits on behalf of this asker as well. Nothing happens if it does not wait any more.
    pub fn join(&mut self, number: u64, asker: Asker) {
        let Some(waiter) = self.waiting.get_mut(&number) else { return };
        if waiter.askers.insert(asker) {
            self.enter(number, asker);
        }
    }

    /// The asker needs it no longer. The last one's turn it keeps: whoever does not need it at all removes it.
    pub fn leave(&mut self, number: u64, asker: Asker) {
        let Some(waiter) = self.waiting.get_mut(&number) else { return };
        if waiter.askers.len() > 1 && waiter.askers.remove(&asker) {
            self.exit(number, asker);
        }
    }

    /// The first of the asker whose turn it is, of those who `may`; that asker comes last then. One who may not keeps its turn.
    pub fn pop(&mut self, may: impl Fn(Asker) -> bool) -> Option<(Asker, T)> {
        let at = self.turns.iter().position(|asker| may(*asker))?;
        let asker = self.turns.remove(at)?;
        self.turns.push_back(asker);
        let number = self.of.get(&asker)?.first().copied()?;
        Some((asker, self.remove(number)?))
    }

    pub fn remove(&mut self, number: u64) -> Option<T> {
        let Waiter { item, askers } = self.waiting.remove(&number)?;
        for asker in askers {
            self.exit(number, asker);
        }
        Some(item)
    }

    /// Makes room for one of `newcomer`: the last of the asker with most leaves the line, if it has more than `newcomer` will have. What
    /// waits for others as well stays.
    pub fn give_way(&mut self, newcomer: Asker) -> Option<T> {
        let own = self.of.get(&newcomer).map_or(0, BTreeSet::len);
        let (_, longest) = self.of.iter().max_by_key(|(_, numbers)| numbers.len())?;
        if longest.len() <= own + 1 {
            return None;
        }
        let is_alone = |number: &&u64| self.waiting.get(number).is_some_and(|waiter| waiter.askers.len() == 1);
        let number = longest.iter().rev().find(is_alone).copied()?;
        self.remove(number)
    }

    fn enter(&mut self, number: u64, asker: Asker) {
        let numbers = self.of.entry(asker).or_default();
        if numbers.is_empty() {
            self.turns.push_back(asker);
        }
        numbers.insert(number);
    }

    fn exit(&mut self, number: u64, asker: Asker) {
        let Some(numbers) = self.of.get_mut(&asker) else { return };
        numbers.remove(&number);
        if numbers.is_empty() {
            self.of.remove(&asker);
            self.turns.retain(|other| *other != asker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(name: &str) -> Asker {
        Asker::work(name)
    }

    /// Each word is one who waits, by its asker and a mark: `a1`.
    fn line(words: &str) -> Line<String> {
        let mut line = Line::default();
        for (number, word) in words.split(' ').enumerate() {
            line.push(number as u64, word.to_owned(), asker(&word[..1]));
        }
        line
    }

    fn order(mut line: Line<String>) -> String {
        let mut popped = Vec::new();
        while let Some((_, item)) = line.pop(|_| true) {
            popped.push(item);
        }
        assert!(line.of.is_empty() && line.turns.is_empty() && line.waiting.is_empty());
        popped.join(" ")
    }

    #[test]
    fn askers_take_turns() {
        assert_eq!(order(line("a1 a2 a3 b1 a4 c1 b2")), "a1 b1 c1 a2 b2 a3 a4");
    }

    #[test]
    fn the_earliest_turn_of_several_askers_counts() {
        let mut line = line("a1 a2 a3 a4 b1");
        line.join(3, asker("b"));
        line.join(3, asker("c"));
        // c has nothing else, b has it before its own.
        assert_eq!(order(line), "a1 a4 a2 b1 a3");
    }

    #[test]
    fn whoever_leaves_takes_its_turn_along() {
        let mut line = line("a1 a2 a3 b1");
        line.join(2, asker("b"));
        line.leave(2, asker("b"));
        // The last asker's turn stays.
        line.leave(2, asker("a"));
        assert_eq!(line.remove(0).as_deref(), Some("a1"));
        line.join(0, asker("b"));
        assert_eq!(order(line), "a2 b1 a3");
    }

    #[test]
    fn who_may_not_keeps_its_turn() {
        let mut line = line("a1 b1 a2");
        let (_, first) = line.pop(|one| one != asker("a")).unwrap();
        assert_eq!(first, "b1");
        assert!(line.pop(|_| false).is_none());
        assert_eq!(order(line), "a1 a2");
    }

    #[test]
    fn the_longest_gives_way() {
        let mut line = line("a1 a2 a3 b1");
        line.join(2, asker("c"));
        assert_eq!(line.give_way(asker("d")).as_deref(), Some("a2"), "what waits for others as well stays");
        assert_eq!(line.give_way(asker("b")), None, "they would change places only");
        assert_eq!(line.len(), 3);
        assert_eq!(line.give_way(asker("a")), None);
    }
}
