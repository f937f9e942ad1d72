"""Running a stage's program as a job: on this machine, as a PyTorchJob, or as a TrainJob.

The program is the same everywhere, a list of words for Python. A *kind* says how a job is described
to the cluster and how its state is read; a *launcher* runs a request and waits for it.
"""

from daftt_core.jobs.launcher import KINDS, launcher_for
from daftt_core.jobs.pods import QUEUE_LABEL
from daftt_core.jobs.requests import JobRequest, teacher_request
from daftt_core.jobs.steps import connect_to_steps, read_steps, step_log, why_steps_died

__all__ = [
    "KINDS",
    "QUEUE_LABEL",
    "JobRequest",
    "connect_to_steps",
    "launcher_for",
    "read_steps",
    "step_log",
    "teacher_request",
    "why_steps_died",
]
