"""Bytecode of what is imported is kept, for the tests and for all that they start.

Images of containers often set PYTHONDONTWRITEBYTECODE: each process then compiles the SDKs, and all that a step of a
pipeline imports, anew, which is half of what the tests take.
"""

import os
import sys

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
