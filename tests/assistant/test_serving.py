"""Which models fit on which GPUs, and the command that serves one."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assistant.catalogue import BITS, MODELS, OTHER, Model, model_of
from assistant.errors import DoesNotFit
from assistant.serving import CARDS_GIB, Gpus, arguments, choose, compose, fits

# Thousands of tokens that the cache holds beside 4-bit weights, on 24, 48 and 80 GB; None: the weights don't fit.
MOST_TOKENS = {
    "codellama-7b": (32, 73, 138),
    "llama-2-7b": (32, 73, 138),
    "codellama-13b": (16, 42, 84),
    "codellama-34b": (14, 122, 295),
    "codellama-70b": (None, 17, 121),
    "mixtral-8x7b": (None, 134, 395),
    "zephyr-7b": (129, 291, 551),
    "solar-10.7b": (77, 184, 358),
}


@pytest.mark.parametrize(("key", "thousands"), MOST_TOKENS.items())
def test_the_cache_holds_as_many_tokens_as_was_worked_out_for_real_cards(key: str, thousands: tuple[int | None, ...]) -> None:
    held = [Gpus(memory).cached_tokens(model_of(key).shape, "4-bit") for memory in CARDS_GIB]
    assert tuple(tokens // 1000 if tokens >= 0 else None for tokens in held) == thousands


def test_a_cache_at_8_bits_holds_twice_the_tokens() -> None:
    shape = model_of("codellama-34b").shape
    half, full = Gpus(48, fp8_cache=True), Gpus(48)
    assert half.cached_tokens(shape, "4-bit") // 2 == full.cached_tokens(shape, "4-bit")


def test_what_fits_on_48_gb() -> None:
    there = {(fit.model.key, fit.quantisation): fit for fit in fits(Gpus(48))}
    assert there["codellama-34b", "4-bit"].context == 100_000 and there["codellama-34b", "4-bit"].extended
    assert there["codellama-34b", "fp8"].context == 39_936
    assert there["mixtral-8x7b", "4-bit"].context == 32_768
    assert there["codellama-70b", "4-bit"].context == 4_096
    assert there["zephyr-7b", "fp16"].context == 8_192
    assert ("codellama-34b", "fp16") not in there and ("mixtral-8x7b", "fp8") not in there


def test_a_card_of_another_size_is_taken_to_have_a_thousand_million_bytes_a_gb() -> None:
    assert Gpus(40).usable_bytes == pytest.approx(40e9 * 0.92 - 2 * 2**30)


@given(st.sampled_from([8, 16, 24, 40, 48, 80, 141]), st.integers(1, 8), st.booleans())
def test_nothing_that_is_said_to_fit_needs_more_than_there_is(memory: int, count: int, fp8_cache: bool) -> None:
    gpus = Gpus(memory, count, fp8_cache)
    for fit in fits(gpus):
        shape = fit.model.shape
        assert shape.heads % count == 0
        cache = fit.context * shape.kv_bytes * max(1, count / shape.kv_heads) / (2 if fp8_cache else 1)
        assert shape.weight_bytes(fit.quantisation) + cache <= gpus.usable_bytes
        assert 4096 <= fit.context <= max(fit.model.family.context_tokens, fit.model.family.useful_tokens)


@pytest.mark.parametrize(
    ("key", "memory", "count", "weights"),
    [
        ("codellama-34b", 48, 1, "4-bit"),
        ("mixtral-8x7b", 80, 1, "fp8"),
        ("mixtral-8x7b", 48, 1, "4-bit"),
        ("mixtral-8x7b", 80, 2, "fp16"),
        ("codellama-70b", 48, 1, "4-bit"),
        ("zephyr-7b", 24, 1, "fp16"),
    ],
)
def test_the_most_precise_weights_that_leave_room_for_four_windows_are_chosen(
    key: str, memory: int, count: int, weights: str
) -> None:
    assert choose(model_of(key), Gpus(memory, count)).quantisation == weights


def test_where_no_weights_leave_that_much_room_those_with_the_most_are_chosen() -> None:
    fit = choose(model_of("codellama-7b"), Gpus(24))
    assert (fit.quantisation, fit.context) == ("4-bit", 16_384)


def test_a_window_that_is_asked_for_has_to_fit_whole() -> None:
    model = model_of("codellama-34b")
    assert choose(model, Gpus(48), context=100_000).context == 100_000
    with pytest.raises(DoesNotFit, match="doesn't fit with 100,000 tokens on a GPU with 24 GB"):
        choose(model, Gpus(24), context=100_000)
    with pytest.raises(DoesNotFit, match="reads at most 100,000 tokens"):
        choose(model, Gpus(80), context=100_001)
    with pytest.raises(DoesNotFit, match="64 attention heads, which 3 GPUs can't share"):
        choose(model, Gpus(48, 3))
    with pytest.raises(DoesNotFit, match="doesn't fit on 2 GPUs with 24 GB"):
        choose(model_of("codellama-70b"), Gpus(24, 2), quantisation="fp16")


def test_of_a_model_without_a_known_size_nothing_can_be_said() -> None:
    with pytest.raises(DoesNotFit, match="Nothing is known of the size"):
        choose(Model(OTHER), Gpus(48))


def options(key: str, gpus: Gpus, **choice: object) -> dict[str, str]:
    repository, *given = arguments(choose(model_of(key), gpus, **choice), gpus, templates="/t")
    return {"model": repository, **dict(each.removeprefix("--").split("=", 1) for each in given)}


def test_the_command_for_code_llama_34b_on_48_gb() -> None:
    assert options("codellama-34b", Gpus(48)) == {
        "model": "TheBloke/CodeLlama-34B-Instruct-AWQ",
        "served-model-name": "codellama-34b-instruct",
        "max-model-len": "16384",
        "chat-template": "/t/llama-2.jinja",
        "gpu-memory-utilization": "0.92",
        "port": "8000",
    }


def test_the_command_changes_with_the_window_the_weights_and_the_number_of_gpus() -> None:
    long = options("codellama-34b", Gpus(48), context=65_536)
    assert json.loads(long["hf-overrides"]) == {"max_position_embeddings": 100_000}
    eight = options("mixtral-8x7b", Gpus(80, fp8_cache=True), quantisation="fp8")
    assert (eight["model"], eight["quantization"]) == ("mistralai/Mixtral-8x7B-Instruct-v0.1", "fp8")
    assert eight["kv-cache-dtype"] == "fp8"
    assert options("codellama-70b", Gpus(48, 2))["tensor-parallel-size"] == "2"
    assert options("codellama-70b", Gpus(48, 2))["chat-template"] == "/t/code-llama-70b.jinja"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.key)
@pytest.mark.parametrize("quantisation", BITS)
def test_the_compose_snippet_is_yaml_that_serves_the_same_and_tells_the_answerer(model: Model, quantisation: str) -> None:
    gpus = Gpus(80, 4) if model.shape.heads % 4 == 0 else Gpus(80)
    fit = choose(model, gpus, quantisation=quantisation)
    read = yaml.safe_load(compose(fit, gpus))
    (name, server), (answerer, told) = read["services"].items()
    assert answerer == "answerer" and "." not in name
    assert server["command"] == arguments(fit, gpus, templates="/chat-templates")
    assert server["deploy"]["resources"]["reservations"]["devices"][0]["count"] == gpus.count
    route = "CODE" if model.key.startswith("codellama") else "GENERAL"
    assert told["environment"] == {
        f"SEXTANT_{route}_MODEL_URL": f"http://{name}:8000",
        f"SEXTANT_{route}_MODEL_NAME": model.name,
    }
