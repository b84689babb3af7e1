"""A client that stops reading an answer, and is heard of again only in its next request."""

from tests.far import Far, scripts
from tests.faults.sluice import WRITE, environment, start
from tests.processes import Processes, wait_for
from tests.raw import chat, connect, head, new_id


def test_k5_a_client_that_stops_reading_before_its_next_body_is_whole_is_gone(
    processes: Processes, far: Far, model: str
) -> None:
    """What it was sent before is given up by the kernel while its next body is awaited."""
    patient = start(processes, far, environment(far, WRITE_TIMEOUT_SECONDS=str(WRITE)))
    parts = [scripts.chunk(scripts.delta("x" * 16_000)) for _ in range(60)]
    end = scripts.chunk(scripts.stop(), scripts.DONE)
    far.script(model, lambda peer: peer.send(scripts.CHUNKED, *parts, end, scripts.LAST))
    with connect(patient.port, chat(model, first := new_id()), receive_buffer=4096) as client:
        patient.record(first)
        client.send(head(second := new_id(), "Content-Length: 1000") + b"{")
        (record,) = wait_for(lambda: patient.records(second))
    assert record["outcome"] in {"client_gone", "client_stalled"}
    assert record["status"] == 499
    assert "Traceback" not in patient.service.log.read_text()
