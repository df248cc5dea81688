"""What lies beside a registered version's weights, and the rows of it in score tables. It imports nothing heavy: short commands read these."""

from assets.core.names import STUDENT, TEACHER
from evaluation.benchmark.benchmark_plan import STUDENT as STUDENT_ROWS
from evaluation.benchmark.benchmark_plan import TEACHER as TEACHER_ROWS

SCORES, SLICES, FITNESS = "benchmark_scores.parquet", "benchmark_slices.parquet", "benchmark_fitness.parquet"
TABLES = {"scores": SCORES, "slices": SLICES, "fitness": FITNESS}  # of benchmark_scores, beside the weights
ROWS = {STUDENT: STUDENT_ROWS, TEACHER: TEACHER_ROWS}  # of the score table, by registered model
SHEET, VIDEO = "samples.png", "samples.mp4"  # beside them, on the version's page
