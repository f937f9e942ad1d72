"""DAFTT: data augmentation via fine-tuning the teacher (after arXiv 2310.01119)."""

__version__ = "0.1.0"
