"""Sending: claim a touch, check the moment once more, put the attempt on record, call, record the outcome."""
