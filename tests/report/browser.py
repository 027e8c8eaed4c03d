"""A page in a real browser, with axe-core in it: Debian's chromium, and the script that a locked package carries."""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = REPOSITORY / "locks" / "axe.txt"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SERIOUS = ("serious", "critical")
_RUN = """
<script>{axe}</script>
<script>
document.querySelectorAll("details").forEach(one => one.open = true);
axe.run(document, {{resultTypes: ["violations", "passes"]}}).then(found => {{
  const pre = document.createElement("pre");
  pre.id = "axe";
  pre.textContent = JSON.stringify({{
    passes: found.passes.map(one => one.id),
    violations: found.violations.map(one => ({{id: one.id, impact: one.impact, help: one.help,
      nodes: one.nodes.slice(0, 3).map(node => node.html.slice(0, 200))}})),
    width: document.documentElement.scrollWidth,
    window: window.innerWidth,
    ground: getComputedStyle(document.body).backgroundColor,
    text: getComputedStyle(document.body).color,
  }});
  document.body.append(pre);
}});
</script>
"""


def browser() -> str | None:
    """The program, or None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def axe_script() -> str:
    """axe-core, from the cache, where it is put from the registry at the hash of the lock."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xstilts"
    folder = cache / f"axe-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    script = folder / "axe_playwright_python" / "axe.min.js"
    if not script.is_file():
        uv = REPOSITORY / ".tools" / "bin" / "uv"
        options = ["--quiet", "--no-deps", "--require-hashes", "--target", str(folder), "-r", str(LOCK)]
        subprocess.run([uv, "pip", "install", *options], check=True)
    return script.read_text(encoding="utf-8")


def inspect(
    page: str, program: str, folder: Path, *, width: int, dark: bool = False, printed: bool = False
) -> dict[str, Any]:
    """What axe finds on a page, all details open: passes, violations, how wide the page is, and its colours.

    The page's own policy forbids scripts, so it is left out here. Dark colours are made those of any scheme, and what is for
    paper is made so for a screen.
    """
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    if dark:
        open_page = open_page.replace("@media (prefers-color-scheme: dark)", "@media all")
    if printed:
        open_page = open_page.replace("@media print", "@media all")
    file = folder / "page.html"
    script = _RUN.format(axe=axe_script())
    file.write_text(open_page.replace("</body>", script + "</body>"), encoding="utf-8")
    command = [
        program,
        "--headless",
        "--no-sandbox",  # as root in a container there is no other way
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},2000",
        "--virtual-time-budget=60000",
        "--dump-dom",
        file.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, check=True, timeout=500)
    found = re.search(r'<pre id="axe">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
    assert found, done.stderr.decode()[-2000:]
    return json.loads(html.unescape(found[1]))
