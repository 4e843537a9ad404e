"""Event-driven communication for loyalty programmes: one message, once, at a lawful hour, with proof.

    event ─▶ facts ─▶ decide ─▶ render ─▶ dispatch ─▶ contact log
             stores   (pure)    (pure)    channels    touches and silences alike
"""
