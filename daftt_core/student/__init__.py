"""Students: small models trained on real examples alone, and on real and synthetic ones."""

from daftt_core.student.embeddings import EMBEDDINGS, EmbeddingRegression
from daftt_core.student.lessons import read_arm
from daftt_core.student.prediction import Panel, Questions, mean_log_probs
from daftt_core.student.stages import contradicted, predict_test, train_arm

__all__ = [
    "EMBEDDINGS",
    "EmbeddingRegression",
    "Panel",
    "Questions",
    "contradicted",
    "mean_log_probs",
    "predict_test",
    "read_arm",
    "train_arm",
]
