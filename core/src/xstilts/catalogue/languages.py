"""The languages of XTREME: names, scripts, other codes, and the sets that each task is scored in.

The sets are those of google-research/xtreme's evaluate.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """A language: `code` is XTREME's two letters, `tatoeba` the three letters of LASER's Tatoeba files."""

    code: str
    name: str
    script: str
    tatoeba: str


LANGUAGES = {
    language.code: language
    for language in (
        Language("af", "Afrikaans", "Latin", "afr"),
        Language("ar", "Arabic", "Arabic", "ara"),
        Language("bg", "Bulgarian", "Cyrillic", "bul"),
        Language("bn", "Bengali", "Bengali", "ben"),
        Language("de", "German", "Latin", "deu"),
        Language("el", "Greek", "Greek", "ell"),
        Language("en", "English", "Latin", "eng"),
        Language("es", "Spanish", "Latin", "spa"),
        Language("et", "Estonian", "Latin", "est"),
        Language("eu", "Basque", "Latin", "eus"),
        Language("fa", "Persian", "Arabic", "pes"),
        Language("fi", "Finnish", "Latin", "fin"),
        Language("fr", "French", "Latin", "fra"),
        Language("he", "Hebrew", "Hebrew", "heb"),
        Language("hi", "Hindi", "Devanagari", "hin"),
        Language("hu", "Hungarian", "Latin", "hun"),
        Language("id", "Indonesian", "Latin", "ind"),
        Language("it", "Italian", "Latin", "ita"),
        Language("ja", "Japanese", "Japanese", "jpn"),
        Language("jv", "Javanese", "Latin", "jav"),
        Language("ka", "Georgian", "Georgian", "kat"),
        Language("kk", "Kazakh", "Cyrillic", "kaz"),
        Language("ko", "Korean", "Hangul", "kor"),
        Language("ml", "Malayalam", "Malayalam", "mal"),
        Language("mr", "Marathi", "Devanagari", "mar"),
        Language("ms", "Malay", "Latin", "zsm"),
        Language("my", "Burmese", "Myanmar", "mya"),
        Language("nl", "Dutch", "Latin", "nld"),
        Language("pt", "Portuguese", "Latin", "por"),
        Language("ru", "Russian", "Cyrillic", "rus"),
        Language("sw", "Swahili", "Latin", "swh"),
        Language("ta", "Tamil", "Tamil", "tam"),
        Language("te", "Telugu", "Telugu", "tel"),
        Language("th", "Thai", "Thai", "tha"),
        Language("tl", "Tagalog", "Latin", "tgl"),
        Language("tr", "Turkish", "Latin", "tur"),
        Language("ur", "Urdu", "Arabic", "urd"),
        Language("vi", "Vietnamese", "Latin", "vie"),
        Language("yo", "Yoruba", "Latin", "yor"),
        Language("zh", "Chinese", "Han", "cmn"),
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
