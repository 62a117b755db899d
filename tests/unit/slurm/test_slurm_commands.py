"""The command lines of Slurm: each value is one argument, and nothing of it reaches a shell."""

from __future__ import annotations

import shlex

from ci.connect.srun import plain_environment, step
from ci.inventory.cluster_file import parse_cluster
from ci.inventory.target import Srun
from ci.slurm import commands


def asked(text: str, nodes: int | None = 2) -> list[str]:
    found = parse_cluster(text.encode(), "c.yaml").slurm
    assert found is not None
    return commands.submit(found, nodes, "20260101-a", "me@here; id")


def test_an_allocation():
    assert asked("slurm: {partition: p, time: 90m, wait: 10m}") == [
        "sbatch", "--parsable", "--exclusive", "--mem=0", "--nodes=2", "--time=90:00",
        "--partition=p", "--no-requeue", "--deadline=now+6060",
        "--job-name=lamplighter-20260101-a", "--comment=me@here; id",
        "--input=/dev/null", "--output=/dev/null", "--error=/dev/null", "--chdir=/tmp",
        "--export=NONE",
    ]  # fmt: skip


def test_what_the_file_says_comes_instead():
    argv = asked("slurm: {time: 8h, nodelist: 'n[1-2]', extra: [--mem=4G, --exclusive=user]}", None)
    assert {"--nodelist=n[1-2]", "--mem=4G", "--exclusive=user"} <= set(argv)
    assert not {"--mem=0", "--exclusive"} & set(argv)
    assert not [word for word in argv if word.startswith("--nodes")]


def test_a_value_stays_one_argument():
    argv = asked('slurm: {time: 8h, constraint: "a&b|c;$(id)\'"}')
    assert "--constraint=a&b|c;$(id)'" in argv
    assert shlex.split(shlex.join(argv)) == argv


def test_a_step_keeps_every_word():
    words = ["python3", "-c", "print('a b', \"$HOME\")", "; id"]
    argv = step(Srun(7, "n1"), words)
    assert argv[:5] == ["srun", "--jobid=7", "--nodes=1", "--ntasks=1", "--nodelist=n1"]
    script = argv[-1].removeprefix("HOME=~; export HOME; exec ")
    assert shlex.split(script) == words


def test_the_environment_of_the_commands():
    words = plain_environment(["SLURM_NTASKS", "SLURM_CONF", "PATH", "SQUEUE_STATES", "SBATCH_QOS"])
    assert words == [
        "env", "-u", "SLURM_NTASKS", "-u", "SQUEUE_STATES", "LC_ALL=C", "TZ=UTC",
        "SLURM_TIME_FORMAT=standard",
    ]  # fmt: skip
