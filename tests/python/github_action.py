"""Runs the steps of `action.yml` as a runner of GitHub does, with the built binary: `github_action.py ACTION BINARY`."""

import hashlib
import http.server
import os
import pathlib
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import threading

import yaml

ACTION = yaml.safe_load(pathlib.Path(sys.argv[1]).read_text())
BINARY = pathlib.Path(sys.argv[2])
INPUTS, STEPS = ACTION["inputs"], ACTION["runs"]["steps"]
HOME = pathlib.Path(tempfile.mkdtemp(prefix="action-"))
ARCHITECTURE = {"x86_64": "X64", "aarch64": "ARM64"}[platform.machine()]
TARGET = f"{platform.machine()}-unknown-linux-musl"
EXPRESSION = re.compile(r"\$\{\{ *([^ }]+) *\}\}")


def check_shape():
    assert ACTION["runs"]["using"] == "composite"
    assert {"name", "run", "url"} == {name for name, each in INPUTS.items() if each.get("required")}
    assert all("default" in each or each.get("required") for each in INPUTS.values())
    used = set()
    for step in STEPS:
        # An input that stood in a script would be a part of it.
        assert "${{" not in step["run"] and step["shell"] == "bash", step["name"]
        for value in step["env"].values():
            used |= set(EXPRESSION.findall(value))
        unknown = [name for name in step["env"] if name not in step["run"] and not name.startswith("LATCHD_")]
        assert not unknown, unknown
    assert {name.removeprefix("inputs.") for name in used if name.startswith("inputs.")} == set(INPUTS)
    ids = {step.get("id") for step in STEPS}
    outputs = [EXPRESSION.fullmatch(each["value"])[1] for each in ACTION["outputs"].values()]
    assert outputs == ["steps.lock.outputs.ran"] and "lock" in ids


def run(path, **given):
    """The exit code, the output `ran`, and what was printed."""
    given = {name.replace("_", "-"): value for name, value in given.items()}
    values = {f"inputs.{name}": given.get(name, each.get("default", "")) for name, each in INPUTS.items()}
    values |= {"github.server_url": "https://github.example", "github.action_repository": "o/latchd"}
    output, paths = HOME / "output", HOME / "path"
    for file in (output, paths):
        file.write_text("")
    shown = ""
    for step in STEPS:
        found = [line for line in paths.read_text().splitlines() if line]
        environment = {
            "PATH": ":".join([*found, *path, "/usr/bin", "/bin"]),
            "HOME": str(HOME),
            "RUNNER_TEMP": str(HOME),
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": ARCHITECTURE,
            "GITHUB_PATH": str(paths),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_RUN_ID": "77",
        }
        for name, value in step["env"].items():
            environment[name] = EXPRESSION.sub(lambda found: values[found[1]], value)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(command, env=environment, cwd=HOME, capture_output=True, text=True, timeout=60)
        shown += done.stdout + done.stderr
        if done.returncode:
            break
    return done.returncode, output.read_text().strip(), shown


class Releases:
    """A web server with the release 1.2.3."""

    def __init__(self):
        folder = HOME / "releases/v1.2.3"
        folder.mkdir(parents=True)
        archive = folder / f"latchd-1.2.3-{TARGET}.tar.gz"
        # Packing the binary itself would take seconds.
        (HOME / "stand-in").write_text(f'#!/bin/sh\nexec {BINARY} "$@"\n')
        (HOME / "stand-in").chmod(0o755)
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(HOME / "stand-in", f"latchd-1.2.3-{TARGET}/latchd")
        self.sums = folder / "SHA256SUMS"
        self.right = f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n"

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(HOME / "releases"))

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"


def check_download(url):
    releases = Releases()
    given = {"name": "deploy", "run": "echo ran under it", "url": url, "releases": releases.url}
    code, _, shown = run([], **given)
    assert code == 1 and "give the version to download" in shown, shown
    releases.sums.write_text(releases.right.replace(releases.right[:8], "00000000"))
    code, _, shown = run([], version="1.2.3", **given)
    assert code == 1 and "is not the one that SHA256SUMS" in shown, shown
    releases.sums.write_text("0" * 64 + "  another.tar.gz\n" + releases.right)
    code, ran, shown = run([], version="1.2.3", **given)
    assert (code, ran) == (0, "ran=true") and "ran under it" in shown, shown


def check_lock(url, server_key):
    path = [str(BINARY.parent)]
    given = {"url": url, "api_key": server_key}
    script = 'echo "token $LATCHD_FENCING_TOKEN of $LATCHD_LOCK_NAMES, key ${LATCHD_API_KEY:-none}"\nfalse\necho on'
    code, ran, shown = run(path, name="deploy/a\n$(touch injected)\n", run=script, **given)
    assert code == 1 and ran == "ran=true" and "key none" in shown and "on\n" not in shown, shown
    assert '["deploy/a","$(touch injected)"]' in shown and not (HOME / "injected").exists(), shown
    assert run(path, name="-x\n-y", run='test "$LATCHD_LOCK_NAMES" = \'["-x","-y"]\'', **given)[:2] == (0, "ran=true")
    assert run(path, name="deploy/a", run="exit 75", **given)[:2] == (75, "ran=true")

    # The lock is held by the script of another run, which waits for the end of this one.
    held, done = HOME / "held", HOME / "done"
    for file in (held, done):
        os.mkfifo(file)
    holder = threading.Thread(
        target=run, args=[path], kwargs={"name": "busy", "run": f"echo > {held}; cat {done}", **given}
    )
    holder.start()
    held.read_text()
    code, ran, shown = run(path, name="busy", run="echo never", wait="0s", **given)
    assert (code, ran) == (75, "ran=false") and "run=o/r/actions/runs/77" in shown and "never" not in shown, shown
    code, ran, shown = run(path, name="busy", run="echo never", wait="0s", if_busy="skip", **given)
    assert (code, ran) == (0, "ran=false") and "did not run" in shown, shown
    done.write_text("")
    holder.join(30)

    for wrong, said in (({"shared": "yes"}, "shared is true or false"), ({"if_busy": "no"}, "if-busy is fail or skip")):
        code, _, shown = run(path, name="a", run="true", **given, **wrong)
        assert code == 1 and said in shown, shown
    code, ran, shown = run(path, name="a", run="true", url=url, api_key="wrong-key-of-sixteen", wait="0s", if_busy="skip")
    assert code == 77 and ran == "ran=false" and "wrong-key-of" not in shown, shown


def main():
    check_shape()
    key = "key-of-the-action-0123"
    listen = ["--listen", "http://127.0.0.1:0", "--in-memory"]
    servers = []
    try:
        for credential in ([], ["--api-key", key]):
            command = [str(BINARY), "serve", *listen, *credential]
            server = subprocess.Popen(command, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            servers.append((server, server.stdout.readline().split()[-1]))
        check_download(servers[0][1])
        check_lock(servers[1][1], key)
    finally:
        for server, _ in servers:
            server.kill()
    print("the action does what it says")


main()
