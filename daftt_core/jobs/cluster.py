"""The objects of a cluster that jobs are about: jobs of each kind, pods, events and logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from daftt_core.jobs.kinds import JobKind
from daftt_core.jobs.kubernetes import KubernetesClient, RefusedError


class Cluster:
    """What the launcher needs from a cluster, in one namespace.

    Args:
        client: The client.
        namespace: The namespace; empty takes the client's.
    """

    def __init__(self, client: KubernetesClient, namespace: str = "") -> None:
        self._client, self.namespace = client, namespace or client.namespace

    @property
    def home(self) -> Cluster:
        """Return the same cluster, in the namespace of this pod or of the kubeconfig."""
        return Cluster(self._client)

    def create(self, kind: JobKind, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create a job.

        Raises:
            RefusedError: With status 409, it exists already. An answer that got lost on its way
                leads there too.
        """
        return self._object("POST", self._jobs(kind), kind=kind, body=manifest)

    def get(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        """Return a job; None if there is none of this name."""
        return self._found(self._jobs(kind, name), kind)

    def change(self, kind: JobKind, name: str, metadata: dict[str, Any]) -> None:
        """Change some of a job's metadata."""
        self._object("PATCH", self._jobs(kind, name), kind=kind, body={"metadata": metadata})

    def delete(self, kind: JobKind, name: str, uid: str) -> None:
        """Delete a job, but no other one of the same name; its pods go first.

        It is one request, for who has only a second left.
        """
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
        try:
            self._object("DELETE", self._jobs(kind, name), kind=kind, body=body)
        except RefusedError as error:
            if error.status not in (404, 409):  # gone already, or another one by now
                raise

    def jobs(self, kind: JobKind, selector: str) -> list[dict[str, Any]]:
        """Return the jobs whose labels match."""
        return self._items(self._jobs(kind), ("labelSelector", selector), kind)

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """Return the pods whose labels match."""
        return self._items(self._core("pods"), ("labelSelector", selector))

    def pod(self, name: str) -> dict[str, Any] | None:
        """Return a pod; None if there is none of this name."""
        return self._found(f"{self._core('pods')}/{name}")

    def owner(self, reference: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the pod or workflow that an owner reference points to; None if it is gone."""
        version, plural = reference["apiVersion"], f"{reference['kind'].lower()}s"
        root = "apis" if "/" in version else "api"
        path = f"/{root}/{version}/namespaces/{self.namespace}/{plural}/{reference['name']}"
        owner = self._found(path)
        return owner if owner and owner["metadata"]["uid"] == reference["uid"] else None

    def events(self, uid: str) -> list[dict[str, Any]]:
        """Return the events about an object, and about no earlier one of its name."""
        return self._items(self._core("events"), ("fieldSelector", f"involvedObject.uid={uid}"))

    def events_about(self, kind: str, name: str, since: str) -> list[dict[str, Any]]:
        """Return the events about an object whose uid is not known.

        Args:
            kind: Its kind.
            name: Its name, which earlier objects may have had.
            since: When it cannot have been there yet, as the cluster writes times.
        """
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        events = self._items(self._core("events"), ("fieldSelector", selector))
        return [event for event in events if event_time(event) >= since]

    def workload(self, uid: str) -> dict[str, Any] | None:
        """Return what Kueue has made for a job; None where it has made nothing.

        Raises:
            RefusedError: It may not be read.
        """
        workloads: list[dict[str, Any]] = []  # as it is where Kueue is not installed
        for version in ("v1beta2", "v1beta1"):
            path = f"/apis/kueue.x-k8s.io/{version}/namespaces/{self.namespace}/workloads"
            try:
                workloads = self._items(path, ("limit", "500"))
                break
            except RefusedError as error:
                if error.status != 404:
                    raise
        for workload in workloads:
            owners = workload["metadata"].get("ownerReferences") or []
            if uid in (owner["uid"] for owner in owners):
                return workload
        return None

    def log_lines(
        self, pod: str, container: str, *, since: str = "", last: int | None = None
    ) -> Iterator[str]:
        """Yield a container's log, each line with the time it was written, as far as it comes.

        Args:
            pod: Name of the pod.
            container: Name of the container.
            since: Time of the first line wanted, in whole seconds.
            last: How many lines from the end.
        """
        query = [("container", container), ("timestamps", "true")]
        query += [("sinceTime", since)] if since else []
        query += [("tailLines", str(last))] if last is not None else []
        return self._client.lines(f"{self._core('pods')}/{pod}/log", query)

    def _jobs(self, kind: JobKind, name: str = "") -> str:
        path = f"/apis/{kind.group}/{kind.version}/namespaces/{self.namespace}/{kind.plural}"
        return f"{path}/{name}" if name else path

    def _core(self, plural: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/{plural}"

    def _found(self, path: str, kind: JobKind | None = None) -> dict[str, Any] | None:
        try:
            return self._object("GET", path, kind=kind)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def _items(
        self, path: str, query: tuple[str, str], kind: JobKind | None = None
    ) -> list[dict[str, Any]]:
        answer = self._object("GET", path, kind=kind, query=[query])
        return answer.get("items") or []  # Go writes null for a list without entries

    def _object(
        self,
        method: str,
        path: str,
        *,
        kind: JobKind | None = None,
        body: object = None,
        query: list[tuple[str, str]] | None = None,
    ) -> dict[str, Any]:
        try:
            return self._client.request(method, path, query=query, body=body)
        except RefusedError as error:
            raise _explained(error, kind, method, self.namespace) from None


def event_time(event: Mapping[str, Any]) -> str:
    """Return when an event was seen last; empty if it does not say."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _explained(
    error: RefusedError, kind: JobKind | None, method: str, namespace: str
) -> RefusedError:
    """Return the same refusal with what to do about it."""
    what, said = kind.plural if kind else "objects", str(error)
    if error.status == 403 and "exceeded quota" in said:
        message = (
            f"namespace {namespace}: its quota is used up ({error}); finished jobs count until "
            "they are removed (job_ttl_seconds): see daftt reap --finished, or raise the quota"
        )
    elif error.status == 403 and "violates PodSecurity" in said:
        message = f"namespace {namespace}: its pod security does not allow this ({error})"
    elif "admission webhook" in said:
        message = f"namespace {namespace}: the cluster's policy refuses these {what} ({error})"
    elif error.status == 403:
        message = (
            f"namespace {namespace}: the service account may not {method} {what} ({error}); "
            "give it a Role that allows this"
        )
    elif error.status == 404 and kind and method != "DELETE":
        message = (
            f"the cluster has no {kind.name} ({kind.group}/{kind.version}) or no namespace "
            f"{namespace} ({error}); install {kind.provider} or create the namespace"
        )
    else:
        return error
    return RefusedError(error.status, message)
