from hypothesis import given
from hypothesis import strategies as st

from assistant.event_stream import EventReader, ServerSentEvent

LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
# Neither what ends a line nor, since it would be stripped, a space at the beginning; but U+2028, which JSON may hold as it is.
VALUES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20).map(lambda text: "x" + text)
BLOCKS = st.lists(st.tuples(st.sampled_from(["data", "event", "", "id"]), VALUES, st.booleans()), min_size=1, max_size=4)


def expected(block: list[tuple[str, str, bool]]) -> list[ServerSentEvent]:
    kinds = [value for name, value, _ in block if name == "event"]
    data = [value for name, value, _ in block if name == "data"]
    return [ServerSentEvent(kinds[-1] if kinds else "message", "\n".join(data))] if data else []


@given(st.data(), st.lists(BLOCKS, max_size=6), LINE_ENDS)
def test_however_a_stream_is_cut_and_its_lines_end_its_events_are_the_same(data, blocks, line_end):
    lines = [f"{name}:{' ' * space}{value}" for block in blocks for name, value, space in [*block, ("", "", False)]]
    stream = "".join(line.removeprefix(":") + line_end if line == ":" else line + line_end for line in lines).encode()
    stream += b": end"  # so that a \r at the end isn't half of what may yet come
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, read = EventReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        read += reader.feed(stream[start:end])
    assert read == [event for block in blocks for event in expected(block)]


def test_what_is_never_completed_is_no_event():
    reader = EventReader()
    assert reader.feed(b'data: {"a": 1}') == []
    assert reader.feed(b"\n") == []
    assert reader.feed(b"\n") == [ServerSentEvent("message", '{"a": 1}')]


def test_bytes_that_are_no_text_are_replaced_and_harm_nothing_else():
    assert EventReader().feed(b"data: \xff\n\ndata: b\n\n") == [
        ServerSentEvent("message", "\ufffd"),
        ServerSentEvent("message", "b"),
    ]
