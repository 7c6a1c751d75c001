"""manage.py models: what is known of the models that Sextant was made for, which of them fit on a GPU, and how to serve one.

    manage.py models                              the catalogue
    manage.py models fit --gpu 48 --gpus 2        which fit, with which weights and which context
    manage.py models serve codellama-34b --gpu 48 vLLM's command, and the same for docker compose

What a licence forbids is said before anything else. Without a terminal the tables are as wide as they need to be.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from assistant.catalogue import BITS, MODELS, Family, Model
from assistant.errors import DoesNotFit
from assistant.serving import GIB, Fit, Gpus, arguments, choose, compose, fits, shape_of

BAD_USAGE = 2
PIPED_WIDTH = 240


class Command(BaseCommand):
    help = "List the models that Sextant knows, which of them fit on a GPU, and the command that serves one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.set_defaults(action="list")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
        actions = parser.add_subparsers(dest="action", metavar="fit | serve")
        fit = actions.add_parser("fit", help="which models fit, with which weights and which context")
        fit.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
        serve = actions.add_parser("serve", help="how to serve one with vLLM")
        serve.add_argument("key", metavar="MODEL", help=f"one of {', '.join(model.key for model in MODELS)}")
        serve.add_argument("--context", type=int, default=0, metavar="TOKENS", help="the window (default: the model's own)")
        serve.add_argument("--weights", choices=list(BITS), help="their precision (default: the highest that leaves room)")
        serve.add_argument("--port", type=int, default=8000, help="where vLLM is to listen (default: 8000)")
        for action in (fit, serve):
            action.add_argument("--gpu", type=float, required=True, metavar="GB", help="memory of one GPU, as it is sold")
            action.add_argument("--gpus", type=int, default=1, metavar="N", help="how many of them (default: 1)")
            action.add_argument("--fp8-cache", action="store_true", help="keep keys and values at 8 bits: twice the tokens")

    def handle(self, *, action: str | None, as_json: bool, **options: Any) -> None:
        if action in (None, "list"):
            self._list(as_json)
            return
        if options["gpu"] <= 0 or options["gpus"] < 1 or options.get("context", 0) < 0:
            raise CommandError("--gpu, --gpus and --context are positive numbers.", returncode=BAD_USAGE)
        gpus = Gpus(options["gpu"], options["gpus"], options["fp8_cache"])
        if action == "fit":
            self._fit(gpus, as_json)
        else:
            self._serve(gpus, options["key"], options["context"], options["weights"], options["port"])

    # --- the catalogue ---

    def _list(self, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps([described(model) for model in MODELS], indent=1, ensure_ascii=False))
            return
        table = _table(
            "Model", "Parameters", "Context", "KV a token", "Weights fp16 / fp8 / 4-bit", "System", "People's languages"
        )
        table.add_column("Licence")
        table.add_column("Good at", overflow="fold")
        for model in MODELS:
            table.add_row(*row(model))
        self._warn(MODELS)
        self._print(table)
        self.stdout.write("Any other model behind an OpenAI-compatible server works too: its limits are read from the server.")

    # --- what fits ---

    def _fit(self, gpus: Gpus, as_json: bool) -> None:
        found = list(fits(gpus))
        if as_json:
            self.stdout.write(json.dumps([_fit_json(fit) for fit in found], indent=1))
            return
        if not found:
            raise CommandError("No catalogued model fits; the embedded one needs no GPU.")
        table = _table("Model", "Weights", "Context", "Tokens in the cache", "Full windows at once", "Licence")
        for fit in found:
            context = f"{fit.context:,}" + (" (extended)" if fit.extended else "")
            licence = fit.model.family.licence.name
            table.add_row(fit.model.key, fit.quantisation, context, f"{fit.tokens:,}", f"{fit.at_once:.1f}", licence)
        self._warn([fit.model for fit in found])
        self._print(table)

    # --- how to serve it ---

    def _serve(self, gpus: Gpus, key: str, context: int, weights: Any, port: int) -> None:
        model = next((model for model in MODELS if key.lower() in (model.key, model.name)), None)
        if model is None:
            known = ", ".join(model.key for model in MODELS)
            raise CommandError(f"No model is called {key!r}; there are {known}.", returncode=BAD_USAGE)
        try:
            fit = choose(model, gpus, context, weights)
        except DoesNotFit as error:
            raise CommandError(str(error)) from error
        self._warn([model])
        for line in explained(fit, gpus):
            self.stdout.write(f"# {line}")
        command = shlex.join(["vllm", "serve", *arguments(fit, gpus, port=port)])
        self.stdout.write(f"\n{command}\n\n# Or as docker-compose.override.yml, and then `docker compose up -d`:\n")
        self.stdout.write(compose(fit, gpus), ending="")

    # --- printing ---

    def _warn(self, models: Iterable[Model]) -> None:
        for model in dict.fromkeys(models):
            if warning := model.family.licence.warning:
                self.stdout.write(self.style.WARNING(f"# {model.title}: {warning}"))

    def _print(self, table: Table) -> None:
        console = Console(width=None if self.stdout.isatty() else PIPED_WIDTH)
        with console.capture() as printed:
            console.print(table)
        self.stdout.write("\n".join(line.rstrip() for line in printed.get().strip("\n").split("\n")))


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def row(model: Model) -> tuple[str, ...]:
    """A line of the catalogue, as docs/models.md has it too."""
    family, shape = model.family, shape_of(model)
    parameters = f"{shape.parameters:.2f} B" + (f", {shape.active:g} active" if shape.active else "")
    gib = " / ".join(f"{shape.weight_bytes(each) / GIB:.1f}" for each in BITS)
    system = "yes" if family.system_role else "in the question"
    languages = " ".join(family.languages or ("many",))
    licence = family.licence.name + ("" if family.licence.commercial else ", non-commercial")
    return (
        model.key,
        parameters,
        window(family),
        f"{shape.kv_bytes // 1024} KiB",
        f"{gib} GiB",
        system,
        languages,
        licence,
        family.good_at,
    )


def window(family: Family) -> str:
    """`16,384, extended 100,000`, or `32,768, good to 8,192`."""
    told = f"{family.context_tokens:,}"
    if family.extended_tokens:
        return f"{told}, extended {family.extended_tokens:,}"
    return told if family.useful_tokens == family.context_tokens else f"{told}, good to {family.useful_tokens:,}"


def described(model: Model) -> dict[str, Any]:
    family, shape = model.family, shape_of(model)
    return {
        "key": model.key,
        "title": model.title,
        "served_as": model.name,
        "repository": model.repository,
        "gated": model.gated,
        "awq": model.awq,
        "parameters_b": round(shape.parameters, 2),
        "active_parameters_b": shape.active or round(shape.parameters, 2),
        "layers": shape.layers,
        "kv_heads": shape.kv_heads,
        "head_size": shape.head_size,
        "kv_bytes_per_token": shape.kv_bytes,
        "weights_gib": {each: round(shape.weight_bytes(each) / GIB, 1) for each in BITS},
        "context": family.context_tokens,
        "extended_context": family.extended_tokens,
        "useful_context": family.useful_tokens,
        "chat_template": f"assistant/chat_templates/{family.chat_template}",
        "system_role": family.system_role,
        "alternating_roles": family.alternating,
        "single_turn": family.single_turn,
        "stop": list(family.stop),
        "languages": list(family.languages or ()),
        "licence": family.licence.name,
        "licence_limits": family.licence.limits,
        "commercial_use": family.licence.commercial,
        "good_at": family.good_at,
        "scores": model.scores,
        "note": model.note,
    }


def _fit_json(fit: Fit) -> dict[str, Any]:
    return {
        "key": fit.model.key,
        "weights": fit.quantisation,
        "context": fit.context,
        "extended": fit.extended,
        "cache_tokens": fit.tokens,
        "windows_at_once": round(fit.at_once, 1),
        "commercial_use": fit.model.family.licence.commercial,
    }


def explained(fit: Fit, gpus: Gpus) -> list[str]:
    """What to know of a choice, a sentence a line."""
    model, family = fit.model, fit.model.family
    lines = [
        f"{model.title}, {fit.quantisation}, {fit.context:,} tokens; the cache holds {fit.tokens:,}, "
        f"so {fit.at_once:.1f} full windows at once.",
        f"Licence: {family.licence.name}. {family.licence.limits}".rstrip(),
    ]
    if model.gated and fit.quantisation != "4-bit":
        lines.append(f"{model.repository} is gated: accept its licence on the hub and set HF_TOKEN.")
    if model.note:
        lines.append(model.note)
    lines.append("vLLM's API key protects neither /tokenize nor /metrics: keep the port inside a private network.")
    return lines
