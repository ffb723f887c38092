//! The operations.

use std::sync::Arc;

use asyncio_core::{Future, Result, create_task, current_task, sleep, wait};

use super::super::random::Random;
use super::super::tally::Kind;
use super::board::{Bell, Pick, Promise, Rope, Thing};
use super::scripts::{Script, abandon};
use super::sites::Place;
use super::{Driving, World};

/// Those who drive, on every loop and runtime.
const DRIVERS: usize = 2;
/// As long as there are more tasks than this no further ones are made.
const MANY: i64 = 1000;

/// Starts those who do operations in a place.
pub(super) fn drive(world: &Arc<World>, place: &Place, random: &mut Random) {
    for _ in 0..DRIVERS {
        let (driving, random) = (Driving::new(world), random.fork());
        place.call(move || drop(create_task(driver(driving, random))));
    }
}

/// Does operations, some of which wait, until all are done or it is cancelled.
async fn driver(driving: Driving, mut random: Random) -> Result<()> {
    let world = &driving.0;
    let random = &mut random;
    while !world.is_over() {
        let waited = match random.below(8) {
            0 => {
                let pick = world.board.pick(random);
                world.count_if(!matches!(pick, Pick::Nothing));
                abandon(pick.end(), random.below(4)).await
            }
            1 => several(world, random).await,
            2..6 if act(world, random) => continue,
            _ => Some(sleep(0).await),
        };
        // The cancellation of what it waited for is nothing; its own is the end of its place.
        if let Some(Err(error)) = waited
            && error.is_cancelled()
            && current_task().is_none_or(|task| task.cancelling() > 0)
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Waits for several at once, for a moment.
async fn several(world: &World, random: &mut Random) -> Option<Result<()>> {
    let mut tasks = Vec::new();
    for _ in 0..3 {
        if let Pick::Task(task) = world.board.pick(random) {
            tasks.push(task);
        }
    }
    world.count_if(!tasks.is_empty());
    let waited = abandon(wait(tasks).timeout(0.000_1), random.below(4)).await;
    waited.map(|waited| waited.map(drop))
}

/// One operation that does not wait; false where there was nothing to do it to.
pub(super) fn act(world: &Arc<World>, random: &mut Random) -> bool {
    let drawn = random.below(16);
    let done = match drawn {
        0..5 => {
            let room = world.tally.alive(Kind::Coroutine) < MANY;
            if room {
                spawn(world, random, drawn == 0);
            }
            room
        }
        5..8 => cancel(world, random),
        8 | 9 => !matches!(world.board.take(random), Thing::Nothing),
        10 => {
            let promise = Promise::new(Future::new(), &world.tally);
            world.board.put(random, Thing::Promise(promise));
            true
        }
        11 => {
            world
                .board
                .put(random, Thing::Bell(Rope::of(Bell::default())));
            true
        }
        12 => {
            let (closure, theirs) = (world.tally.one(Kind::Closure), Arc::clone(world));
            let (place, mut random) = (world.place(random), random.fork());
            place.call(move || {
                drop(closure);
                act(&theirs, &mut random);
            });
            true
        }
        13 => call_back(world, random),
        14 => match world.board.pick(random) {
            Pick::Task(task) => {
                world.board.put(random, Thing::Task(task));
                true
            }
            _ => false,
        },
        _ => look(world, random),
    };
    world.count_if(done);
    done
}

fn spawn(world: &Arc<World>, random: &mut Random, as_job: bool) {
    let (place, script) = (world.place(random), Script::draw(world, random));
    let coroutine = script.run(Arc::clone(world));
    if as_job {
        let job = place.run(coroutine);
        world.board.put(random, Thing::Job(job));
    } else {
        place.spawn(world, random, coroutine);
    }
}

fn cancel(world: &World, random: &mut Random) -> bool {
    let with_message = random.one_in(2);
    match world.board.pick(random) {
        Pick::Task(task) if with_message => task.cancel_with_message("enough"),
        Pick::Task(task) => task.cancel(),
        Pick::Future(future) => future.cancel(),
        Pick::Job(job) => {
            let cancelled = job.cancel();
            world.board.put(random, Thing::Job(job));
            cancelled
        }
        Pick::Nothing | Pick::Bell(_) => false,
    }
}

/// Has a function called when something ends; sometimes it is taken back again.
fn call_back(world: &World, random: &mut Random) -> bool {
    let closure = world.tally.one(Kind::Closure);
    match world.board.pick(random) {
        Pick::Task(task) => {
            let id = task.add_done_callback(move |_| drop(closure));
            if random.one_in(2) {
                task.remove_done_callback(id);
            }
        }
        Pick::Future(future) => {
            let id = future.add_done_callback(move |_| drop(closure));
            if random.one_in(2) {
                future.remove_done_callback(id);
            }
        }
        Pick::Job(job) => {
            job.add_done_callback(move |_| drop(closure));
            world.board.put(random, Thing::Job(job));
        }
        Pick::Nothing | Pick::Bell(_) => return false,
    }
    true
}

/// Asks for what there is to ask for.
fn look(world: &World, random: &mut Random) -> bool {
    match world.board.pick(random) {
        Pick::Task(task) if task.done() => drop((task.exception(), task.result())),
        Pick::Task(task) => drop((task.cancelling(), task.get_name())),
        Pick::Future(future) => drop((future.exception(), future.result())),
        Pick::Job(job) if job.done() => drop(job.result(0)),
        Pick::Job(job) => world.board.put(random, Thing::Job(job)),
        Pick::Nothing | Pick::Bell(_) => return false,
    }
    true
}
