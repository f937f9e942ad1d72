"""What each pod of a cluster gets: resources, nodes, secrets, deadlines, repeats.

kfp.local takes no notice of resources, nodes, secrets and deadlines, so the same pipeline runs on
one machine. KFP's cache is off for every task (docs/adr/0003): it compares names, not content.
A stage goes on by its manifest, which makes a repeat safe; it is worth one only where the work is
long enough to meet a node that fails or a library that is out of memory.
"""

from dataclasses import dataclass

from kfp import dsl, kubernetes

__all__ = ["LightPod", "ModelPod"]

_HOUR_SECONDS = 3600
_LIGHT_HOURS = 2
_SHARED_MEMORY = "2Gi"  # PyTorch's workers hand tensors over in /dev/shm; the default is 64 MB
_KEYS = {"token": "HF_TOKEN", "server_api_key": "DAFTT_SERVER_API_KEY"}
_NOTIFY_KEYS = {"url": "DAFTT_NOTIFY_URL"}


@dataclass(frozen=True)
class LightPod:
    """A pod that runs no model."""

    cpus: str
    memory: str
    pull_secret: str

    def take(self, task: dsl.PipelineTask) -> dsl.PipelineTask:
        """Run a task in such a pod."""
        _resources(task, self.cpus, self.memory)
        kubernetes.set_image_pull_secrets(task, [self.pull_secret])
        kubernetes.set_timeout(task, _LIGHT_HOURS * _HOUR_SECONDS)
        return task.set_caching_options(False)

    def tell(self, task: dsl.PipelineTask, secret: str) -> dsl.PipelineTask:
        """Run a task that may send a message to the URL in a secret."""
        kubernetes.use_secret_as_env(task, secret, _NOTIFY_KEYS, optional=True)
        return self.take(task)


@dataclass(frozen=True)
class ModelPod:
    """A pod that runs a model, on a GPU where one is asked for."""

    gpu_type: str
    gpus: str
    cpus: str
    memory: str
    node_selector: dict
    tolerations: list
    hub_secret: str
    pull_secret: str

    def take(self, task: dsl.PipelineTask, *, hours: int, retries: int) -> dsl.PipelineTask:
        """Run a task in such a pod.

        Args:
            task: The task.
            hours: The pod is ended after this time.
            retries: How often a failed task is repeated, after one minute and then two.
        """
        _resources(task, self.cpus, self.memory)
        task.register_pipeline_channels([self.gpu_type, self.gpus])
        task.set_accelerator_type(self.gpu_type).set_accelerator_limit(self.gpus)
        kubernetes.add_node_selector_json(task, self.node_selector)
        kubernetes.add_toleration_json(task, self.tolerations)
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", "Memory", _SHARED_MEMORY)  # noqa: S108
        kubernetes.use_secret_as_env(task, self.hub_secret, _KEYS, optional=True)
        kubernetes.set_image_pull_secrets(task, [self.pull_secret])
        kubernetes.set_timeout(task, hours * _HOUR_SECONDS)
        if retries:
            task.set_retry(retries, "60s", 2.0, "600s")
        return task.set_caching_options(False)


def _resources(task: dsl.PipelineTask, cpus: str, memory: str) -> None:
    # without this, kfp forgets to hand resources into the body of a loop
    task.register_pipeline_channels([cpus, memory])
    # requests equal to limits: such pods are the last to be evicted
    task.set_cpu_request(cpus).set_cpu_limit(cpus)
    task.set_memory_request(memory).set_memory_limit(memory)
