# ruff: noqa: INP001 - Sphinx reads it by its path
"""The documentation site: `make docs` builds it from the pages beside this file into build/docs."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

project = "xstilts"
author = "the authors of xstilts"
project_copyright = "the authors of xstilts, Apache-2.0"
release = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx_copybutton"]
nitpicky = True
myst_heading_anchors = 4
exclude_patterns = ["explanation/e5-depth"]  # a report's files: the page beside it is made of them
linkcheck_ignore = [r"https://[a-z0-9.-]*example\.com"]  # nobody's, to be replaced by the reader's own
smartquotes = False  # a quote in a message or a field stays what it is
# A line of a console block is a command: nothing of it is a prompt, and the button copies it whole.
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "furo"
html_title = f"xstilts {release}"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

# Pages that stand elsewhere in the tree, and the page of the site that shows the same.
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "development/index.md",
    "CHANGELOG.md": "changelog.md",
    "charts/xstilts/README.md": "reference/helm-values.md",
    "examples/own-task": "how-to/own-task.md",
    "examples/own-task/README.md": "how-to/own-task.md",
}
_LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s#]+)((?:#[^)\s]*)?)\)")


def _rewritten(text: str, home: Path, page: Path) -> str:
    """The links of a text that lies in the folder `home`, as they must be in `page`.

    In the tree a link leads to the file. On the site it leads to the page that shows that file, where there is one; a
    file that is no page can be downloaded.
    """

    def link(found: re.Match[str]) -> str:
        target = (home / found[1]).resolve()
        if target.is_relative_to(ROOT):
            named = target.relative_to(ROOT).as_posix()
            target = DOCS / ELSEWHERE[named] if named in ELSEWHERE else target
        return f"]({os.path.relpath(target, page.parent)}{found[2]})"

    return _LINK.sub(link, text)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(page))
    source[0] = _rewritten(source[0], path.parent, path)


def _included(app: Sphinx, file: Path, _page: str, content: list[str]) -> None:
    path = Path(app.env.doc2path(app.env.docname))  # MyST tells the page's last part alone
    content[0] = _rewritten(content[0], (app.srcdir / file).resolve().parent, path)


def setup(app: Sphinx) -> None:
    """Have links rewritten."""
    app.connect("source-read", _read)
    app.connect("include-read", _included)
