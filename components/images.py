"""The container images the components run in."""

from daftt_core import __version__

CORE_IMAGE = f"daftt/core:{__version__}"
"""Without torch: preflight, data, curation, evaluation, report."""

TRAIN_IMAGE = f"daftt/train:{__version__}"
"""With torch and transformers: teacher, assessment, students."""

SERVE_IMAGE = f"daftt/serve:{__version__}"
"""For asking the teacher: synthesis."""
