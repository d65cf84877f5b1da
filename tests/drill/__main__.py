"""`make drill`: break a Millrace in every way we know of, at moments of chance, and see whether its jobs care.

Then lose its database, its store and its key, once each, and see whether a file is lost: --only disasters.
Then attack it from one address, and see what others feel of it: --only attacks.
--only split: kill those who share the encoding of one film, and cancel it.
--only hosts: hurt two web servers and three workers, each with a home of its own, on PostgreSQL, Redis and SeaweedFS.
--only soak: keep it busy for twenty minutes, hurt it once a minute, and see whether it stays as it was.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from tests.drill.attacks import ATTACKS, attack, idle_p95, target
from tests.drill.batch_faults import BATCH_FAULTS
from tests.drill.cluster import own_cluster
from tests.drill.disasters import DISASTERS, play
from tests.drill.faults import CANCELS, FAULTS, Fault
from tests.drill.hosts_day import UPLOADS, bad_day
from tests.drill.outcomes import as_table
from tests.drill.soak.run import soak
from tests.drill.split_faults import LANES, SECONDS, SETTINGS, SPLIT_CANCELS, SPLIT_FAULTS
from tests.drill.stage import Broken, Stage, make_film, staged
from tests.support.server import Server, drop_database, make_template

_WHERE = """DATABASE_URL: PostgreSQL instead of SQLite; a cluster of our own where initdb can be found, or else
a database of our own there. BROKER_URL: a Redis or RabbitMQ that nobody else uses: its queues are ours to lose."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make drill ARGS=…", description=__doc__, epilog=_WHERE)
    parser.add_argument("--rounds", type=int, default=10, help="of every fault (%(default)s)")
    parser.add_argument("--only", default="", metavar="WORDS", help="faults whose name has these words")
    parser.add_argument("--minutes", type=float, default=20, help="of the soak (%(default)s)")
    parser.add_argument("--uploads", type=int, default=UPLOADS, help="to several hosts (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="for the same moments again")
    chosen = parser.parse_args()
    faults = {name: fault for name, fault in (FAULTS | CANCELS | BATCH_FAULTS).items() if chosen.only in name}
    split = {name: fault for name, fault in (SPLIT_FAULTS | SPLIT_CANCELS).items() if chosen.only in name}
    disasters = [name for name in DISASTERS if chosen.only in name]
    attacks = [name for name in ATTACKS if chosen.only in name]
    is_soak, is_hosts = chosen.only == "soak", chosen.only == "hosts"
    if not (faults or split or disasters or attacks or is_soak or is_hosts):
        every = [*FAULTS, *CANCELS, *BATCH_FAULTS, *SPLIT_FAULTS, *SPLIT_CANCELS]
        every += [*DISASTERS, *ATTACKS, "soak", "hosts"]
        parser.error(f"no fault is named so; there are: {'; '.join(every)}")
    database, broker = os.environ.get("DATABASE_URL", ""), os.environ.get("BROKER_URL", "")
    say(
        f"seed {chosen.seed}; {'PostgreSQL' if database else 'SQLite'}; broker: {broker.partition(':')[0] or 'files'}"
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Told to stop."))  # what was started ends with it
    Server.by_hand = True  # as `serve` starts them
    broken = 0
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        if faults:
            with staged(Path(folder), database, broker_url=broker) as stage:
                broken += sum(drill(stage, name, fault, chosen.rounds, chosen.seed) for name, fault in faults.items())
                broken += check_bytes(stage)
        if split:
            with staged(Path(folder), database, broker_url=broker, seconds=SECONDS, lanes=LANES, **SETTINGS) as stage:
                broken += sum(drill(stage, name, fault, chosen.rounds, chosen.seed) for name, fault in split.items())
        if disasters:
            broken += suffer(disasters, Path(folder), database)
        if is_soak:
            broken += soak(Path(folder), database, broker, chosen.minutes, say)
        if is_hosts:
            broken += hurt_hosts(Path(folder), chosen.uploads)
        if attacks:
            broken += withstand(attacks, Path(folder), database)
    say(f"{broken} broken promises" if broken else "Nothing was lost, doubled or left over.")
    return min(broken, 1)


def drill(stage: Stage, name: str, fault: Fault, rounds: int, seed: int) -> int:
    say(f"\n{name}")
    broken = 0
    for number in range(1, rounds + 1):
        began, stage.hit = time.monotonic(), ""
        chance = random.Random(f"{seed} {name} {number}")  # of its own: one alone can be had again
        try:
            story = stage.check_ended(fault(stage, chance), "cancelled" if "cancelled" in name else "succeeded")
        except Broken as error:
            broken += 1
            story = f"BROKEN: {error}"
        say(f"  {number:2}  {time.monotonic() - began:5.1f} s  {stage.hit}")
        say(f"               {story}")
    return broken


def suffer(disasters: list[str], folder: Path, base_url: str) -> int:
    """Each of these disasters once, and a table of what became of the files."""
    with own_cluster() if base_url else nullcontext() as cluster:
        template = make_template(folder / "installation", cluster.url if cluster else base_url)
        film = make_film(folder, 1)
        outcomes = {}
        for name in disasters:
            outcomes[name] = play(name, template, folder, film)
            say(f"{name}: {outcomes[name].verdict}")
        if cluster is None:
            drop_database(template.database_url)
    say(f"\n{as_table(outcomes)}\n")
    return sum(outcome.verdict != "holds" for outcome in outcomes.values())


def hurt_hosts(folder: Path, uploads: int) -> int:
    with own_cluster() as cluster:
        if cluster is None:
            say("There is no PostgreSQL to be started here.")
            return 1
        template = make_template(folder / "installation", cluster.url)
        return bad_day(template, cluster, folder, make_film(folder, 4), uploads, say)


def withstand(attacks: list[str], folder: Path, base_url: str) -> int:
    """Each of these attacks once, on one server."""
    template = make_template(folder / "to-attack", base_url)
    film = make_film(folder, 1)
    broken = 0
    try:
        with target(template, folder) as server:
            idle = idle_p95(server)
            for name in attacks:
                try:
                    say(f"{name}: {attack(server, name, film, idle)}")
                except Broken as error:
                    broken += 1
                    say(f"{name}: BROKEN: {error}")
    finally:
        drop_database(template.database_url)
    return broken


def check_bytes(stage: Stage) -> int:
    found = stage.server.manage("fsck", "--deep", check=False)
    say(f"\nfsck --deep: {found.stdout.strip().splitlines()[-1]}")
    return int(found.returncode != 0)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a program for people


if __name__ == "__main__":
    sys.exit(main())
