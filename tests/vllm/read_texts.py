"""In vLLM's environment: `python read_texts.py MODELS < request.json` says what real tokenizers make of texts.

request: {"texts": [...], "dialogues": [...]}. reply: {"control": {model: [[control tokens in a text], ...]}, "mixtral": [[the
ids of mistral-common, those of Mixtral's tokenizer from the hub for our template's text], ...]}; "rendered" are these texts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast


def main() -> None:
    folder, request = Path(sys.argv[1]), json.load(sys.stdin)
    tokenizers = {name: PreTrainedTokenizerFast.from_pretrained(folder / name) for name in ("llama", "mixtral")}
    control = {name: [_control(tokenizer, text) for text in request["texts"]] for name, tokenizer in tokenizers.items()}
    reference = MistralTokenizer.v1()
    pairs = []
    for dialogue in request["dialogues"]:
        theirs = reference.encode_chat_completion(ChatCompletionRequest(messages=dialogue["messages"])).tokens
        ours = tokenizers["mixtral"].encode(dialogue["rendered"], add_special_tokens=False)
        pairs.append([theirs, ours])
    json.dump({"control": control, "mixtral": pairs}, sys.stdout)


def _control(tokenizer: AutoTokenizer, text: str) -> list[str]:
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    ids = tokenizer.encode(text, add_special_tokens=False)
    return [tokenizer.convert_ids_to_tokens(number) for number in ids if number in special]


if __name__ == "__main__":
    main()
