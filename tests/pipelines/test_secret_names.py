"""The secrets that pods read are those that the templates and the documents name."""

from __future__ import annotations

from pathlib import Path

import yaml

from daftt_core.config import ClusterConfig, NotifyConfig
from daftt_core.notifications import URL_VARIABLE
from pipelines.pods import _KEYS, _NOTIFY_KEYS, _STORAGE_KEYS

ROOT = Path(__file__).parents[2]


def test_the_hub_secret_has_the_name_and_keys_that_pods_read() -> None:
    secret = yaml.safe_load((ROOT / "k8s/secret-templates/hub.yaml").read_text())
    assert secret["metadata"]["name"] == ClusterConfig().hub_secret
    assert set(secret["stringData"]) == set(_KEYS)
    operations = (ROOT / "docs/operations.md").read_text()
    assert f"create secret generic {ClusterConfig().hub_secret}" in operations
    assert "--from-file=token=" in operations


def test_the_url_of_notifications_has_the_name_and_key_that_the_last_step_reads() -> None:
    secret = yaml.safe_load((ROOT / "k8s/secret-templates/notify.yaml").read_text())
    assert secret["metadata"]["name"] == NotifyConfig().secret
    assert dict.fromkeys(secret["stringData"], URL_VARIABLE) == _NOTIFY_KEYS
    operations = (ROOT / "docs/operations.md").read_text()
    assert f"create secret generic {NotifyConfig().secret}" in operations
    assert "--from-file=url=" in operations


def test_the_keys_of_an_s3_store_have_the_names_that_pods_read() -> None:
    secret = yaml.safe_load((ROOT / "k8s/secret-templates/s3-keys.yaml").read_text())
    kubeflows = yaml.safe_load((ROOT / "k8s/secret-templates/artifact-store.yaml").read_text())
    assert set(secret["stringData"]) == set(kubeflows["stringData"]) == set(_STORAGE_KEYS)
    operations = (ROOT / "docs/operations.md").read_text()
    assert f"create secret generic {secret['metadata']['name']}" in operations
    assert all(f"={key}=" in operations for key in _STORAGE_KEYS)
