"""The two images of the Dockerfiles, built by buildah on a base of this machine's own Debian, and put on the node.

What others have made is a layer of the lock alone, 6 GB of the trainer's: built once and copied once. A change of the
code makes its small upper layers anew.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from node import containerd, layout
from node.base import IMAGE as BASE
from node.base import make_base
from node.buildah import buildah
from node.commands import run
from node.pip_configuration import pip_configuration

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = ("operator", "trainer")

Say = Callable[[str], None]


def reference(name: str) -> str:
    """What pods call the image, if the chart's values say nothing: as containerd completes it."""
    chart = yaml.safe_load((REPOSITORY / "charts" / "xstilts" / "Chart.yaml").read_text(encoding="utf-8"))
    return f"docker.io/library/xstilts-{name}:{chart['appVersion']}"


def put(name: str, say: Say) -> None:
    """Have the image of the working tree on the node.

    Raises:
        NodeError: it cannot be built, or the node does not take it; says why.
    """
    key, lower = content_key(name), lower_key(name)
    keyed = f"{reference(name).rpartition(':')[0]}:{key}"
    if keyed not in containerd.images():
        local, below = f"localhost/xstilts-{name}:{key}", f"localhost/xstilts-{name}-dependencies:{lower}"
        if below not in containerd.images():
            say(f"building what the {name}'s image holds of others (once a lock; minutes)")
            _build(name, below, "--target=dependencies")
            layout.put_dependencies(below, below)
        say(f"building the {name}'s image")
        _build(name, local)
        layout.put_on(below, local, keyed)
        _drop_older(name, key, lower)
    containerd.tag(keyed, reference(name))
    say(f"on the node: {reference(name)} ({key})")


def lower_key(name: str) -> str:
    """The digest of what the stage `dependencies` is made from."""
    dockerfile = (REPOSITORY / f"Dockerfile.{name}").read_bytes().partition(b" AS own")[0]
    lock = (REPOSITORY / "locks" / f"{name}.txt").read_bytes()
    return hashlib.sha256(dockerfile + lock).hexdigest()[:12]


def content_key(name: str) -> str:
    """The digest of all that the image is made from in this repository."""
    digest = hashlib.sha256()
    for path in sources(name):
        relative = path.relative_to(REPOSITORY)
        digest.update(f"{relative}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def sources(name: str) -> list[Path]:
    """The Dockerfile and the files that it copies, sorted."""
    given = [f"Dockerfile.{name}", "LICENSE", "locks/build.txt", f"locks/{name}.txt"]
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", "core", name, cwd=REPOSITORY)
    paths = {REPOSITORY / path for path in (*given, *listed.split("\0")) if path}
    return sorted(path for path in paths if path.is_file())


def _build(name: str, tag: str, *options: str) -> None:
    buildah("rm", "--all")  # what a build that was stopped has left
    make_base()
    with pip_configuration() as (file, mounted), _context(name) as context:
        volumes = [f"--volume={path}:{path}:ro" for path in mounted]
        buildah(
            "build",
            "--layers",
            "--isolation=chroot",
            f"--secret=id=pip,src={file}",
            *volumes,
            *options,
            f"--build-arg=BASE_IMAGE={BASE}",
            f"--build-arg=REVISION={run('git', 'rev-parse', 'HEAD', cwd=REPOSITORY).strip()}",
            f"--file={context / f'Dockerfile.{name}'}",
            f"--tag={tag}",
            context,
        )


@contextmanager
def _context(name: str) -> Iterator[Path]:
    """A copy of the sources: others may write to the working tree while it is built."""
    with tempfile.TemporaryDirectory(prefix="xstilts-context-") as temporary:
        for path in sources(name):
            copy = Path(temporary) / path.relative_to(REPOSITORY)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        yield Path(temporary)


def _drop_older(name: str, key: str, lower: str) -> None:
    """What is of other contents of the image, on the node and where it was built."""
    kept = {f"xstilts-{name}:{key}", f"xstilts-{name}-dependencies:{lower}"}
    kept.add(reference(name).removeprefix("docker.io/library/"))

    def older(images: Iterable[str]) -> list[str]:
        ours = (one for one in images if re.search(rf"/xstilts-{name}(-dependencies)?:", one))
        return [one for one in ours if one.rpartition("/")[2] not in kept]

    for image in older(containerd.images()):
        containerd.untag(image)
    for image in older(buildah("images", "--format={{.Name}}:{{.Tag}}").split()):
        buildah("rmi", image)
        if "-dependencies:" in image:
            buildah("rmi", "--prune")
