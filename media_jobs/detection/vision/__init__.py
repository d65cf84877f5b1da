"""What detectors with models run in the inference helper. These modules import OpenCV and onnxruntime: see `load`."""
