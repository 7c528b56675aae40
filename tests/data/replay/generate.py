#!/usr/bin/env python3
"""Writes the recordings that the replay tests read, each from a few lines of a scenario.

    python3 tests/data/replay/generate.py            # all
    python3 tests/data/replay/generate.py root-postinstall pid-reuse-stranger

A case is a folder: `case.toml` (what is shown, why it alerts or does not, what is expected), `events.ndjson` and
what further recordings it has; `alerts.ndjson` is the test's own and never touched here. Cases are of three kinds:
`tests/data/replay/` holds recordings that read without a complaint, `tests/data/bad/` input that does not,
`tests/data/fleet/` what a fleet installs in a week.

To add a case, write a function with a docstring into the module that fits, give what you expect to `@case`, run
this, then the tests with UPDATE_EXPECT=1, and look at what alerts.ndjson then says. recorder.py has the words that
scenarios are written in. Python 3.11 or later, nothing else; the same scenario always gives the same bytes.
"""

import sys

sys.dont_write_bytecode = True

from pathlib import Path  # noqa: E402

import bad_input  # noqa: E402,F401
import benign  # noqa: E402,F401
import fleet  # noqa: E402,F401
import forms  # noqa: E402,F401
import installs  # noqa: E402,F401
import lineage  # noqa: E402,F401
import timing  # noqa: E402,F401
import unseen  # noqa: E402,F401
from case import CASES  # noqa: E402
from recorder import Mac  # noqa: E402

DATA = Path(__file__).resolve().parent.parent


def write(case):
    mac = Mac(case.name, **case.mac)
    case.act(mac)
    folder = DATA / case.folder / case.name
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.ndjson"):
        if stale.name not in mac.files and stale.name != "alerts.ndjson":
            stale.unlink()
    (folder / "case.toml").write_text(case.toml(), encoding="utf-8")
    for name, lines in mac.files.items():
        text = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
        (folder / name).write_bytes(text if mac.ends_with_newline else text.rstrip(b"\r\n"))


def main(names):
    known = {case.name: case for case in CASES}
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"no such case: {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    for name in names or known:
        write(known[name])
    if not names:
        for folder in (path for kind in ("replay", "bad", "fleet") for path in DATA.glob(kind + "/*/case.toml")):
            if folder.parent.name not in known:
                sys.exit(f"{folder.parent}: no scenario has this name any more; delete the folder")
    print(f"{len(names or known)} cases written")


if __name__ == "__main__":
    main(sys.argv[1:])
