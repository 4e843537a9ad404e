"""What Twilio's answers and callbacks mean for WhatsApp: `CODES` is the table."""

from orchestrator.channels.twilio_api.codes import CODES, STATUSES, read_answer
from orchestrator.channels.twilio_api.webhooks import open_receivers

__all__ = ["CODES", "STATUSES", "open_receivers", "read_answer"]
