"""Jobs in processes of their own: what they return, raise and leave behind."""

import multiprocessing
import os
import signal

import pytest
import torch

from fedbench.errors import UsageError
from fedbench.federation.executors import asked_executor, make_executor
from fedbench.federation.workers import check_workers, in_workers
from fedbench.testing.toy import TRAINING, ToyTask


def test_what_jobs_return_comes_in_their_order_from_processes_of_one_thread():
    hidden = {"seen": 1}  # no worker needs to be sent what this process holds

    def job(number):
        hidden["seen"] += number
        return number, hidden["seen"], torch.get_num_threads(), os.getpid()

    said = in_workers([lambda number=number: job(number) for number in range(3)])
    assert [part[:3] for part in said] == [(0, 1, 1), (1, 2, 1), (2, 3, 1)]
    assert hidden == {"seen": 1}
    assert os.getpid() not in {part[3] for part in said}


def test_an_error_of_a_job_is_raised_here_and_no_process_is_left():
    def fail():
        raise UsageError("the data is gone", fix="find it")

    with pytest.raises(UsageError, match="the data is gone — find it"):
        in_workers([fail, lambda: 1])
    assert not multiprocessing.active_children()


def test_an_error_that_cannot_be_copied_is_still_said():
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

        def __reduce__(self):
            raise TypeError("not me")

    def fail():
        raise Odd("a", "b")

    with pytest.raises(RuntimeError, match="Odd: a b"):
        in_workers([fail])


def test_a_worker_that_is_killed_is_said():
    with pytest.raises(RuntimeError, match="a worker ended with exit code -9"):
        in_workers([lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: 1])


def test_workers_are_refused_where_they_cannot_be(monkeypatch):
    with pytest.raises(UsageError, match="this run is on cuda"):
        check_workers(torch.device("cuda"))
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(UsageError, match="can't fork"):
        make_executor(asked_executor("workers:2"), ToyTask(), [], TRAINING)
