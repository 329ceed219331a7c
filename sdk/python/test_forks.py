"""Unit tests of arbiter.py: a child that a handler forks, as by multiprocessing, is a process of its own."""

import os
import pathlib
import socket
import subprocess
import sys
import unittest

import arbiter
from test_arbiter import Peer

WORKER = """
import multiprocessing, os, signal, time, arbiter
me = arbiter.Actor("x")
fork = multiprocessing.get_context("fork")

def sleeps(ready=None):
    if ready:
        ready.set()
    time.sleep(60)

def ended(p):
    p.terminate()
    p.join(20)
    if p.is_alive():
        p.kill()
        return "it goes on"
    return p.exitcode

@me.command
def busy() -> object:
    ready = fork.Event()
    p = fork.Process(target=sleeps, args=(ready,))
    p.start()
    ready.wait(20)
    return ended(p)

@me.command
def young() -> list:
    all = []
    for _ in range(30):
        p = fork.Process(target=sleeps)
        p.start()
        all.append(ended(p))
    return all

@me.command
def own_handler() -> int:
    if not (child := os.fork()):
        mine = lambda *_: None
        signal.signal(signal.SIGTERM, mine)
        if not (grandchild := os.fork()):
            os._exit(3 if signal.getsignal(signal.SIGTERM) is mine else 4)
        os._exit(os.WEXITSTATUS(os.waitpid(grandchild, 0)[1]))
    return os.WEXITSTATUS(os.waitpid(child, 0)[1])

@me.command
def blocked() -> list:
    return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))

me.run()
"""


@unittest.skipUnless(hasattr(os, "fork"), "there is no fork here: nothing was checked")
class Forks(unittest.TestCase):
    def setUp(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        with theirs:
            self.process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", WORKER], cwd=pathlib.Path(__file__).parent,
                                            pass_fds=[theirs.fileno()], env={**os.environ, "ARBITER_FD": str(theirs.fileno())})
        self.addCleanup(self.process.wait, 60)
        self.addCleanup(self.process.kill)
        self.peer = Peer(ours)
        self.peer.welcome()

    def ask(self, command: str):
        self.peer.say(command=command, target="me-1", ack="1")
        answer = self.peer.next()
        self.assertEqual(answer["command"], "callback", answer)
        return answer["result"]

    def test_a_signal_for_the_child_ends_it(self):
        self.assertEqual(self.ask("busy"), -15)
        self.assertEqual(self.ask("ping"), "pong")

    def test_a_signal_for_a_child_that_has_just_begun(self):
        self.assertEqual(self.ask("young"), [-15] * 30)
        self.assertEqual(self.ask("ping"), "pong")

    def test_what_the_child_does_with_signals_is_its_own(self):
        self.assertEqual(self.ask("own_handler"), 3)

    def test_the_actor_goes_on_to_hear_them(self):
        self.ask("busy")
        self.assertEqual(self.ask("blocked"), [])
        self.process.terminate()
        self.assertEqual(self.peer.next()["death"], {"cause": "stopped", "reason": "signal SIGTERM"})
        self.peer.sock.close()
        self.assertEqual(self.process.wait(60), 0)


if __name__ == "__main__":
    unittest.main()
