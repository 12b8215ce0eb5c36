"""Fixtures for the tests in this folder."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.fixtures.held_trainer import HELD_TRAINER
from tests.fixtures.prepared import Prepared, Process
from tests.fixtures.trainings import one_thread, small, small_weights, three_grades, trainer

__all__ = ["one_thread", "small", "small_weights", "three_grades", "trainer"]


@dataclass
class Started:
    """The ranks of a run, started as torchrun starts them."""

    ranks: list[Process]
    ending: bool = False

    @property
    def output(self) -> str:
        """What they have printed so far, the first rank's first."""
        return "".join(file.read_text() for p in self.ranks for file in (p.stdout, p.stderr))

    def wait_for(self, text: str) -> None:
        """Waits until the first rank has printed a text."""
        while text not in self.ranks[0].stdout.read_text():
            assert all(rank.poll() is None for rank in self.ranks), self.output
            time.sleep(0.01)

    def send(self, number: int) -> None:
        """Sends a signal to all ranks that still run."""
        self.ending = True
        for rank in self.ranks:
            if rank.poll() is None:
                rank.send_signal(number)

    def wait(self) -> list[int]:
        """Their exit codes; as by torchrun, one that fails ends all."""
        give_up = time.monotonic() + 120
        while None in (codes := [rank.poll() for rank in self.ranks]):
            assert time.monotonic() < give_up, self.output
            if any(codes) and not self.ending:
                self.send(signal.SIGTERM)
            time.sleep(0.01)
        return [code for code in codes if code is not None]


Start = Callable[..., Started]


@pytest.fixture(scope="session")
def start_ranks(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts the trainer in so many ranks; a word that is a list has one for each rank. `held`:
    the epoch in which it waits for a signal, or one for each rank; 0: none."""
    elsewhere = tmp_path_factory.mktemp("cwd")

    def start(*words: object, ranks: int = 2, held: int | list[int] = 0) -> Started:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        return Started(
            [
                prepared.start(
                    [
                        word[rank] if isinstance(word, list) else word
                        for word in (HELD_TRAINER, held, *words)
                    ],
                    elsewhere,
                    RANK=str(rank),
                    WORLD_SIZE=str(ranks),
                    LOCAL_RANK=str(rank),
                    LOCAL_WORLD_SIZE=str(ranks),
                    MASTER_ADDR="127.0.0.1",
                    MASTER_PORT=port,
                )
                for rank in range(ranks)
            ]
        )

    return start


@pytest.fixture(scope="session")
def on_ranks(start_ranks: Start) -> Callable[..., str]:
    """Runs the trainer in so many ranks, and returns what they print. Of several that fail the
    first rank's code counts: torchrun ends the others."""

    def call(*words: object, ranks: int = 2, code: int = 0) -> str:
        started = start_ranks(*words, ranks=ranks)
        codes = started.wait()
        # The interpreter's last moments are out of its own hands.
        assert codes[0] in ((code, -signal.SIGTERM) if code else (0,)), started.output
        assert all(codes) == (code != 0), started.output
        return started.output

    return call
