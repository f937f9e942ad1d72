"""Students: small models trained on real examples alone, and on real and synthetic ones."""

from daftt_core.student.lessons import read_arm
from daftt_core.student.prediction import Questions
from daftt_core.student.stages import contradicted, predict_test, train_arm

__all__ = ["Questions", "contradicted", "predict_test", "read_arm", "train_arm"]
