"""The orchestrator: member events in, explained messages out.

    inputs ─▶ turn ─▶ facts ─▶ decide ─▶ render ─▶ outbox ─▶ dispatch ─▶ outcome (an input again)
                                 pure      pure                channels
                 └────────────── journal, contact log ──────────────┘   every touch and every silence

`events/` what came in · `decide/` may we, when, on which channel, why · `render/` the words · `content/` journeys,
policies, laws read from files · `stores/` what is remembered · `pipeline/` the steps in order · `dispatch/`,
`channels/` how messages leave · `contact_log/` the record, its chain, its questions · `runtimes/` what turns the crank.
"""

__version__ = "0.1.0"
