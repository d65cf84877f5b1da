"""`make drill`: break a Millrace in every way we know of, at moments of chance, and see whether its jobs care."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.drill.faults import CANCELS, FAULTS
from tests.drill.stage import Broken, Stage, staged
from tests.server import drop_database, make_template


def main() -> int:
    parser = argparse.ArgumentParser(prog="make drill ARGS=…", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of every fault (%(default)s)")
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose name has these words")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="for the same moments again")
    chosen = parser.parse_args()
    faults = {name: fault for name, fault in (FAULTS | CANCELS).items() if chosen.only in name}
    say(f"seed {chosen.seed}; {os.environ.get('DATABASE_URL') or 'SQLite'}")
    chance = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        template = make_template(Path(folder) / "template", os.environ.get("DATABASE_URL", ""))
        try:
            with staged(template, Path(folder)) as stage:
                broken = sum(drill(stage, name, fault, chosen.rounds, chance) for name, fault in faults.items())
                broken += check_bytes(stage)
        finally:
            drop_database(template.database_url)
    say(f"{broken} broken promises" if broken else "Nothing was lost, doubled or left over.")
    return min(broken, 1)


def drill(
    stage: Stage, name: str, fault: Callable[[Stage, random.Random], str], rounds: int, chance: random.Random
) -> int:
    say(f"\n{name}")
    broken = 0
    for number in range(1, rounds + 1):
        began = time.monotonic()
        try:
            story = stage.check_ended(fault(stage, chance), "cancelled" if name in CANCELS else "succeeded")
        except Broken as error:
            broken += 1
            story = f"BROKEN: {error}"
        say(f"  {number:2}  {time.monotonic() - began:5.1f} s  {story}")
    return broken


def check_bytes(stage: Stage) -> int:
    found = stage.server.manage("fsck", "--deep", check=False)
    say(f"\nfsck --deep: {found.stdout.strip().splitlines()[-1]}")
    return int(found.returncode != 0)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a program for people


if __name__ == "__main__":
    sys.exit(main())
