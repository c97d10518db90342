"""The rendered manifests, and questions to them."""

import functools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.tools import ROOT, kustomize, schemas

K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("trial", "production")
_MODULES = {
    "v1": "kubernetes-models/v1",
    "keda.sh/v1alpha1": "@kubernetes-models/keda/keda.sh/v1alpha1",
    "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
}
_COMPILE = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext")

Manifest = dict[str, Any]


class Rendered:
    """All manifests of an overlay."""

    def __init__(self, folder: Path) -> None:
        done = subprocess.run([kustomize(), "build", folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not done.stderr, "kustomize warns"
        self.all: list[Manifest] = list(yaml.safe_load_all(done.stdout))

    def of(self, kind: str) -> dict[str, Manifest]:
        """Those of a kind, by name."""
        return {each["metadata"]["name"]: each for each in self.all if each["kind"] == kind}

    def pods(self) -> Iterator[tuple[str, Manifest]]:
        """Name and spec of every pod template."""
        for kind in ("Deployment", "StatefulSet"):
            for name, manifest in self.of(kind).items():
                yield name, manifest["spec"]["template"]["spec"]

    def config(self) -> Any:
        """The document of the ConfigMap that the API's pods mount."""
        volumes = self.of("Deployment")["hermod-api"]["spec"]["template"]["spec"]["volumes"]
        name = next(volume["configMap"]["name"] for volume in volumes if volume["name"] == "config")
        return json.loads(self.of("ConfigMap")[name]["data"]["config.json"])


@functools.cache
def rendered(overlay: str) -> Rendered:
    return Rendered(K8S / "overlays" / overlay)


def wrong_by_schema(manifests: list[Manifest], folder: Path) -> str:
    """What the schemas of their kinds forbid: unknown fields, missing ones, wrong types and values. Empty: nothing."""
    packages = schemas()
    lines = []
    for number, manifest in enumerate(manifests):
        version, kind = manifest["apiVersion"], manifest["kind"]
        module = _MODULES.get(version, f"kubernetes-models/{version}")
        lines.append(f'import type {{ I{kind} as T{number} }} from "{module}/{kind}";')
        lines.append(f"export const m{number}: T{number} = {json.dumps(manifest)};")
    (folder / "node_modules").symlink_to(packages / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "manifests.ts").write_text("\n".join(lines))
    compiler = packages / "node_modules" / ".bin" / "tsc"
    done = subprocess.run(
        [compiler, *_COMPILE, "manifests.ts"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr
