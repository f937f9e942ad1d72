"""What each pod of a cluster gets: resources, nodes, secrets, deadlines, retries.

GPUs, CPUs and memory of pods that run a model come from the first stage, so a run may choose them.
Nodes, tolerations and secrets are compiled in (``daftt upload --settings``), because KFP resolves
them at the top level of a pipeline only.

kfp.local takes no notice of any of this, so the same pipeline runs on one machine. KFP's cache is
off for every task (docs/adr/0003): it compares names, not content.

No task sets a retry of its own. Since 2.17 Kubeflow Pipelines runs a pod again that the cluster
lost, which resumes from its manifests. With a retry of its own a task that fails by itself is not
run again either, but its pause is waited out, and a run with a mistake in it ends minutes later.
Remotes are retried within a step.
"""

from dataclasses import dataclass, replace

from kfp import dsl, kubernetes

from daftt_core.config import ClusterConfig
from daftt_core.jobs import QUEUE_LABEL

__all__ = ["ModelPod", "Pods"]

_HOUR_SECONDS = 3600
_LIGHT_HOURS = 2
_USER = 1000  # of our images; a namespace with the pod security "restricted" wants it said
_SHARED_MEMORY = "2Gi"  # PyTorch's workers hand tensors over in /dev/shm; the default is 64 MB
_KEYS = {
    "token": "HF_TOKEN",
    "server_api_key": "DAFTT_SERVER_API_KEY",
    "mlflow_token": "MLFLOW_TRACKING_TOKEN",
    "model_registry_token": "DAFTT_MODEL_REGISTRY_TOKEN",
}
_STORAGE_KEYS = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
_NOTIFY_KEYS = {"url": "DAFTT_NOTIFY_URL"}


@dataclass(frozen=True)
class Pods:
    """Runs tasks in pods as the settings of the cluster say.

    Args:
        cluster: The settings that are compiled in.
        notify_secret: The secret that holds the URL of messages.
    """

    cluster: ClusterConfig
    notify_secret: str

    def light(self, task: dsl.PipelineTask, title: str) -> dsl.PipelineTask:
        """Run a task in a pod that runs no model.

        Args:
            task: The task.
            title: Its name in the graph.
        """
        _request(task, str(self.cluster.light_cpus), self.cluster.light_memory)
        return self.finish(task, title, hours=_LIGHT_HOURS)

    def finish(self, task: dsl.PipelineTask, title: str, *, hours: int) -> dsl.PipelineTask:
        """Give a task what all pods have in common.

        Args:
            task: The task.
            title: Its name in the graph.
            hours: The pod is ended after this time.
        """
        kubernetes.set_security_context(task, _USER, _USER, run_as_non_root=True)
        kubernetes.set_timeout(task, hours * _HOUR_SECONDS)
        if self.cluster.pull_secret:
            kubernetes.set_image_pull_secrets(task, [self.cluster.pull_secret])
        if self.cluster.storage_secret:
            kubernetes.use_secret_as_env(task, self.cluster.storage_secret, _STORAGE_KEYS)
        for name, value in self.cluster.environment.items():
            task.set_env_variable(name, value)
        return task.set_display_name(title).set_caching_options(False)

    def notifies(self, task: dsl.PipelineTask) -> dsl.PipelineTask:
        """Let a task send a message to the URL in a secret."""
        return kubernetes.use_secret_as_env(task, self.notify_secret, _NOTIFY_KEYS, optional=True)


@dataclass(frozen=True)
class ModelPod:
    """A pod that runs a model, on a GPU where one is asked for.

    Args:
        pods: What is compiled in.
        gpu_resource: The cluster's name for GPUs.
        gpus: How many.
        cpus: CPU cores.
        memory: Memory, in Kubernetes' notation.
    """

    pods: Pods
    gpu_resource: str
    gpus: str
    cpus: str
    memory: str

    def with_gpus(self, gpus: str) -> "ModelPod":
        """Return the same pod with another number of GPUs."""
        return replace(self, gpus=gpus)

    def run(self, task: dsl.PipelineTask, title: str, *, hours: int) -> dsl.PipelineTask:
        """Run a task in such a pod.

        Args:
            task: The task.
            title: Its name in the graph.
            hours: The pod is ended after this time.
        """
        _request(task, self.cpus, self.memory)
        task.register_pipeline_channels([self.gpu_resource, self.gpus])
        task.set_accelerator_type(self.gpu_resource).set_accelerator_limit(self.gpus)
        cluster = self.pods.cluster
        for key, value in cluster.node_selector.items():
            kubernetes.add_node_selector(task, key, value)
        if cluster.queue:
            kubernetes.add_pod_label(task, QUEUE_LABEL, cluster.queue)
        if cluster.tolerations:
            kubernetes.add_toleration_json(task, cluster.tolerations)
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", "Memory", _SHARED_MEMORY)  # noqa: S108
        kubernetes.use_secret_as_env(task, cluster.hub_secret, _KEYS, optional=True)
        return self.pods.finish(task, title, hours=hours)


def _request(task: dsl.PipelineTask, cpus: str, memory: str) -> None:
    # without this, kfp forgets to hand resources into the body of a loop
    channels = [value for value in (cpus, memory) if not isinstance(value, str)]
    task.register_pipeline_channels(channels)
    # requests equal to limits: such pods are the last to be evicted
    task.set_cpu_request(cpus).set_cpu_limit(cpus)
    task.set_memory_request(memory).set_memory_limit(memory)
