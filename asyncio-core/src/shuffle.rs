//! A random order in the place of the loop's own, for tests of what must not depend on the order.

use std::collections::VecDeque;

/// Draws what an iteration runs; the same seed always draws the same.
#[derive(Clone, Copy)]
pub(crate) struct Shuffle {
    state: u64,
    /// In so many of 64 iterations what became ready last runs, and nothing else.
    newest: usize,
}

impl Shuffle {
    pub(crate) fn new(seed: u64) -> Self {
        let mut this = Self {
            state: seed,
            newest: 0,
        };
        this.newest = [0, 0, 32, 63][this.below(4)];
        this
    }

    /// Moves a random selection of the entries to the front, in random order, and says how many they
    /// are: at least one of those that are there.
    ///
    /// Not all of them, because an order in which everything runs once before anything runs twice is
    /// still an order: on several threads one task may do a lot before another begins. With some seeds
    /// the others have to wait for very long.
    pub(crate) fn deal<T>(&mut self, ready: &mut VecDeque<T>) -> usize {
        let ready = ready.make_contiguous();
        if ready.is_empty() {
            return 0;
        }
        if self.below(64) < self.newest {
            // The rest stays in its order.
            ready.rotate_right(1);
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
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_selection_in_every_order_is_dealt_and_nothing_is_lost() {
        let mut seen = HashMap::new();
        for seed in 0..6000 {
            let mut shuffle = Shuffle::new(seed);
            let mut ready = VecDeque::from([3, 1, 2]);
            ready.rotate_left(1);
            let dealt = shuffle.deal(&mut ready);
            let mut all: Vec<_> = ready.iter().copied().collect();
            *seen.entry(all[..dealt].to_vec()).or_insert(0) += 1;
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3]);
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
            let mut ready = VecDeque::from([0]);
            for number in 1.. {
                ready.push_back(number);
                let dealt = shuffle.deal(&mut ready);
                if ready.drain(..dealt).any(|entry| entry == 0) {
                    return number;
                }
            }
            unreachable!("some day it runs")
        };
        let waits: Vec<i32> = (0..100).map(waits).collect();
        assert!(waits.contains(&1) && waits.iter().any(|&iterations| iterations > 50));
    }

    #[test]
    fn the_same_seed_deals_the_same() {
        let deal = |seed| {
            let mut shuffle = Shuffle::new(seed);
            let mut ready: VecDeque<_> = (0..50).collect();
            let dealt = (0..50)
                .map(|_| shuffle.deal(&mut ready))
                .collect::<Vec<_>>();
            (dealt, ready)
        };
        assert_eq!(deal(7), deal(7));
        assert_ne!(deal(7), deal(8));
        assert_eq!(Shuffle::new(7).deal(&mut VecDeque::<u8>::new()), 0);
    }
}
