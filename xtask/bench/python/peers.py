"""The workloads of the benchmark suite on CPython, with asyncio's own loop or with uvloop.

    python peers.py asyncio|uvloop [DSN]

DSN is the address of a PostgreSQL server with the tables that are asked for.

First a line that says what runs here. Then, for each line `NAME COUNT` read, a line with the
nanoseconds that one of that many operations took, by the clock and of the processor. Every sample has a
loop of its own, as it has on the other sides. COUNT is a multiple of 1000.
"""

import asyncio
import atexit
import contextlib
import functools
import gc
import json
import os
import platform
import sqlite3
import sys
import sysconfig
import tempfile
import time

BATCH = 1000  # tasks of a batch
CROWD = 100  # tasks that take turns
RIVALS = 10  # tasks that contend
WAITERS = 100  # tasks that wait for one event
SIDES = 4  # tasks that put, and as many that get

WORKLOADS = {}
LACKS = {}  # what cannot run here, and why
DSN = sys.argv[2] if len(sys.argv) > 2 else None


def workload(function):
    WORKLOADS[function.__name__] = function
    return function


def workloads(functions, missing):
    """Functions that need something; `missing` says what is not there, if anything."""
    for function in functions:
        if missing:
            LACKS[function.__name__] = missing
        else:
            workload(function)


async def nothing():
    pass


def no_op():
    pass


def polled_once(coroutine):
    """Starts what waits, and leaves it waiting."""
    coroutine.send(None)
    return coroutine


# Tasks, timers, threads.


@workload
async def spawn_serial(count):
    for _ in range(count):
        await asyncio.create_task(nothing())


@workload
async def spawn_batch(count):
    for _ in range(count // BATCH):
        tasks = [asyncio.create_task(nothing()) for _ in range(BATCH)]
        for task in tasks:
            await task


@workload
async def switch(count):
    async def take_turns():
        for _ in range(count // CROWD):
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(take_turns()) for _ in range(CROWD)]
    for task in tasks:
        await task


@workload
async def timer_cancel(count):
    for _ in range(count // BATCH):
        for _ in range(BATCH):
            polled_once(asyncio.sleep(100)).close()
        await asyncio.sleep(0)  # The loop drops cancelled timers when it turns.


@workload
async def timers_live(count):
    timers = [polled_once(asyncio.sleep(100 + number % 1000 / 100)) for number in range(count)]
    for timer in timers:
        timer.close()
    await asyncio.sleep(0)  # The loop drops cancelled timers when it turns.


@workload
async def cancel_storm(count):
    for _ in range(count // BATCH):
        tasks = [asyncio.create_task(asyncio.sleep(1000)) for _ in range(BATCH)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for task in tasks:
            try:
                await task
            except asyncio.CancelledError:
                continue
            raise AssertionError("it was cancelled")


@workload
async def to_thread(count):
    for _ in range(count):
        await asyncio.to_thread(no_op)


@workload
async def call_soon(count):
    loop = asyncio.get_running_loop()
    for _ in range(count // BATCH):
        for _ in range(BATCH):
            loop.call_soon(no_op)
        await asyncio.sleep(0)


# Many tasks as one.


@workload
async def taskgroup(count):
    for _ in range(count // BATCH):
        async with asyncio.TaskGroup() as group:
            for _ in range(BATCH):
                group.create_task(nothing())


@workload
async def gather_100k(count):
    await asyncio.gather(*[asyncio.create_task(nothing()) for _ in range(count)])


@workload
async def gather_2(count):
    for _ in range(count):
        await asyncio.gather(nothing(), nothing())


@workload
async def timeout(count):
    for _ in range(count):
        async with asyncio.timeout(100):
            await asyncio.sleep(0)


# Locks and queues.


async def queue(count, bound):
    between = asyncio.Queue(bound)

    async def produce():
        for item in range(count):
            await between.put(item)

    producer = asyncio.create_task(produce())
    for item in range(count):
        assert await between.get() == item
    await producer


@workload
async def queue_100(count):
    await queue(count, 100)


@workload
async def queue_1(count):
    await queue(count, 1)


@workload
async def queue_mpmc(count):
    between = asyncio.Queue(100)

    async def produce():
        for item in range(count // SIDES):
            await between.put(item)

    async def consume():
        for _ in range(count // SIDES):
            await between.get()

    tasks = []
    for _ in range(SIDES):
        tasks += [asyncio.create_task(produce()), asyncio.create_task(consume())]
    for task in tasks:
        await task


@workload
async def semaphore_free(count):
    semaphore = asyncio.Semaphore(1)
    for _ in range(count):
        async with semaphore:
            pass


async def contended(count, guard):
    async def rival():
        for _ in range(count // RIVALS):
            async with guard:
                await asyncio.sleep(0)

    rivals = [asyncio.create_task(rival()) for _ in range(RIVALS)]
    for task in rivals:
        await task


@workload
async def semaphore_contended(count):
    await contended(count, asyncio.Semaphore(2))


@workload
async def lock_contended(count):
    await contended(count, asyncio.Lock())


@workload
async def event_fanout(count):
    event, rounds, waiting = asyncio.Event(), count // WAITERS, 0

    async def wait():
        nonlocal waiting
        for _ in range(rounds):
            waiting += 1
            await event.wait()

    waiters = [asyncio.create_task(wait()) for _ in range(WAITERS)]
    for _ in range(rounds):
        while waiting < WAITERS:
            await asyncio.sleep(0)
        waiting = 0
        event.set()
        event.clear()
    for task in waiters:
        await task


# SQLite, where there is an aiosqlite.

try:
    import aiosqlite

    missing = None
except ImportError as error:
    missing = str(error)

ROWS = 10_000  # rows of the table
POINT = "select name from t where id = ?"
FETCH = "select id, score, name from t limit ?"
TABLE = "create table t (id integer primary key, score real, name text)"
INSERT = "insert into t values (?, ?, ?)"


def values(count):
    return [(number, number / 8.0, "a name of some length") for number in range(count)]


def shares(count):
    """In parts that the table has enough rows for."""
    for start in range(0, count, ROWS):
        yield min(count - start, ROWS)


@functools.cache
def database():
    """The file, which is made once."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = os.path.join(folder.name, "bench.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(TABLE)
        connection.executemany(INSERT, values(ROWS))
        connection.commit()
    return path


async def sqlite_roundtrip(count):
    async with aiosqlite.connect(":memory:") as db:
        for _ in range(count):
            await db.rollback()  # There is nothing to roll back.


async def sqlite_point(count):
    async with aiosqlite.connect(database()) as db:
        for number in range(count):
            async with db.execute(POINT, (number % ROWS,)) as cursor:
                await cursor.fetchone()


async def sqlite_fetch(count):
    async with aiosqlite.connect(database()) as db:
        for share in shares(count):
            for _id, _score, _name in await db.execute_fetchall(FETCH, (share,)):
                pass


async def sqlite_iterate(count):
    async with aiosqlite.connect(database()) as db:
        for share in shares(count):
            async with db.execute(FETCH, (share,)) as cursor:
                async for _id, _score, _name in cursor:
                    pass


async def sqlite_executemany(count):
    async with aiosqlite.connect(":memory:") as db:
        await db.execute(TABLE)
        await db.executemany(INSERT, values(count))
        await db.commit()


workloads(
    [sqlite_roundtrip, sqlite_point, sqlite_fetch, sqlite_iterate, sqlite_executemany],
    missing,
)


# PostgreSQL, where there are an asyncpg and a server. What is given to a workload is made before the time
# begins.

try:
    import asyncpg

    missing = None if DSN else "no server"
except ImportError as error:
    missing = str(error)

ACCOUNTS = 100_000
GROUP = 1000  # rows that are inserted at once
CONNECTIONS = 10
PG_POINT = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
PG_FETCH = "SELECT id, total, score, active, name, note FROM sixes LIMIT $1"
PG_BULK = (
    "CREATE TEMP TABLE bulk"
    " (id int, total bigint, score float8, rate float8, active bool, name text, note text)"
)
PG_INSERT = "INSERT INTO bulk VALUES ($1, $2, $3, $4, $5, $6, $7)"


def given(context):
    def remember(function):
        function.given = context
        return function

    return remember


def accounts(count):
    return (number * 7919 % ACCOUNTS + 1 for number in range(count))


def sevens(count):
    name = "a name of some length"
    return ((n, n * 7, n / 8.0, -n / 8.0, n % 2 == 0, name, None) for n in range(count))


async def ask(connection, count):
    for account in accounts(count):
        row = await connection.fetchrow(PG_POINT, account)
        row[0]


@contextlib.asynccontextmanager
async def a_connection():
    connection = await asyncpg.connect(DSN)
    await ask(connection, 1)
    yield connection
    await connection.close()


@contextlib.asynccontextmanager
async def a_table():
    async with a_connection() as connection:
        await connection.execute(PG_BULK)
        await connection.executemany(PG_INSERT, sevens(1))
        yield connection


@contextlib.asynccontextmanager
async def a_pool():
    async with asyncpg.create_pool(DSN, min_size=1) as pool:
        async with pool.acquire() as connection:
            await ask(connection, 1)
        yield pool


@contextlib.asynccontextmanager
async def connections():
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(a_connection()) for _ in range(CONNECTIONS)]


@given(a_connection)
async def pg_point(count, connection):
    await ask(connection, count)


@given(a_connection)
async def pg_fetch(count, connection):
    for share in shares(count):
        for _id, _total, _score, _active, _name, _note in await connection.fetch(PG_FETCH, share):
            pass


@given(a_table)
async def pg_executemany(count, connection):
    for _ in range(count // GROUP):
        await connection.executemany(PG_INSERT, sevens(GROUP))


@given(a_pool)
async def pg_pool(count, pool):
    for account in accounts(count):
        async with pool.acquire() as connection:
            row = await connection.fetchrow(PG_POINT, account)
            row[0]


@given(a_pool)
async def pg_acquire(count, pool):
    for _ in range(count):
        async with pool.acquire():
            pass


@given(connections)
async def pg_ten(count, connections):
    await asyncio.gather(*[ask(connection, count // CONNECTIONS) for connection in connections])


workloads([pg_point, pg_fetch, pg_executemany, pg_pool, pg_acquire, pg_ten], missing)


# The ORM on SQLite, where there is a SQLAlchemy.

try:
    import sqlalchemy
    from sqlalchemy.ext import asyncio as alchemy
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
except ImportError:
    sqlalchemy = None


def sql_workloads():
    class Base(DeclarativeBase):
        pass

    class Item(Base):
        __tablename__ = "item"
        id: Mapped[int] = mapped_column(primary_key=True)
        score: Mapped[float]
        name: Mapped[str]

    def item(number):
        return Item(id=number, score=number / 8.0, name="a name of some length")

    @functools.cache
    def filled():
        """The file, which is made once."""
        folder = tempfile.TemporaryDirectory()
        atexit.register(folder.cleanup)
        path = os.path.join(folder.name, "sql.db")
        engine = sqlalchemy.create_engine("sqlite:///" + path)
        Base.metadata.create_all(engine)
        with sqlalchemy.orm.Session(engine) as session, session.begin():
            session.add_all([item(number) for number in range(ROWS)])
        engine.dispose()
        return path

    def engine():
        return alchemy.create_async_engine("sqlite+aiosqlite:///" + filled())

    @workload
    async def sql_point(count):
        made = engine()
        async with made.connect() as connection:
            for number in range(count):
                one = sqlalchemy.select(Item).where(Item.id == number % ROWS)
                (await connection.execute(one)).one()
        await made.dispose()

    @workload
    async def sql_session(count):
        made = engine()
        maker = alchemy.async_sessionmaker(made)
        for number in range(count):
            async with maker() as session:
                (await session.get_one(Item, number % ROWS)).score
        await made.dispose()

    @workload
    async def sql_fetch(count):
        made = engine()
        async with made.connect() as connection:
            for share in shares(count):
                (await connection.execute(sqlalchemy.select(Item).limit(share))).all()
        await made.dispose()

    @workload
    async def sql_instances(count):
        made = engine()
        maker = alchemy.async_sessionmaker(made)
        for share in shares(count):
            async with maker() as session:
                (await session.scalars(sqlalchemy.select(Item).limit(share))).all()
        await made.dispose()

    @workload
    async def sql_flush(count):
        made = alchemy.create_async_engine("sqlite+aiosqlite://")
        async with made.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with alchemy.async_sessionmaker(made)() as session:
            session.add_all([item(number) for number in range(count)])
            await session.commit()
        await made.dispose()


if sqlalchemy is not None and aiosqlite is not None:
    sql_workloads()


# Measuring.


def sample(new_loop, name, count):
    """Clock time is taken inside, processor time around all of it, as on the other sides; but of what is
    given to a workload neither."""
    function = WORKLOADS[name]

    async def timed():
        if not hasattr(function, "given"):
            start = time.perf_counter_ns()
            await function(count)
            return time.perf_counter_ns() - start, None
        async with function.given() as given:
            cpu = time.process_time_ns()
            start = time.perf_counter_ns()
            await function(count, given)
            return time.perf_counter_ns() - start, time.process_time_ns() - cpu

    gc.collect()  # What earlier samples left is no cost of this one.
    whole = time.process_time_ns()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        took, cpu = runner.run(timed())
    if cpu is None:
        cpu = time.process_time_ns() - whole
    return {"ns": took / count, "cpu_ns": cpu / count}


def tell(message):
    print(json.dumps(message), flush=True)


def main():
    library = sys.argv[1]
    loop = library
    if library == "uvloop":
        try:
            import uvloop
        except ImportError as error:
            tell({"missing": str(error)})
            return
        new_loop, loop = uvloop.new_event_loop, f"uvloop {uvloop.__version__}"
    else:
        new_loop = asyncio.new_event_loop
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    tell(
        {
            "python": platform.python_version(),
            "pgo": "--enable-optimizations" in options,
            "loop": loop,
            "workloads": list(WORKLOADS),
            "lacks": LACKS,
        }
    )
    for line in sys.stdin:
        name, count = line.split()
        tell(sample(new_loop, name, int(count)))


if __name__ == "__main__":
    main()
