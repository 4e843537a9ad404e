"""The record of every touch and every silence: its chain, its checkpoints, its export, and its plain words.

chain         entries become rows, each bound to the one before (the hot path)
verify        what was altered, removed, inserted or moved
checkpoint    all heads, signed, to be kept where the operator can't reach
export        JSON Lines and CSV for auditors; verify_export reads them back without the store
bundle        one zip that proves itself offline
reconcile     what went in is what came out
explain       paragraphs in plain English; sentences holds the words
"""
