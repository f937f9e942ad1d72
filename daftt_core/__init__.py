"""DAFTT: data augmentation via fine-tuning the teacher (after arXiv 2310.01119)."""

import os

__version__ = "0.1.0"

# Read when torch is loaded, which comes later, so it stands here. By default, OpenMP's threads wait
# for each other in a loop; where other programs want the cores too, that holds up the thread that
# all wait for (benchmarks/busy_machine.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
