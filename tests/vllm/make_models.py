"""Write the two models that tests/vllm serves: `python make_models.py SMOLLM2.gguf FOLDER`, in vLLM's environment.

* FOLDER/llama: SmolLM2-135M out of its GGUF. It is a LlamaForCausalLM, as Code Llama is, and vLLM runs the same code for both.
* FOLDER/mixtral: a MixtralForCausalLM with random weights, two layers and eight experts, and Mixtral's own tokenizer, which
  mistral-common brings. What it writes means nothing.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import mistral_common
import torch
from sentencepiece import SentencePieceProcessor
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedTokenizerFast,
)


def llama(gguf: Path, folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(folder)
    # As with quantised copies of Code Llama: without a template of its own, so that ours is the only one.
    (folder / "chat_template.jinja").unlink(missing_ok=True)


def mixtral(folder: Path) -> None:
    torch.manual_seed(0)
    config = MixtralConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=8,
        max_position_embeddings=32768,
        sliding_window=None,
        dtype="bfloat16",
    )
    MixtralForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    mixtral_tokenizer().save_pretrained(folder)


def mixtral_tokenizer() -> PreTrainedTokenizerFast:
    """Of mistral-common's SentencePiece file, as the hub's tokenizer.json of 2023 has it: a space after every control token."""
    pieces = SentencePieceProcessor(model_file=str(Path(mistral_common.__file__).parent / "data/tokenizer.model.v1"))
    vocabulary = {pieces.id_to_piece(number): number for number in range(pieces.vocab_size())}
    merges = [
        (-pieces.get_score(number), vocabulary[piece[:cut]], vocabulary[piece[cut:]], piece[:cut], piece[cut:])
        for piece, number in vocabulary.items()
        for cut in range(1, len(piece))
        if piece[:cut] in vocabulary and piece[cut:] in vocabulary
    ]
    model = models.BPE(
        vocabulary, [merge[3:] for merge in sorted(merges)], unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    control = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control.values()])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **control)


def main() -> None:
    gguf, folder = Path(sys.argv[1]), Path(sys.argv[2])
    if (folder / ".ready").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    llama(gguf, folder / "llama")
    mixtral(folder / "mixtral")
    (folder / ".ready").touch()


if __name__ == "__main__":
    main()
