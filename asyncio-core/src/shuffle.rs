//! A random order in the place of the loop's own, for tests of what must not depend on the order.

use std::collections::VecDeque;

use crate::ready::Ready;

/// Draws what an iteration runs; the same seed always draws the same.
#[derive(Clone, Copy)]
pub(crate) struct Shuffle {
    state: u64,
    habit: Habit,
}

/// How it draws, which the seed decides as well: orders that one way finds rarely another finds often.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Any selection in any order.
    Even,
    /// In so many of 64 iterations what became ready last, and nothing else: others wait for long.
    Newest(usize),
    /// Mostly the task with the highest of priorities, which are drawn too, and nothing else: some
    /// tasks are over before others begin.
    Priorities(u64),
}

/// An entry of a queue that can be dealt.
pub(crate) trait Entry {
    /// Which task it is of, where it is of one: the same for all of its entries in every run, and not
    /// often that of another task.
    fn task_number(&self) -> Option<u64>;
}

impl Entry for Ready {
    fn task_number(&self) -> Option<u64> {
        match self {
            Self::Step(task) | Self::Slept(task, _) => {
                let (number, made) = task.order();
                Some(number.wrapping_add(made << 32))
            }
            Self::Call(_)
            | Self::Done(..)
            | Self::Wake(_)
            | Self::Family(..)
            | Self::Watch(..)
            | Self::Timeout(_)
            | Self::Stop(_) => None,
        }
    }
}

impl Shuffle {
    pub(crate) fn new(seed: u64) -> Self {
        let mut this = Self {
            state: seed,
            habit: Habit::Even,
        };
        this.habit = match this.below(8) {
            0..2 => Habit::Even,
            2 => Habit::Newest(32),
            3 => Habit::Newest(63),
            _ => Habit::Priorities(this.next()),
        };
        this
    }

    /// Moves a random selection of the entries to the front, in random order, and says how many they
    /// are: at least one of those that are there.
    ///
    /// Not all of them, because an order in which everything runs once before anything runs twice is
    /// still an order: on several threads one task may do a lot before another begins.
    pub(crate) fn deal(&mut self, ready: &mut VecDeque<impl Entry>) -> usize {
        if ready.is_empty() {
            return 0;
        }
        let (habit, state) = (self.habit, self.state);
        let chosen = match habit {
            Habit::Newest(often) if self.below(64) < often => Some(ready.len() - 1),
            Habit::Priorities(seed) if self.below(16) > 0 => {
                let priority = |number: usize| match ready[number].task_number() {
                    Some(task) => mixed(seed ^ task),
                    None => mixed(seed ^ state.wrapping_add(number as u64)),
                };
                (0..ready.len()).max_by_key(|&number| priority(number))
            }
            _ => None,
        };
        if let Some(chosen) = chosen {
            // The others stay in their order.
            if let Some(entry) = ready.remove(chosen) {
                ready.push_front(entry);
            }
            return 1;
        }
        let dealt = 1 + self.below(ready.len());
        for place in 0..dealt {
            let chosen = place + self.below(ready.len() - place);
            ready.swap(place, chosen);
        }
        dealt
    }

    /// A number below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        // The high half of the product spreads 64 random bits over the numbers evenly, as nearly as
        // lengths of queues can tell.
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// SplitMix64: any seed will do, zero included.
    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.state)
    }
}

const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    impl Entry for u64 {
        fn task_number(&self) -> Option<u64> {
            (*self > 0).then_some(*self)
        }
    }

    #[test]
    fn every_selection_in_every_order_is_dealt_and_nothing_is_lost() {
        let mut seen = HashMap::new();
        for seed in 0..12_000 {
            let mut shuffle = Shuffle::new(seed);
            let mut ready = VecDeque::from([2, 0, 1]);
            ready.rotate_left(1);
            let dealt = shuffle.deal(&mut ready);
            let mut all: Vec<u64> = ready.iter().copied().collect();
            *seen.entry(all[..dealt].to_vec()).or_insert(0) += 1;
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2]);
        }
        // Three of one, six of two, six of three.
        assert_eq!(seen.len(), 15);
        let least = seen.values().min().copied().unwrap_or_default();
        assert!(least > 100, "{seen:?}");
    }

    #[test]
    fn with_some_seeds_what_is_old_has_to_wait() {
        let waits = |seed| {
            let mut shuffle = Shuffle::new(seed);
            let mut ready = VecDeque::from([1]);
            for number in 1.. {
                ready.push_back(0);
                let dealt = shuffle.deal(&mut ready);
                if ready.drain(..dealt).any(|entry| entry == 1) {
                    return number;
                }
            }
            unreachable!("some day it runs")
        };
        let waits: Vec<i32> = (0..100).map(waits).collect();
        assert!(waits.contains(&1) && waits.iter().any(|&iterations| iterations > 50));
    }

    /// Five tasks that are always ready: with some seeds two of them run, and the other three do not.
    #[test]
    fn with_some_seeds_some_tasks_are_over_before_others_begin() {
        let mut pairs = HashSet::new();
        for seed in 0..200 {
            let mut shuffle = Shuffle::new(seed);
            let mut ready: VecDeque<u64> = (1..=5).collect();
            let mut order: Vec<u64> = Vec::new();
            let mut turns = [0; 6];
            while order.len() < 3 {
                let dealt = shuffle.deal(&mut ready);
                for task in ready.drain(..dealt).collect::<Vec<_>>() {
                    turns[task as usize] += 1;
                    if !order.contains(&task) {
                        order.push(task);
                    }
                    // Each has ten turns.
                    if turns[task as usize] < 10 {
                        ready.push_back(task);
                    }
                }
            }
            let third = order[2] as usize;
            if (1..=5).filter(|&task| turns[task] == 10).count() == 2 && turns[third] == 1 {
                order[..2].sort_unstable();
                pairs.insert((order[0], order[1]));
            }
        }
        assert_eq!(pairs.len(), 10, "{pairs:?}");
    }

    #[test]
    fn the_same_seed_deals_the_same() {
        let deal = |seed| {
            let mut shuffle = Shuffle::new(seed);
            let mut ready: VecDeque<u64> = (0..50).collect();
            let dealt = (0..50)
                .map(|_| shuffle.deal(&mut ready))
                .collect::<Vec<_>>();
            (dealt, ready)
        };
        for seed in 0..20 {
            assert_eq!(deal(seed), deal(seed));
            assert_ne!(deal(seed), deal(seed + 20));
        }
        assert_eq!(Shuffle::new(7).deal(&mut VecDeque::<u64>::new()), 0);
    }
}
