"""An importer of ONNX models, as far as tests need one: nodes become calls of leptonc's public functions."""
