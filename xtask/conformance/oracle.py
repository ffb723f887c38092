#!/usr/bin/env python3
"""Reference interpreter: runs scenario programs on CPython's own asyncio.

Reads one JSON program per line on standard input and writes one JSON object
per line: {"name": ..., "trace": [...]} or {"name": ..., "skip": "why"}.
The language is described in SCENARIOS.md. Time is virtual: the clock jumps to
the next timer whenever nothing is ready, so a trace never depends on the
machine. Needs CPython 3.13 or newer.

Three things that CPython leaves to memory addresses or heap internals are made
definite here, and only here: timers with equal deadlines fire in the order in
which they were created, and both the tasks of an aborting TaskGroup and the
tasks left over at the end of a program are cancelled in the order in which
they were created.
"""

import asyncio
import contextvars
import heapq
import itertools
import json
import selectors
import sys

WATCHDOG = 1000.0
WATCHDOG_TICKS = 5
CTX = contextvars.ContextVar("ctx", default="-")


class Hung(Exception):
    pass


class StableTimerHandle(asyncio.TimerHandle):
    """A TimerHandle whose ties are broken by creation order."""

    __slots__ = ("_seq",)
    _counter = itertools.count()

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._seq = next(self._counter)

    def _key(self):
        return (self._when, self._seq)

    def __lt__(self, other):
        return self._key() < other._key()

    def __le__(self, other):
        return self._key() <= other._key()

    def __gt__(self, other):
        return self._key() > other._key()

    def __ge__(self, other):
        return self._key() >= other._key()


class CreationOrder(dict):
    """A set that iterates in the order in which its members were added."""

    def add(self, member):
        self[member] = None

    def discard(self, member):
        self.pop(member, None)


class OrderedTaskGroup(asyncio.TaskGroup):
    def __init__(self):
        super().__init__()
        self._tasks = CreationOrder()


class VirtualSelector(selectors.DefaultSelector):
    loop = None

    def select(self, timeout=None):
        if timeout is None:
            raise Hung("nothing is scheduled")
        if timeout > 0:
            # the loop computed timeout from its next deadline: land on it exactly
            self.loop.now = self.loop._scheduled[0]._when
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        selector = VirtualSelector()
        super().__init__(selector)
        selector.loop = self
        self.now = 0.0
        self._clock_resolution = 1e-9
        self.made = []
        self.set_task_factory(self._make_task)

    def time(self):
        return self.now

    def _make_task(self, loop, coro, **kwargs):
        task = asyncio.Task(coro, loop=loop, **kwargs)
        self.made.append(task)
        return task

    def call_at(self, when, callback, *args, context=None):
        self._check_closed()
        timer = StableTimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer


class ErrA(Exception):
    pass


class ErrB(Exception):
    pass


ARTEFACTS = []
USER_KINDS = {"ErrA": ErrA, "ErrB": ErrB}
LIBRARY_KINDS = {
    "ValueError": ValueError,
    "TimeoutError": TimeoutError,
    "RuntimeError": RuntimeError,
    "InvalidStateError": asyncio.InvalidStateError,
    "QueueEmpty": asyncio.QueueEmpty,
    "QueueFull": asyncio.QueueFull,
    "QueueShutDown": asyncio.QueueShutDown,
    "BrokenBarrierError": asyncio.BrokenBarrierError,
    "IncompleteReadError": asyncio.IncompleteReadError,
    "LimitOverrunError": asyncio.LimitOverrunError,
    "CancelledError": asyncio.CancelledError,
    "ExceptionGroup": BaseExceptionGroup,
}
KINDS = {**USER_KINDS, **LIBRARY_KINDS, "Exception": Exception}


def text(data):
    """Bytes as a JSON string, each byte one character."""
    return json.dumps(data.decode("latin-1"))


def show(exc):
    """The canonical text of an exception: library errors by type alone."""
    if exc is None:
        return "None"
    if isinstance(exc, BaseExceptionGroup):
        inner = ", ".join(show(e) for e in exc.exceptions)
        return f"ExceptionGroup({exc.message})[{inner}]"
    if isinstance(exc, asyncio.CancelledError):
        return f"CancelledError({exc.args[0] if exc.args and exc.args[0] is not None else ''})"
    if isinstance(exc, asyncio.IncompleteReadError):
        return f"IncompleteReadError({text(exc.partial)},{exc.expected})"
    if isinstance(exc, asyncio.LimitOverrunError):
        return f"LimitOverrunError({exc.consumed})"
    name = type(exc).__name__
    if name in USER_KINDS:
        return f"{name}({exc.args[0]})"
    if name not in LIBRARY_KINDS:
        # RecursionError (tasks that wait in a circle), AssertionError: accidents of CPython, no semantics
        ARTEFACTS.append(repr(exc))
    return name


def kind_of(name):
    return KINDS[name]


class Return(Exception):
    """Unwinds a function body; never seen by the program's handlers."""


# statements whose first argument is a name that must already be bound
NAMED = set(
    "cancel uncancel cancelling inspect reschedule when handle_cancel add_done_callback "
    "set_result set_exception release locked set clear is_set notify notify_all put_nowait "
    "get_nowait task_done shutdown qsize barrier_state await acquire with wait_event "
    "cond_wait cond_wait_for barrier_wait barrier_reset barrier_abort put get join tg_spawn "
    "feed feed_eof at_eof stream_exception read readline readexactly readuntil".split()
)


def names_of(op, args):
    """The names a statement uses, in order of appearance."""
    if op in NAMED:
        return [args[0]] if args[0] != "self" else []
    if op in ("wait", "as_completed"):
        return args[0]
    if op == "gather":
        specs = args[0]
    elif op == "gather_bg":
        specs = args[1]
    elif op in ("wait_for", "shield"):
        specs = [args[0]]
    elif op == "shield_bg":
        specs = [args[1]]
    else:
        return []
    return [name for kind, name in specs if kind == "var"]


class Interpreter:
    def __init__(self, program, loop):
        self.program = program
        self.loop = loop
        self.trace = []
        self.vars = {}
        self.calls = itertools.count()
        self.counters = {}
        self.ill = None
        self.over = False

    # -- trace ------------------------------------------------------------
    def log(self, label, text):
        if not self.over:
            self.trace.append(f"{self.loop.time():.3f} {label} {text}")

    def state(self, fut):
        if not fut.done():
            return "pending"
        if fut.cancelled():
            return "cancelled"
        exc = fut.exception()
        if exc is not None:
            return f"exception {show(exc)}"
        return f"result {self.value(fut.result())}"

    def value(self, value):
        if isinstance(value, BaseException):
            return show(value)
        if isinstance(value, list):
            return "[" + ", ".join(self.value(v) for v in value) + "]"
        return "None" if value is None else str(value)

    # -- set-up -----------------------------------------------------------
    def make(self, spec):
        kind, *args = spec
        if kind == "lock":
            return asyncio.Lock()
        if kind == "event":
            return asyncio.Event()
        if kind == "semaphore":
            return asyncio.Semaphore(*args)
        if kind == "bounded_semaphore":
            return asyncio.BoundedSemaphore(*args)
        if kind == "condition":
            return asyncio.Condition(self.vars[args[0]] if args else None)
        if kind == "barrier":
            return asyncio.Barrier(*args)
        if kind == "queue":
            return asyncio.Queue(*args)
        if kind == "priority_queue":
            return asyncio.PriorityQueue(*args)
        if kind == "lifo_queue":
            return asyncio.LifoQueue(*args)
        if kind == "future":
            return self.loop.create_future()
        if kind == "stream_reader":
            return asyncio.StreamReader(limit=args[0], loop=self.loop)
        raise SystemExit(f"unknown object kind {kind!r}")

    def start(self, func):
        """Calls a function: a coroutine with a label of its own."""
        label = f"{func}.{next(self.calls)}"
        return self.function(label, self.program["funcs"][func])

    def awaitable(self, spec):
        kind, name = spec
        return self.start(name) if kind == "call" else self.vars[name]

    # -- execution --------------------------------------------------------
    async def function(self, label, body):
        self.log(label, "start")
        try:
            await self.block(label, body)
        except Return as done:
            self.log(label, f"return {self.value(done.args[0])}")
            return done.args[0]
        except BaseException as exc:
            if isinstance(exc, (AttributeError, TypeError, KeyError)):
                self.ill = repr(exc)
            self.log(label, f"raise {show(exc)}")
            raise
        self.log(label, "return None")
        return None

    async def block(self, label, body):
        for statement in body:
            op, *args = statement
            if self.unbound(label, op, args):
                continue
            method = getattr(self, "do_" + op, None)
            try:
                if method is not None:
                    await method(label, *args)
                else:
                    self.sync(label, op, args)
            except RecursionError as exc:
                # noted here, for a `finally` of the program may put its own exception in its place
                ARTEFACTS.append(repr(exc))
                raise

    def unbound(self, label, op, args):
        for name in names_of(op, args):
            if name not in self.vars:
                self.log(label, f"unbound {name}")
                return True
        return False

    def sync(self, label, op, args):
        """Statements that never suspend; also the actions of callbacks."""
        v = self.vars
        if op == "log":
            self.log(label, f"log {args[0]}")
        elif op == "spawn":
            var, func = args
            v[var] = self.loop.create_task(self.start(func))
            self.log(label, f"spawn {var}")
        elif op == "spawn_eager":
            var, func = args
            coro = self.start(func)
            number = len(self.loop.made)
            self.loop.made.append(None)  # its place, before the tasks its first step makes
            task = self.loop.made[number] = asyncio.Task(coro, loop=self.loop, eager_start=True)
            v[var] = task
            self.log(label, f"spawn_eager {var}")
        elif op == "tg_spawn":
            group, var, func = args
            coro = self.start(func)
            try:
                v[var] = v[group].create_task(coro)
            except RuntimeError:
                coro.close()
                raise
            self.log(label, f"tg_spawn {var}")
        elif op == "cancel":
            var, *msg = args
            target = asyncio.current_task() if var == "self" else v[var]
            self.log(label, f"cancel {var} {target.cancel(*msg)}")
        elif op == "uncancel":
            target = asyncio.current_task() if args[0] == "self" else v[args[0]]
            self.log(label, f"uncancel {args[0]} {target.uncancel()}")
        elif op == "cancelling":
            target = asyncio.current_task() if args[0] == "self" else v[args[0]]
            self.log(label, f"cancelling {args[0]} {target.cancelling()}")
        elif op == "inspect":
            self.log(label, f"inspect {args[0]} {self.state(v[args[0]])}")
        elif op == "return":
            raise Return(args[0])
        elif op == "raise":
            kind, msg = args
            raise kind_of(kind)(msg)
        elif op == "raise_group":
            raise self.group(*args)
        elif op == "gather_bg":
            var, specs, rex = args
            v[var] = asyncio.gather(*[self.awaitable(s) for s in specs], return_exceptions=rex)
            self.log(label, f"gather_bg {var}")
        elif op == "shield_bg":
            var, spec = args
            v[var] = asyncio.shield(self.awaitable(spec))
            self.log(label, f"shield_bg {var}")
        elif op == "reschedule":
            var, delay = args
            v[var].reschedule(None if delay is None else self.loop.time() + delay)
            self.log(label, f"reschedule {var}")
        elif op == "when":
            when = v[args[0]].when()
            self.log(label, f"when {args[0]} {'None' if when is None else format(when, '.3f')}")
        elif op == "call_soon":
            var, action = args
            v[var] = self.loop.call_soon(self.callback, action)
            self.log(label, f"call_soon {var}")
        elif op == "call_later":
            var, delay, action = args
            v[var] = self.loop.call_later(delay, self.callback, action)
            self.log(label, f"call_later {var}")
        elif op == "call_at":
            var, when, action = args
            v[var] = self.loop.call_at(when, self.callback, action)
            self.log(label, f"call_at {var}")
        elif op == "handle_cancel":
            v[args[0]].cancel()
            self.log(label, f"handle_cancel {args[0]} {v[args[0]].cancelled()}")
        elif op == "add_done_callback":
            var, tag = args
            fut = v[var]
            fut.add_done_callback(lambda f: self.log("cb", f"done {tag} {self.state(f)} {CTX.get()}"))
            self.log(label, f"add_done_callback {var} {tag}")
        elif op == "set_result":
            v[args[0]].set_result(args[1])
            self.log(label, f"set_result {args[0]}")
        elif op == "set_exception":
            v[args[0]].set_exception(kind_of(args[1])(args[2]))
            self.log(label, f"set_exception {args[0]}")
        elif op == "release":
            v[args[0]].release()
            self.log(label, f"release {args[0]}")
        elif op == "locked":
            self.log(label, f"locked {args[0]} {v[args[0]].locked()}")
        elif op == "set":
            v[args[0]].set()
            self.log(label, f"set {args[0]}")
        elif op == "clear":
            v[args[0]].clear()
            self.log(label, f"clear {args[0]}")
        elif op == "is_set":
            self.log(label, f"is_set {args[0]} {v[args[0]].is_set()}")
        elif op == "notify":
            v[args[0]].notify(args[1])
            self.log(label, f"notify {args[0]}")
        elif op == "notify_all":
            v[args[0]].notify_all()
            self.log(label, f"notify_all {args[0]}")
        elif op == "put_nowait":
            v[args[0]].put_nowait(args[1])
            self.log(label, f"put_nowait {args[0]} {args[1]}")
        elif op == "get_nowait":
            self.log(label, f"get_nowait {args[0]} {v[args[0]].get_nowait()}")
        elif op == "task_done":
            v[args[0]].task_done()
            self.log(label, f"task_done {args[0]}")
        elif op == "shutdown":
            v[args[0]].shutdown(args[1])
            self.log(label, f"shutdown {args[0]}")
        elif op == "qsize":
            q = v[args[0]]
            self.log(label, f"qsize {args[0]} {q.qsize()} {q.empty()} {q.full()}")
        elif op == "incr":
            self.counters[args[0]] = self.counters.get(args[0], 0) + 1
            self.log(label, f"incr {args[0]} {self.counters[args[0]]}")
        elif op == "ctx_set":
            CTX.set(args[0])
            self.log(label, f"ctx_set {args[0]}")
        elif op == "ctx_get":
            self.log(label, f"ctx_get {CTX.get()}")
        elif op == "barrier_state":
            b = v[args[0]]
            self.log(label, f"barrier_state {args[0]} {b.n_waiting} {b.broken}")
        elif op == "feed":
            if v[args[0]]._eof:
                raise RuntimeError("feed_data after feed_eof")  # an assert in CPython
            v[args[0]].feed_data(args[1].encode("latin-1"))
            self.log(label, f"feed {args[0]}")
        elif op == "feed_eof":
            v[args[0]].feed_eof()
            self.log(label, f"feed_eof {args[0]}")
        elif op == "at_eof":
            self.log(label, f"at_eof {args[0]} {v[args[0]].at_eof()}")
        elif op == "stream_exception":
            v[args[0]].set_exception(kind_of(args[1])(args[2]))
            self.log(label, f"stream_exception {args[0]}")
        elif op == "tasks":
            self.log(label, f"tasks {len(asyncio.all_tasks(self.loop))}")
        elif op == "time":
            self.log(label, f"time {self.loop.time():.3f}")
        else:
            raise SystemExit(f"unknown statement {op!r}")

    def group(self, message, members):
        inner = []
        for member in members:
            if isinstance(member[1], list):
                inner.append(self.group(*member))
            else:
                inner.append(kind_of(member[0])(member[1]))
        return BaseExceptionGroup(message, inner)

    def callback(self, action):
        op, *args = action
        if not self.unbound("cb", op, args):
            try:
                self.sync("cb", op, args)
            except (AttributeError, TypeError, KeyError) as exc:
                self.ill = repr(exc)

    async def own(self):
        """What awaiting oneself does, without the C Task's fault: there it spoils the task for all awaiters."""
        await asyncio.sleep(0)
        raise RuntimeError("Task cannot await on itself")

    # statements that may suspend
    async def do_sleep(self, label, delay):
        await asyncio.sleep(delay)
        self.log(label, f"slept {delay}")

    async def do_call(self, label, func):
        result = await self.start(func)
        self.log(label, f"call {func} {self.value(result)}")

    async def do_await(self, label, var):
        awaited = self.vars[var]
        result = await (self.own() if awaited is asyncio.current_task() else awaited)
        self.log(label, f"await {var} {self.value(result)}")

    async def do_repeat(self, label, times, body):
        for _ in range(times):
            await self.block(label, body)

    async def do_try(self, label, body, handlers, otherwise, final):
        try:
            try:
                await self.block(label, body)
            except Return:
                raise
            except BaseException as exc:
                for kinds, handler in handlers:
                    if any(isinstance(exc, kind_of(k)) for k in kinds):
                        self.log(label, f"except {show(exc)}")
                        await self.handler(label, handler, exc)
                        break
                else:
                    raise
            else:
                await self.block(label, otherwise)
        finally:
            if final:
                self.log(label, "finally")
                await self.block(label, final)

    async def handler(self, label, body, exc):
        for statement in body:
            if statement[0] == "reraise":
                raise exc
            await self.block(label, [statement])

    async def do_trystar(self, label, body, handlers):
        try:
            await self.block(label, body)
        except Return:
            raise
        except BaseException as exc:
            bare = not isinstance(exc, BaseExceptionGroup)
            rest, raised = BaseExceptionGroup("", [exc]) if bare else exc, []
            for kinds, handler in handlers:
                if rest is None:
                    break
                matched, rest = rest.split(tuple(kind_of(k) for k in kinds))
                if matched is not None:
                    self.log(label, f"except* {show(matched)}")
                    try:
                        await self.block(label, handler)
                    except Return:
                        raise
                    except BaseException as new:
                        raised.append(new)
            if raised:
                # as `except*` does: what the handlers raised, beside what none of them matched
                parts = raised + ([rest] if rest else [])
                raise parts[0] if len(parts) == 1 else BaseExceptionGroup("", parts)
            if rest is not None:
                raise exc if bare else rest

    async def do_gather(self, label, specs, rex):
        result = await asyncio.gather(
            *[self.awaitable(s) for s in specs], return_exceptions=rex)
        self.log(label, f"gather {self.value(list(result))}")

    async def do_wait(self, label, names, timeout, when):
        done, pending = await asyncio.wait(
            [self.vars[n] for n in names], timeout=timeout, return_when=when)
        show_set = lambda s: " ".join(n for n in names if self.vars[n] in s) or "-"
        self.log(label, f"wait done {show_set(done)} pending {show_set(pending)}")

    async def do_as_completed(self, label, names, timeout, style):
        tasks = {self.vars[n]: n for n in names}
        if style == "iter":
            for next_done in asyncio.as_completed(list(tasks), timeout=timeout):
                try:
                    self.log(label, f"completed {self.value(await next_done)}")
                except Exception as exc:
                    self.log(label, f"completed {show(exc)}")
        else:
            try:
                async for task in asyncio.as_completed(list(tasks), timeout=timeout):
                    self.log(label, f"completed {tasks[task]} {self.state(task)}")
            except TimeoutError as exc:
                self.log(label, f"completed {show(exc)}")

    async def do_wait_for(self, label, spec, timeout):
        awaited = self.awaitable(spec)
        if awaited is asyncio.current_task() and (timeout is None or timeout > 0):
            awaited = self.own()
        result = await asyncio.wait_for(awaited, timeout)
        self.log(label, f"wait_for {self.value(result)}")

    async def do_timeout(self, label, var, delay, body):
        cm = self.vars[var] = asyncio.timeout(delay)
        try:
            async with cm:
                await self.block(label, body)
        finally:
            self.log(label, f"timeout {var} expired {cm.expired()}")

    async def do_timeout_at(self, label, var, when, body):
        cm = self.vars[var] = asyncio.timeout_at(when)
        try:
            async with cm:
                await self.block(label, body)
        finally:
            self.log(label, f"timeout {var} expired {cm.expired()}")

    async def do_shield(self, label, spec):
        result = await asyncio.shield(self.awaitable(spec))
        self.log(label, f"shield {self.value(result)}")

    async def do_taskgroup(self, label, var, body):
        group = self.vars[var] = OrderedTaskGroup()
        leave = None
        async with group:
            try:
                await self.block(label, body)
                self.log(label, f"taskgroup {var} body done")
            except Return as done:  # a return is no error of the body
                leave = done
        if leave is not None:
            raise leave
        self.log(label, f"taskgroup {var} done")

    async def do_acquire(self, label, var):
        await self.vars[var].acquire()
        self.log(label, f"acquire {var}")

    async def do_with(self, label, var, body):
        async with self.vars[var]:
            self.log(label, f"enter {var}")
            await self.block(label, body)
        self.log(label, f"exit {var}")

    async def do_wait_event(self, label, var):
        await self.vars[var].wait()
        self.log(label, f"wait_event {var}")

    async def do_cond_wait(self, label, var):
        await self.vars[var].wait()
        self.log(label, f"cond_wait {var}")

    async def do_cond_wait_for(self, label, var, counter, least):
        await self.vars[var].wait_for(lambda: self.counters.get(counter, 0) >= least)
        self.log(label, f"cond_wait_for {var}")

    async def do_barrier_wait(self, label, var):
        index = await self.vars[var].wait()
        self.log(label, f"barrier_wait {var} {index}")

    async def do_barrier_reset(self, label, var):
        await self.vars[var].reset()
        self.log(label, f"barrier_reset {var}")

    async def do_barrier_abort(self, label, var):
        await self.vars[var].abort()
        self.log(label, f"barrier_abort {var}")

    async def do_put(self, label, var, item):
        await self.vars[var].put(item)
        self.log(label, f"put {var} {item}")

    async def do_get(self, label, var):
        item = await self.vars[var].get()
        self.log(label, f"get {var} {item}")

    async def do_read(self, label, var, count):
        self.log(label, f"read {var} {text(await self.vars[var].read(count))}")

    async def do_readline(self, label, var):
        self.log(label, f"readline {var} {text(await self.vars[var].readline())}")

    async def do_readexactly(self, label, var, count):
        self.log(label, f"readexactly {var} {text(await self.vars[var].readexactly(count))}")

    async def do_readuntil(self, label, var, separators):
        found = tuple(s.encode("latin-1") for s in separators)
        data = await self.vars[var].readuntil(found[0] if len(found) == 1 else found)
        self.log(label, f"readuntil {var} {text(data)}")

    async def do_join(self, label, var):
        await self.vars[var].join()
        self.log(label, f"join {var}")


def run(program):
    """Runs a program in a context of its own: closing what hung runs its clean-up in the context of the
    caller, and what that sets must not reach the next program."""
    return contextvars.Context().run(play, program)


def play(program):
    ARTEFACTS.clear()
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    it = Interpreter(program, loop)
    ticks = 0

    def watchdog():
        nonlocal ticks
        ticks += 1
        it.log("loop", f"watchdog {ticks}")
        if ticks >= WATCHDOG_TICKS:
            raise Hung("the watchdog gave up")
        loop.call_later(WATCHDOG, watchdog)
        for task in loop.made:
            if task is not None and not task.done():
                task.cancel("watchdog")

    def unhandled(_loop, context):
        exc = context.get("exception")
        if isinstance(exc, Hung):
            loop.stop()
            return
        if "never retrieved" in context["message"]:
            return  # its moment depends on reference counts and the garbage collector
        it.log("loop", f"unhandled {show(exc)}")

    loop.set_exception_handler(unhandled)
    hung = False
    try:
        # every name exists from the start, so a program can never trip on a missing one
        for name, spec in program.get("objects", {}).items():
            it.vars[name] = it.make(spec)
        loop.call_later(WATCHDOG, watchdog)
        try:
            main = loop.create_task(it.start("main"))
            try:
                loop.run_until_complete(main)
            except asyncio.CancelledError:
                pass
            except Hung:
                raise
            except RuntimeError as exc:
                if not main.done():
                    raise Hung(str(exc))
            except BaseException:
                pass
            it.log("loop", f"main {it.state(main)}")
            # an eager first step that a RecursionError ended leaves no task behind
            loop.made[:] = [task for task in loop.made if task is not None]
            left = [t for t in loop.made if not t.done()]
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        except (Hung, RuntimeError):
            hung = True
            loop.made[:] = [task for task in loop.made if task is not None]
        for number, task in enumerate(loop.made):
            it.log("loop", f"task {number} {it.state(task)}")
        artefacts = list(ARTEFACTS)
        it.over = True  # what closing the leftovers runs (GeneratorExit) is no part of the trace
    finally:
        loop.set_exception_handler(lambda *_: None)
        for task in loop.made:
            # nothing may still run once the program is over
            if not task.done():
                try:
                    task.get_coro().close()
                except BaseException:
                    pass
                task._log_destroy_pending = False
        asyncio.set_event_loop(None)
        loop.close()
    if artefacts:
        return {"name": program["name"], "skip": f"artefact of CPython: {artefacts[0]}"}
    if it.ill:
        return {"name": program["name"], "skip": f"ill-formed: {it.ill}"}
    if hung:
        return {"name": program["name"], "skip": "hung"}
    return {"name": program["name"], "trace": it.trace}


def main():
    if sys.version_info < (3, 13):
        raise SystemExit("oracle.py needs CPython 3.13 or newer")
    for line in sys.stdin:
        line = line.strip()
        if not line:
            continue
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
