"""Opens ONNX models, for a helper that has few threads and little memory."""

from pathlib import Path
from typing import Any

import onnxruntime


def open_model(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it never gives back what the largest picture took
    options.log_severity_level = 3
    # Threads that wait must sleep: see helper_process.py.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
