"""The champion of each task: which model serves, why, since when, and how to roll back.

Modules that load torch are imported inside the functions that use them.
"""

from daftt_core.registry.ledger import TaskRegistry, may_be_task, registered_tasks, who
from daftt_core.registry.lineage import known_population, run_config
from daftt_core.registry.model_registry import register, register_or_warn
from daftt_core.registry.models import Decision, Event, Ledger, Lineage
from daftt_core.registry.promote import promote, read_decision
from daftt_core.registry.versions import REGISTRY, read_lineage, read_version, registry_of

__all__ = [
    "REGISTRY",
    "Decision",
    "Event",
    "Ledger",
    "Lineage",
    "TaskRegistry",
    "known_population",
    "may_be_task",
    "promote",
    "read_decision",
    "read_lineage",
    "read_version",
    "register",
    "register_or_warn",
    "registered_tasks",
    "registry_of",
    "run_config",
    "who",
]
