"""What pyproject.toml cannot say: a file beside the packages, where Python reads it as it starts.

It makes KERAS_BACKEND=leptonc known to a plain ``import keras``; see ``keras_leptonc``.
"""

from setuptools import setup
from setuptools.command.editable_wheel import editable_wheel


class EditableWheel(editable_wheel):
    """With the data files, which setuptools means to add, but only to a distribution that ``has_data``, a name it never defines."""

    def run(self) -> None:
        self.distribution.has_data = self.distribution.has_data_files
        super().run()


setup(
    data_files=[("../purelib", ["keras_leptonc/keras_leptonc.pth"])],  # from <name>.data/data of the wheel to its site-packages
    cmdclass={"editable_wheel": EditableWheel},
)
