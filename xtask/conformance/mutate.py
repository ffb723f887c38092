#!/usr/bin/env python3
"""Measures the scenario corpus: how many mutations of CPython's asyncio does it notice?

    mutate.py                                   every mutant of every module
    mutate.py --module tasks --module futures   two modules only
    mutate.py --sample 200 --seed 7             200 mutants, chosen by the seed
    mutate.py --scenarios scenarios/locks.jsonl scenarios/queues.jsonl
    mutate.py --list-survivors                  and a diff for each mutant that nobody noticed
    mutate.py --check                           only: are the scenarios themselves sound?

A mutant is the asyncio package of the running interpreter (CPython 3.13) with ONE small change in
the source of one module: a condition negated, a comparison swapped, a statement removed, two
neighbours exchanged, and so on (`mutations` below has the whole list). Every mutant runs all
scenarios through `oracle.py` with the C accelerator `_asyncio` disabled, so that changes to
tasks.py and futures.py take effect, up to the first trace that differs from the unchanged
package's. A mutant is killed when a trace differs, when the oracle crashes or when it takes too
long; else it survives.

Only code that a scenario can possibly see is mutated: SCOPE lists the classes and functions, PRUNED
what is left out inside them. The mutants that provably cannot change a trace are described in
`equivalent-mutants*.txt` and counted apart: under each reason (lines with `#`) stand lines such as

    tasks Task.__step | self._fut_waiter = None | remove statement, exchange

with the module, the function, the line of code at which the change begins, and the operators; the
second such line of a function has ` (2)` behind it, and so has the second such operator of a line.

Each mutant runs in a process of its own, forked from this one before it ever imports asyncio, with
the changed module in memory only. The list of mutants and the sample depend on nothing but the
sources and the seed. Standard library only.
"""

import argparse
import ast
import difflib
import importlib.abc
import importlib.util
import json
import os
import random
import re
import resource
import signal
import sys
import sysconfig
import time
import warnings
from collections import Counter
from pathlib import Path

# What asyncio and the oracle import, loaded here once so that a forked mutant starts quickly. None
# of these imports asyncio.
import collections, concurrent.futures.thread, contextvars, heapq  # noqa: E401, F401
import inspect, logging, selectors, socket  # noqa: E401, F401
import ssl  # noqa: F401
import subprocess  # noqa: F401
import tempfile  # noqa: F401
import typing  # noqa: F401

HERE = Path(__file__).resolve().parent
PACKAGE = Path(sysconfig.get_path("stdlib")) / "asyncio"
PROCESSES = 2
CPU_SECONDS = 1.5  # for one scenario; the slowest needs a few milliseconds
WALL_SECONDS = 20  # for one scenario, in case a mutant blocks instead of spinning

# The classes and functions in scope; a class stands for its class variables and all its methods.
# Not listed because the language has no statement for it: transports, servers, executors, threads,
# signals, subprocesses, StreamWriter, run_coroutine_threadsafe, task names, policies.
SCOPE = {
    "base_events": [
        "_run_until_complete_cb",
        # The clock, call_at and the task factory are the harness's own; these are the loop's.
        *("BaseEventLoop." + name for name in (
            "create_future create_task _run_forever_setup "
            "_run_forever_cleanup run_forever run_until_complete stop is_running "
            "call_later call_soon _call_soon call_exception_handler "
            "_timer_handle_cancelled _run_once").split()),
    ],
    "events": ["Handle", "TimerHandle.__init__", "TimerHandle.cancel"],
    "futures": ["Future", "_get_loop", "_set_result_unless_cancelled"],
    "tasks": [
        "Task", "current_task", "all_tasks", "wait", "_wait", "_release_waiter", "wait_for",
        "_cancel_and_wait", "_AsCompletedIterator", "as_completed", "__sleep0", "sleep",
        "ensure_future", "_GatheringFuture", "gather", "shield", "_register_task",
        "_register_eager_task", "_enter_task", "_leave_task", "_swap_current_task",
        "_unregister_eager_task",
    ],
    "taskgroups": ["TaskGroup"],
    "timeouts": ["Timeout", "timeout", "timeout_at"],
    "locks": [
        "_ContextManagerMixin", "Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore",
        "Barrier",
    ],
    "queues": ["Queue", "PriorityQueue", "LifoQueue"],
    # No transport stands behind a scenario's reader, so nothing is paused or resumed.
    "streams": [
        *("StreamReader." + name for name in (
            "__init__ set_exception _wakeup_waiter feed_eof at_eof feed_data _wait_for_data "
            "readline readuntil read readexactly").split()),
    ],
}

# Methods of the classes above that no scenario calls, directly or through another method.
SKIPPED_METHODS = {
    "__repr__", "__str__", "__del__", "__hash__", "__class_getitem__", "_repr_info", "_format",
    "_log_traceback", "get_name", "set_name", "get_stack", "print_stack", "get_coro", "maxsize",
    "parties", "_insert_timeout_error",  # a traceback's text is no part of a trace
    "get_context", "remove_done_callback",  # what asyncio removes does nothing when it runs
    "_is_base_error",  # SystemExit and KeyboardInterrupt are no part of the language
}

# Statements inside the scope that are left alone: debug mode, warnings and logging, help for the
# garbage collector, wrong Python types, a StreamReader's transport, task names, the two exceptions
# that no scenario raises (SystemExit, KeyboardInterrupt), the context in which the exception
# handler runs, all_tasks' help against other threads, the closing of coroutines that were refused
# (the oracle closes them too), and the count of cancelled timers, which decides only when the heap
# is swept.
PRUNED = re.compile(
    r"_source_traceback|get_debug|_debug\b|\blogger\b|warnings|_log_traceback|_log_destroy_pending"
    r"|_asyncgen|_old_agen_hooks|_origin_tracking|_thread_id = threading|\b_repr\b|_transport"
    r"|_is_base_error|SystemExit|_base_error"
    r"|^(self|exc|err|event_list|handle) = None$|^self\._errors = None$|^self\._current_handle"
    r"|raise TypeError|_check_closed|_check_running|__class_getitem__|^__iter__|\bname is None\b"
    r"|set_name|self\._name =|\bnew_task\b|\bthing\b|ctx = None|ctx is not None"
    r"|default_exception_handler|\bnew_exc\b|i >= 1000|^i = 0|^i \+= 1|_timer_handle_cancelled"
    r"|handle\._scheduled|_timer_cancelled_count|_insert_timeout_error"
    r"|isinstance\(exception, type\)|coro\.close|should_close"
)

# Guards against states that no program of the language reaches: entering something twice or outside
# a task, a closed loop or a second one, a task that yields something else than a future, NaN, and
# what the callers of a private function already made sure of.
UNREACHABLE = re.compile(
    r"already been entered|not been entered|cannot determine the parent|used inside a task"
    r"|loop is closed|already running|another loop|different loop|loop stopped before"
    r"|is not initialized|yield was used|bad yield|Cannot enter into|Leaving task|already done:"
    r"|is not ready|Exception is not set|used with future|Invalid return_when|Invalid delay"
    r"|already completed|interacts badly|await on itself"
)

COMPARISONS = {
    ast.Lt: ["<=", ">=", ">"], ast.LtE: ["<", ">", ">="], ast.Gt: [">=", "<=", "<"],
    ast.GtE: [">", "<", "<="], ast.Eq: ["!="], ast.NotEq: ["=="], ast.Is: ["is not"],
    ast.IsNot: ["is"], ast.In: ["not in"], ast.NotIn: ["in"],
}
ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*"}
METHODS = {
    "append": "appendleft", "appendleft": "append", "pop": "popleft", "popleft": "pop",
    "heappush": "heappop", "add": "discard", "discard": "add", "cancelled": "done",
    "done": "cancelled", "cancel": "cancelled", "set": "clear", "clear": "set",
    "set_result": "set_exception", "notify_all": "notify", "empty": "full", "full": "empty",
    "find": "rfind", "remove_done_callback": "add_done_callback", "exception": "result",
}
NARROWED = {"BaseException": "Exception", "Exception": "RuntimeError",
            "exceptions.CancelledError": "BaseException", "RuntimeError": "Exception",
            "ValueError": "Exception"}


class Mutant:
    def __init__(self, module, where, line, operator, source):
        self.module = module
        self.where = where
        self.line = line
        self.operator = operator
        self.source = source
        self.key = None
        self.killed = None
        self.reason = None

    def diff(self, original, context=1):
        name = f"asyncio/{self.module}.py"
        lines = difflib.unified_diff(original.splitlines(), self.source.splitlines(), name, name,
                                     n=context, lineterm="")
        return list(lines)[2:]


class Source:
    """A module's text, addressed by the positions of its syntax tree."""

    def __init__(self, path):
        self.text = path.read_text()
        self.bytes = self.text.encode()
        self.tree = ast.parse(self.text)
        self.starts = [0]
        for line in self.bytes.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def span(self, node):
        return (self.starts[node.lineno - 1] + node.col_offset,
                self.starts[node.end_lineno - 1] + node.end_col_offset)

    def of(self, node):
        start, end = self.span(node)
        return self.bytes[start:end].decode()

    def between(self, start, end):
        return self.bytes[start:end].decode()

    def replaced(self, start, end, new):
        return (self.bytes[:start] + new.encode() + self.bytes[end:]).decode()


def is_docstring(node):
    return (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str))


FIXED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom,
         ast.Nonlocal, ast.Global, ast.Assert, ast.Pass)
SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Delete)


def pruned(source, node):
    """Whether a statement as a whole is left alone."""
    if is_docstring(node) or isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert)):
        return True
    if isinstance(node, (ast.If, ast.While)):
        if PRUNED.search(source.of(node.test)):
            return True
        if any(UNREACHABLE.search(source.of(s)) for s in node.body if not isinstance(s, ast.If)):
            return True
        return all(PRUNED.search(source.of(s)) for s in node.body) and not node.orelse
    if isinstance(node, SIMPLE + (ast.AnnAssign, ast.Return)):
        return bool(PRUNED.search(source.of(node)))
    return False


def blocks(node):
    """The lists of statements directly inside a statement."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield name, block
    for handler in getattr(node, "handlers", []):
        if handler.type is None or not PRUNED.search(ast.unparse(handler.type)):
            yield "handler", handler.body


def expressions(node):
    """Every expression of a statement, without those of the statements inside it."""
    stack = [c for c in ast.iter_child_nodes(node)
             if not isinstance(c, (ast.stmt, ast.ExceptHandler))]
    while stack:
        inner = stack.pop(0)
        if isinstance(inner, ast.JoinedStr):
            continue  # the texts of messages are no part of a trace
        yield inner
        # `is None` has mutations of its own, so its constant keeps still
        inside = list(ast.iter_child_nodes(inner))
        if isinstance(inner, ast.Compare):
            inside = [c for c in inside if not (isinstance(c, ast.Constant) and c.value is None)]
        stack = inside + stack


def mutations(source, node):
    """(operator, start, end, replacement) for everything that can change in one statement."""
    start, end = source.span(node)
    if isinstance(node, SIMPLE) and not isinstance(getattr(node, "value", None), ast.Yield):
        yield "remove statement", start, end, "pass"
    if isinstance(node, (ast.AugAssign, ast.Expr)) and "await " not in source.of(node):
        yield "repeat", start, end, f"{source.of(node)}; {source.of(node)}"
    if isinstance(node, (ast.Expr, ast.Assign, ast.Return)) and "await " in source.of(node):
        yield "extra turn", start, start, "await __import__('asyncio').sleep(0); "
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        yield "remove statement", start, end, "pass"
    if isinstance(node, ast.AugAssign):
        at, to = source.span(node.target)[1], source.span(node.value)[0]
        opposite = ARITHMETIC.get(type(node.op))
        if opposite:
            yield f"arithmetic {opposite}=", at, to, f" {opposite}= "
        yield "assign only", at, to, " = "
    if isinstance(node, ast.Return):
        yield "remove return", start, end, "pass"
        if node.value is not None and source.of(node.value) != "None":
            yield "return None", start, end, "return None"
    if isinstance(node, ast.Raise) and node.exc is not None:
        yield "raise to return", start, end, "return"
    if isinstance(node, ast.Continue):
        yield "continue to pass", start, end, "pass"
        yield "continue to break", start, end, "break"
    if isinstance(node, ast.Break):
        yield "break to pass", start, end, "pass"
        yield "break to continue", start, end, "continue"
    if isinstance(node, (ast.If, ast.While)):
        yield from test_mutations(source, node.test)
    if isinstance(node, ast.While):
        yield "while to if", start, start + len("while"), "if"
    if isinstance(node, ast.For):
        at, to = source.span(node.iter)
        text = source.of(node.iter)
        yield "reverse loop", at, to, f"reversed(list({text}))"
        yield "skip the first", at, to, f"list({text})[1:]"
        yield "only the first", at, to, f"list({text})[:1]"
        yield "empty loop", at, to, "()"
    if isinstance(node, ast.Try):
        yield from try_mutations(source, node)
    for name, block in blocks(node):
        first, last = source.span(block[0])[0], source.span(block[-1])[1]
        if name in ("orelse", "handler", "finalbody") and len(block) > 1:
            yield f"empty {name}", first, last, "pass"
    for inner in expressions(node):
        yield from expression_mutations(source, inner)


def test_mutations(source, test):
    start, end = source.span(test)
    text = source.of(test)
    yield "negate", start, end, f"not ({text})"
    if text != "True":
        yield "always", start, end, "True"
    if text != "False":
        yield "never", start, end, "False"


def try_mutations(source, node):
    for handler in node.handlers:
        if handler.type is None:
            continue
        start, end = source.span(handler.type)
        text = source.of(handler.type)
        if PRUNED.search(text):
            continue
        yield "drop handler", start, end, "()"
        if text in NARROWED:
            yield f"handler {NARROWED[text]}", start, end, NARROWED[text]


def expression_mutations(source, node):
    start, end = source.span(node) if hasattr(node, "lineno") else (0, 0)
    if isinstance(node, ast.Compare):
        left = node.left
        for operator, right in zip(node.ops, node.comparators):
            at, to = source.span(left)[1], source.span(right)[0]
            for new in COMPARISONS[type(operator)]:
                # what stands between the operands may hold a parenthesis
                old = source.between(at, to)
                changed = re.sub(r"is not|not in|[<>=!]+|is|in", new, old, count=1)
                yield f"compare {new}", at, to, changed
            left = right
    elif isinstance(node, ast.BoolOp):
        word = "and" if isinstance(node.op, ast.And) else "or"
        other = "or" if word == "and" else "and"
        texts = [f"({source.of(v)})" for v in node.values]
        for number in range(len(texts) - 1):
            words = [word] * (len(texts) - 1)
            words[number] = other
            new = texts[0] + "".join(f" {w} {t}" for w, t in zip(words, texts[1:]))
            yield f"{other} for {word}", start, end, f"({new})"
        for number in range(len(texts)):
            rest = f" {word} ".join(texts[:number] + texts[number + 1:])
            yield f"drop operand {number + 1}", start, end, f"({rest})"
    elif isinstance(node, ast.UnaryOp):
        yield "drop unary", start, end, source.of(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        at, to = source.span(node.left)[1], source.span(node.right)[0]
        yield f"arithmetic {ARITHMETIC[type(node.op)]}", at, to, f" {ARITHMETIC[type(node.op)]} "
        yield "keep left", start, end, source.of(node.left)
        yield "keep right", start, end, source.of(node.right)
    elif isinstance(node, ast.IfExp):
        yield from test_mutations(source, node.test)
    elif isinstance(node, ast.comprehension):
        for test in node.ifs:
            yield from test_mutations(source, test)
    elif isinstance(node, ast.Constant):
        yield from constant_mutations(node, start, end)
    elif isinstance(node, ast.Call):
        yield from call_mutations(source, node)
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        yield "drop slice", start, end, source.of(node.value)


def constant_mutations(node, start, end):
    value = node.value
    if value is True or value is False:
        yield f"constant {not value}", start, end, str(not value)
    elif value is None:
        yield "constant True", start, end, "True"
    elif isinstance(value, (int, float)):
        yield f"constant {value + 1}", start, end, str(value + 1)
        yield f"constant {value - 1}", start, end, f"({value - 1})"


def call_mutations(source, node):
    for number, keyword in enumerate(node.keywords):
        # from the end of the argument before it, with its comma
        before = node.args + [k.value for k in node.keywords[:number]]
        if keyword.arg is None or keyword.arg == "name":
            continue
        at = source.span(before[-1])[1] if before else source.span(node.func)[1] + 1
        to = source.span(keyword.value)[1]
        if not before and number + 1 < len(node.keywords):
            to = source.span(node.keywords[1])[0]
        yield f"drop argument {keyword.arg}", at, to, ""
    func = node.func
    if isinstance(func, ast.Attribute) and func.attr == "append" and len(node.args) == 1:
        start, end = source.span(node)
        item = source.of(node.args[0])
        yield "insert in front", start, end, f"{source.of(func.value)}.insert(0, {item})"
    if isinstance(func, ast.Attribute) and func.attr == "call_soon":
        start, end = source.span(node)
        arguments = ", ".join(source.of(a) for a in node.args[1:])
        yield "call at once", start, end, f"{source.of(node.args[0])}({arguments})"
    if isinstance(func, ast.Attribute) and func.attr in METHODS:
        to = source.span(func)[1]
        yield f"method {METHODS[func.attr]}", to - len(func.attr), to, METHODS[func.attr]
    elif isinstance(func, ast.Name) and func.id in ("any", "all"):
        start, end = source.span(func)
        yield "any/all", start, end, "all" if func.id == "any" else "any"


def independent(source, one, two):
    """Whether two statements are plain assignments of which neither reads the other's target."""
    values = (ast.Constant, ast.Name, ast.Attribute, ast.List, ast.Set, ast.Dict, ast.Compare)
    for statement, other in ((one, two), (two, one)):
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
            return False
        fresh = source.of(statement.value) in ("set()", "collections.deque()")
        if not (fresh or isinstance(statement.value, values)):
            return False
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        if re.search(re.escape(source.of(target)) + r"\b", source.of(other)):
            return False
    return True


def neighbours(source, block):
    """Two statements that follow each other, exchanged."""
    for one, two in zip(block, block[1:]):
        if isinstance(one, FIXED) or isinstance(two, FIXED):
            continue
        if pruned(source, one) or pruned(source, two) or independent(source, one, two):
            continue
        first, second = source.span(one), source.span(two)
        between = source.between(first[1], second[0])
        yield "exchange", first[0], second[1], source.of(two) + between + source.of(one)


def walk(source, node, where):
    """The mutations of a statement and of all statements inside it."""
    if pruned(source, node):
        # `if self._debug: ... else: ...` still does its work in the other branch, and the sweep of
        # cancelled timers in the first
        inside = list(getattr(node, "orelse", []))
        if isinstance(node, ast.If) and "_timer_cancelled_count" in source.of(node.test):
            inside = node.body + inside
        for statement in inside:
            yield from walk(source, statement, where)
        return
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if node.name in SKIPPED_METHODS:
            return
        where = f"{where}.{node.name}" if where else node.name
        body = [s for s in node.body if not is_docstring(s)]
        for default in node.args.defaults + [d for d in node.args.kw_defaults if d]:
            for inner in ast.walk(default):
                for found in expression_mutations(source, inner):
                    yield node, where, found
        if body and not all(pruned(source, s) for s in body):
            first, last = source.span(body[0])[0], source.span(body[-1])[1]
            yield node, where, ("empty function", first, last, "pass")
    elif isinstance(node, ast.ClassDef):
        where = f"{where}.{node.name}" if where else node.name
    else:
        for found in mutations(source, node):
            yield node, where, found
    for _, block in blocks(node):
        if not isinstance(node, ast.ClassDef):
            for found in neighbours(source, block):
                yield node, where, found
        for statement in block:
            yield from walk(source, statement, where)


def roots(source, names):
    """The nodes that SCOPE names, each with the name of what encloses it."""
    wanted = set(names)
    for node in source.tree.body:
        if getattr(node, "name", None) in wanted:
            wanted.discard(node.name)
            yield node, ""
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                name = f"{node.name}.{getattr(inner, 'name', '')}"
                if name in wanted:
                    wanted.discard(name)
                    yield inner, node.name
    if wanted:
        raise SystemExit(f"not in this interpreter's asyncio: {sorted(wanted)}")


def mutants_of(module, source):
    seen = {source.text}
    for root, where in roots(source, SCOPE[module]):
        for _, at, (operator, start, end, new) in walk(source, root, where):
            text = source.replaced(start, end, new)
            if text in seen:
                continue
            seen.add(text)
            try:
                compile(text, module, "exec")
            except SyntaxError:
                continue
            line = source.bytes.count(b"\n", 0, start) + 1
            yield Mutant(module, at, line, operator, text)


def named(mutants, source):
    """Gives each mutant its key: what a line of equivalent-mutants*.txt says."""
    lines, seen = {}, Counter()
    for mutant in mutants:
        code = source.text.splitlines()[mutant.line - 1].strip()
        # the same line may stand in a function twice, and hold two things of a kind
        alike = lines.setdefault((mutant.where, code), [])
        if mutant.line not in alike:
            alike.append(mutant.line)
        number = alike.index(mutant.line) + 1
        code = code if number == 1 else f"{code} ({number})"
        key = (mutant.module, mutant.where, code, mutant.operator)
        seen[key] += 1
        operator = mutant.operator if seen[key] == 1 else f"{mutant.operator} ({seen[key]})"
        mutant.key = (mutant.module, mutant.where, code, operator)
    return mutants


# -- running ----------------------------------------------------------------------------------

class MutantLoader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module of asyncio from a changed text."""

    def __init__(self, mutant):
        self.mutant = mutant
        self.name = f"asyncio.{mutant.module}"

    def find_spec(self, fullname, _path, _target=None):
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=fullname)

    def exec_module(self, module):
        code = compile(self.mutant.source, f"{self.name} (mutant)", "exec")
        exec(code, module.__dict__)


def load_oracle(mutant, accelerator=False):
    """The oracle, on the changed package. Only ever called in a forked process."""
    if "asyncio" in sys.modules:
        raise RuntimeError("asyncio was imported before the fork")
    if not accelerator:
        sys.modules["_asyncio"] = None  # makes every import of it fail
    if mutant is not None:
        sys.meta_path.insert(0, MutantLoader(mutant))
    spec = importlib.util.spec_from_file_location("oracle", HERE / "oracle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def limits():
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)


def in_child(work):
    """Runs `work` in a fork; the parent gets (pid, file to read its one JSON answer from)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    status = 1
    try:
        os.close(read)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        answer = work()
        with os.fdopen(write, "w") as out:
            json.dump(answer, out)
        status = 0
    finally:
        os._exit(status)


def answer_of(pid, read):
    with os.fdopen(read) as stream:
        said = stream.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        hung = os.WTERMSIG(status) in (signal.SIGPROF, signal.SIGALRM)
        return {"killed": "too long" if hung else f"signal {os.WTERMSIG(status)}"}
    if not said:
        return {"killed": "crash"}
    return json.loads(said)


def record(programs, accelerator):
    """The traces of the unchanged package."""
    def work():
        oracle = load_oracle(None, accelerator)
        answers = []
        for program in programs:
            limits()
            answers.append(oracle.run(program))
        return answers
    answers = answer_of(*in_child(work))
    if isinstance(answers, dict):
        raise SystemExit(f"the unchanged oracle failed: {answers['killed']}")
    return answers


def trial(mutant, programs, expected):
    """What a forked process does with one mutant."""
    def work():
        current = "import"
        try:
            limits()
            run = load_oracle(mutant).run
            for program, answer in zip(programs, expected):
                current = program["name"]
                limits()
                if run(program) != answer:
                    return {"killed": current}
        except BaseException as exc:
            return {"killed": f"{current} ({type(exc).__name__})"}
        return {"killed": None}
    return work


def run_all(mutants, programs, expected, progress):
    """Tries the mutants, PROCESSES at a time; sets `killed` of each to what noticed it or None."""
    queue = list(mutants)
    running = []
    finished = 0
    while queue or running:
        while queue and len(running) < PROCESSES:
            mutant = queue.pop(0)
            running.append((mutant, *in_child(trial(mutant, programs, expected))))
        # the answers are small, so a child never blocks on its pipe while another is waited for
        mutant, pid, read = running.pop(0)
        mutant.killed = answer_of(pid, read)["killed"]
        finished += 1
        if progress and finished % 50 == 0:
            print(f"  {finished}/{len(mutants)}", file=sys.stderr)


# -- the corpus ---------------------------------------------------------------------------------

def read_programs(paths):
    files = []
    for path in paths:
        files += sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    programs = []
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if not line.strip():
                continue
            try:
                programs.append(json.loads(line))
            except ValueError as exc:
                raise SystemExit(f"{file}:{number}: {exc}")
    if not programs:
        raise SystemExit("no scenarios")
    return programs


def unsound(programs, expected):
    """What is wrong with the scenarios themselves, one text for each."""
    faults = []
    names = Counter(p["name"] for p in programs)
    faults += [f"{name}: {count} scenarios of this name"
               for name, count in names.items() if count > 1]
    again = record(programs, accelerator=False)
    quick = record(programs, accelerator=True)
    for program, answer, second, third in zip(programs, expected, again, quick):
        name = program["name"]
        if "skip" in answer:
            faults.append(f"{name}: skip: {answer['skip']}")
        elif answer != second:
            faults.append(f"{name}: a second run leaves another trace")
        elif answer != third:
            faults.append(f"{name}: the accelerator leaves another trace")
    return faults


def read_equivalent():
    """{(module, function, line of code, operator): reason} from the side files."""
    known = {}
    for path in sorted(HERE.glob("equivalent-mutants*.txt")):
        reason = fresh = ""
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.startswith("#"):
                fresh = f"{fresh} {line[1:].strip()}".strip()
                continue
            if not line.strip():
                reason = ""
                continue
            reason, fresh = fresh or reason, ""
            try:
                where, code, operators = (part.strip() for part in line.split(" | "))
                module, function = where.split()
            except ValueError:
                raise SystemExit(f"{path.name}:{number}: not 'module function | code | operators'")
            for operator in operators.split(", "):
                known[module, function, code, operator] = reason
    return known


def report(mutants, sources, arguments, seconds):
    known = read_equivalent()
    rows, survivors, contradicted = [], [], []
    for mutant in mutants:
        mutant.reason = known.get(mutant.key)
        if mutant.reason and mutant.killed:
            contradicted.append(mutant)
            mutant.reason = None
    for module in arguments.module:
        mine = [m for m in mutants if m.module == module]
        survived = [m for m in mine if not m.killed and not m.reason]
        equivalent = sum(1 for m in mine if m.reason)
        killed = sum(1 for m in mine if m.killed)
        rows.append((module, len(mine), equivalent, killed, len(survived)))
        survivors += survived
    rows.append(("total", *(sum(r[i] for r in rows) for i in range(1, 5))))
    if arguments.list_survivors:
        for mutant in survivors:
            print(f"asyncio/{mutant.module}.py:{mutant.line} " + " | ".join(
                [f"{mutant.module} {mutant.where}", *mutant.key[2:]]))
            print("\n".join("    " + l for l in mutant.diff(sources[mutant.module].text)))
        print()
    if arguments.list_killed:
        for mutant in mutants:
            if mutant.killed:
                print(f"{mutant.module}:{mutant.line} {mutant.operator}: {mutant.killed}")
        print()
    for mutant in contradicted:
        print(f"listed as equivalent, yet {mutant.killed} noticed it: "
              f"{mutant.module}:{mutant.line} {mutant.where}: {mutant.operator}")
    print(f"{'module':12} {'mutants':>8} {'equivalent':>11} {'killed':>8} {'survived':>9} {'%':>7}")
    for module, count, equivalent, killed, survived in rows:
        share = 100 * killed / max(1, killed + survived)
        print(f"{module:12} {count:8} {equivalent:11} {killed:8} {survived:9} {share:7.2f}")
    print(f"{seconds:.0f} s")
    return rows[-1][4]


def main():
    if sys.version_info[:2] != (3, 13):
        raise SystemExit("mutate.py needs CPython 3.13")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", action="append", choices=list(SCOPE),
                        help="may be repeated; default: all")
    parser.add_argument("--sample", type=int, help="only this many mutants")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--scenarios", nargs="+", type=Path, default=[HERE / "scenarios"],
                        help="files or directories; default: scenarios/")
    parser.add_argument("--list-survivors", action="store_true")
    parser.add_argument("--list-killed", action="store_true", help="and by which scenario")
    parser.add_argument("--check", action="store_true",
                        help="only check that the scenarios end, alike with and without accelerator")
    parser.add_argument("--count", action="store_true", help="only count the mutants")
    parser.add_argument("--function", action="append",
                        help="only mutants of this function, such as Task.cancel; may be repeated")
    parser.add_argument("--progress", action="store_true")
    arguments = parser.parse_args()
    arguments.module = arguments.module or list(SCOPE)
    warnings.simplefilter("ignore", SyntaxWarning)  # `x is 1` and the like

    sources = {module: Source(PACKAGE / f"{module}.py") for module in arguments.module}
    mutants = [m for module in arguments.module
               for m in named(list(mutants_of(module, sources[module])), sources[module])]
    if arguments.function:
        mutants = [m for m in mutants if m.where in arguments.function]
    if arguments.count:
        for module, count in Counter(m.module for m in mutants).items():
            print(f"{module:12} {count:8}")
        return 0
    if arguments.sample is not None:
        count = min(arguments.sample, len(mutants))
        chosen = random.Random(arguments.seed).sample(range(len(mutants)), count)
        mutants = [mutants[i] for i in sorted(chosen)]

    began = time.monotonic()
    programs = read_programs(arguments.scenarios)
    expected = record(programs, accelerator=False)
    faults = unsound(programs, expected)
    for fault in faults:
        print(f"unsound scenario: {fault}")
    if arguments.check:
        print(f"{len(programs)} scenarios, {len(faults)} unsound")
        return 1 if faults else 0
    run_all(mutants, programs, expected, arguments.progress)
    report(mutants, sources, arguments, time.monotonic() - began)
    return 0


if __name__ == "__main__":
    sys.exit(main())
