"""Which natural languages the models serve: a question in one that the code model doesn't goes to a general model that does."""

from __future__ import annotations

from django.conf import settings

from assistant.catalogue import family_of
from assistant.models import ModelEndpoint


async def general_model_speaks_instead(language: str) -> bool:
    """Whether a question in this language (its code, or "" for English) is better asked of the general model.

    A model is known by the name that was set, or else by the one that its server told last; an unknown one serves all.
    """
    if not language or not settings.GENERAL_MODEL_URL:
        return False
    seen = {row.route: row.model async for row in ModelEndpoint.objects.all()}
    code = settings.CODE_MODEL_NAME or seen.get("code", "")
    general = settings.GENERAL_MODEL_NAME or seen.get("general", "")
    return not _serves(code, language) and _serves(general, language)


def _serves(model: str, language: str) -> bool:
    languages = family_of(model).languages
    return languages is None or language in languages
