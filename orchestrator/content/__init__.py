"""Journeys, templates, policies, laws: read from disk into the frozen objects that deciding takes."""
