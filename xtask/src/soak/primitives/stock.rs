//! Queues, with an account of what went in and came out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use asyncio_sync::{LifoQueue, PriorityQueue, Queue};

use super::super::random::Random;
use super::{TASKS, guard};

/// Its producer, and a number that grows with each item of that one.
pub(super) type Item = (u64, usize);

/// A queue.
pub(super) struct Shelf {
    order: Order,
    pub(super) queue: Queue<Item>,
    room: usize,
    pub(super) asleep_get: AtomicUsize,
    pub(super) asleep_put: AtomicUsize,
    put: AtomicU64,
    got: AtomicU64,
    /// The sums of what was put and got, which tell items apart as well as needs be.
    put_sum: AtomicU64,
    got_sum: AtomicU64,
    /// The last item that each consumer, the first number, had of each producer.
    last: Mutex<[[u64; TASKS]; TASKS]>,
    out_of_order: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Fifo,
    Lifo,
    Priority,
}

/// One of each kind.
pub(super) fn shelves(random: &mut Random) -> Vec<Shelf> {
    let mut room = || [0, 1, 3][random.below(3)];
    let (fifo, lifo, priority) = (room(), room(), room());
    vec![
        Shelf::new(Order::Fifo, Queue::new(fifo)),
        Shelf::new(Order::Lifo, (*LifoQueue::new(lifo)).clone()),
        Shelf::new(Order::Priority, (*PriorityQueue::new(priority)).clone()),
    ]
}

impl Shelf {
    fn new(order: Order, queue: Queue<Item>) -> Self {
        let room = usize::try_from(queue.maxsize()).unwrap_or_default();
        Self {
            order,
            queue,
            room,
            asleep_get: AtomicUsize::new(0),
            asleep_put: AtomicUsize::new(0),
            put: AtomicU64::new(0),
            got: AtomicU64::new(0),
            put_sum: AtomicU64::new(0),
            got_sum: AtomicU64::new(0),
            last: Mutex::new([[0; TASKS]; TASKS]),
            out_of_order: AtomicUsize::new(0),
        }
    }

    pub(super) fn asleep(&self) -> [&AtomicUsize; 2] {
        [&self.asleep_get, &self.asleep_put]
    }

    /// An item is in the queue.
    pub(super) fn note_put(&self, item: Item) {
        self.put.fetch_add(1, Ordering::SeqCst);
        self.put_sum.fetch_add(worth(item), Ordering::SeqCst);
    }

    /// A consumer has an item.
    pub(super) fn note_got(&self, consumer: usize, item: Item) {
        self.got.fetch_add(1, Ordering::SeqCst);
        self.got_sum.fetch_add(worth(item), Ordering::SeqCst);
        let (number, producer) = item;
        let last = &mut guard(&self.last)[consumer][producer];
        if self.order == Order::Fifo && number <= *last {
            self.out_of_order.fetch_add(1, Ordering::SeqCst);
        }
        *last = number;
        if self.queue.task_done().is_err() {
            self.out_of_order.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn put_in_all(&self) -> u64 {
        self.put.load(Ordering::Relaxed)
    }

    /// Somebody sleeps though there is an item for him, or room.
    pub(super) fn forgotten(&self) -> Option<String> {
        let getters = self.asleep_get.load(Ordering::SeqCst);
        if getters > 0 && !self.queue.empty() {
            return Some(format!("{getters} wait for items: {}", self.queue));
        }
        let putters = self.asleep_put.load(Ordering::SeqCst);
        if putters > 0 && !self.queue.full() {
            return Some(format!("{putters} wait for room: {}", self.queue));
        }
        None
    }

    /// Wakes all who wait.
    pub(super) fn close(&self) {
        self.queue.shutdown(false);
    }

    /// Empties the queue, and says what is not in order.
    pub(super) fn audit(&self) -> Option<String> {
        let mut rest = Vec::new();
        while let Ok(item) = self.queue.get_nowait() {
            rest.push(item);
        }
        let mine = |producer| rest.iter().filter(move |item: &&Item| item.1 == producer);
        let in_order = match self.order {
            Order::Fifo => (0..TASKS).all(|producer| mine(producer).is_sorted()),
            Order::Lifo => (0..TASKS).all(|producer| mine(producer).rev().is_sorted()),
            Order::Priority => rest.is_sorted(),
        };
        let out_of_order = self.out_of_order.load(Ordering::SeqCst);
        if !in_order || out_of_order > 0 {
            return Some(format!(
                "{:?}, room {}: {out_of_order} items out of order, left: {rest:?}",
                self.order, self.room
            ));
        }
        let left = rest.len() as u64;
        let left_sum = rest
            .iter()
            .fold(0_u64, |sum, item| sum.wrapping_add(worth(*item)));
        let (put, got) = (
            self.put.load(Ordering::SeqCst),
            self.got.load(Ordering::SeqCst),
        );
        let put_sum = self.put_sum.load(Ordering::SeqCst);
        let got_sum = self.got_sum.load(Ordering::SeqCst);
        (put != got + left || put_sum != got_sum.wrapping_add(left_sum)).then(|| {
            format!(
                "{:?}, room {}: {put} items were put, {got} got, and {left} were left",
                self.order, self.room
            )
        })
    }
}

/// A number that hardly any other item has.
fn worth((number, producer): Item) -> u64 {
    Random::new(number.wrapping_mul(TASKS as u64) + producer as u64).next()
}
