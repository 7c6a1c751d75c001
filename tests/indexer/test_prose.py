import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.languages import LANGUAGES
from indexer.parser import parse
from indexer.prose import MAX_HEADING, Heading, markdown_headings, plain_title, read_notebook, rst_headings, section_blocks
from indexer.types import ParsedFile

from .test_chunker import assert_covers

PARAGRAPH = "Some words about it that fill a line of a paragraph.\n" * 20


def parsed(path: str, text: str) -> ParsedFile:
    result = parse(path, text.encode())
    assert isinstance(result, ParsedFile)
    return result


def headings(found) -> list[tuple[int, int, str]]:
    return [(heading.line, heading.level, heading.title) for heading in found]


def markdown(text: str) -> list[tuple[int, int, str]]:
    return headings(markdown_headings(text.split("\n")))


def rst(text: str) -> list[tuple[int, int, str]]:
    return headings(rst_headings(text.split("\n")))


def test_markdown_is_cut_at_its_headings_and_a_chunk_names_the_way_to_it():
    text = f"# Guide\n\n{PARAGRAPH}\n## Install\n\n{PARAGRAPH}\n### Linux\n\n{PARAGRAPH}\n## Use\n\n{PARAGRAPH}"
    file = parsed("README.md", text)
    assert_covers(text, file.chunks)
    assert [(chunk.start_line, chunk.symbol) for chunk in file.chunks] == [
        (1, "Guide"),
        (24, "Guide > Install"),
        (47, "Guide > Install > Linux"),
        (70, "Guide > Use"),
    ]
    assert {chunk.kind for chunk in file.chunks} == {"section"}
    assert file.definitions == ()


def test_a_section_without_words_of_its_own_stays_with_the_one_before_it():
    text = "# A\n\n## B\n\n## C\n\nword\n"
    assert len(parsed("a.md", text).chunks) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One\n###### Six ##\n", [(1, 1, "One"), (2, 6, "Six")]),
        ("Title\n=====\n\nSub\n---\n", [(1, 1, "Title"), (4, 2, "Sub")]),
        ("####### seven\n#hash\n    # code\n", []),
        ("```sh\n# comment\n```\n# Real\n", [(4, 1, "Real")]),
        ("````\n```\n# inside\n````\n# Real\n", [(5, 1, "Real")]),
        ("~~~\n# inside\n```\n~~~\n# Real\n", [(5, 1, "Real")]),
        ("```\n# never closed\n", []),
        ("---\ntitle: x\n# not this\n---\n# Real\n", [(5, 1, "Real")]),
        ("a\n\n---\n\nb\n", []),
        ("- item\n---\n", []),
        ("| a | b |\n|---|---|\n", []),
        ("two lines\nof text\n---\n", []),
        ("# `code` and [link](http://x.y) <b>bold</b> **strong** #\n", [(1, 1, "code and link bold strong")]),
        ("#\n", [(1, 1, "")]),
        ("# " + "long " * 100, [(1, 1, ("long " * 100)[:MAX_HEADING])]),
    ],
)
def test_headings_of_markdown_are_told_from_what_looks_like_them(text, expected):
    assert markdown(text) == expected


def test_levels_of_restructured_text_are_told_by_the_order_of_their_adornments():
    text = "====\nTop!\n====\n\nFirst\n=====\n\nInner\n-----\n\nSecond\n======\n"
    assert rst(text) == [(1, 1, "Top!"), (5, 2, "First"), (8, 3, "Inner"), (11, 2, "Second")]


@pytest.mark.parametrize(
    "text",
    [
        "Too long a title\n=====\n",
        "text before\nTitle\n=====\n",
        "    Indented\n    ========\n    x\n",
        "===== ======\na     b\n===== ======\n",
        "word\n\n----\n\nword\n",
    ],
)
def test_what_only_looks_like_a_title_of_restructured_text_is_none(text):
    assert rst(text) == []


def test_restructured_text_is_cut_at_its_titles():
    text = f"Guide\n=====\n\n{PARAGRAPH}\nInstall\n-------\n\n{PARAGRAPH}"
    file = parsed("guide.rst", text)
    assert_covers(text, file.chunks)
    assert [chunk.symbol for chunk in file.chunks] == ["Guide", "Guide > Install"]
    assert file.language == "rst"


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("# Guide\n\n[![badge](x)](y)\n\nIt explains\nthe parts.\n\nMore.\n", "Guide\nIt explains\nthe parts."),
        ("Just some words\nin two lines.\n\nMore.\n", "Just some words\nin two lines."),
        ("# Guide\n\n```\nsome code here\n```\n\nThen some words.\n", "Guide\nThen some words."),
        ("# Guide\n", "Guide"),
    ],
)
def test_the_header_of_prose_is_its_title_and_first_paragraph(text, header):
    assert parsed("a.md", text).header == header


@given(st.lists(st.tuples(st.integers(1, 6), st.text(alphabet="ab ", max_size=5)), max_size=12), st.integers(0, 40))
def test_a_section_reaches_to_the_next_heading_that_is_not_below_it(levels, spare):
    found = [Heading(1 + 3 * number, level, title) for number, (level, title) in enumerate(levels)]
    last_line = 3 * len(found) + spare
    blocks = list(section_blocks(found, last_line))
    assert len(blocks) == len(found)
    for heading, block in zip(found, blocks, strict=True):
        later = [other.line for other in found if other.line > heading.line and other.level <= heading.level]
        assert (block.start_line, block.end_line) == (heading.line, min(later, default=last_line + 1) - 1)


@given(st.sampled_from(["a.md", "a.rst"]), st.text(alphabet="#=-~`ab \t\n>|", max_size=400) | st.text(max_size=200))
def test_any_text_is_covered_by_its_sections(path, text):
    result = parse(path, text.encode("utf-8", "ignore"))
    if isinstance(result, ParsedFile):
        assert_covers(result.text, result.chunks)


@given(st.text())
def test_a_plain_title_is_one_line_without_blanks_around_it(text):
    title = plain_title(text)
    assert title == " ".join(title.split())
    assert len(title) <= MAX_HEADING


def notebook(*cells: dict, language: str = "python") -> str:
    return json.dumps({"cells": cells, "metadata": {"language_info": {"name": language}}, "nbformat": 4})


def test_a_notebook_is_the_text_of_its_cells_without_their_outputs():
    text = notebook(
        {"cell_type": "markdown", "source": ["# Load\n", "Reads the data."]},
        {
            "cell_type": "code",
            "source": "%matplotlib inline\nimport os\n\ndef load(path):\n    return os.read(path)\n",
            "outputs": ["secret"],
        },
        {"cell_type": "raw", "source": "as it is"},
    )
    file = parsed("a.ipynb", text)
    assert file.language == "notebook"
    assert file.text.split("\n") == [
        "# %% [markdown] cell 1",
        "# Load",
        "Reads the data.",
        "# %% [code] cell 2",
        "%matplotlib inline",
        "import os",
        "",
        "def load(path):",
        "    return os.read(path)",
        "# %% [raw] cell 3",
        "as it is",
        "",
    ]
    assert_covers(file.text, file.chunks)
    assert file.header == "# Load\nReads the data."
    (load,) = file.definitions
    assert (load.qualified_name, load.start_line, load.end_line) == ("load", 8, 9)
    assert {(reference.name, reference.line) for reference in file.references} == {("os", 6), ("read", 9)}


def test_a_big_cell_is_a_chunk_under_the_heading_it_stands_under():
    code = "value = compute(value)\n" * 50
    text = notebook(
        {"cell_type": "code", "source": code},
        {"cell_type": "markdown", "source": "# Fit\n\nFits the model."},
        {"cell_type": "code", "source": code},
    )
    chunks = parsed("a.ipynb", text).chunks
    assert [(chunk.symbol, chunk.kind) for chunk in chunks] == [("Cell 1", "cell"), ("Fit", "cell")]


def test_the_code_of_a_notebook_is_read_in_its_kernels_language():
    cell = {"cell_type": "code", "source": "function load(path)\n  return path\nend\n"}
    assert [d.name for d in parsed("a.ipynb", notebook(cell, language="lua")).definitions] == ["load"]
    assert parsed("a.ipynb", notebook(cell, language="klingon")).text.endswith("end\n")


@pytest.mark.parametrize("magic", ["%%bash\nls | f()", "!pip install f()", "f?", "?f", "%timeit f()"])
def test_what_only_the_notebook_understands_is_kept_and_not_read_as_code(magic):
    file = parsed("a.ipynb", notebook({"cell_type": "code", "source": magic}))
    assert magic in file.text
    assert file.references == ()


@pytest.mark.parametrize("text", ["{}", "[]", '{"cells": 3}', "{", "not json", "[" * 100_000, '"text"', "null"])
def test_what_is_no_notebook_is_read_by_lines_instead(text):
    assert read_notebook(LANGUAGES["notebook"], text) is None
    file = parsed("a.ipynb", text[:5000])
    assert {chunk.kind for chunk in file.chunks} == {"lines"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["cells", "cell_type", "source", "metadata"]), inner)
    ),
    max_leaves=12,
)


@given(
    st.lists(json_values | st.fixed_dictionaries({"cell_type": json_values, "source": json_values}), max_size=5),
    json_values,
)
def test_a_notebook_with_odd_cells_is_still_read_whole(cells, metadata):
    result = read_notebook(LANGUAGES["notebook"], json.dumps({"cells": cells, "metadata": metadata}))
    assert result is not None
    assert_covers(result.text, result.chunks)


def test_a_notebook_that_spells_half_a_character_or_nul_is_read_as_text():
    cells = '{"cell_type": "code", "source": "a = 1 # \\ud83d \\u0000\\r\\nb()\\n"}'
    file = parsed("a.ipynb", f'{{"cells": [{cells}]}}')
    assert file.text == "# %% [code] cell 1\na = 1 # ? \ufffd\nb()\n"
    assert [reference.line for reference in file.references] == [3]
