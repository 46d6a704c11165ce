"""The long tests have the fixtures of the black-box tests, and keep the same promise."""

import importlib.util
import pathlib

path = pathlib.Path(__file__).resolve().parent.parent / "EndToEnd" / "conftest.py"
spec = importlib.util.spec_from_file_location("black_box_conftest", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
globals().update({name: value for name, value in vars(module).items() if name[0] != "_"})
