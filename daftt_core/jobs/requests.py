"""What is to be run as a job: one program, its settings, and the name that follows from both."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import PurePosixPath

from daftt_core.config import JobConfig, as_argument
from daftt_core.records import digest
from daftt_core.stages import TEACHER
from daftt_core.workspace import Run

_GANG = "daftt_core.distributed.torchrun"  # torchrun, with telling exit codes
_ENTRY = "daftt_core.jobs.entry"
_WAITING_ONLY = {"launcher", "namespace", "start_timeout_seconds", "max_restarts"}
"""Settings that change how a job is waited for, and not what it is."""


@dataclass(frozen=True)
class StepPod:
    """The pod of the step that asks for a job."""

    name: str
    uid: str


@dataclass(frozen=True)
class JobRequest:
    """One program to run, on this machine or on several.

    Attributes:
        run: Name of the run.
        stage: Name of the stage.
        program: What Python runs: ``-m``, a module, and its arguments; never a shell's line.
        config: Where and how it is run.
        image: Image of the pods.
        step: The pod of the step that asks for it; None outside a cluster.
    """

    run: str
    stage: str
    program: tuple[str, ...]
    config: JobConfig
    image: str
    step: StepPod | None = None

    @property
    def processes_per_node(self) -> int:
        """Processes of each pod."""
        return self.config.each_nodes_processes

    @property
    def digest(self) -> str:
        """Tells this job from one of other settings; who asks or waits for it is left out."""
        settings = self.config.model_dump(mode="json", exclude=_WAITING_ONLY)
        return digest(self.run, self.stage, self.program, self.image, settings)

    @property
    def name(self) -> str:
        """Name of the job: the same request has the same name, so that it is found again.

        At most 46 characters, which leaves room for what controllers append for pods and services.
        """
        return f"daftt-{_slug(self.run, 20)}-{_slug(self.stage, 10)}-{self.digest[:8]}"

    def command(self) -> list[str]:
        """Return the words that start the program in a pod.

        With several processes torchrun starts them; how many nodes there are and where they meet
        it reads from the PET variables that the cluster's controller sets.
        """
        alone = self.config.nodes * self.processes_per_node == 1
        words = [*self.program] if alone else ["-m", _GANG, *self.program]
        if words[0] == "-m":  # a program that is no module, such as a test's, is started as it is
            words = ["-m", _ENTRY, *words]
        return ["python", *words]

    def local_command(self) -> list[str]:
        """Return the words that start the same program on this machine."""
        if self.processes_per_node == 1:
            return [sys.executable, *self.program]
        count = f"--nproc-per-node={self.processes_per_node}"
        # They meet on this machine, whose own name is not known everywhere (in a container).
        meeting = ["--standalone", "--local-addr=127.0.0.1"]
        return [sys.executable, "-m", _GANG, *meeting, count, *self.program]


def teacher_request(
    run: Run, settings: str, job: JobConfig, data: str, image: str, mixture: str = ""
) -> JobRequest:
    """Return the request to fine-tune the teacher.

    Args:
        run: The run.
        settings: Digest of the run's settings.
        job: Where and how it is run.
        data: Digest of the data.
        image: The image to use where the settings name none.
        mixture: Digest of the mixture; empty where there is none.
    """
    return JobRequest(
        run=PurePosixPath(run.uri).name,
        stage=TEACHER.name,
        program=(
            "-m",
            "daftt_core.teacher",
            "--run",
            as_argument(run.uri),
            "--settings",
            settings,
            "--data",
            data,
            "--mixture",
            mixture,
        ),
        config=job,
        image=job.image or image,
        step=step_from_environment(),
    )


def step_from_environment() -> StepPod | None:
    """Return the pod this process runs in, as Kubeflow tells its steps; None elsewhere."""
    name, uid = os.environ.get("KFP_POD_NAME", ""), os.environ.get("KFP_POD_UID", "")
    return StepPod(name, uid) if name and uid else None


def _slug(text: str, length: int) -> str:
    """Return the part of a name that a Kubernetes name may hold."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:length].strip("-") or "x"
