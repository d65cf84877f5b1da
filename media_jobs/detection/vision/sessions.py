"""Opens ONNX models, for a helper that has few threads and little memory.

onnxruntime keeps the memory that the largest picture took: 0.6 GB at most with the models for text. To give it back
after each picture took an eighth more processor time.
"""

from pathlib import Path
from typing import Any

import onnxruntime


def open_model(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait must sleep: see helper_process.py.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
