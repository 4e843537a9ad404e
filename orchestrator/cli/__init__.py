"""One file per verb. A verb is a library function that returns a typed result; what is here only shows it.

A module of this folder that defines `app` (a `typer.Typer`) is a group of verbs, one that defines `command` (function)
is a single verb; its name is the module's, with `-` for `_`. There is no list to edit: see `verbs.py`.
"""
