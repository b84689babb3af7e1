"""The clients of the benchmark, against its provider."""

from bench.answers import Spec
from bench.load import Job, Load, Reply
from bench.readers import Reading, completions
from bench.rivals.nginx import KIND

SPEC = Spec(50, 1)


def replies(port: int, *jobs: Job) -> list[Reply]:
    found: list[Reply] = []
    load = Load(port)
    load.add(iter(jobs), lambda _, reply: found.append(reply))
    load.run()
    return found


def test_a_client_reads_one_answer_after_the_other(provider: int) -> None:
    found = replies(provider, *[Job(KIND.request(SPEC))] * 3)
    assert [completions(reply) for reply in found] == [Reading(SPEC.text, ended=True, failed=False)] * 3
    assert all(reply.clean and reply.status == 200 and 0 < reply.first < reply.seconds for reply in found)


def test_a_client_leaves_an_answer_and_asks_again(provider: int) -> None:
    left, whole = replies(provider, Job(KIND.request(SPEC), leave_after=1), Job(KIND.request(SPEC)))
    assert left.left
    assert not left.clean
    assert left.size < whole.size
    assert completions(whole).text == SPEC.text
