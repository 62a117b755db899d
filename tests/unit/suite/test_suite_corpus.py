"""Test that all case files of another team make one suite that is planned."""

from corpus import CORPUS, needs_corpus
from random_suites import benchmark
from suites import TODAY, suite_of

from ci.inventory import cluster_file
from ci.suite.cases import find_cases
from ci.suite.hosts import host_of, job_of
from ci.suite.jobs import State
from ci.suite.packing import plan
from ci.suite.select import Wanted, nights_of


@needs_corpus
def test_all_cases_of_vllm_ascend_are_one_suite():
    suite = suite_of(f'nights: [{{cases: "{CORPUS}/**/*.yaml"}}]\n')
    found = find_cases(suite)
    # Some files have errors, such as a misspelt key; they leave the others alone.
    assert not {problem.file for problem in found.problems} & {each.config for each in found.cases}
    nights = nights_of(suite, found.cases, Wanted("daily", TODAY))
    assert len({night.name for night in nights}) == len(nights) == len(found.cases) > 100
    targets = cluster_file.load(cluster_file.find("example"))
    jobs = [job_of(night, targets) for night in nights]
    jobs = tuple(job for job in jobs if len(job.hosts) >= job.count)
    hosts = tuple(map(host_of, targets))
    schedule = plan(State(0.0, hosts, jobs), tries=3)
    benchmark.verify(schedule, hosts, jobs)
    assert schedule.bound_s <= schedule.makespan_s <= 1.1 * schedule.bound_s
