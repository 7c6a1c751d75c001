import pytest

from assistant.catalogue import FAMILIES, MODELS, OTHER, family_of, model_of
from tests.processes import ROOT


@pytest.mark.parametrize(
    ("family", "models"),
    [
        (
            "Code Llama",
            [
                "codellama/CodeLlama-7b-Instruct-hf",
                "codellama/CodeLlama-13b-Instruct-hf",
                "codellama/CodeLlama-34b-Instruct-hf",
                "TheBloke/CodeLlama-34B-Instruct-AWQ",
                "code-llama-34b",
            ],
        ),
        ("Code Llama 70B", ["codellama/CodeLlama-70b-Instruct-hf", "TheBloke/CodeLlama-70B-Instruct-AWQ"]),
        (
            "Llama 2",
            [
                "meta-llama/Llama-2-7b-chat-hf",
                "meta-llama/Llama-2-13b-chat-hf",
                "meta-llama/Llama-2-70b-chat-hf",
                "TheBloke/Llama-2-70B-Chat-AWQ",
            ],
        ),
        ("Mixtral", ["mistralai/Mixtral-8x7B-Instruct-v0.1", "casperhansen/mixtral-instruct-awq"]),
        ("Zephyr", ["HuggingFaceH4/zephyr-7b-beta", "TheBloke/zephyr-7B-beta-AWQ"]),
        ("SOLAR", ["upstage/SOLAR-10.7B-Instruct-v1.0", "TheBloke/SOLAR-10.7B-Instruct-v1.0-AWQ"]),
        ("other", ["qwen2.5-coder-1.5b-instruct", "Qwen/Qwen3-Coder-Next", "mistralai/Devstral-Small-2", "gpt-oss-20b", ""]),
    ],
)
def test_a_models_name_tells_its_family(family: str, models: list[str]) -> None:
    assert {model: family_of(model).name for model in models} == dict.fromkeys(models, family)


def test_the_windows_are_those_of_the_configurations_and_no_wider_than_the_output_is_good() -> None:
    windows = {family.name: (family.context_tokens, family.useful_tokens) for family in FAMILIES}
    assert windows == {
        "Code Llama": (16384, 100_000),
        "Code Llama 70B": (4096, 4096),
        "Llama 2": (4096, 4096),
        "Mixtral": (32768, 32768),
        "Zephyr": (32768, 8192),
        "SOLAR": (4096, 4096),
    }


def test_the_70b_stops_at_step_and_solar_at_the_next_user() -> None:
    assert {family.name: family.stop for family in FAMILIES if family.stop} == {
        "Code Llama 70B": ("<step>",),
        "SOLAR": ("### User:",),
    }


def test_only_mixtral_has_no_system_role_and_only_solar_one_turn() -> None:
    assert [family.name for family in (*FAMILIES, OTHER) if not family.system_role] == ["Mixtral"]
    assert [family.name for family in (*FAMILIES, OTHER) if family.single_turn] == ["SOLAR"]


def test_only_solar_must_not_be_used_commercially_and_says_so_where_others_say_nothing() -> None:
    assert all(family.licence.name for family in FAMILIES)
    warnings = {family.name: family.licence.warning for family in (*FAMILIES, OTHER) if family.licence.warning}
    assert warnings.keys() == {"SOLAR"}
    assert "CC-BY-NC-4.0" in warnings["SOLAR"] and "Not for commercial use" in warnings["SOLAR"]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.key)
def test_a_model_is_found_under_every_name_that_the_table_gives_it(model) -> None:
    for name in (model.key, model.name, model.repository, model.awq, model.title):
        if name != "casperhansen/mixtral-instruct-awq":
            assert model_of(name) is model, name
    assert model_of(model.awq) is model


def test_of_an_unknown_size_the_family_is_known() -> None:
    assert model_of("code-llama-instruct").family.name == "Code Llama"
    assert model_of("code-llama-instruct").shape is None
    assert model_of("qwen3-coder-next").family is OTHER


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_has_a_chat_template_and_no_template_is_without_one(family) -> None:
    shipped = {path.name for path in (ROOT / "assistant/chat_templates").glob("*.jinja")}
    assert family.chat_template in shipped
    assert {each.chat_template for each in FAMILIES} == shipped


@pytest.mark.parametrize(
    ("key", "kv_kib", "gib"),
    [
        ("codellama-7b", 512, (12.6, 6.5, 3.6)),
        ("llama-2-7b", 512, (12.6, 6.5, 3.6)),
        ("codellama-13b", 800, (24.2, 12.4, 6.8)),
        ("llama-2-13b", 800, (24.2, 12.4, 6.8)),
        ("codellama-34b", 192, (62.9, 31.9, 17.1)),
        ("codellama-70b", 320, (128.5, 64.7, 34.1)),
        ("llama-2-70b", 320, (128.5, 64.7, 34.1)),
        ("mixtral-8x7b", 128, (87.0, 43.7, 23.0)),
        ("zephyr-7b", 128, (13.5, 7.0, 3.9)),
        ("solar-10.7b", 192, (20.0, 10.2, 5.6)),
    ],
)
def test_weights_and_cache_take_what_was_measured(key: str, kv_kib: int, gib: tuple[float, float, float]) -> None:
    shape = model_of(key).shape
    assert shape.kv_bytes == kv_kib * 1024
    assert tuple(round(shape.weight_bytes(each) / 2**30, 1) for each in ("fp16", "fp8", "4-bit")) == gib
