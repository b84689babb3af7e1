"""The slots of the chats under way."""

from tests.processes import printed


def test_a_chat_that_cannot_be_watched_gives_its_slot_back() -> None:
    """No descriptor is left for the watch: a slot lost each time would soon leave none, though some come back."""
    said = printed("tests.streaming.full", is_patched=True)
    assert said.splitlines() == ["EMFILE 0", "EMFILE 0", "seated 0", "seated 0"]
