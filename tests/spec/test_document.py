"""YAML is read safely: what is refused, and with which words."""

from __future__ import annotations

import time

import pytest
import yaml

from xstilts.errors import SpecError
from xstilts.spec import document, load_experiment, parse_experiment
from xstilts.spec.document import SIZE_LIMIT, parse_document


@pytest.fixture(autouse=True, params=["libyaml", "pure Python"])
def loader(request, monkeypatch):
    """Both of PyYAML's parsers, where both are: their words differ, what is refused does not."""
    if request.param == "pure Python":
        monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)
    elif not yaml.__with_libyaml__:
        pytest.skip("PyYAML without libyaml")


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_document(text, "x.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "x.yaml: must be a mapping with apiVersion, kind, metadata and spec, was empty"),
        ("# nothing\n", "x.yaml: must be a mapping with apiVersion, kind, metadata and spec, was empty"),
        ("---\n", "x.yaml: must be a mapping with apiVersion, kind, metadata and spec, was empty"),
        ("[1, 2]", "x.yaml: must be a mapping with apiVersion, kind, metadata and spec, was a list of 2"),
        ("hello", "x.yaml: must be a mapping with apiVersion, kind, metadata and spec, was 'hello'"),
        (
            "a: 1\n---\nb: 2\n",
            "x.yaml: line 2, column 1: must hold one document, was a second one (`---`); give each experiment its file",
        ),
        ("a:\n\tb: 1\n", "x.yaml: line 2, column 1: must be YAML: indented by spaces, was a tab"),
        ("a: !!python/object:os.system x\n", "x.yaml: line 1, column 4: must have no tag, was 'tag:yaml.org,2002:python/object:os.system'"),
        ("a: !!float 1\n", "x.yaml: line 1, column 4: must have no tag, was 'tag:yaml.org,2002:float'"),
        ("a: !mine [1]\n", "x.yaml: line 1, column 4: must have no tag, was '!mine'"),
        ("1: a\n", "x.yaml: line 1, column 1: must have a string as its key, was the number 1; put it in quotes"),
        ("no: a\n", "x.yaml: line 1, column 1: must have a string as its key, was the boolean false (written no); put it in quotes"),
        ("? [a]\n: b\n", "x.yaml: line 1, column 3: must have a string as its key, was a list, a mapping or an alias"),
        ("a: *b\n", "x.yaml: line 1, column 4: must name an anchor that is complete above it, was *b"),
        ("a: &a [*a]\n", "x.yaml: line 1, column 8: must name an anchor that is complete above it, was *a"),
        ("<<: 3\n", "x.yaml: line 1, column 1: must merge a mapping or a list of mappings (`<<`), was something else"),
    ],
)  # fmt: skip
def test_refused(text, problem):
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("a: [1\n", "x.yaml: line 2, column 1: must be YAML: "),
        ("a: b: c\n", "x.yaml: line 1, column 5: must be YAML: "),
        ("a: 'b\n", "x.yaml: line 2, column 1: must be YAML: "),
        ("a: \x00\n", "x.yaml: must be YAML: "),
        ('a: "\\ud800"\n', "x.yaml: line 1, column "),
        ('a: "\\UFFFFFFFF"\n', "x.yaml: "),
        ("%YAML 9.9\n---\na: 1\n", "x.yaml: "),
    ],
)
def test_no_yaml(text, beginning):
    (problem,) = problems(text)
    assert problem.startswith(beginning)
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("text", "duplicates"),
    [
        (
            "a: 1\nb:\n  - {c: 1, c: 2}\na: 3\na: 4\n",
            [
                "b[0].c: must stand once, was set on line 3 too (x.yaml, line 3)",
                "a: must stand once, was set on line 1 too (x.yaml, line 4)",
                "a: must stand once, was set on line 1 too (x.yaml, line 5)",
            ],
        ),
        ('a: 1\n"a": 2\n', ["a: must stand once, was set on line 1 too (x.yaml, line 2)"]),
        ("a: &a {b: 1}\nc: {<<: *a, b: 2}\n", []),
    ],
)
def test_duplicate_keys(text, duplicates):
    assert [str(problem) for problem in parse_document(text, "x.yaml").duplicates] == duplicates


def test_a_duplicate_key_is_no_experiment(manifest):
    with pytest.raises(SpecError) as caught:
        parse_experiment(manifest() + "  seeds: [2]\n", "x.yaml")
    assert [str(problem) for problem in caught.value.problems] == [
        "spec.seeds: must stand once, was set on line 7 too (x.yaml, line 8)"
    ]


def test_exploding_aliases_are_refused_at_once():
    levels = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    begin = time.monotonic()
    (problem,) = problems("\n".join(levels))
    assert "must stay under 2,000,000 characters with its aliases expanded, was more" in problem
    assert time.monotonic() - begin < 1


def test_a_long_string_by_many_aliases_is_refused():
    text = f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 100)}]\n"
    (problem,) = problems(text)
    assert "aliases expanded" in problem


def test_exploding_merges_are_refused():
    levels = ["a0: &a0 {k: v}"]
    levels += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 20)}]}}" for n in range(1, 9)]
    (problem,) = problems("\n".join(levels))
    assert "aliases expanded" in problem


@pytest.mark.parametrize("brackets", ["[", "{a: "])
def test_deep_nesting_is_refused(brackets):
    (problem,) = problems("a: " + brackets * 20_000)
    assert "must be nested at most 32 levels deep" in problem or "exceeded maximum nesting depth" in problem


def test_deep_nesting_by_aliases_is_refused():
    levels = ["a0: &a0 [1]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 1000))]
    (problem,) = problems("\n".join(levels))
    assert problem == "x.yaml: line 32, column 12: must be nested at most 32 levels deep, was deeper"


def test_the_deepest_nesting():
    assert parse_document("a: " + "[" * 31 + "]" * 31, "x.yaml").value
    assert parse_document("a: &a [[]]\nb: " + "[" * 29 + "*a" + "]" * 29, "x.yaml").value
    assert "32 levels" in problems("a: " + "[" * 32 + "]" * 32)[0]
    assert "32 levels" in problems("a: &a [[]]\nb: " + "[" * 30 + "*a" + "]" * 30)[0]


def test_aliases_and_merges_work():
    parsed = parse_document(
        "base: &base {x: 1, w: 2}\nextra: &extra {w: 3, z: 4}\nboth: {<<: [*base, *extra], x: 0}\nsame: *base\n",
        "x.yaml",
    )
    assert parsed.value["both"] == {"x": 0, "w": 2, "z": 4}
    assert parsed.value["same"] == {"x": 1, "w": 2}


def test_quoted_scalars_are_strings():
    parsed = parse_document("a: \"no\"\nb: '1'\nc: |\n  2\nd: !!str 3\ne: 4\n", "x.yaml")
    assert parsed.value == {"a": "no", "b": "1", "c": "2\n", "d": "3", "e": 4}


def test_json_is_read_too():
    assert parse_document('{\n"a": [1, true, null, "x"]\n}', "x.json").value == {"a": [1, True, None, "x"]}


def test_json_escapes_of_characters_beyond_ffff():
    def value(text):
        return parse_document(f'{{"a": "{text}"}}', "x.json").value["a"]

    assert value(r"\ud83d\ude00 \uD83D\uDE00") == "\U0001f600 \U0001f600"
    assert value(r"\\\ud83d\ude00") == "\\\U0001f600"
    assert value(r"\\ud83d\ude00".replace(r"\ude00", "")) == r"\ud83d"
    assert len(problems(r'{"a": "\ud83d"}')) == len(problems(r'{"a": "\ude00\ud83d"}')) == 1
    assert parse_document(r"a: '\ud83d\ude00'", "x.yaml").value == {"a": r"\ud83d\ude00"}


@pytest.mark.parametrize("text", ["a: [" + "1," * 499_000 + "1]", "a: 1\n" * 200_000])
def test_a_megabyte_of_values_is_refused_before_it_is_read_whole(text, monkeypatch):
    monkeypatch.setattr(document, "VALUES_LIMIT", 1000)
    (problem,) = problems(text)
    assert problem.endswith("must hold at most 1,000 values, was more")


def test_many_duplicate_keys_are_counted(manifest):
    with pytest.raises(SpecError) as caught:
        parse_experiment(manifest() + "a: 1\n" * 1001, "x.yaml")
    assert "and 950 more problems" in map(str, caught.value.problems)
    assert len(caught.value.problems) < 60


def file_problem(path) -> str:
    with pytest.raises(SpecError) as caught:
        load_experiment(path)
    (problem,) = caught.value.problems
    return str(problem)


def test_a_file_of_2_mb(tmp_path, manifest):
    path = tmp_path / "big.yaml"
    path.write_text(manifest() + "#" * 2_000_000)
    assert file_problem(path) == f"{path}: must be at most 1,000,000 bytes, was larger"


def test_the_largest_file(tmp_path, manifest):
    path = tmp_path / "large.yaml"
    path.write_text(manifest().ljust(SIZE_LIMIT, "#"))
    assert load_experiment(path) == parse_experiment(manifest())


def test_files_that_cannot_be_read(tmp_path):
    absent = tmp_path / "absent.yaml"
    assert file_problem(absent) == f"{absent}: must be a file that can be read: No such file or directory"
    assert file_problem(tmp_path) == f"{tmp_path}: must be a file that can be read: Is a directory"
    assert "must be a file that can be read" in file_problem("a\0b")


def test_bad_utf8(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: b\nc: \xff\n")
    assert file_problem(path) == f"{path}: line 2: must be UTF-8 text, was byte 0xff"
    path.write_bytes("a: b\n".encode("utf-16"))
    assert file_problem(path) == f"{path}: line 1: must be UTF-8 text, was byte 0xff"


def test_a_byte_order_mark_is_skipped(tmp_path, manifest):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + manifest().encode())
    assert load_experiment(path) == parse_experiment(manifest())
