import pytest

from assistant.catalogue import FAMILIES, OTHER, family_of


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


def test_every_family_tells_its_licence() -> None:
    assert all(family.licence for family in FAMILIES)
