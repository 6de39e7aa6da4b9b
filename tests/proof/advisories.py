"""Writes tests/proof/advisories.toml from a checkout of https://github.com/rustsec/advisory-db: facts, no prose."""

import json
import pathlib
import subprocess
import sys
import tomllib

database = pathlib.Path(sys.argv[1])
commit = ["git", "-C", str(database), "log", "-1", "--format=%h of %cs"]
rows = []
for file in sorted(database.glob("crates/*/*.md")):
    _, front, _ = file.read_text(encoding="utf-8").split("```", 2)
    document = tomllib.loads(front.removeprefix("toml"))
    advisory, versions = document["advisory"], document["versions"]
    if "withdrawn" in advisory:
        continue
    row = {
        "id": advisory["id"],
        "package": advisory["package"],
        "kind": advisory.get("informational", "vulnerability"),
        "patched": versions["patched"],
        "unaffected": versions.get("unaffected", []),
    }
    rows.append("  { " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in row.items()) + " },")

print("# Which versions of which crates have a known fault: the facts of the RustSec database (public domain), commit")
print(f"# {subprocess.check_output(commit, text=True).strip()}. `make advisories` writes it anew.")
print("advisories = [", *rows, "]", sep="\n")
