"""HTTP: events that come in, what providers tell by themselves, and the pages that members see.

    request ─▶ who, how large, how often ─▶ read ─▶ one transaction ─▶ answer

Nothing is decided here. What is heard enters as an event or as a row of the inbox, and a suppression in the same
transaction where somebody opted out; the owner of the member's partition does the rest.
"""
