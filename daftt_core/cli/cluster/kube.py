"""Reading a cluster for the doctor: objects, and what an account may do."""

from __future__ import annotations

from typing import Any

from daftt_core.jobs.kubernetes import Patience, RefusedError, connect

_PATIENCE = Patience(total_seconds=5.0, unauthorized_seconds=0.0, read_seconds=15.0)


class KubeReader:
    """Reads the Kubernetes API as the kubeconfig's user.

    Args:
        account: The user whose rights are looked at; empty: the kubeconfig's own.
    """

    def __init__(self, account: str = "") -> None:
        self._client = connect(_PATIENCE)
        self._as = {"Impersonate-User": account} if account else {}

    def version(self) -> str:
        """Return the version of the cluster.

        Raises:
            JobError: Nothing answers, or the credentials are refused.
        """
        return str(self._client.request("GET", "/version").get("gitVersion", "answers"))

    def get(self, path: str) -> dict[str, Any]:
        """Return an object; ``{"refused": STATUS}`` where it is refused.

        Raises:
            JobError: Nothing answers.
        """
        try:
            return self._client.request("GET", path)
        except RefusedError as error:
            return {"refused": error.status}

    def served_version(self, group: str) -> str:
        """Return group and version in which a group is served; empty where it is not."""
        preferred = self.get(f"/apis/{group}").get("preferredVersion") or {}
        return str(preferred.get("groupVersion", ""))

    def may(self, namespace: str, attributes: dict[str, str]) -> bool | None:
        """Tell whether an action is allowed; None where that cannot be told."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": namespace, **attributes}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        try:
            answer = self._client.request("POST", path, body=review, headers=self._as)
        except RefusedError:
            return None
        status = answer.get("status")
        return bool(status.get("allowed")) if isinstance(status, dict) else None


def refusal_status(answer: dict[str, Any]) -> int:
    """Return the HTTP status of a refusal; 0 for an answer."""
    return int(answer.get("refused", 0))
