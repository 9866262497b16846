import subprocess
import sys
from importlib import import_module

import pytest

from mien.deprecated import MOVED


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_module_that_moved_is_found_under_its_old_name(old: str, new: str) -> None:
    name = next(name for name in vars(import_module(new)) if name[0].isalpha())
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}; import from there"):
        assert getattr(import_module(old), name) is getattr(import_module(new), name)


def test_a_module_that_moved_is_an_attribute_of_the_package() -> None:
    code = "import mien.images; print(mien.images.read_photo.__module__)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "mien.pipeline.images\n"
