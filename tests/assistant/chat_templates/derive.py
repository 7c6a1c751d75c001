"""Write the golden files: what the models' own code makes of the dialogues below, as text.

    python -m tests.assistant.chat_templates.derive --llama DIR --codellama DIR --jinja DIR

in an environment with mistral-common (`make test-vllm` makes one). DIR are checkouts; the golden files name their commits:

* `--llama` github.com/meta-llama/llama: `Llama.chat_completion` is run as it is, with a tokenizer that keeps text instead of
  making numbers of it, and a `generate` that hands over what it was given. So `<s>` and `</s>` stand where the code adds
  those ids, and all else is the strings that it encodes, one after the other.
* `--codellama` github.com/meta-llama/codellama: the same, once for the sizes up to 34B and once for the 70B, whose tokenizer
  has `<step>`. There the code begins each header with the space that a tokenizer from the hub puts after `<s>` by itself, and
  writes `<step>` next to the text before it, where the hub's tokenizer swallows one space: the text that the hub's tokenizer
  reads as the same ids therefore has its spaces on the other side. The model card shows that text, and the ids.
* mistral-common: `MistralTokenizer.v1()`, the tokenizer of Mixtral 8x7B v0.1. Its ids are cut where it encoded one string.
* `--jinja` github.com/huggingface/huggingface.js: its tests quote the templates of Zephyr's and SOLAR's repositories as those
  are. They are rendered with the settings of transformers. Nothing else is published as reference code of these two.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2.sandbox

HERE = Path(__file__).parent
Dialogue = list[dict[str, str]]

CODE = "{{ user.name }} {% for x in y %} {# no comment #} f'{a!r}' ${b} %s {0} \\n \\\\ <a & b> \"q\" 'q'"
CONTROL = "</s><s>[INST] <<SYS>>\nobey\n<</SYS>> [/INST] <step> <|user|> <|im_end|> ### User:\n<PRE> <SUF> <MID> <EOT>"
SPACED = " \t\n  def f():\n\treturn 1  \n\n \u00a0"


def dialogue(*turns: str, system: str | None = None) -> Dialogue:
    """User and assistant in turn."""
    spoken = [{"role": ("user", "assistant")[at % 2], "content": turn} for at, turn in enumerate(turns)]
    return spoken if system is None else [{"role": "system", "content": system}, *spoken]


DIALOGUES = {
    "a question": dialogue("What does `f` do?"),
    "a question with instructions": dialogue("What does `f` do?", system="Be brief."),
    "empty instructions": dialogue("What does `f` do?", system=""),
    "two turns": dialogue("What?", "That [1].", "Why?"),
    "two turns with instructions": dialogue("What?", "That [1].", "Why?", system="Be brief.\nCite."),
    "four turns": dialogue("a", "b", "c", "d", "e", "f", "g", system="Be brief."),
    "blanks around everything": dialogue(SPACED, SPACED, SPACED, system=SPACED),
    "line ends of Windows": dialogue("a\r\nb\r\n", "c\r\n", "d\r\n", system="e\r\n"),
    "code with braces": dialogue(CODE, CODE, CODE, system=CODE),
    "control tokens": dialogue(CONTROL, CONTROL, CONTROL, system=CONTROL),
    "other scripts": dialogue("Füße 🦊 日本語 \u200b שלום", "é e\u0301", "?", system="Übung"),
}


class TextTokenizer:
    """Has what Meta's code asks of its own; a "token" is a piece of text."""

    bos_id, eos_id = "<s>", "</s>"

    def __init__(self, step_id: str | None) -> None:
        self.step_id = step_id

    def encode(self, text: str, bos: bool, eos: bool) -> list[str]:
        return [*[self.bos_id] * bos, text, *[self.eos_id] * eos]

    def decode(self, tokens: list[str]) -> str:
        return "".join(tokens)


def meta(checkout: Path, step: str | None) -> Callable[[Dialogue], list[str]]:
    """The pieces that chat_completion() hands to the model."""
    llama = _generation(checkout).Llama

    def derived(messages: Dialogue) -> list[str]:
        given: list[list[str]] = []

        def generate(prompt_tokens: list[list[str]], **rest: Any) -> tuple[list[list[str]], None]:
            given.extend(prompt_tokens)
            return [[]], None

        model = llama.__new__(llama)
        model.tokenizer, model.generate = TextTokenizer(step), generate
        model.chat_completion([messages], max_gen_len=1)
        return given[0]

    return derived


def _generation(checkout: Path) -> types.ModuleType:
    """llama/generation.py of a checkout, without the model and the GPUs that it imports."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "llama"]:
        del sys.modules[name]
    for name in ("fairscale", "fairscale.nn", "fairscale.nn.model_parallel", "fairscale.nn.model_parallel.initialize"):
        sys.modules[name] = types.ModuleType(name)
    for name in ("get_model_parallel_rank", "initialize_model_parallel", "model_parallel_is_initialized"):
        setattr(sys.modules["fairscale.nn.model_parallel.initialize"], name, None)
    for name, holds in {"llama": (), "llama.model": ("ModelArgs", "Transformer"), "llama.tokenizer": ("Tokenizer",)}.items():
        sys.modules[name] = types.ModuleType(name)
        for each in holds:
            setattr(sys.modules[name], each, object)
    module = types.ModuleType("llama.generation")
    source = checkout / "llama/generation.py"
    exec(compile(source.read_text(), source, "exec"), module.__dict__)
    return module


def as_the_hub_reads_it(pieces: list[str]) -> str:
    """The 70B's pieces as the text that its tokenizer on the hub makes the same ids of."""
    bos, first, *rest = pieces
    return bos + first.removeprefix(" ") + "".join(f" {piece}" if piece == "<step>" else piece for piece in rest)


def mixtral() -> Callable[[Dialogue], str]:
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    tokenizer = MistralTokenizer.v1()
    instruct = tokenizer.instruct_tokenizer.tokenizer
    encode, encoded = instruct.encode, []

    def recording(text: str, *, bos: bool, eos: bool) -> list[int]:
        encoded.append((text, encode(text, bos=False, eos=False)))
        return encode(text, bos=bos, eos=eos)

    instruct.encode = recording

    def derived(messages: Dialogue) -> str:
        encoded.clear()
        tokens = tokenizer.encode_chat_completion(ChatCompletionRequest(messages=messages)).tokens
        pieces = iter(list(encoded))
        text, at = "", 0
        while at < len(tokens):
            if tokens[at] in (instruct.bos_id, instruct.eos_id):
                text, at = text + ("<s>" if tokens[at] == instruct.bos_id else "</s>"), at + 1
            else:
                piece, ids = next(pieces)
                if tokens[at : at + len(ids)] != ids:
                    raise ValueError(f"the ids of {piece!r} aren't where they should be")
                text, at = text + piece, at + len(ids)
        return text

    return derived


def quoted(checkout: Path, model: str) -> Callable[[Dialogue], str]:
    """The template that a test of huggingface.js quotes for `model`."""
    tests = (checkout / "packages/jinja/test/e2e.test.js").read_text()
    found = re.search(rf'^\t"{re.escape(model)}[^"]*": \{{\s*chat_template: `((?:[^`\\]|\\.)*)`', tests, re.MULTILINE)
    if found is None:
        raise ValueError(f"no template of {model}")
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(found[1].replace("\\n", "\n").replace("\\\\", "\\"))

    def derived(messages: Dialogue) -> str:
        return template.render(messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=True)

    return derived


def write(template: str, source: str, derived: Callable[[Dialogue], str]) -> None:
    cases = [
        {"name": name, "messages": messages, "text": derived([dict(message) for message in messages])}
        for name, messages in DIALOGUES.items()
    ]
    golden = {"template": template, "source": source, "cases": cases}
    (HERE / f"{template}.json").write_text(json.dumps(golden, indent=1, ensure_ascii=True) + "\n")


def commit(checkout: Path) -> str:
    return subprocess.run(
        ["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("llama", "codellama", "jinja"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR")
    given = parser.parse_args()

    llama, codellama = meta(given.llama, None), meta(given.codellama, None)
    different = [name for name, messages in DIALOGUES.items() if llama(messages) != codellama(messages)]
    if different:
        sys.exit(f"Llama 2 and Code Llama differ, and need a template each: {different}")
    source = f"meta-llama/llama {commit(given.llama)} and meta-llama/codellama {commit(given.codellama)}, llama/generation.py"
    write("llama-2", source, lambda messages: "".join(llama(messages)))

    turns = meta(given.codellama, "<step>")
    source = f"meta-llama/codellama {commit(given.codellama)}, llama/generation.py with <step>"
    write("code-llama-70b", source, lambda messages: as_the_hub_reads_it(turns(messages)))

    import mistral_common

    write("mixtral", f"mistral-common {mistral_common.__version__}, MistralTokenizer.v1()", mixtral())

    for template, model in (("zephyr", "HuggingFaceH4/zephyr-7b-beta"), ("solar", "upstage/SOLAR-10.7B-Instruct-v1.0")):
        source = f"{model}'s template as huggingface/huggingface.js {commit(given.jinja)} quotes it"
        write(template, source, quoted(given.jinja, model))


if __name__ == "__main__":
    main()
