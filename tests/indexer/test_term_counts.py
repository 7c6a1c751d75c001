from collections import Counter

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.term_counts import count_terms, term_hash
from indexer.tokens import LONGEST_TERM, terms
from indexer.types import Chunk, ParsedFile

CODE = st.text(st.sampled_from("abcXYZ019_ \n.é検索") | st.characters(), max_size=200)


@given(CODE)
@example("a" * (LONGEST_TERM + 1))
@example(f"{'a' * LONGEST_TERM}_b {'A' * (LONGEST_TERM + 1)}_connections")
@example("getHTTPResponses get_http_responses GETHTTP größeDerDatei \ud800")
def test_a_chunk_is_counted_by_the_terms_that_a_query_is_looked_up_by(text):
    parsed = ParsedFile("text", text, (Chunk(1, 1, "", "", text),))
    counted = count_terms("", parsed).chunks
    found = np.frombuffer(counted.terms, "<u8").tolist(), np.frombuffer(counted.counts, "<u2").tolist()
    assert dict(zip(*found, strict=True)) == Counter(map(term_hash, terms(text)))
