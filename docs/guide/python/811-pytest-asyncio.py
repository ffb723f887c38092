"""Coroutines are tested with pytest-asyncio, with an async fixture, gather and expected errors.
Source: article 002, section "Testing Async Code"
Crates: asyncio-core, asyncio-sync, asyncio-compat
Kind: snippet
Needs: pytest, pytest-asyncio
"""
import asyncio
import contextlib
import io
import sys

sys.dont_write_bytecode = True  # pytest would put a rewritten copy next to this file

import pytest
import pytest_asyncio


async def press(apples):
    await asyncio.sleep(0.01)
    if apples < 0:
        raise ValueError("no apples to press")
    return {"state": "ok", "litres": apples // 4}


@pytest_asyncio.fixture
async def cellar():
    barrels = asyncio.Queue()
    await barrels.put("old cider")
    yield barrels
    await barrels.join()


@pytest.mark.asyncio
async def test_one_pressing():
    assert (await press(9))["state"] == "ok"


@pytest.mark.asyncio
async def test_pressings_together():
    results = await asyncio.gather(press(8), press(40))
    assert [result["litres"] for result in results] == [2, 10]


@pytest.mark.asyncio
async def test_error():
    with pytest.raises(ValueError):
        await press(-1)


@pytest.mark.asyncio
async def test_fixture(cellar):
    assert await cellar.get() == "old cider"
    cellar.task_done()


@pytest.mark.asyncio
async def test_wrong_on_purpose():
    assert (await press(4))["litres"] == 7


class Recorder:
    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            outcomes.append((report.nodeid.split("::")[-1], report.outcome))


outcomes = []
if __name__ == "__main__":
    options = ["-p", "no:cacheprovider", "--import-mode=importlib", "-o", "asyncio_mode=strict",
               "-o", "asyncio_default_fixture_loop_scope=function"]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*options, __file__], plugins=[Recorder()])
    for name, outcome in outcomes:
        print(name, outcome)
    print("passed", sum(outcome == "passed" for _, outcome in outcomes), "of", len(outcomes))
