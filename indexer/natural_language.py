"""Questions in other languages than English: which language it is, and which of its words name something.

A language is told by its script or by a few of its most common words, and its stop words are those of stopwords-iso. What
remains are names, words that are the same in English, and numbers; meaning is left to the vectors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from indexer.tokens import STOP_WORDS, word_set

LANGUAGES = {
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "pt": "Portuguese",
    "it": "Italian",
    "nl": "Dutch",
    "pl": "Polish",
    "sv": "Swedish",
    "cs": "Czech",
    "tr": "Turkish",
    "ru": "Russian",
    "uk": "Ukrainian",
    "zh": "Chinese",
    "ja": "Japanese",
    "ko": "Korean",
}
# Articles, prepositions, question words and auxiliaries that English doesn't have: what tells a language in a short question.
# Stop word lists are no help there, since they hold words such as "total" and "final" too.
_TELLING = {
    "de": "die wie der das dem den ein eine einen und oder nicht wo was warum welche wann wer wird werden ist sind von für mit",
    "fr": "le la les des du un une et où comment pourquoi quel quelle est sont qui que dans pour avec ce cette fait",
    "es": "el la los las un una y dónde donde cómo como qué por cuál cuáles es son se en para con del al quién está hace",
    "pt": "o os as um uma e onde como quê qual quais é são em para com do da dos das no na quem está faz não",
    "it": "il lo gli un una e dove come perché quale quali è sono che di nel nella per con del della dei chi viene vengono",
    "nl": "de het een en waar hoe wat waarom welke wordt worden is zijn van voor met niet wie",
    "pl": "gdzie jak co dlaczego który która które jest są w na z do nie się kto kiedy i",
    "sv": "en ett och var hur vad varför vilken vilka är i på med för inte vem som",
    "cs": "kde jak co proč který která které je jsou v na s do kdo kdy a se",
    "tr": "nerede nasıl neden hangi bu ve bir için ile mi mı kim ne nedir",
}
_TELLING_WORDS = {language: word_set(words) for language, words in _TELLING.items()}
_CYRILLIC = ("ru", "uk")
# Chinese words that ask, and particles: what a question is cut at.
_CHINESE = re.compile(
    "在哪里|哪里|在哪|什么|怎么样|怎么|如何|为什么|是否|哪个|哪些|请问|这个|那个|的|了|吗|呢|是|在|被|和|与|把"
)
# Japanese function words and endings are written in hiragana, Korean particles follow a word without a space.
_HIRAGANA = re.compile("[\u3040-\u309f]+")
_KOREAN = re.compile(
    "(?:에서는|에서|에게|으로|은|는|이|가|을|를|의|에|로|와|과|도|만|됩니까|됩니다|합니까|합니다|되나요|하나요|인가요|입니까)$"
)
_ENOUGH = 2


def language_of(words: Sequence[str]) -> str:
    """The language's code, or "" for English and for what can't be told."""
    text = "".join(words)
    if re.search("[\u3040-\u30ff]", text):
        return "ja"
    if re.search("[\uac00-\ud7af]", text):
        return "ko"
    if re.search("[\u3400-\u9fff]", text):
        return "zh"
    lower = [word.lower() for word in words]
    if re.search("[\u0400-\u04ff]", text):
        return max(_CYRILLIC, key=lambda language: (_hits(language, lower), language == "ru"))
    best = max(_TELLING_WORDS, key=lambda language: sum(word in _TELLING_WORDS[language] for word in lower))
    telling = sum(word in _TELLING_WORDS[best] for word in lower)
    english = sum(word in STOP_WORDS for word in lower)
    return best if telling >= _ENOUGH and telling > english else ""


def _hits(language: str, words: Iterable[str]) -> int:
    return sum(word in stop_words(language) for word in words)


def content_words(words: Sequence[str], language: str) -> list[str]:
    """The words without what only asks and joins; of unspaced scripts, the pieces between that."""
    if language == "zh":
        return [piece for word in words for piece in _CHINESE.split(word) if piece]
    if language == "ja":
        return [piece for word in words for piece in _HIRAGANA.split(word) if piece]
    if language == "ko":
        bare = [word if word.isascii() else _KOREAN.sub("", word) for word in words]
        return [word for word in bare if word and word not in stop_words("ko")]
    return [word for word in words if word.lower() not in stop_words(language)]


@cache
def stop_words(language: str) -> frozenset[str]:
    from stopwordsiso import stopwords

    return frozenset(stopwords(language))
