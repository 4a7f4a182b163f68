"""Processes that share a history, as `python -m tests.processes`: killed at any moment, or begun at the same one."""

import os
import random
import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from emoscope.history import History, Keeper
from emoscope.settings import Options, Settings
from tests import reports

TIMES = 10


def killed(settings):
    """Let children keep a run and delete another, each killed at another moment of that."""
    (count,) = _in_children([lambda: _work(settings, 0, None)])
    moments = random.Random(0).sample(range(1, count), TIMES)
    for number, moment in enumerate(moments, 1):
        _in_children([lambda number=number, moment=moment: _work(settings, number, moment)])


def together(settings):
    """Let children open a history that is not there yet, at the same moment."""
    begin, go = os.pipe()
    opened = [lambda number=number: _open(settings, number, begin, go) for number in range(6)]
    _in_children(opened, begun=lambda: os.close(go))


def _work(settings, number, moment):
    """Keep a run and delete the oldest one; return how many calls that takes, or be killed at one of them."""
    made = reports.make(("happy", 0.1), options=Options(embedding=True))
    made = replace(made, id=f"{number:016x}", made_at=made.made_at + timedelta(minutes=number))
    calls = 0

    def count(_frame, event, _what):
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    keeper = Keeper(settings)
    sys.setprofile(count)
    keeper.keep(made)
    if keeper.history.count() > 3:
        keeper.history.delete([keeper.history.search(order="oldest", limit=1)[0].id])
    sys.setprofile(None)
    return calls


def _open(settings, number, begin, go):
    os.close(go)
    os.read(begin, 1)  # until everybody is there
    history = History(settings.outputs, settings.database_url)
    made = reports.make(("happy", 0.1), options=Options())
    with Keeper(settings).keep(replace(made, id=f"{number:016x}")) as kept:
        assert kept.run, kept.note
    return history.count()


def _in_children(tasks, begun=lambda: None):
    """Run tasks in forks of this process; return what those that were not killed returned."""
    children = []
    for task in tasks:
        answer, say = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(answer)
            os.write(say, str(task()).encode())
            os._exit(0)
        os.close(say)
        children.append((child, answer))
    begun()
    found = []
    for child, answer in children:
        with os.fdopen(answer) as said:
            found.append(said.read())
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL), f"a child ended with {status}"
    return [int(text) for text in found if text]


if __name__ == "__main__":
    what, outputs, address = sys.argv[1:]
    {"killed": killed, "together": together}[what](Settings(outputs=Path(outputs), database_url=address))
