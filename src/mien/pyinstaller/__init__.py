"""How PyInstaller freezes programs that use mien; its entry point ``pyinstaller40`` leads here."""

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Folders with hooks."""
    return [str(Path(__file__).parent)]
