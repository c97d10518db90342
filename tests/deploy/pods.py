"""Pods of a rendered Deployment, run as processes: its arguments, secrets, mounts, user and probes.

Two things differ from a cluster. The processes share one address, so each is given a port of its own by a further
option; and the configuration says where this machine's Redis, S3 server and simulated provider are.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conformance import s3_server
from tests.contract.process import eventually
from tests.contract.wire import ask
from tests.deploy.image import Image
from tests.deploy.manifests import Rendered
from tests.deploy.sandbox import Mount
from tests.ports import free_port

VIRTUAL_KEY = "sk-bf-of-the-first-team"
PORT_OPTIONS = {"api": ("--metrics-port", "0", "--port"), "worker": ("--metrics-port",)}


class Pod:
    """A container of a Deployment, running."""

    def __init__(self, cluster: "Cluster", component: str, number: int) -> None:
        deployment = cluster.overlay.of("Deployment")[f"hermod-{component}"]
        self.spec = deployment["spec"]["template"]["spec"]
        (self.container,) = self.spec["containers"]
        self.component = component
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = cluster.folder / f"{component}-{number}.log"
        root = cluster.folder / f"{component}-{number}"
        root.mkdir()
        assert self.container["securityContext"]["readOnlyRootFilesystem"]
        arguments = [*cluster.image.entrypoint, *self.container["args"], *PORT_OPTIONS[component], str(self.port)]
        command = cluster.image.command(
            root,
            arguments,
            mounts=self._mounts(cluster),
            environment=self._environment(cluster.secrets),
            user=self.spec["securityContext"]["runAsUser"],
        )
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def _mounts(self, cluster: "Cluster") -> list[Mount]:
        kinds = {volume["name"]: volume for volume in self.spec["volumes"]}
        return [
            Mount(mount["mountPath"], cluster.config if "configMap" in kinds[mount["name"]] else None)
            for mount in self.container["volumeMounts"]
        ]

    def _environment(self, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        names = [entry["secretRef"]["name"] for entry in self.container["envFrom"]]
        return {name: value for secret in names for name, value in secrets[secret].items()}

    def answers(self, probe: str) -> bool:
        """Whether one of its probes passes now; it must live."""
        assert self.process.poll() is None, f"{self.component} has ended: {self.log.read_text()[-2000:]}"
        return self._passes(probe)

    def is_away(self) -> bool:
        """Whether it is not ready, or gone."""
        return not self._passes("readinessProbe")

    def _passes(self, probe: str) -> bool:
        get = self.container[probe]["httpGet"]
        assert get["port"] in {port["name"] for port in self.container["ports"]}
        try:
            return ask(self.url, "GET", get["path"], timeout_s=5).status == 200
        except OSError:
            return False

    def until_ready(self) -> "Pod":
        """As Kubernetes waits: the startup probe's time, then readiness."""
        startup = self.container["startupProbe"]
        within_s = startup["periodSeconds"] * startup["failureThreshold"]
        eventually(lambda: self.answers("startupProbe"), within_s, f"{self.component} does not start")
        eventually(lambda: self.answers("readinessProbe"), within_s, f"{self.component} is not ready")
        return self

    def told(self) -> None:
        """SIGTERM, as Kubernetes sends it."""
        self.process.send_signal(signal.SIGTERM)

    def until_gone(self) -> float:
        """Waits no longer than Kubernetes does before it kills; how many seconds that took."""
        began = time.monotonic()
        self.process.wait(self.spec["terminationGracePeriodSeconds"])
        assert self.process.returncode in {0, -signal.SIGTERM, 128 + signal.SIGTERM}, self.log.read_text()[-2000:]
        return time.monotonic() - began


class Cluster:
    """The production overlay on this machine."""

    def __init__(self, folder: Path, image: Image, overlay: Rendered, redis_url: str, **worker: Any) -> None:
        self.folder, self.image, self.overlay = folder, image, overlay
        self.pods: list[Pod] = []
        (folder / "s3").mkdir()
        self._s3 = s3_server.start(folder / "s3")
        port = free_port()
        self.simulator = f"http://127.0.0.1:{port}"
        with (folder / "simulator.log").open("wb") as log:
            self._simulator = subprocess.Popen(
                [sys.executable, "-P", "-m", "deploy.cli", "simulate", "--port", str(port)],
                stdout=log,
                stderr=log,
            )
        eventually(self._simulates, 60, "the simulator is not up")
        self.config = folder / "config"
        self.config.mkdir()
        (self.config / "config.json").write_text(json.dumps(self._document(worker)))
        self.secrets = {
            "hermod-redis-api": {"HERMOD_REDIS_URL": redis_url},
            "hermod-redis-worker": {"HERMOD_REDIS_URL": redis_url},
            "hermod-stores": {
                "S3_ACCESS_KEY": self._s3.access_key,
                "S3_SECRET_KEY": self._s3.secret_key,
            },
            "hermod-clients": {"VIRTUAL_KEY_FIRST_TEAM": VIRTUAL_KEY},
            "hermod-admin": {"HERMOD_ADMIN_PASSWORD": "of-an-operator", "HERMOD_ADMIN_TOKEN": "of-a-script-and-long"},
            "hermod-providers": {"ANTHROPIC_API_KEY": "sk-simulated", "OPENAI_API_KEY": "sk-simulated"},
        }

    def start(self, component: str) -> Pod:
        pod = Pod(self, component, len(self.pods))
        self.pods.append(pod)
        return pod

    def calls(self) -> int:
        """Calls the provider has seen."""
        return int(ask(self.simulator, "GET", "/__ledger/count").json["count"])

    def close(self) -> None:
        for process in (*(pod.process for pod in self.pods), self._simulator):
            if process.poll() is None:
                process.kill()
                process.wait()
        self._s3.stop()

    def _document(self, worker: dict[str, Any]) -> Any:
        document = self.overlay.config()
        document["object_store"] |= {"endpoint": self._s3.endpoint, "secure": self._s3.secure, "region": "us-east-1"}
        document["worker"] |= worker
        paths = {"anthropic": "", "openai": "/v1"}
        for name, provider in document["providers"].items():
            provider["network_config"] = {"base_url": self.simulator + paths[name]}
        return document

    def _simulates(self) -> bool:
        try:
            return ask(self.simulator, "GET", "/__health").status == 200
        except OSError:
            return False
