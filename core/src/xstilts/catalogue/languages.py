"""The languages of XTREME: names, scripts, other codes, and the sets that each task is scored in.

The sets are those of google-research/xtreme's evaluate.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """A language: `code` is XTREME's two letters, `tatoeba` the three letters of LASER's Tatoeba files.

    `resources` is its class in Joshi et al. 2020 (arXiv 2004.09095), from 0, the left-behinds, to 5, the winners.
    """

    code: str
    name: str
    script: str
    tatoeba: str
    resources: int


LANGUAGES = {
    language.code: language
    for language in (
        Language("af", "Afrikaans", "Latin", "afr", 3),
        Language("ar", "Arabic", "Arabic", "ara", 5),
        Language("bg", "Bulgarian", "Cyrillic", "bul", 3),
        Language("bn", "Bengali", "Bengali", "ben", 3),
        Language("de", "German", "Latin", "deu", 5),
        Language("el", "Greek", "Greek", "ell", 3),
        Language("en", "English", "Latin", "eng", 5),
        Language("es", "Spanish", "Latin", "spa", 5),
        Language("et", "Estonian", "Latin", "est", 3),
        Language("eu", "Basque", "Latin", "eus", 4),
        Language("fa", "Persian", "Arabic", "pes", 4),
        Language("fi", "Finnish", "Latin", "fin", 4),
        Language("fr", "French", "Latin", "fra", 5),
        Language("he", "Hebrew", "Hebrew", "heb", 3),
        Language("hi", "Hindi", "Devanagari", "hin", 4),
        Language("hu", "Hungarian", "Latin", "hun", 4),
        Language("id", "Indonesian", "Latin", "ind", 3),
        Language("it", "Italian", "Latin", "ita", 4),
        Language("ja", "Japanese", "Japanese", "jpn", 5),
        Language("jv", "Javanese", "Latin", "jav", 1),
        Language("ka", "Georgian", "Georgian", "kat", 3),
        Language("kk", "Kazakh", "Cyrillic", "kaz", 3),
        Language("ko", "Korean", "Hangul", "kor", 4),
        Language("ml", "Malayalam", "Malayalam", "mal", 1),
        Language("mr", "Marathi", "Devanagari", "mar", 2),
        Language("ms", "Malay", "Latin", "zsm", 3),
        Language("my", "Burmese", "Myanmar", "mya", 1),
        Language("nl", "Dutch", "Latin", "nld", 4),
        Language("pt", "Portuguese", "Latin", "por", 4),
        Language("ru", "Russian", "Cyrillic", "rus", 4),
        Language("sw", "Swahili", "Latin", "swh", 2),
        Language("ta", "Tamil", "Tamil", "tam", 3),
        Language("te", "Telugu", "Telugu", "tel", 1),
        Language("th", "Thai", "Thai", "tha", 3),
        Language("tl", "Tagalog", "Latin", "tgl", 3),
        Language("tr", "Turkish", "Latin", "tur", 4),
        Language("ur", "Urdu", "Arabic", "urd", 3),
        Language("vi", "Vietnamese", "Latin", "vie", 4),
        Language("yo", "Yoruba", "Latin", "yor", 2),
        Language("zh", "Chinese", "Han", "cmn", 5),
    )
}


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


XNLI = _codes("ar bg de el en es fr hi ru sw th tr ur vi zh")
PAWSX = _codes("de en es fr ja ko zh")
PANX = tuple(LANGUAGES)
UDPOS = tuple(code for code in PANX if code not in {"bn", "jv", "ka", "ml", "ms", "my", "sw"})
XQUAD = _codes("ar de el en es hi ru th tr vi zh")
MLQA = _codes("ar de en es hi vi zh")
TYDIQA = _codes("ar bn en fi id ko ru sw te")
BUCC2018 = _codes("de fr ru zh")  # each against English
TATOEBA = tuple(code for code in PANX if code not in {"en", "ms", "my", "yo"})  # each against English


def language_name(code: str) -> str:
    """The English name of a language; the code itself where the catalogue does not know it."""
    language = LANGUAGES.get(code)
    return language.name if language else code
