"""Intake: a programme's own files (CSV, JSON Lines) become CloudEvents by a mapping file.

    file ─▶ rows ─▶ columns ─▶ emit ─▶ events.jsonl
                       └─ refused ─▶ events.refused.jsonl

`mapping.py` is the file a programme writes, `columns.py` reads one value, `build.py` makes events of one row, `run.py`
turns whole files. How to write a mapping: `schemas/sources/README.md`.
"""
