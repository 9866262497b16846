"""What a frozen program needs beside the modules that it imports: weights, pages, and the version."""

from PyInstaller.utils.hooks import collect_data_files, copy_metadata

datas = collect_data_files("mien") + copy_metadata("mien")
