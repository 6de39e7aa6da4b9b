"""`latchd lock` in an interactive shell on a terminal: who may read, and job control. Argument: the binary."""

import os
import pty
import re
import select
import sys
import time

LATCHD = sys.argv[1]
PATIENCE = 30


class Shell:
    """An interactive bash on a terminal of its own."""

    def __init__(self):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ["PS1"] = "$ "
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self.seen = ""
        self.expect(r"\$ ")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def expect(self, pattern):
        """Reads until the pattern is there, and forgets all up to its end."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            ready, _, _ = select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"{pattern!r} did not come, but {self.seen!r}")
            self.seen += os.read(self.terminal, 4096).decode(errors="replace")

    def run(self, command, *expected):
        self.type(command + "\n")
        self.expect(re.escape(command.splitlines()[-1]) + r"\r?\n")
        for pattern in expected:
            self.expect(pattern)


shell = Shell()
lock = f"{LATCHD} lock terminal"

# The command reads what is typed.
shell.run(f"{lock} -- sh -c 'echo ready; read line; echo got $line'", "ready")
shell.type("hello\n")
shell.expect("got hello")
shell.expect(r"\$ ")

# A key that interrupts reaches the command, and its exit code the shell.
shell.run(f"{lock} -- sh -c 'trap \"echo interrupted; exit 9\" INT; echo ready; while :; do sleep 0.05; done'", "ready")
shell.type("\x03")
shell.expect("interrupted")
shell.expect(r"\$ ")
shell.run("echo code $?", "code 9", r"\$ ")

# A command in a pipeline gets the terminal when it asks for it.
shell.run(f"{lock} -- sh -c 'echo ready >&2; read line; echo got $line' | cat", "ready")
shell.type("hello\n")
shell.expect("got hello")
shell.expect(r"\$ ")

# Stopped by a key, shown by the shell as stopped, and continued in the foreground with the terminal.
shell.run(f"{lock} -- sh -c 'echo ready; read line; echo got $line'", "ready")
shell.type("\x1a")
shell.expect("Stopped")
shell.expect(r"\$ ")
shell.run("jobs", "Stopped.*lock terminal", r"\$ ")
shell.run("fg", "lock terminal")
shell.type("again\n")
shell.expect("got again")
shell.expect(r"\$ ")

# In a script the terminal is given back to what comes after the command.
shell.run(f"sh -c '{lock} -- sh -c \"read line; echo got \\$line\"; read next; echo then $next'")
shell.type("one\n")
shell.expect("got one")
shell.type("two\n")
shell.expect("then two")
shell.expect(r"\$ ")

os.write(shell.terminal, b"exit\n")
os.waitpid(shell.pid, 0)
print("all passed")
