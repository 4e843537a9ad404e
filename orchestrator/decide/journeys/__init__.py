"""Members in journeys: what starts one, how it goes on, what ends it."""
