"""The tasks of `inv --list`: each reads its flags, makes one call and returns an exit code."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from invoke import Collection

from ci.commands import (
    bisect_flags,
    case_flags,
    dataset_flags,
    flags,
    functional_flags,
    history_flags,
    judge_flags,
    metrics_flags,
    notify_flags,
    pod_flags,
    report_flags,
    suite_flags,
)
from ci.commands.command import command
from ci.commands.entry import require_parsable

if TYPE_CHECKING:
    from ci.errors import ExitCode

# Each task imports its code when it is called, so that listing the tasks imports only Invoke.


@command(flags.Nightly)
def nightly(given: flags.Nightly) -> ExitCode:
    """Serve a case, run a smoke test, measure, judge, report, and hand the hosts back.

    First makes what is missing: the environments for vLLM and the tools, and the model of
    configs/cases/local.yaml. Start with:

        inv nightly --config local.yaml

    and on many hosts over SSH:

        inv nightly --config Qwen3-235B-W8A8.yaml --cluster mine

    Exit codes: 0 pass, 1 fail, 2 bad case or arguments, 3 unknown (infrastructure),
    130 interrupted.
    """
    from ci.commands.nightly import nightly

    return nightly(given.request())


@command(bisect_flags.Bisect)
def bisect(given: bisect_flags.Bisect) -> ExitCode:
    """Find the first bad one of several versions, environments, case revisions or hosts.

    First both ends are verified. Then each night measures the point that tells most, as often as
    the certainty needs. What cannot start is skipped; finished nights are reused:

        inv bisect local --good 0.30.0 --bad 0.32.0 --check perf --dry-run
        inv bisect local --axis case --good v1.2 --bad main --check perf
        inv bisect --resume runs/ID

    Exit codes: 0 found, 2 bad case or arguments, or the ends are the other way round, 3 it cannot
    be decided, 130 interrupted.
    """
    from ci.commands.bisect import bisect

    return bisect(given)


@command(flags.Up)
def up(given: flags.Up) -> ExitCode:
    """Bring a case's servers up, run a smoke test, and leave them running for 12 hours.

    This is a night without benchmarks that keeps its servers. End them with `inv down --run RUN`.

    Exit codes: as of `inv nightly`.
    """
    from ci.commands.nightly import nightly

    return nightly(replace(given.request(), keep=True, measure=False))


@command(flags.Down)
def down(given: flags.Down) -> ExitCode:
    """End a run on its hosts, from any controller, and fetch its logs.

    Touches only that run's own processes. The hosts are read from the run's record if this machine
    has it; otherwise name them with --cluster or --config.

    Exit codes: 0 nothing is left, 2 no such run, 3 a host could not be asked.
    """
    from ci.commands.runs import down

    return down(given.request(), given.run, all_mine=given.all_mine)


@command(flags.Status)
def status(given: flags.Status) -> ExitCode:
    """List the runs on hosts, as the hosts themselves report them.

    Without --cluster or --config: the runs on this machine.

    Exit codes: 0 all hosts answered, 3 a host could not be asked.
    """
    from ci.commands.runs import status

    return status(given.request(), as_json=given.json)


@command(flags.Logs)
def logs(given: flags.Logs) -> ExitCode:
    """Print a run's logs, from its hosts if it is still there, else from its record."""
    from ci.commands.runs import logs

    return logs(given.request(), given.run, given.host, follow=given.follow)


@command(flags.Report, name="write", default=True)
def report_write(given: flags.Report) -> ExitCode:
    """Write all reports of a run again: report.html, report.md, junit.xml, and those for programs.

    Give the run's id, the beginning of it, or its folder; the default is the last night:

        inv report 20260101-203000-local-1a2b

    Exit codes: 0 written, 2 no such run or its record cannot be read, 3 a report cannot be written.
    """
    from ci.commands.report import report

    return report(given.runs, given.run)


@command(flags.Show)
def show(given: flags.Show) -> str:
    """Show a run in the terminal: verdict, cause, what to do next, checks, changes, the night.

    Give the run's id, the beginning of it, or its folder; the default is the last night:

        inv show 20260101-203000-local-1a2b
    """
    from ci.commands.report import show

    return show(given.runs, given.run, as_json=given.json)


@command(history_flags.ListRuns, name="runs")
def list_runs(given: history_flags.ListRuns) -> str:
    """List the latest runs of all cases, the newest first: `inv show RUN` shows one.

    inv runs --outcome fail --limit 5
    """
    from ci.commands.run_list import run_list

    return run_list(given.runs, given.case, given.outcome, given.limit, as_json=given.json)


@command(flags.Report)
def issue(given: flags.Report) -> str:
    """Print a run as the text of an issue: what, where, command, log, what changed; no secrets.

    Read it once more before you paste it. Give the run's id, the beginning of it, or its folder;
    the default is the last night:

        inv issue 20260101-203000-local-1a2b > issue.md
    """
    from ci.commands.report import issue

    return issue(given.runs, given.run)


@command(report_flags.Index, name="index")
def report_index(given: report_flags.Index) -> ExitCode:
    """Write runs/index.html, the page of all nights of a year, with each case's details beside it.

    Nights × cases, what to look at, trends with change points, accepted baselines, changes around
    the nights, false alarms, hosts and hours. Only cases with something new are made again. Once it
    is there, each night brings it up to date. Start with:

        inv report.index

    Copy index.html and the folder index-files together. The page requests nothing from anywhere.

    Exit codes: 0 written, 2 there is no night yet or the history is damaged, 3 a file cannot be
    written.
    """
    from ci.commands.report_pages import write_index

    return write_index(given)


@command(report_flags.Serve, name="serve")
def report_serve(given: report_flags.Serve) -> ExitCode:
    """Serve runs/index.html and the reports of the runs over HTTP, for reading alone.

    Serves these files and nothing else: no record, no log, no link. Without --host only this
    machine reaches it; use an SSH tunnel from elsewhere:

        inv report.serve
        ssh -L 8765:127.0.0.1:8765 bench

    Exit codes: 2 the address cannot be used, 130 Ctrl-C ended it.
    """
    from ci.commands.report_pages import serve

    return serve(given)


@command(notify_flags.Notify)
def notify(given: notify_flags.Notify) -> ExitCode:
    """Tell about a run: Slack, Feishu, WeCom, DingTalk, a webhook of your own, e-mail.

    Says nothing if outcome and first cause are those of the night before of the same case, or if it
    was told already. Give the id of a run or of a suite's run, the beginning of a run's, or its
    folder; the default is the suite's latest run with --suite, else the last night that has ended:

        export LAMPLIGHTER_SLACK_WEBHOOK=...   # the URL is a secret: in no file, in no flag
        inv notify 20260101-203000-local-1a2b --dry-run
        inv notify --suite daily

    Exit codes: 0 told, nothing to tell, or a receiver is down (a note says so), 2 no such run, it
    still runs, nobody to tell, or a variable is not set.
    """
    from ci.commands.notify import notify_run

    return notify_run(given)


@command(history_flags.History, name="show", default=True)
def history_show(given: history_flags.History) -> str:
    """List the nights of a case, the newest first; without a case the last night of each.

    The figures are those that have a check; the remark says why a night does not count. Start with:

        inv history
        inv history local

    The list comes from runs/history.db, which each night extends.
    """
    from ci.commands.history import history

    return history(given)


@command(history_flags.Rebuild, name="rebuild")
def history_rebuild(given: history_flags.Rebuild) -> ExitCode:
    """Read all folders of runs again into runs/history.db, and report those that cannot be read.

    Run it after you removed folders, or if the database is damaged: that file is set aside as
    history.db.damaged-1. Nights may run meanwhile.

    Exit codes: 0 rebuilt, 2 the database is of a newer version or cannot be opened.
    """
    from ci.commands.history import rebuild_all

    return rebuild_all(given.runs)


@command(history_flags.Compare)
def compare(given: history_flags.Compare) -> str:
    """Compare two runs: what differs around them, their figures, and the items that flipped.

    The first line says whether one variable differs or several; the nearest to the figures comes
    first. Items are compared by McNemar's exact test. Start with:

        inv compare
        inv compare last
        inv compare 20260101-203000 20260102-203000

    Without runs: the last good night of a case with the last night. Of one run, the last good night
    of its case before it.
    """
    from ci.commands.compare import compare

    return compare(given)


@command(history_flags.Show, name="show")
def baseline_show(given: history_flags.Show) -> str:
    """List the baselines of a case: what holds, where it comes from, and what held before.

    A baseline that was loosened, or accepted against an objection, stands out. Start with:

        inv baseline.show local
    """
    from ci.commands.baseline import show

    return show(given)


@command(history_flags.Accept, name="accept")
def baseline_accept(given: history_flags.Accept) -> ExitCode:
    """Accept the figures of a run as the baselines of its case, in a ledger that git keeps.

    The baseline is the figure of the run and of the comparable nights before it that agree with it.
    Write the reason, and commit the ledger:

        inv baseline.accept last-good --because "three nights of vLLM 0.32.0 agree"

    Exit codes: 0 accepted, 2 something speaks against it, or there is no such run.
    """
    from ci.commands.baseline import accept

    return accept(given)


@command(history_flags.Because, name="reject")
def baseline_reject(given: history_flags.Because) -> ExitCode:
    """Reject a run: no later night is compared with it. The ledger in git keeps the reason.

    inv baseline.reject 20260101-203000-local-1a2b --because "another job was on the GPUs"

    Exit codes: 0 rejected, 2 there is no such run, or it was rejected already.
    """
    from ci.commands.baseline import reject

    return reject(given)


@command(flags.Doctor)
def doctor(given: flags.Doctor) -> ExitCode:
    """Examine the hosts for a case and compare them. Changes nothing on them.

    With --cluster alone: all hosts of the cluster, without a case.

    Exit codes: 0 fit, 2 bad case or arguments, 3 a finding would make a night fail or its results
    invalid.
    """
    from ci.commands.doctor import doctor

    return doctor(given.request(), as_json=given.json)


@command(flags.Plan)
def plan(given: flags.Plan) -> str:
    """Print what a night would do: a diagram, then every command in order, ready to paste.

    Contacts no host, and changes nothing on this machine.
    """
    from ci.commands.nightly import describe

    return describe(given.request(), given.host, as_json=given.json)


@command(functional_flags.Functional)
def functional(given: functional_flags.Functional) -> ExitCode:
    """Prove an OpenAI-compatible API case by case, on any endpoint.

    Sends the cases of a suite and asserts every reply. Start with:

        inv functional --base-url http://10.0.0.1:8000 --probe

    Repeat one request by hand:

        inv functional --base-url http://10.0.0.1:8000 --curl CASE

    Exit codes: 0 all passed or failed as known, 1 a case failed, 2 bad suite or arguments,
    3 the endpoint does not answer, or nothing ran.
    """
    from ci.commands.functional import functional

    return functional(given.request())


@command(flags.Check)
def check(given: flags.Check) -> ExitCode:
    """Check case files like a linter: every problem with file, line, column and a suggestion.

    Each case is also planned on sample hosts:

        inv check --config my.yaml
        inv check configs/cases/*.yaml

    Exit codes: 0 no errors (warnings are possible), 2 errors.
    """
    from ci.commands.check import check

    return check((given.config, given.paths), given.format, sys.argv, given.set)


@command(judge_flags.Thresholds)
def thresholds(given: judge_flags.Thresholds) -> str:
    """Say what the checks of a case will do before any night: cry wolf, or see nothing.

    For each benchmark: how often its band of `baseline` and `threshold` fails a healthy model, and
    finds a loss of 2, 5 or 10 points (accuracy) or percent (performance); the same for the judge of
    two stages after ten nights; the smallest loss that a single night shows; and what to write
    instead. Contacts no host:

        inv thresholds Qwen3-235B-W8A8.yaml
        inv thresholds my.yaml --set benchmarks.acc.threshold=3

    A band is exact, for a model as good as its baseline whose answers are independent; nights of
    the judge are drawn.

    Exit codes: 0 shown, 2 bad case or arguments.
    """
    from ci.commands.thresholds import thresholds

    return thresholds(given)


@command(judge_flags.Simulate)
def simulate(given: judge_flags.Simulate) -> ExitCode:
    """Say what a month of nights would cry wrongly and find, before the first of them.

    For all cases of the files together: the false alarms of their bands as written, and of the
    judge of two stages at the levels that follow from the accepted number; the share of losses of
    2, 5 and 10 points or percent that one night finds; what stays unknown, and what it costs:

        inv judge.simulate daily --run-type weekly      # a suite of configs/suites
        inv judge.simulate configs/cases
        inv judge.simulate 'cases/*.yaml' --false-alarms 2

    Slow nights and broken runs are not in it: they are unknown, not failed.

    Exit codes: 0 simulated, 2 bad arguments, or a file is not a valid case and was left out.
    """
    from ci.commands.judge_simulate import simulate

    return simulate(given)


@command(suite_flags.Plan, name="plan")
def suite_plan(given: suite_flags.Plan) -> ExitCode:
    """Plan the nights of a suite on the hosts of a cluster: who runs where and when, and who not.

    Nights run at once on disjoint hosts; canaries and priorities come first, then the longest. What
    does not fit the window is not begun. Contacts no host:

        inv suite.plan daily --cluster mine --until 06:00
        inv suite.plan weekly --run-type weekly --filter 'Qwen3-*' --json

    Exit codes: 0 planned, 2 bad suite or arguments, or a case is missing or not valid.
    """
    from ci.commands.suite_plan import plan

    return plan(given)


@command(suite_flags.SuiteRun, name="run")
def suite_run(given: suite_flags.SuiteRun) -> ExitCode:
    """Run the nights of a suite, several at once, on the hosts of a cluster, on one screen.

    Each night is a process with its own record in --runs, as of `inv nightly`. An ended night frees
    its hosts, and what is left is planned again; what no longer fits the window is not begun. A
    host that fails takes no further nights, and its case runs on another one. Ctrl-C hands all
    hosts back:

        inv suite.run daily --cluster mine --until 06:00 --dry-run
        inv suite.run daily --cluster mine --until 06:00
        inv suite.run --resume last

    Exit codes: 0 all nights that count passed, 1 one failed, 2 bad suite or arguments, or a case is
    missing or not valid, 3 unknown, e.g. nothing ran, or a night was not begun, 130 interrupted.
    """
    from ci.commands.suite_run import run

    return run(given)


@command(suite_flags.SuiteNight, name="night")
def suite_night(given: suite_flags.SuiteNight) -> ExitCode:
    """Run one night of a suite; `inv suite.run` starts this, with a file that has its settings.

    Exit codes: as of `inv nightly`.
    """
    from ci.commands.suite_night import night

    return night(given.order)


@command(suite_flags.SuiteStatus, name="status")
def suite_status(given: suite_flags.SuiteStatus) -> ExitCode:
    """Show how far a run of a suite is: what runs, what it waits for, the time left.

    Reads the suite's own file; contacts no host. The default is the latest run.

    Exit codes: 0 shown, 2 no such run.
    """
    from ci.commands.suite_report import status

    return status(given)


@command(suite_flags.SuiteReport, name="report")
def suite_report(given: suite_flags.SuiteReport) -> ExitCode:
    """Write the reports of a run of a suite again: Markdown, JUnit and JSON; print its verdict.

    The default is the latest run:

        inv suite.report 20260101-220000-suite-daily-1a2b

    Exit codes: 0 written, 2 no such run or it cannot be read, 3 a report cannot be written.
    """
    from ci.commands.suite_report import report

    return report(given)


@command(suite_flags.Matrix)
def matrix(given: suite_flags.Matrix) -> str:
    """Print the nights of a suite as the matrix of a workflow, one line of JSON.

    inv matrix daily --run-type pr --github
    """
    from ci.commands.matrix import matrix

    return matrix(given)


@command(metrics_flags.Push, name="push")
def metrics_push(given: metrics_flags.Push) -> ExitCode:
    """Push the metrics of a run, or of a CSV, to the pushgateway of $PROM_PUSHGATEWAY_URL.

    A night with `--run-type daily` does it by itself; this is for one whose gateway was down, and
    for the CSV of another tool. Default: the last run.

        inv metrics.push 20260101-203000-local-1a2b
        inv metrics.push --csv perf.csv --run-type daily --label model=Qwen3-32B

    Nothing is pushed for another run type than daily, nor by a CI job of another repository than
    $PROM_PUSHGATEWAY_REPOSITORY; see docs/metrics.md.

    Exit codes: 0 pushed, or not to be pushed (the reason is printed), 2 bad arguments, environment
    or CSV, or no gateway is known, 3 the gateway cannot be reached or refuses.
    """
    from ci.commands.metrics import push

    return push(given)


@command(metrics_flags.Textfile, name="textfile")
def metrics_textfile(given: metrics_flags.Textfile) -> ExitCode:
    """Write the metrics of a run as files for the textfile collector of node_exporter.

    A night with `--run-type daily` does it by itself if $PROM_TEXTFILE_DIR is set. Each file is
    replaced as a whole, and old ones are deleted:

        inv metrics.textfile --directory /var/lib/prometheus/node-exporter

    Exit codes: 0 written, or not to be written (the reason is printed), 2 bad arguments or folder,
    3 the disk fails.
    """
    from ci.commands.metrics import textfile

    return textfile(given)


@command(case_flags.Import, name="import")
def case_import(given: case_flags.Import) -> str:
    """Convert a file of another tool to a case, and list what is lost.

    Takes vLLM's serving-tests.json, and srt-slurm recipes for vLLM:

        inv case.import serving-tests.json
    """
    from ci.commands.case_import import import_case

    return import_case(given.file, given.to)


@command(case_flags.New, name="new")
def case_new(given: case_flags.New) -> str:
    """Write a commented case for a cluster's hosts, or for this machine; asks for the model.

    inv case.new --model Qwen/Qwen3-32B --cluster mine
    """
    from ci.commands.case_new import new

    return new(given)


@command(case_flags.PrefillDecode, name="prefill-decode")
def case_prefill_decode(given: case_flags.PrefillDecode) -> str:
    """Write a commented case with prefill and decode apart, with a sweep where values are lists.

    All instances run on this machine, each with its own devices; with --cluster each has a host:

        inv case.prefill-decode --prefill-tp 2,1,1 --decode-tp 2,2,1

    The defaults, and the variables that replace them, are those of vllm-router's own tests.
    """
    from ci.commands.case_prefill_decode import prefill_decode

    return prefill_decode(given)


@command(dataset_flags.Fetch)
def fetch(given: dataset_flags.Fetch) -> ExitCode:
    """Download datasets into the workspace: GSM8K and AIME 2024 verified by checksum.

    Any other dataset comes from Hugging Face or ModelScope, by its name there (HF_ENDPOINT and
    MODELSCOPE_ENDPOINT select mirrors):

        inv datasets.fetch --name vllm-ascend/gpqa
    """
    from ci.commands.datasets import fetch

    return fetch(given.name, given.workspace)


@command(dataset_flags.Datasets, name="list")
def datasets_list(given: dataset_flags.Datasets) -> ExitCode:
    """List the datasets of this machine: items, licence, checksum and folder.

    With --config: the dataset of each benchmark of a case, and what to do about a missing one; then
    exit code 2.
    """
    from ci.commands.datasets import listing

    return listing(given.request())


@command(dataset_flags.Make)
def make(given: dataset_flags.Make) -> ExitCode:
    """Make a performance dataset from its name, exact to the token; a night does it by itself.

    inv datasets.make --name GSM8K-in3500-bs400 --tokenizer /models/Qwen3-32B
    """
    from ci.commands.datasets import make

    return make(given.name, given.tokenizer, given.num_prompts, given.workspace)


@command(flags.Trust)
def trust(given: flags.Trust) -> ExitCode:
    """Show the keys of unknown hosts, and add those that you trust to known_hosts.

    Compare each fingerprint with the one printed on the host itself by:

        ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    from ci.commands.hosts_trust import trust

    return trust(given.request(), yes=given.yes)


@command(suite_flags.Quarantine, name="quarantine")
def hosts_quarantine(given: suite_flags.Quarantine) -> ExitCode:
    """Take hosts out of the suites of this machine; without --on list those that are out.

    A suite does so by itself with a host that fails, and takes it back after a clean examination
    and a smoke test. A host that you put there stays until you release it:

        inv hosts.quarantine --cluster mine --on npu3 --reason "a link of device 5 is broken"

    Exit codes: 0 done, 2 no such host, or no reason.
    """
    from ci.commands.hosts_quarantine import quarantine

    return quarantine(given)


@command(suite_flags.Release, name="release")
def hosts_release(given: suite_flags.Release) -> ExitCode:
    """Let hosts take nights of suites again.

    inv hosts.release --cluster mine --on npu3

    Exit codes: 0 done, 2 no such host.
    """
    from ci.commands.hosts_quarantine import release_hosts

    return release_hosts(given)


@command(flags.Sync)
def sync(given: flags.Sync) -> ExitCode:
    """Copy a model's folder to every host; resumes interrupted copies and verifies every file.

        inv weights.sync --cluster mine --source /models/Qwen3-8B

    Exit codes: 0 all files are on all hosts, 2 bad arguments, 3 a host failed.
    """
    from ci.commands.weights_sync import sync

    return sync(given.request(), given.source, given.target)


@command(flags.Up, name="fetch")
def weights_fetch(given: flags.Up) -> ExitCode:
    """Fetch a case's models from their hub on every host that lacks them; starts no server.

    A night does that itself before it starts the servers. Resumes an interrupted download, and
    fetches once where hosts share the store. First makes the case's environment if it is missing:

        inv weights.fetch --config Qwen3-235B-W8A8.yaml --cluster mine

    Exit codes: 0 every model is whole on every host, 2 the case names no model of a hub, 3 unknown.
    """
    from ci.commands.weights_fetch import fetch

    return fetch(given.request())


@command(flags.LabUp, name="up")
def lab_up(given: flags.LabUp) -> str:
    """Make hosts on this machine: real sshds; as root, each has its own address and root folder.

    The hosts see this machine's files; `inv lab.down` removes what they write. Then run:

        inv nightly --config local-2-hosts.yaml --cluster lab
    """
    from ci.commands.lab import up

    return up(given.hosts, given.name, given.disk_mb, given.machine)


@command(flags.Lab, name="down")
def lab_down(given: flags.Lab) -> str:
    """Remove a lab, with everything that runs in it."""
    from ci.commands.lab import down

    return down(given.name)


@command(flags.Versions, name="list", default=True)
def versions_list(given: flags.Versions) -> ExitCode:
    """List the vLLM versions of configs/versions.yaml, and which of them this machine can serve.

    With --newer: the newer releases on the package index that pip or uv is configured for.

    Exit codes: 0 listed, 2 pip and uv are configured to use no index, 3 the index could not be
    reached or its reply is not a page of an index.
    """
    from ci.commands.versions import versions

    return versions(given.workspace, given.device, newer=given.newer, as_json=given.json)


@command(flags.Lock)
def lock(given: flags.Lock) -> ExitCode:
    """Resolve environments into configs/locks, the lists of pinned packages that nights install.

    Without flags: resolves the locks that are missing or broken, or whose recipe has changed. Needs
    a package index.

    Exit codes: 0 all are current, 2 with --check: a lock is not current, 3 a lock could not be
    resolved.
    """
    from ci.commands.versions_lock import lock

    return lock(given.version, given.device, given.tool, given.platform, check=given.check)


@command(pod_flags.Render)
def render(given: pod_flags.Render) -> str:
    """Print a case's plan as a LeaderWorkerSet with its Service: the pods run the same plan."""
    from ci.commands.pods import render

    return render(given)


@command(pod_flags.Apply)
def apply(given: pod_flags.Apply) -> str:
    """Render a case's plan as k8s.render does, and apply it with kubectl."""
    from ci.commands.pods import apply

    return apply(given)


@command(pod_flags.Nightly, name="nightly")
def k8s_nightly(given: pod_flags.Nightly) -> ExitCode:
    """Run a night in pods: apply, wait, prove, measure, read the logs, delete; then judge, report.

    Its record and its report are those of `inv nightly`. The tools run on this machine, and reach
    the servers through kubectl port-forward:

        inv k8s.nightly --config my.yaml --namespace night --image IMAGE --pvc models

    Exit codes: as of `inv nightly`.
    """
    from ci.commands.pods_nightly import nightly

    return nightly(given)


@command(pod_flags.Logs, name="logs")
def k8s_logs(given: pod_flags.Logs) -> ExitCode:
    """Print the logs of all pods, each line with its pod's name."""
    from ci.commands.pods import logs

    return logs(given)


@command(pod_flags.Delete)
def delete(given: pod_flags.Delete) -> str:
    """Delete the LeaderWorkerSet, with its Service and ConfigMap."""
    from ci.commands.pods import delete

    return delete(given)


namespace = Collection(
    *(
        nightly,
        bisect,
        plan,
        check,
        thresholds,
        functional,
        doctor,
        up,
        down,
        status,
        logs,
        list_runs,
        show,
        issue,
        notify,
        compare,
    ),
    matrix,
)
namespace.add_collection(Collection("baseline", baseline_show, baseline_accept, baseline_reject))
namespace.add_collection(Collection("case", case_import, case_new, case_prefill_decode))
namespace.add_collection(Collection("datasets", datasets_list, fetch, make))
namespace.add_collection(Collection("history", history_show, history_rebuild))
namespace.add_collection(Collection("hosts", trust, hosts_quarantine, hosts_release))
namespace.add_collection(Collection("judge", simulate))
namespace.add_collection(Collection("k8s", render, apply, k8s_nightly, k8s_logs, delete))
namespace.add_collection(Collection("lab", lab_up, lab_down))
namespace.add_collection(Collection("metrics", metrics_push, metrics_textfile))
namespace.add_collection(Collection("report", report_write, report_index, report_serve))
namespace.add_collection(
    Collection("suite", suite_plan, suite_run, suite_night, suite_status, suite_report)
)
namespace.add_collection(Collection("versions", versions_list, lock))
namespace.add_collection(Collection("weights", sync, weights_fetch))
require_parsable(namespace)
